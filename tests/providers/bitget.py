"""Bitget: unified and classic accounts, keys for live or demo trading on one host."""

import urllib.parse

from base import (
    Caller, Credential, Endpoint, Error, Provider, Refused, Reply, Request, b64, integer, mac, pem, random_text,
    rsa_key, same, verifies,
)  # fmt: skip

# Commonly stated; the documentation does not say it.
WINDOW_MILLISECONDS = 30_000


def verify(credential: Credential, text: bytes, signature: str) -> bool:
    if credential.key is not None:
        return verifies(credential.key, signature, text)
    assert credential.secret is not None
    return same(signature, b64(mac("sha256", credential.secret.encode(), text)))


def target(request: Request) -> bytes:
    """Path and query as they are signed: sorted by key, not encoded."""
    path = urllib.parse.unquote_to_bytes(request.path)
    if not request.query:
        return path
    pairs = sorted(request.query.split("&"), key=lambda pair: pair.partition("=")[0])
    return path + b"?" + urllib.parse.unquote_to_bytes("&".join(pairs))


class Bitget(Provider):
    name = "bitget"
    errors = {
        "1001": Error(429, "The request is too frequent"),
        "40001": Error(400, "ACCESS_KEY cannot be empty"),
        "40003": Error(400, "Signature cannot be empty"),
        "40004": Error(400, "Request timestamp expired"),
        "40005": Error(400, "Invalid ACCESS_TIMESTAMP"),
        "40006": Error(400, "Invalid ACCESS_KEY"),
        "40008": Error(400, "Request timestamp expired"),
        "40009": Error(400, "sign signature error"),
        "40010": Error(400, "sign signature error"),
        "40011": Error(400, "ACCESS_PASSPHRASE cannot be empty"),
        "40012": Error(400, "apikey/password is incorrect"),
        "40014": Error(400, "Incorrect permissions"),
        "40018": Error(400, "Invalid IP"),
        "40037": Error(400, "Apikey does not exist"),
        "40085": Error(400, "Your account is in unified account mode, and classic account API is not supported."),
        "429": Error(429, "Too Many Requests"),
    }

    def __init__(self) -> None:
        super().__init__()
        make = lambda secret, **more: Credential("bg_" + random_text(32), secret, random_text(16), **more)  # noqa: E731
        self.credentials = {
            "hmac": make(random_text(64)),
            "rsa": make(pem(rsa_key()), key=rsa_key()),
            "demo": make(random_text(64), environment="demo"),
        }
        self.endpoints = {
            ("GET", "/api/v3/account/info"): Endpoint(self.unified),
            ("GET", "/api/v2/spot/account/info"): Endpoint(self.classic),
        }
        self.public = {
            ("GET", "/api/v2/public/time"): lambda: self.envelope({"serverTime": str(self.clock.milliseconds())})
        }

    def authenticate(self, request: Request) -> Caller:
        api_key, signature = request.header("ACCESS-KEY"), request.header("ACCESS-SIGN")
        passphrase, timestamp = request.header("ACCESS-PASSPHRASE"), request.header("ACCESS-TIMESTAMP")
        for value, code in ((api_key, "40001"), (signature, "40003"), (passphrase, "40011"), (timestamp, "40005")):
            if not value:
                raise Refused(code)
        if (sent := integer(timestamp)) is None:
            raise Refused("40005")
        if abs(self.clock.milliseconds() - sent) > WINDOW_MILLISECONDS:
            raise Refused("40008")
        if not api_key.startswith("bg_"):
            raise Refused("40006")
        credential = self.find(api_key)
        demo = request.header("PAPTRADING") == "1"
        # A key of the other environment is not known in this one.
        if credential is None or demo != (credential.environment == "demo"):
            raise Refused("40037")
        if not same(passphrase, credential.passphrase or ""):
            raise Refused("40012")
        text = f"{timestamp}{request.method}".encode() + target(request) + request.body
        if not verify(credential, text, signature):
            raise Refused("40009")
        return Caller(credential)

    def envelope(self, payload: object) -> object:
        return {"code": "00000", "msg": "success", "requestTime": self.clock.milliseconds(), "data": payload}

    def failure(self, code: str, error: Error) -> Reply:
        body = {"code": code, "msg": error.message, "requestTime": self.clock.milliseconds(), "data": None}
        return Reply.json(error.status, body, error.headers)

    def unified(self, _: Caller) -> dict[str, object]:
        return {
            "uid": "8923456710",
            "inviterId": "",
            "parentId": "",
            "ips": "192.0.2.10,192.0.2.11",
            "permType": "read-only",
            "permissions": ["uta_mgt"],
            "regisTime": "1698645219000",
        }

    def classic(self, _: Caller) -> dict[str, object]:
        return {
            "userId": "8923456710",
            "inviterId": "",
            "ips": "192.0.2.10",
            "authorities": ["coor", "cpor", "stor"],
            "parentId": 8923456710,
            "traderType": "not_trader",
        }
