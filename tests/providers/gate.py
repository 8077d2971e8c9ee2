"""Gate v4: five lines are signed, among them the hash of the body; times in seconds."""

import hashlib

from base import (
    Caller, Credential, Endpoint, Error, Provider, Refused, Reply, Request, integer, mac, random_text, same,
)  # fmt: skip

WINDOW_SECONDS = 60


def verify(secret: str, request: Request, timestamp: str, signature: str) -> bool:
    lines = (request.method, request.path, request.query, hashlib.sha512(request.body).hexdigest(), timestamp)
    return same(signature, mac("sha512", secret.encode(), "\n".join(lines).encode("latin-1")).hex())


class Gate(Provider):
    name = "gate"
    errors = {
        "ACCOUNT_LOCKED": Error(403, "Account is locked"),
        "FORBIDDEN": Error(403, "Request forbidden: the key lacks the permission account"),
        "INTERNAL": Error(500, "Internal server error"),
        "INVALID_CREDENTIALS": Error(401, "Invalid credentials"),
        "INVALID_KEY": Error(401, "Invalid key provided"),
        "INVALID_SIGNATURE": Error(401, "Signature mismatch"),
        "IP_FORBIDDEN": Error(403, "IP 192.0.2.10 is not in the whitelist"),
        "MISSING_REQUIRED_HEADER": Error(400, "Missing required header"),
        "READ_ONLY": Error(403, "The key is read only"),
        "REQUEST_EXPIRED": Error(403, "gap between request Timestamp and server time exceeds 60"),
        "TOO_FAST": Error(429, "Request too fast"),
        "TOO_MANY_REQUESTS": Error(429, "Request Rate limit Exceeded"),
    }

    def __init__(self) -> None:
        super().__init__()
        digits = "0123456789abcdef"
        self.credentials = {"hmac": Credential(random_text(32, digits), random_text(64, digits))}
        self.endpoints = {
            ("GET", "/api/v4/account/detail"): Endpoint(self.detail),
            ("GET", "/api/v4/account/main_keys"): Endpoint(self.main_keys),
        }
        self.public = {("GET", "/api/v4/spot/time"): lambda: {"server_time": self.clock.milliseconds()}}

    def authenticate(self, request: Request) -> Caller:
        for name in ("KEY", "Timestamp", "SIGN"):
            if not request.header(name):
                raise Refused("MISSING_REQUIRED_HEADER", f"Missing required header: {name}")
        if (credential := self.find(request.header("KEY"))) is None:
            raise Refused("INVALID_KEY")
        timestamp = request.header("Timestamp")
        sent = integer(timestamp)
        if sent is None or abs(self.clock.seconds() - sent) > WINDOW_SECONDS:
            raise Refused("REQUEST_EXPIRED")
        assert credential.secret is not None
        if not verify(credential.secret, request, timestamp, request.header("SIGN")):
            raise Refused("INVALID_SIGNATURE")
        return Caller(credential)

    def failure(self, code: str, error: Error) -> Reply:
        return Reply.json(error.status, {"label": code, "message": error.message}, error.headers)

    def detail(self, _: Caller) -> dict[str, object]:
        return {
            "user_id": 1667201533,
            "ip_whitelist": ["127.0.0.1"],
            "currency_pairs": ["USDT_BTC"],
            "tier": 2,
            "key": {"mode": 1},
            "copy_trading_role": 0,
        }

    def main_keys(self, caller: Caller) -> list[dict[str, object]]:
        """All keys of the account, of which only the beginning is shown. The caller's is the last."""
        return [self.main_key("0" * 12, "other", False), self.main_key(caller.credential.api_key[:12], "stub", True)]

    def main_key(self, beginning: str, name: str, read_only: bool) -> dict[str, object]:
        return {
            "state": 1,
            "mode": 1,
            "name": name,
            "user_id": 1667201533,
            "perms": [{"name": each, "read_only": read_only} for each in ("wallet", "spot", "account")],
            "ip_whitelist": ["127.0.0.1"],
            "currency_pairs": ["USDT_BTC"],
            "key": f"{beginning}*****",
            "created_at": "1698645219",
            "update_at": "1698645219",
            "last_access": "1698645219",
        }
