"""OKX v5: times in ISO 8601, a passphrase, and keys for live or demo trading on one host."""

import re
import uuid
from datetime import datetime, timezone

from base import Caller, Credential, Endpoint, Error, Provider, Refused, Reply, Request, b64, mac, random_text, same

WINDOW_SECONDS = 30
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
HEADERS = {
    "OK-ACCESS-KEY": "50103",
    "OK-ACCESS-PASSPHRASE": "50104",
    "OK-ACCESS-SIGN": "50106",
    "OK-ACCESS-TIMESTAMP": "50107",
}


def verify(secret: str, text: bytes, signature: str) -> bool:
    return same(signature, b64(mac("sha256", secret.encode(), text)))


def seconds(text: str) -> float | None:
    if TIME.fullmatch(text) is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return None


class Okx(Provider):
    name = "okx"
    errors = {
        "50011": Error(429, "Too Many Requests"),
        "50061": Error(429, "Sub-account rate limit exceeded"),
        "50100": Error(400, "API frozen, please contact customer service."),
        "50101": Error(401, "APIKey does not match current environment."),
        "50102": Error(401, "Timestamp request expired."),
        "50103": Error(401, 'Request header "OK-ACCESS-KEY" cannot be empty.'),
        "50104": Error(401, 'Request header "OK-ACCESS-PASSPHRASE" cannot be empty.'),
        "50105": Error(401, 'Request header "OK-ACCESS-PASSPHRASE" incorrect.'),
        "50106": Error(401, 'Request header "OK-ACCESS-SIGN" cannot be empty.'),
        "50107": Error(401, 'Request header "OK-ACCESS-TIMESTAMP" cannot be empty.'),
        "50110": Error(401, "Your IP 192.0.2.10 is not included in your API key's IP whitelist."),
        "50111": Error(401, "Invalid OK-ACCESS-KEY."),
        "50112": Error(401, "Invalid OK-ACCESS-TIMESTAMP."),
        "50113": Error(401, "Invalid signature."),
        "50114": Error(401, "Invalid authorization."),
        "50119": Error(401, "API key doesn't exist."),
        "50120": Error(401, "This API key doesn't have permission to use this function."),
    }

    def __init__(self) -> None:
        super().__init__()
        make = lambda environment: Credential(  # noqa: E731
            str(uuid.uuid4()), random_text(32, "0123456789ABCDEF"), random_text(16), environment=environment
        )
        self.credentials = {"hmac": make("live"), "demo": make("demo")}
        self.endpoints = {("GET", "/api/v5/account/config"): Endpoint(self.config)}
        self.public = {("GET", "/api/v5/public/time"): lambda: self.envelope([{"ts": str(self.clock.milliseconds())}])}

    def authenticate(self, request: Request) -> Caller:
        for header, code in HEADERS.items():
            if not request.header(header):
                raise Refused(code)
        timestamp = request.header("OK-ACCESS-TIMESTAMP")
        if (sent := seconds(timestamp)) is None:
            raise Refused("50112")
        if abs(self.clock.seconds() - sent) > WINDOW_SECONDS:
            raise Refused("50102")
        api_key = request.header("OK-ACCESS-KEY")
        if (credential := self.find(api_key)) is None:
            # A key of another entity looks like one of this.
            raise Refused("50119" if UUID.fullmatch(api_key) else "50111")
        demo = request.header("x-simulated-trading") == "1"
        if demo != (credential.environment == "demo"):
            raise Refused("50101")
        assert credential.secret is not None and credential.passphrase is not None
        if not same(request.header("OK-ACCESS-PASSPHRASE"), credential.passphrase):
            raise Refused("50105")
        text = f"{timestamp}{request.method}{request.target}".encode("latin-1") + request.body
        if not verify(credential.secret, text, request.header("OK-ACCESS-SIGN")):
            raise Refused("50113")
        return Caller(credential)

    def envelope(self, payload: object) -> object:
        return {"code": "0", "msg": "", "data": payload}

    def echo(self, echo: dict[str, str]) -> object:
        return [{"echo": echo}]

    def failure(self, code: str, error: Error) -> Reply:
        return Reply.json(error.status, {"code": code, "msg": error.message, "data": []}, error.headers)

    def config(self, _: Caller) -> list[dict[str, str]]:
        return [
            {
                "acctLv": "2",
                "ip": "192.0.2.10,2001:db8::/32",
                "kycLv": "3",
                "label": "stub",
                "level": "Lv1",
                "mainUid": "44705892343619584",
                "opAuth": "0",
                "perm": "read_only",
                "roleType": "0",
                "type": "0",
                "uid": "44705892343619584",
            }
        ]
