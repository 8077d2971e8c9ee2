"""Didit: a key in a header, one session for each workflow and person; webhooks signed in three ways at once."""

import json
from typing import Any
from uuid import uuid4

from base import Caller, Credential, Error, Refused, Reply, Request, random_text, same
from vendor import PERSON, Delivery, Session, Vendor, hex_mac, is_uuid, iso


def canonical(value: Any) -> str:
    """JSON with sorted keys, without blanks and escapes, where a number without a fraction has no point."""
    if isinstance(value, dict):
        pairs = (f"{canonical(name)}:{canonical(value[name])}" for name in sorted(value))
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, ensure_ascii=False)


class Didit(Vendor):
    name = "didit"
    errors = {
        "401": Error(401, "Authentication credentials were not provided."),
        "403": Error(403, "You do not have permission to perform this action."),
        "400": Error(400, "Invalid input."),
        "404": Error(404, "Not found."),
        "429": Error(429, "Request was throttled.", headers={"Retry-After": "30"}),
    }
    statuses = {
        "pending": "In Progress",
        "in_review": "In Review",
        "approved": "Approved",
        "declined": "Declined",
        "resubmission": "Resubmitted",
        "expired": "Expired",
    }
    takes = frozenset(("event_id", "sandbox", "test"))

    def __init__(self) -> None:
        levels = {"basic": str(uuid4()), "full": str(uuid4())}
        super().__init__(Credential(random_text(43)), levels, random_text(43))
        self.routes = {
            ("POST", "/v3/session/"): self.create,
            ("GET", "/v3/session/(?P<reference>[^/]+)/decision/"): self.decision,
        }

    def authenticate(self, request: Request) -> Caller:
        caller, given = self.caller(), request.header("x-api-key")
        if not same(given, caller.credential.api_key):
            raise Refused("403" if given else "401")
        return caller

    def failure(self, code: str, error: Error) -> Reply:
        member, found, what = error.message.partition(": ")
        body = {member: [what]} if code == self.invalid and found else {"detail": error.message}
        return Reply.json(error.status, body, error.headers)

    def create(self, request: Request) -> Reply:
        body = self.json(request)
        workflow = self.text(body, "workflow_id")
        if not is_uuid(workflow):
            raise self.wrong("workflow_id", "Must be a valid UUID.")
        self.level(workflow, "workflow_id")
        external_id = self.text(body, "vendor_data", required=False)
        callback = self.url(body, "callback")
        for name in ("metadata", "contact_details", "expected_details"):
            self.object(body, name, required=False)
        known = self.known(workflow, external_id) if external_id else None
        token = random_text(12)
        session = known or Session(
            str(uuid4()), external_id, workflow, extra={"token": token, "number": len(self.sessions) + 1}
        )
        self.add(session)
        made = {
            "session_id": session.reference,
            "session_number": session.extra["number"],
            "session_token": session.extra["token"],
            "vendor_data": session.external_id or None,
            "metadata": None,
            "status": "Not Started" if session.status == "pending" else self.word(session.status),
            "workflow_id": workflow,
            "callback": callback or None,
            "url": f"https://verify.didit.me/session/{session.extra['token']}",
        }
        return Reply.json(201, made)

    def known(self, workflow: str, external_id: str) -> Session | None:
        """A session that goes on is given again; one that has come to its end makes room for another."""
        for session in self.sessions.values():
            if (session.level, session.external_id) == (workflow, external_id) and session.status == "pending":
                return session
        return None

    def decision(self, _: Request, reference: str) -> Reply:
        session = self.session(reference)
        made = {
            "session_id": session.reference,
            "session_number": session.extra["number"],
            "session_url": f"https://verify.didit.me/session/{session.extra['token']}",
            "status": self.word(session.status),
            "workflow_id": session.level,
            "features": ["ID_VERIFICATION", "LIVENESS", "FACE_MATCH"],
            "vendor_data": session.external_id or None,
            "metadata": None,
            "created_at": iso(session.created),
            "expires_at": None,
            **self.checks(session),
        }
        return Reply.json(200, made)

    def checks(self, session: Session) -> dict[str, Any]:
        """What was looked at, with what was found."""
        if session.status not in ("approved", "declined", "in_review"):
            return {"id_verifications": None, "liveness_checks": None, "face_matches": None, "reviews": []}
        status = self.word(session.status)
        warnings = [{"risk": each, "log_type": "warning", "short_description": each} for each in session.reasons]
        return {
            "id_verifications": [
                {
                    "status": status,
                    "document_type": "Passport",
                    "document_number": PERSON["document"],
                    "first_name": PERSON["first"],
                    "last_name": PERSON["last"],
                    "date_of_birth": PERSON["birth"],
                    "issuing_state": PERSON["country"],
                    "warnings": warnings,
                }
            ],
            "liveness_checks": [{"status": status, "method": "PASSIVE", "score": 95.0, "warnings": []}],
            "face_matches": [{"status": status, "score": 97.5, "warnings": []}],
            "reviews": [],
        }

    def payload(self, delivery: Delivery) -> dict[str, Any]:
        session, status = delivery.session, self.word(delivery.session.status)
        payload = {
            "event_id": delivery.event_id or str(uuid4()),
            "webhook_type": "status.updated",
            "timestamp": int(delivery.at),
            "created_at": int(session.created),
            "application_id": "0f8b5a2e-2f0e-4d38-93a0-5d8a54a1c9f7",
            "environment": "sandbox" if delivery.sandbox else "live",
            "session_id": session.reference,
            "status": status,
            "workflow_id": session.level,
            "vendor_data": session.external_id or None,
            "metadata": None,
        }
        if session.status in ("approved", "declined", "in_review"):
            payload["decision"] = {"session_id": session.reference, "status": status} | self.checks(session)
        if session.status == "resubmission":
            payload["resubmit_info"] = {"reasons": list(session.reasons)}
        return payload

    def sign(self, body: bytes, delivery: Delivery) -> dict[str, str]:
        secret, said = delivery.secrets[0], json.loads(body)
        simple = ":".join(str(said.get(name)) for name in ("timestamp", "session_id", "status", "webhook_type"))
        headers = {
            "User-Agent": "DiditWebhook/2.0",
            "X-Timestamp": str(int(delivery.at)),
            "X-Signature": hex_mac(secret, body),
            "X-Signature-V2": hex_mac(secret, canonical(said).encode()),
            "X-Signature-Simple": hex_mac(secret, simple.encode()),
        }
        return headers | ({"X-Didit-Test-Webhook": "true"} if delivery.options.get("test") else {})
