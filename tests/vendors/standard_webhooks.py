"""Standard Webhooks: any application that tells results in this form. It has no API."""

import base64
from secrets import token_bytes
from typing import Any

from base import Caller, Error, Refused, Reply, Request, b64, mac
from vendor import Delivery, Vendor, iso, prefixed


class StandardWebhooks(Vendor):
    name = "standard_webhooks"
    errors = {"404": Error(404, "Not Found")}
    statuses = {each: each for each in ("pending", "in_review", "approved", "declined", "resubmission", "expired")}
    takes = frozenset(("event_id", "rotation"))

    def __init__(self) -> None:
        super().__init__(None, {"full": "full"}, "whsec_" + b64(token_bytes(32)))

    def authenticate(self, request: Request) -> Caller:
        raise Refused("404")

    def failure(self, code: str, error: Error) -> Reply:
        return Reply.json(error.status, {"error": error.message}, error.headers)

    def payload(self, delivery: Delivery) -> dict[str, Any]:
        session = delivery.session
        data = {
            "reference": session.reference,
            "external_id": session.external_id,
            "status": self.word(session.status),
            "reasons": list(session.reasons),
        }
        return {"type": "verification.updated", "timestamp": iso(delivery.at), "data": data}

    def sign(self, body: bytes, delivery: Delivery) -> dict[str, str]:
        message_id, stamp = delivery.event_id or prefixed("msg_"), str(int(delivery.at))
        return {
            "webhook-id": message_id,
            "webhook-timestamp": stamp,
            "webhook-signature": " ".join(signature(each, message_id, stamp, body) for each in delivery.secrets),
        }


def signature(secret: str, message_id: str, stamp: str, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    return "v1," + b64(mac("sha256", key, f"{message_id}.{stamp}.".encode() + body))
