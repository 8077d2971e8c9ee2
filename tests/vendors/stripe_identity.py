"""Stripe Identity: forms whose every parameter is known, idempotent; webhooks signed with their time."""

import re
import urllib.parse
from typing import Any

from base import Caller, Credential, Error, Refused, Reply, Request, random_text, same
from vendor import PERSON, Delivery, Session, Vendor, hex_mac, prefixed

SESSIONS = "/v1/identity/verification_sessions"
PARAMETERS = re.compile(
    r"type|verification_flow|client_reference_id|return_url|metadata\[[^\[\]]{1,40}\]|related_customer|expand\[\d*\]"
    r"|provided_details\[(email|phone)\]|options\[document\]\[(require_matching_selfie|require_id_number"
    r"|require_live_capture)\]|options\[document\]\[allowed_types\]\[\d*\]"
)


class StripeIdentity(Vendor):
    name = "stripe_identity"
    errors = {
        "401": Error(401, "Invalid API Key provided: sk_live_********************rong", "none"),
        "403": Error(403, "The provided key does not have the required permissions.", "none"),
        "parameter_unknown": Error(400, "Received unknown parameter"),
        "parameter_missing": Error(400, "Missing required param"),
        "parameter_invalid": Error(400, "Invalid parameter"),
        "idempotency": Error(400, "Keys for idempotent requests can only be used with the same parameters.", "none"),
        "404": Error(404, "No such identity.verificationsession", "resource_missing"),
        "rate_limit": Error(429, "Too many requests hit the API too quickly.", headers={"Stripe-Should-Retry": "true"}),
    }
    # The end of an event's name, and the status of a session.
    statuses = {
        "pending": ("created", "requires_input"),
        "in_review": ("processing", "processing"),
        "approved": ("verified", "verified"),
        "declined": ("requires_input", "requires_input"),
        "resubmission": ("requires_input", "requires_input"),
        "expired": ("canceled", "canceled"),
    }
    takes = frozenset(("event_id", "sandbox", "rotation"))
    invalid = "parameter_invalid"

    def __init__(self) -> None:
        levels = {"basic": "document", "full": prefixed("vf_"), "id_number": "id_number"}
        super().__init__(Credential("rk_live_" + random_text(40)), levels, "whsec_" + random_text(32))
        self.routes = {
            ("POST", SESSIONS): lambda request: self.once(request, "idempotency", lambda: self.create(request)),
            ("GET", SESSIONS + "/(?P<reference>[^/]+)"): self.fetch,
        }

    def authenticate(self, request: Request) -> Caller:
        caller = self.caller()
        if not same(request.header("Authorization"), f"Bearer {caller.credential.api_key}"):
            raise Refused("401")
        return caller

    def failure(self, code: str, error: Error) -> Reply:
        parameter, found, what = error.message.partition(": ")
        kind = "idempotency_error" if code == "idempotency" else "invalid_request_error"
        body: dict[str, Any] = {"message": error.message, "type": kind}
        if code.startswith("parameter_") and found:
            body |= {"param": parameter}
        if error.code != "none":
            body |= {"code": error.code or code}
        return Reply.json(error.status, {"error": body}, error.headers)

    def form(self, request: Request) -> dict[str, str]:
        self.media_type(request, "application/x-www-form-urlencoded")
        try:
            pairs = urllib.parse.parse_qsl(request.body.decode("ascii"), True, True, errors="strict")
        except ValueError:
            raise self.wrong("body", "is no form") from None
        form: dict[str, str] = {}
        for name, value in pairs:
            if not PARAMETERS.fullmatch(name):
                raise Refused("parameter_unknown", f"{name}: is unknown")
            if not value or name in form:
                raise self.wrong(name)
            form[name] = value
        return form

    def create(self, request: Request) -> Reply:
        form = self.form(request)
        flow, kind = form.get("verification_flow"), form.get("type")
        if flow is None and kind is None:
            raise Refused("parameter_missing", "type: is missing")
        if kind is not None and kind not in ("document", "id_number"):
            raise self.wrong("type")
        if flow is not None and not flow.startswith("vf_"):
            raise self.wrong("verification_flow")
        self.level(flow or kind, "verification_flow")
        self.url(form, "return_url")
        external_id = self.text(form, "client_reference_id", 200, required=False)
        metadata = {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")}
        if len(metadata) > 50 or any(len(value) > 500 for value in metadata.values()):
            raise self.wrong("metadata", "is too much")
        for name, value in form.items():
            if name.startswith("options[document][require_") and value not in ("true", "false"):
                raise self.wrong(name, "is neither true nor false")
        session = Session(prefixed("vs_"), external_id, flow or kind or "", extra={"metadata": metadata})
        made = self.object_of(self.add(session))
        made["client_secret"] = f"{session.reference}_secret_{random_text(48)}"
        made["url"] = f"https://verify.stripe.com/start/{random_text(60)}"
        return Reply.json(200, made)

    def fetch(self, _: Request, reference: str) -> Reply:
        if reference not in self.sessions:
            raise Refused("404", f"No such identity.verificationsession: '{reference}'")
        return Reply.json(200, self.object_of(self.session(reference)))

    def object_of(self, session: Session, live: bool = True) -> dict[str, Any]:
        default = {"declined": "consent_declined", "resubmission": "document_unverified_other"}.get(session.status)
        code = session.reasons[0] if default and session.reasons else default
        looked_at = session.status not in ("pending", "in_review", "expired")
        return {
            "id": session.reference,
            "object": "identity.verification_session",
            "client_reference_id": session.external_id or None,
            "client_secret": None,
            "created": int(session.created),
            "last_error": {"code": code, "reason": f"Of {PERSON['first']} {PERSON['last']}."} if code else None,
            "last_verification_report": prefixed("vr_") if looked_at else None,
            "livemode": live,
            "metadata": session.extra.get("metadata", {}),
            "options": {"document": {"require_matching_selfie": True}},
            "redaction": None,
            "related_customer": None,
            "status": self.word(session.status)[1],
            "type": "id_number" if session.level == "id_number" else "document",
            "url": None,
        } | ({"verification_flow": session.level} if session.level.startswith("vf_") else {})

    def payload(self, delivery: Delivery) -> dict[str, Any]:
        session = delivery.session
        return {
            "id": delivery.event_id or prefixed("evt_"),
            "object": "event",
            "api_version": "2026-09-30.basil",
            "created": int(delivery.at),
            "data": {"object": self.object_of(session, not delivery.sandbox)},
            "livemode": not delivery.sandbox,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": f"identity.verification_session.{self.word(session.status)[0]}",
        }

    def sign(self, body: bytes, delivery: Delivery) -> dict[str, str]:
        stamp = int(delivery.at)
        signatures = [f"v1={hex_mac(secret, f'{stamp}.'.encode() + body)}" for secret in delivery.secrets]
        # A scheme of Stripe's own tests, which nobody is to look at.
        return {"Stripe-Signature": ",".join([f"t={stamp}", *signatures, f"v0={'0' * 64}"])}
