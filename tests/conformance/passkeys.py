"""A person's way with passkeys in a real browser: the lines of the README, then the generated client."""

import base64
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from browser import Browser
from server import Server

PAGE = """<!doctype html>
<title>An application</title>
<script>{lines}</script>
<script type="module" src="/passkeys.js"></script>
"""


class Pages:
    """An application on an origin of its own, and the same page on an origin that is not to be trusted with passkeys."""

    api = ""

    def __init__(self, readme: Path, modules: Path) -> None:
        lines = re.search(r"<!-- passkeys -->\n```js\n(.*?)```", readme.read_text(), re.DOTALL)
        assert lines, "README.md has no JavaScript after <!-- passkeys -->"
        self._lines, self._modules = lines[1], modules

    def __enter__(self) -> "Pages":
        pages = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                kind, content = pages.find(self.path)
                self.send_response(200 if content else 404)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
        for server in self._servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        self.origin, self.foreign = (f"http://localhost:{server.server_port}" for server in self._servers)
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def find(self, path: str) -> tuple[str, bytes]:
        if path == "/":
            lines = self._lines.replace("http://localhost:8080", self.api)
            return "text/html; charset=utf-8", PAGE.format(lines=lines).encode()
        file = self._modules / path.lstrip("/")
        return "text/javascript", file.read_bytes() if ".." not in path and file.is_file() else b""


def a_persons_passkey(server: Server, pages: Pages, browser: Browser) -> None:
    account = server.sign_up("ada").verify()
    session = account.log_in()
    browser.open(pages.origin)
    laptop = browser.add_authenticator()

    added = browser.run("addPasskey(a[0], a[1])", "Laptop", session["access_token"])
    assert added["passkey"]["name"] == "Laptop" and len(added["recovery_codes"]) == 10, added
    session = added["session"]
    assert claims(session)["aal"] == 2, claims(session)
    print("added a passkey")
    # The browser was told which are there.
    browser.fails("InvalidStateError", "addPasskey(a[0], a[1])", "Again", session["access_token"])

    signed_in = browser.run("signInWithPasskey()")
    assert signed_in["user"]["email"] == account.email and signed_in["next_step"] is None, signed_in
    session = signed_in["session"]
    assert (claims(session)["aal"], claims(session)["amr"]) == (2, ["hwk", "mfa"]), claims(session)
    print("signed in with it, without a password")

    # The same with the generated client, and what else a passkey is good for.
    browser.run("page.configure(a[0], a[1])", server.url, session["access_token"])
    assert browser.run("page.signIn()")["session"]
    ticket = server.call("POST", "/auth/login", account.credentials)["mfa"]["ticket"]
    second = browser.run("page.secondFactor(a[0])", ticket)["session"]
    assert (claims(second)["aal"], claims(second)["amr"]) == (2, ["pwd", "hwk", "mfa"]), claims(second)
    raised = browser.run("page.stepUp()")["session"]
    assert claims(raised)["sid"] == claims(session)["sid"], claims(raised)
    print("gave it as the second factor and for a step-up")

    browser.set_verified(laptop, False)
    browser.fails("NotAllowedError", "signInWithPasskey()")
    browser.set_verified(laptop, True)
    print("the authenticator does not use it for somebody else")

    # The domain is the same, and so is the passkey; the origin is not.
    browser.open(pages.foreign)
    browser.fails("This passkey can't be used here", "signInWithPasskey()")
    print("refused on an origin that is not ours")

    browser.open(pages.origin)
    browser.remove_authenticator(laptop)
    phone = browser.add_authenticator()
    browser.run("page.configure(a[0], a[1])", server.url, raised["access_token"])
    assert browser.run("page.add('Phone')")["recovery_codes"] is None
    assert browser.run("signInWithPasskey()")["session"]
    listed = server.call("GET", "/auth/passkeys", token=raised["access_token"])["passkeys"]
    assert [passkey["name"] for passkey in listed] == ["Laptop", "Phone"], listed
    server.call("DELETE", f"/auth/passkeys/{listed[1]['id']}", token=raised["access_token"])
    browser.fails("This passkey can't be used here", "signInWithPasskey()")
    browser.remove_authenticator(phone)
    print("added a second one; removed, it signs nobody in")


def claims(session: dict) -> dict:
    payload = session["access_token"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
