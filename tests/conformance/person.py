"""What a person does beside an application, for journeys in any language.

Journeys ask by HTTP on loopback, so that each needs no more than its client:

    GET /mail?to=ADDRESS       the token of the link that confirms the address
    GET /code?secret=BASE32    the next code of the authenticator app
    GET /approve?page=URL      presses the button on the page of the demo provider
    GET /status                the service whose credential is stored: it admits KEY
"""

import base64
import hmac
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from server import Server, ServerError

KEY = "a-key-of-the-journey"
STEP_SECONDS = 30


class Person:
    def __init__(self, server: Server) -> None:
        self._server = server
        self._last_step: dict[str, int] = {}

    def __enter__(self) -> "Person":
        person = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, text = person.answer(self.path, self.headers.get("Authorization"))
                self.send_response(status)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, target: str, authorization: str | None) -> tuple[int, str]:
        path, _, query = target.partition("?")
        asked = dict(urllib.parse.parse_qsl(query))
        try:
            match path:
                case "/mail":
                    return 200, self._server.mailed_token(asked["to"])
                case "/code":
                    return 200, self.code(asked["secret"])
                case "/approve":
                    urllib.request.urlopen(asked["page"], data=b"decision=approve", timeout=30).close()
                    return 200, "approved"
                case "/status":
                    return (200, "ok") if authorization == f"Bearer {KEY}" else (401, "unknown key")
        except (OSError, ServerError) as error:
            return 500, str(error)
        return 404, "no such thing"

    def code(self, secret: str) -> str:
        """RFC 6238. Each code counts once, and the one of 30 seconds ago still does: the first is that one."""
        now = int(time.time()) // STEP_SECONDS
        step = self._last_step[secret] = max(now - 1, self._last_step.get(secret, 0) + 1)
        key = base64.b32decode(secret + "=" * (-len(secret) % 8))
        digest = hmac.digest(key, step.to_bytes(8, "big"), "sha1")
        offset = digest[-1] & 15
        number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
        return f"{number % 1_000_000:06}"
