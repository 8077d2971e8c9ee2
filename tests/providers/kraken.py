"""Kraken: a nonce that only grows, and errors with status 200."""

import hashlib
import json
import secrets
import threading
import urllib.parse

from base import (
    Caller, Credential, Endpoint, Error, Provider, Refused, Reply, Request, b64, mac, random_text, same, unb64,
)  # fmt: skip

LARGEST_NONCE = 2**64 - 1


def verify(secret: str, path: str, nonce: str, body: bytes, signature: str) -> bool:
    key = unb64(secret)
    assert key is not None
    return same(signature, b64(mac("sha512", key, path.encode() + hashlib.sha256(nonce.encode() + body).digest())))


def parameters(request: Request) -> dict[str, str]:
    """The body, a form or JSON."""
    try:
        if request.header("Content-Type").startswith("application/json"):
            fields = json.loads(request.body)
            return {name: str(value) for name, value in fields.items()} if isinstance(fields, dict) else {}
        if request.header("Content-Type").startswith("application/x-www-form-urlencoded"):
            return dict(urllib.parse.parse_qsl(request.body.decode()))
    except ValueError:
        pass
    return {}


class Kraken(Provider):
    name = "kraken"
    # Matched by how they begin: a client must not expect the whole text.
    errors = {
        text: Error(200, text)
        for text in (
            "EAPI:Invalid key",
            "EAPI:Invalid signature",
            "EAPI:Invalid nonce",
            "EAPI:Rate limit exceeded",
            "EGeneral:Permission denied",
            "EGeneral:Too many requests",
            "EGeneral:Temporary lockout",
            "EGeneral:Invalid arguments",
            "EGeneral:Unknown method",
            "EService:Throttled",
            "EService: Throttled",
            "EService:Unavailable",
            "EService:Busy",
        )
    }
    errors["EService:Throttled: 1700000000"] = Error(200, "EService:Throttled: 1700000000")
    errors["EGeneral:Invalid arguments:time"] = Error(200, "EGeneral:Invalid arguments:time")

    def __init__(self) -> None:
        super().__init__()
        self.credentials = {
            "hmac": Credential(random_text(56), b64(secrets.token_bytes(64))),
            "otp": Credential(random_text(56), b64(secrets.token_bytes(64)), passphrase=random_text(12)),
        }
        self.endpoints = {
            ("POST", "/0/private/GetApiKeyInfo"): Endpoint(self.key_info),
            ("POST", "/0/private/Balance"): Endpoint(lambda _: {"ZEUR": "504861.8946", "XXBT": "1011.1908877900"}),
        }
        self.public = {("GET", "/0/public/Time"): lambda: self.envelope({"unixtime": int(self.clock.seconds())})}
        self.nonces: dict[str, int] = {}
        self.lock = threading.Lock()

    def authenticate(self, request: Request) -> Caller:
        if (credential := self.find(request.header("API-Key"))) is None:
            raise Refused("EAPI:Invalid key")
        if request.method != "POST" or not request.path.startswith("/0/private/"):
            raise Refused("EGeneral:Unknown method")
        fields = parameters(request)
        nonce = fields.get("nonce", "")
        if not (nonce.isascii() and nonce.isdecimal()) or int(nonce) > LARGEST_NONCE:
            raise Refused("EAPI:Invalid nonce")
        assert credential.secret is not None
        if not verify(credential.secret, request.path, nonce, request.body, request.header("API-Sign")):
            raise Refused("EAPI:Invalid signature")
        with self.lock:
            if int(nonce) <= self.nonces.get(credential.api_key, -1):
                raise Refused("EAPI:Invalid nonce")
            self.nonces[credential.api_key] = int(nonce)
        if credential.passphrase is not None and not same(fields.get("otp", ""), credential.passphrase):
            # What the provider says of a missing second factor is not documented.
            raise Refused("EGeneral:Permission denied")
        return Caller(credential, nonce)

    def forget(self) -> None:
        with self.lock:
            self.nonces.clear()

    def envelope(self, payload: object) -> object:
        return {"error": [], "result": payload}

    def failure(self, code: str, error: Error) -> Reply:
        return Reply.json(error.status, {"error": [error.message]}, error.headers)

    def key_info(self, caller: Caller) -> dict[str, object]:
        return {
            "apiKeyName": "stub",
            "apiKey": caller.credential.api_key,
            "nonce": caller.nonce,
            "nonceWindow": "0",
            "permissions": ["query-funds", "query-open-trades"],
            "iban": "AA88 N84G BR32 OKPQ",
            "validUntil": "0",
            "queryFrom": "0",
            "queryTo": "0",
            "createdTime": "1698645219",
            "modifiedTime": "1698645219",
            "ipAllowlist": [],
            "lastUsed": str(int(self.clock.seconds())),
        }
