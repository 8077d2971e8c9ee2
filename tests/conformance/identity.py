"""A person's identity check with the demo provider, in a real browser: the page, its button, and the level in the token."""

import base64
import json
import time

from browser import Browser
from server import Server


def a_persons_identity(server: Server, browser: Browser) -> None:
    account = server.sign_up("ada").verify()
    session = account.log_in()
    assert claims(session)["ial"] == 0, claims(session)
    begun = server.call("POST", "/api/kyc/verifications", {"level": "full"}, session["access_token"])
    browser.open(begun["url"])
    # No script runs there but ours from outside; the button is a plain form's.
    browser.run("document.querySelector('button[value=approve]').click()")
    wait_for(lambda: browser.run("document.querySelector('#decided')?.textContent ?? ''").find("approved") > 0)
    print("approved oneself on the demo's page")

    def status() -> str:
        path = f"/api/kyc/verifications/{begun['verification']['id']}"
        return server.call("GET", path, token=session["access_token"])["verification"]["status"]

    wait_for(lambda: status() == "approved")
    refreshed = server.call("POST", "/auth/refresh", {"refresh_token": session["refresh_token"]})["session"]
    assert claims(refreshed)["ial"] == 1, claims(refreshed)
    print("the next token says ial 1")


def wait_for(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


def claims(session: dict) -> dict:
    payload = session["access_token"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
