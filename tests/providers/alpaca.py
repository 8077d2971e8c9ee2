"""Alpaca: key and secret in headers, nothing signed, no clock."""

from datetime import datetime, timezone

from base import Caller, Credential, Endpoint, Error, Provider, Refused, Reply, Request, random_text, same

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class Alpaca(Provider):
    name = "alpaca"
    errors = {
        "unauthorized": Error(401, "unauthorized.", "none"),
        "forbidden": Error(403, "forbidden.", "none"),
        "40110000": Error(401, "request is not authorized"),
        "40310000": Error(403, "account is restricted to liquidation only"),
        "42910000": Error(429, "rate limit exceeded", headers={"X-RateLimit-Remaining": "0"}),
        "50010000": Error(500, "internal server error occurred"),
    }

    def __init__(self) -> None:
        super().__init__()
        self.credentials = {
            # A stub serves one of the two environments at a time, so it takes the keys of both.
            "live": Credential("AK" + random_text(18, LETTERS), random_text(40)),
            "paper": Credential("PK" + random_text(18, LETTERS), random_text(40), environment="paper"),
        }
        self.endpoints = {("GET", "/v2/account"): Endpoint(self.account), ("GET", "/v2/clock"): Endpoint(self.market)}

    def authenticate(self, request: Request) -> Caller:
        credential = self.find(request.header("APCA-API-KEY-ID"))
        if credential is None or not same(request.header("APCA-API-SECRET-KEY"), credential.secret or ""):
            raise Refused("unauthorized")
        return Caller(credential)

    def failure(self, code: str, error: Error) -> Reply:
        body: dict[str, object] = {"message": error.message}
        if error.code is None:
            body = {"code": int(code)} | body
        return Reply.json(error.status, body, error.headers)

    def market(self, _: Caller) -> dict[str, object]:
        now = datetime.fromtimestamp(self.clock.seconds(), timezone.utc).isoformat()
        return {"timestamp": now, "is_open": False, "next_open": now, "next_close": now}

    def account(self, _: Caller) -> dict[str, object]:
        return {
            "id": "904837e3-3b76-47ec-b432-046db621571b",
            "account_number": "010203ABCD",
            "status": "ACTIVE",
            "crypto_status": "ACTIVE",
            "currency": "USD",
            "cash": "0",
            "pattern_day_trader": False,
            "trade_suspended_by_user": False,
            "trading_blocked": False,
            "transfers_blocked": False,
            "account_blocked": False,
            "shorting_enabled": True,
            "options_trading_level": 1,
        }
