"""Veriff: a key in a header, and a signature over the body or the session's id; events and decisions."""

from typing import Any
from uuid import uuid4

from base import Caller, Credential, Error, Refused, Reply, Request, random_text, same
from vendor import PERSON, Delivery, Session, Vendor, hex_mac, is_uuid, iso

DECISION = "/decision"


class Veriff(Vendor):
    name = "veriff"
    errors = {
        "1801": Error(401, "Mandatory X-AUTH-CLIENT header containing the API key is missing from the request"),
        "1803": Error(401, "Integration with the API key was not found"),
        "1818": Error(401, "Signature does not match the HMAC-SHA256 of query ID and integration API secret"),
        "1819": Error(401, "Signature does not match the HMAC-SHA256 of request body and integration API secret"),
        "400": Error(400, "Validation failed", "1003"),
        "404": Error(404, "Not found", "1004"),
        "429": Error(429, "Too many requests", "1005", {"Retry-After": "30"}),
    }
    # Status and code of a decision, or nothing but the action and code of an event.
    statuses = {
        "pending": ("started", 7001),
        "in_review": ("submitted", 7002),
        "approved": ("approved", 9001),
        "declined": ("declined", 9102),
        "resubmission": ("resubmission_requested", 9103),
        "expired": ("expired", 9104),
    }

    def __init__(self) -> None:
        # Whatever the level, the integration of the key says what is looked at.
        levels = {"basic": "basic", "full": "full"}
        secret = str(uuid4())
        super().__init__(Credential(str(uuid4()), secret), levels, secret)
        self.routes = {
            ("POST", "/v1/sessions"): self.create,
            ("GET", "/v1/sessions/(?P<reference>[^/]+)" + DECISION): self.decision,
        }

    def authenticate(self, request: Request) -> Caller:
        caller = self.caller()
        client = request.header("X-AUTH-CLIENT")
        if not same(client, caller.credential.api_key):
            raise Refused("1803" if client else "1801")
        secret, given = caller.credential.secret or "", request.header("X-HMAC-SIGNATURE")
        if request.method in ("POST", "PATCH"):
            # The one call of this kind that there is here may come without; a signature that is there counts.
            if given and not same(given.lower(), hex_mac(secret, request.body)):
                raise Refused("1819")
        else:
            session = request.path.removeprefix("/v1/sessions/").partition("/")[0]
            if not same(given.lower(), hex_mac(secret, session.encode("latin-1"))):
                raise Refused("1818")
        return caller

    def failure(self, code: str, error: Error) -> Reply:
        body = {"status": "fail", "code": error.code or code, "message": error.message}
        return Reply.json(error.status, body, error.headers)

    def create(self, request: Request) -> Reply:
        wanted = self.object(self.json(request), "verification")
        self.url(wanted, "callback")
        external_id = self.text(wanted, "vendorData", 1000, required=False)
        end_user = self.text(wanted, "endUserId", required=False)
        if end_user and not is_uuid(end_user):
            raise self.wrong("endUserId", "is no UUID")
        person = self.object(wanted, "person", required=False)
        for name in ("firstName", "lastName"):
            self.text(person, name, required=False)
        session = self.add(Session(str(uuid4()), external_id, extra={"end_user": end_user or None}))
        token = random_text(60)
        made = {
            "id": session.reference,
            "url": f"https://alchemy.veriff.com/v/{token}",
            "vendorData": external_id or None,
            "endUserId": end_user or None,
            "host": "https://alchemy.veriff.com",
            "status": "created",
            "sessionToken": token,
        }
        return Reply.json(201, {"status": "success", "verification": made})

    def decision(self, _: Request, reference: str) -> Reply:
        session = self.session(reference)
        if session.status == "pending":
            return Reply.json(200, {"status": "success", "verification": None})
        return Reply.json(200, self.decided(session, session.created))

    def decided(self, session: Session, at: float) -> dict[str, Any]:
        """A person of Veriff's who looks at it is a decision too."""
        status, code = self.word(session.status)
        if session.status == "in_review":
            status, code = "review", 9121
        refused = session.status in ("declined", "resubmission")
        reason = (session.reasons or ("102",))[0] if refused else None
        return {
            "status": "success",
            "verification": {
                "id": session.reference,
                "attemptId": str(uuid4()) if session.status != "expired" else None,
                "vendorData": session.external_id or None,
                "endUserId": session.extra.get("end_user"),
                "status": status,
                "code": code,
                "reason": "Suspected document tampering" if refused else None,
                "reasonCode": int(reason) if reason and reason.isdecimal() else reason,
                "decisionTime": iso(at),
                "acceptanceTime": iso(session.created),
                "person": {
                    "firstName": PERSON["first"],
                    "lastName": PERSON["last"],
                    "dateOfBirth": PERSON["birth"],
                    "idNumber": None,
                },
                "document": {"number": PERSON["document"], "type": "PASSPORT", "country": "CZ"},
                "comments": [],
                "additionalVerifiedData": {},
            },
            "technicalData": {"ip": "203.0.113.7"},
        }

    def payload(self, delivery: Delivery) -> dict[str, Any]:
        session = delivery.session
        action, code = self.word(session.status)
        if code >= 9000:
            return self.decided(session, delivery.at)
        return {
            "id": session.reference,
            "attemptId": str(uuid4()),
            "feature": "selfid",
            "code": code,
            "action": action,
            "vendorData": session.external_id or None,
            "endUserId": session.extra.get("end_user"),
        }

    def sign(self, body: bytes, delivery: Delivery) -> dict[str, str]:
        return {
            "X-AUTH-CLIENT": self.caller().credential.api_key,
            "X-HMAC-SIGNATURE": hex_mac(delivery.secrets[0], body),
        }
