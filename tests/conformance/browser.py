"""A headless Chromium with a virtual authenticator, driven over WebDriver (W3C), which is plain HTTP."""

import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

START_SECONDS = 30
CALL_SECONDS = 60

# The browser must not look for anything but the pages of the test; as root it has no sandbox.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


class BrowserError(Exception):
    """The browser did not do what every later step stands on, or a script in it failed."""


class Browser:
    """Starts a browser with nothing in it, and ends it."""

    def __enter__(self) -> "Browser":
        driver = shutil.which("chromedriver")
        if not driver:
            raise BrowserError("chromedriver was not found (on Debian: apt-get install chromium chromium-driver)")
        self._folder = tempfile.TemporaryDirectory(prefix="latchkey-browser-", ignore_cleanup_errors=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}"
        self._driver = subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._wait_until_ready()
            options = {"args": [*FLAGS, f"--user-data-dir={self._folder.name}"]}
            capabilities = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}
            self._url += f"/session/{self._call('POST', '/session', {'capabilities': capabilities})['sessionId']}"
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if "/session/" in self._url:
            try:
                self._call("DELETE", "")
            except (BrowserError, OSError):
                pass  # It is ended below in any case.
        self._driver.terminate()
        try:
            self._driver.wait(10)
        except subprocess.TimeoutExpired:
            self._driver.kill()
            self._driver.wait()
        self._folder.cleanup()

    def open(self, url: str) -> None:
        self._call("POST", "/url", {"url": url})

    def run(self, expression: str, *arguments: object) -> object:
        """The value of a JavaScript expression, which may be a promise, with `arguments` as `a[0]`, `a[1]` …"""
        script = f"""const a = [...arguments], done = a.pop();
            (async () => ({expression}))().then((value) => done({{ value }}), (error) => done({{ error:
              error instanceof Error || error instanceof DOMException ? `${{error.name}}: ${{error.message}}` : JSON.stringify(error)
            }}))"""
        outcome = self._call("POST", "/execute/async", {"script": script, "args": arguments})
        if "error" in outcome:
            raise BrowserError(f"{expression}: {outcome['error']}")
        return outcome.get("value")

    def fails(self, reason: str, expression: str, *arguments: object) -> None:
        """Demands that a script fails, for this reason."""
        try:
            value = self.run(expression, *arguments)
        except BrowserError as error:
            if reason not in str(error):
                raise BrowserError(f"expected {reason}: {error}") from None
        else:
            raise BrowserError(f"{expression}: expected {reason}, not {value}")

    def add_authenticator(self) -> str:
        """One that is built in, keeps passkeys and verifies its owner."""
        features = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
        return self._call("POST", "/webauthn/authenticator", features | {"isUserVerified": True})

    def remove_authenticator(self, authenticator: str) -> None:
        self._call("DELETE", f"/webauthn/authenticator/{authenticator}")

    def set_verified(self, authenticator: str, verified: bool) -> None:
        """Whether the owner's finger is the right one."""
        self._call("POST", f"/webauthn/authenticator/{authenticator}/uv", {"isUserVerified": verified})

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                if self._call("GET", "/status")["ready"]:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise BrowserError(f"chromedriver was not ready in {START_SECONDS} s")

    def _call(self, method: str, path: str, body: object = None) -> object:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, method=method, data=data)
        try:
            with urllib.request.urlopen(request, timeout=CALL_SECONDS) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise BrowserError(f"{method} {path}: {json.load(error)['value']['message']}") from None
