"""Stripe: a bearer token; a restricted key that lacks a permission is still a good one."""

from base import Caller, Credential, Endpoint, Error, Reply, random_text
from generic_bearer import Bearer


class Stripe(Bearer):
    name = "stripe"
    errors = {
        "401": Error(401, "Invalid API Key provided: sk_test_********************rong", "none"),
        "api_key_expired": Error(401, "Expired API Key provided: sk_test_********************ired"),
        "403": Error(
            403, "The provided key 'rk_test_*********************icte' does not have the required permissions.", "none"
        ),
        "rate_limit": Error(429, "Too many requests hit the API too quickly.", headers={"Stripe-Should-Retry": "true"}),
        "500": Error(500, "An unknown error occurred.", "none"),
    }

    def __init__(self) -> None:
        super().__init__()
        self.credentials = {
            "secret": Credential("sk_test_" + random_text(24), environment="sandbox"),
            "restricted": Credential("rk_test_" + random_text(24), environment="sandbox"),
            "live": Credential("sk_live_" + random_text(24)),
        }
        self.endpoints = {("GET", "/v1/balance"): Endpoint(self.balance)}

    def failure(self, code: str, error: Error) -> Reply:
        body: dict[str, str] = {"message": error.message, "type": "invalid_request_error"}
        if error.code is None:
            body = {"code": code} | body
        if error.status >= 500:
            body["type"] = "api_error"
        return Reply.json(error.status, {"error": body}, error.headers)

    def balance(self, caller: Caller) -> dict[str, object]:
        amount = {"amount": 0, "currency": "eur", "source_types": {"card": 0}}
        live = "_live_" in caller.credential.api_key
        return {"object": "balance", "available": [amount], "livemode": live, "pending": [amount]}
