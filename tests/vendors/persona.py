"""Persona: a bearer key, a pinned version, JSON:API; webhooks signed with their time, twice during a rotation."""

import re
from typing import Any

from base import Caller, Credential, Error, Refused, Reply, Request, random_text, same
from vendor import PERSON, Delivery, Session, Vendor, hex_mac, iso, prefixed

TEMPLATE = re.compile(r"itmpl_[A-Za-z0-9]+")


class Persona(Vendor):
    name = "persona"
    errors = {
        "401": Error(401, "Unauthorized"),
        "403": Error(403, "Forbidden"),
        "400": Error(400, "Bad request"),
        "404": Error(404, "Record not found"),
        "409": Error(409, "Idempotency key reused with other parameters"),
        "422": Error(422, "Record invalid"),
        "429": Error(429, "Too Many Requests", headers={"RateLimit-Reset": "30", "Retry-After": "30"}),
    }
    # The name of an event, and what the inquiry's status is by then.
    statuses = {
        "pending": ("inquiry.started", "pending"),
        "in_review": ("inquiry.marked-for-review", "needs_review"),
        "approved": ("inquiry.approved", "approved"),
        "declined": ("inquiry.declined", "declined"),
        "expired": ("inquiry.expired", "expired"),
    }
    takes = frozenset(("event_id", "rotation"))

    def __init__(self) -> None:
        levels = {"basic": prefixed("itmpl_"), "full": prefixed("itmpl_")}
        super().__init__(Credential("persona_production_" + random_text(36)), levels, "wbhsec_" + random_text(36))
        inquiry = "/api/v1/inquiries/(?P<reference>[^/]+)"
        self.routes = {
            ("POST", "/api/v1/inquiries"): lambda request: self.once(request, "409", lambda: self.create(request)),
            ("GET", inquiry): self.fetch,
            ("POST", inquiry + "/generate-one-time-link"): self.link,
            ("POST", inquiry + "/resume"): self.resume,
        }

    def authenticate(self, request: Request) -> Caller:
        caller = self.caller()
        if not same(request.header("Authorization"), f"Bearer {caller.credential.api_key}"):
            raise Refused("401")
        if not re.fullmatch(r"20\d\d-\d\d-\d\d", request.header("Persona-Version")):
            raise Refused("400", "Persona-Version: is missing, or no date")
        if request.header("Key-Inflection") not in ("", "kebab"):
            raise Refused("400", "Key-Inflection: this stub knows nothing but kebab")
        return caller

    def failure(self, code: str, error: Error) -> Reply:
        title = self.errors[code].message if code in self.errors else error.message
        body = {"title": title, "details": error.message, "code": title.lower().replace(" ", "_")}
        return Reply.json(error.status, {"errors": [body]}, error.headers)

    def create(self, request: Request) -> Reply:
        body = self.json(request)
        attributes = self.object(self.object(body, "data"), "attributes")
        meta = self.object(body, "meta", required=False)
        template = self.text(attributes, "inquiry-template-id")
        if not TEMPLATE.fullmatch(template):
            raise self.wrong("inquiry-template-id")
        template = self.level(template, "inquiry-template-id")
        person = self.text(meta, "auto-create-account-reference-id", required=False)
        if person and meta.get("auto-create-account") is not True:
            raise self.wrong("auto-create-account")
        reference_id = person or self.text(attributes, "reference-id", required=False)
        redirect = self.url(attributes, "redirect-uri")
        session = Session(prefixed("inq_"), reference_id, template, extra={"redirect-uri": redirect or None})
        payload: dict[str, Any] = {"data": self.inquiry(self.add(session), "created"), "meta": {}}
        if meta.get("auto-create-inquiry-session") is True:
            payload["meta"]["session-token"] = random_text(80)
        if meta.get("auto-create-one-time-link") is True:
            payload["meta"] |= self.one_time(session)
        return Reply.json(201, payload)

    def fetch(self, _: Request, reference: str) -> Reply:
        session = self.session(reference)
        return Reply.json(200, {"data": self.inquiry(session), "included": self.verifications(session)})

    def link(self, _: Request, reference: str) -> Reply:
        session = self.session(reference)
        return Reply.json(200, {"data": self.inquiry(session), "meta": self.one_time(session)})

    def resume(self, _: Request, reference: str) -> Reply:
        meta = {"session-token": random_text(80)}
        return Reply.json(200, {"data": self.inquiry(self.session(reference)), "meta": meta})

    def one_time(self, session: Session) -> dict[str, str]:
        link = f"https://latchkey.withpersona.com/verify?code={random_text(40)}&inquiry-id={session.reference}"
        return {"one-time-link": link}

    def inquiry(self, session: Session, status: str | None = None) -> dict[str, Any]:
        decided = session.status in ("approved", "declined")
        return {
            "type": "inquiry",
            "id": session.reference,
            "attributes": {
                "status": status or self.word(session.status)[1],
                "reference-id": session.external_id or None,
                "note": None,
                "behaviors": {"request-spoof-attempts": 0, "user-agent-spoof-attempts": 0},
                "tags": list(session.reasons),
                "creator": "API",
                "reviewer-comment": None,
                "created-at": iso(session.created),
                "started-at": iso(session.created),
                "decisioned-at": iso(session.created) if decided else None,
                "redirect-uri": session.extra.get("redirect-uri"),
                "name-first": PERSON["first"],
                "name-last": PERSON["last"],
                "birthdate": PERSON["birth"],
                "identification-number": PERSON["document"],
            },
            "relationships": {
                "account": {"data": {"type": "account", "id": "act_x2GjZLyVSbuBqS4fnQaMkCYj"}},
                "inquiry-template": {"data": {"type": "inquiry-template", "id": session.level}},
                "verifications": {
                    "data": [{"type": each["type"], "id": each["id"]} for each in self.verifications(session)]
                },
            },
        }

    def verifications(self, session: Session) -> list[dict[str, Any]]:
        """What was looked at, once there is a decision."""
        if session.status not in ("approved", "declined"):
            return []
        passed = session.status == "approved"
        checks = [{"name": name, "status": "failed", "reasons": []} for name in session.reasons]
        return [
            {
                "type": f"verification/{kind}",
                "id": f"ver_{kind}",
                "attributes": {
                    "status": "passed" if passed else "failed",
                    "checks": checks or [{"name": "id_compromised_detection", "status": "passed", "reasons": []}],
                },
            }
            for kind in ("government-id", "selfie")
        ]

    def payload(self, delivery: Delivery) -> dict[str, Any]:
        session = delivery.session
        return {
            "data": {
                "type": "event",
                "id": delivery.event_id or prefixed("evt_"),
                "attributes": {
                    "name": self.word(session.status)[0],
                    "created-at": iso(delivery.at),
                    "redacted-at": None,
                    "payload": {"data": self.inquiry(session), "included": self.verifications(session)},
                },
            }
        }

    def sign(self, body: bytes, delivery: Delivery) -> dict[str, str]:
        stamp = int(delivery.at)
        sets = [f"t={stamp},v1={hex_mac(secret, f'{stamp}.'.encode() + body)}" for secret in delivery.secrets]
        return {
            "Persona-Signature": " ".join(sets),
            "Persona-Webhook-Attempts-Made": "1",
            "Persona-Webhook-Attempts-Left": "7",
            "Persona-Webhook-First-Attempted-At": str(stamp),
        }
