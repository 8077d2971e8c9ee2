"""KuCoin: the passphrase is signed too, and what is signed of the query is not encoded."""

import urllib.parse

from base import (
    Caller, Credential, Endpoint, Error, Provider, Refused, Reply, Request, b64, integer, mac, random_text, same,
)  # fmt: skip

WINDOW_MILLISECONDS = 5000
LIMITS = {"gw-ratelimit-limit": "4000", "gw-ratelimit-remaining": "0", "gw-ratelimit-reset": "30000"}
HEADERS = ("KC-API-KEY", "KC-API-SIGN", "KC-API-TIMESTAMP", "KC-API-PASSPHRASE", "KC-API-KEY-VERSION")


def verify(secret: str, text: bytes, signature: str) -> bool:
    return same(signature, b64(mac("sha256", secret.encode(), text)))


class Kucoin(Provider):
    name = "kucoin"
    # Which status goes with which code is not documented: a client must go by the code.
    errors = {
        "400001": Error(401, "Please check the header of your request for KC-API-KEY, KC-API-SIGN, KC-API-TIMESTAMP."),
        "400002": Error(401, "KC-API-TIMESTAMP Invalid"),
        "400003": Error(401, "KC-API-KEY not exists"),
        "400004": Error(401, "KC-API-PASSPHRASE error"),
        "400005": Error(401, "Signature error"),
        "400006": Error(401, "The requested ip address is not in the api whitelist"),
        "400007": Error(403, "Access denied, require more permission."),
        "400008": Error(401, "V1 API Key is no longer supported."),
        "400009": Error(401, "KC-API-KEY-VERSION Invalid"),
        "400010": Error(403, "UID is not whitelisted."),
        "400301": Error(403, "KYC verification is required."),
        "400302": Error(403, "Service is not available in your region."),
        "400303": Error(403, "To enjoy the full features of our products and services, verify your identity."),
        "411100": Error(403, "User are frozen."),
        "429000": Error(429, "Too many requests", headers=LIMITS),
    }

    def __init__(self) -> None:
        super().__init__()
        make = lambda version: Credential(  # noqa: E731
            random_text(24, "0123456789abcdef"), random_text(36), random_text(16), {"key_version": version}
        )
        self.credentials = {"v3": make("3"), "v2": make("2")}
        self.endpoints = {("GET", "/api/v1/user/api-key"): Endpoint(self.key)}
        self.public = {("GET", "/api/v1/timestamp"): lambda: self.envelope(self.clock.milliseconds())}

    def authenticate(self, request: Request) -> Caller:
        if not all(request.header(name) for name in HEADERS):
            raise Refused("400001")
        timestamp = request.header("KC-API-TIMESTAMP")
        sent = integer(timestamp)
        if sent is None or abs(self.clock.milliseconds() - sent) > WINDOW_MILLISECONDS:
            raise Refused("400002")
        if (credential := self.find(request.header("KC-API-KEY"))) is None:
            raise Refused("400003")
        version = request.header("KC-API-KEY-VERSION")
        if version not in ("2", "3"):
            raise Refused("400008")
        if version != credential.settings["key_version"]:
            raise Refused("400009")
        assert credential.secret is not None and credential.passphrase is not None
        endpoint = urllib.parse.unquote_to_bytes(request.target)
        text = f"{timestamp}{request.method}".encode() + endpoint + request.body
        if not verify(credential.secret, text, request.header("KC-API-SIGN")):
            raise Refused("400005")
        if not verify(credential.secret, credential.passphrase.encode(), request.header("KC-API-PASSPHRASE")):
            raise Refused("400004")
        return Caller(credential)

    def envelope(self, payload: object) -> object:
        return {"code": "200000", "data": payload}

    def failure(self, code: str, error: Error) -> Reply:
        return Reply.json(error.status, {"code": code, "msg": error.message}, error.headers)

    def key(self, caller: Caller) -> dict[str, object]:
        return {
            "remark": "stub",
            "apiKey": caller.credential.api_key,
            "apiVersion": int(caller.credential.settings["key_version"]),
            "permission": "General",
            "ipWhitelist": "203.**.154,103.**.34",
            "createdAt": 1728443843000,
            "uid": 165111215,
            "isMaster": True,
        }
