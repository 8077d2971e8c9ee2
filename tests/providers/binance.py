"""Binance: a signature over the parameters, as the last of them."""

import string
import urllib.parse
from decimal import Decimal, InvalidOperation

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from base import (
    Caller, Credential, Endpoint, Error, Provider, Refused, Reply, Request, integer, mac, pem, random_text, rsa_key,
    same, verifies,
)  # fmt: skip

LONGEST_WINDOW = 60_000


def split(request: Request) -> tuple[bytes, str | None]:
    """What is signed, and the signature: the last parameter of the query or of the body."""
    query, body = request.query.encode("latin-1"), request.body
    for name, text in (("body", body), ("query", query)):
        payload, found, signature = text.rpartition(b"signature=")
        if found and b"&" not in signature and (not payload or payload.endswith(b"&")):
            # The separator before it is not signed.
            payload = payload.removesuffix(b"&")
            return (query + payload if name == "body" else payload + body), signature.decode("latin-1")
    return query + body, None


def verify(credential: Credential, payload: bytes, signature: str) -> bool:
    """The signature as it is in the query. A plus sign that is not encoded is a space there."""
    plain = urllib.parse.unquote_plus(signature)
    # Parameters are signed as they are sent, so there is nothing but ASCII.
    if not payload.isascii() or not plain.isascii():
        return False
    if credential.key is not None:
        return verifies(credential.key, plain, payload)
    assert credential.secret is not None
    return same(plain.lower(), mac("sha256", credential.secret.encode(), payload).hex())


def malformed(parameter: str) -> Refused:
    return Refused("-1102", f"Mandatory parameter '{parameter}' was not sent, was empty/null, or malformed.")


class Binance(Provider):
    name = "binance"
    errors = {
        "-1002": Error(401, "You are not authorized to execute this request."),
        "-1003": Error(429, "Too many requests queued.", headers={"Retry-After": "30"}),
        "-1005": Error(403, "No such IP has been white listed."),
        "-1021": Error(400, "Timestamp for this request is outside of the recvWindow."),
        "-1022": Error(400, "Signature for this request is not valid."),
        "-1099": Error(401, "Not found, authenticated, or authorized."),
        "-1100": Error(400, "Illegal characters found in a parameter."),
        "-1101": Error(400, "Too many parameters sent for this endpoint."),
        "-1102": Error(400, "A mandatory parameter was not sent, was empty/null, or malformed."),
        "-1103": Error(400, "An unknown parameter was sent."),
        "-1104": Error(400, "Not all sent parameters were read."),
        "-1105": Error(400, "A parameter was empty."),
        "-1131": Error(400, "recvWindow must be less than 60000."),
        "-2008": Error(401, "Invalid Api-Key ID."),
        "-2014": Error(401, "API-key format invalid."),
        "-2015": Error(401, "Invalid API-key, IP, or permissions for action."),
        "-2017": Error(401, "API Keys are locked on this account."),
        "418": Error(
            418, "Way too much request weight used; IP banned until 1700000000000.", -1003, {"Retry-After": "120"}
        ),
        "403": Error(403, "<html><body><h1>403 Forbidden</h1></body></html>", "html"),
        "451": Error(451, "Service unavailable from a restricted location according to 'b. Eligibility'.", 0),
    }

    def __init__(self) -> None:
        super().__init__()
        ed25519 = Ed25519PrivateKey.generate()
        self.credentials = {
            "hmac": Credential(random_text(64), random_text(64)),
            "ed25519": Credential(random_text(64), pem(ed25519), key=ed25519),
            "rsa": Credential(random_text(64), pem(rsa_key()), key=rsa_key()),
        }
        weight = lambda _: {"X-MBX-USED-WEIGHT-1M": "1"}  # noqa: E731
        self.endpoints = {
            ("GET", "/sapi/v1/account/apiRestrictions"): Endpoint(self.restrictions, weight),
            ("GET", "/api/v3/account"): Endpoint(self.account, weight),
        }
        self.public = {("GET", "/api/v3/time"): lambda: {"serverTime": self.clock.milliseconds()}}

    def authenticate(self, request: Request) -> Caller:
        api_key = request.header("X-MBX-APIKEY")
        if len(api_key) != 64 or set(api_key) - set(string.ascii_letters + string.digits):
            raise Refused("-2014")
        if (credential := self.find(api_key)) is None:
            raise Refused("-2015")
        payload, signature = split(request)
        if signature is None:
            raise malformed("signature")
        separator = "&" if request.query and request.body else ""
        parameters = dict(
            urllib.parse.parse_qsl(
                request.query + separator + request.body.decode("latin-1"), keep_blank_values=True
            )
        )
        timestamp = integer(parameters.get("timestamp", ""))
        if timestamp is None:
            raise malformed("timestamp")
        self.check_time(Decimal(timestamp), parameters.get("recvWindow", "5000"))
        if not verify(credential, payload, signature):
            raise Refused("-1022")
        return Caller(credential)

    def check_time(self, timestamp: Decimal, recv_window: str) -> None:
        try:
            window = Decimal(recv_window)
        except InvalidOperation:
            raise malformed("recvWindow") from None
        if not 0 < window <= LONGEST_WINDOW:
            raise Refused("-1131")
        if timestamp >= 10**15:
            timestamp /= 1000
        now = self.clock.milliseconds()
        if timestamp >= now + 1000:
            raise Refused("-1021", "Timestamp for this request was 1000ms ahead of the server's time.")
        if now - timestamp > window:
            raise Refused("-1021")

    def failure(self, code: str, error: Error) -> Reply:
        if error.code == "html":
            return Reply.text(error.status, error.message, "text/html", error.headers)
        number = int(code) if error.code is None else error.code
        return Reply.json(error.status, {"code": number, "msg": error.message}, error.headers)

    def restrictions(self, _: Caller) -> dict[str, object]:
        return {
            "ipRestrict": True,
            "createTime": 1698645219000,
            "enableReading": True,
            "enableWithdrawals": False,
            "enableInternalTransfer": False,
            "enableMargin": False,
            "enableFutures": False,
            "permitsUniversalTransfer": False,
            "enableVanillaOptions": False,
            "enableFixApiTrade": False,
            "enableFixReadOnly": True,
            "enableSpotAndMarginTrading": False,
            "enablePortfolioMarginTrading": False,
        }

    def account(self, _: Caller) -> dict[str, object]:
        return {
            "makerCommission": 15,
            "takerCommission": 15,
            "canTrade": True,
            "canWithdraw": True,
            "canDeposit": True,
            "accountType": "SPOT",
            "balances": [],
            "permissions": ["SPOT"],
            "uid": 354937868,
        }
