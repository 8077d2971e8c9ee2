"""Onfido: a token of its own scheme, applicants that run through workflows; webhooks without a time or an id."""

from typing import Any
from uuid import uuid4

from base import Caller, Credential, Error, Refused, Reply, Request, random_text, same
from vendor import PERSON, Delivery, Session, Vendor, hex_mac, iso

WORKFLOW_RUNS = "/v3.6/workflow_runs"


class Onfido(Vendor):
    name = "onfido"
    errors = {
        "authorization_error": Error(401, "Authorization error: please re-check your credentials"),
        "forbidden": Error(403, "This account does not have access to this feature"),
        "bad_request": Error(400, "There was an error with the request"),
        "404": Error(404, "Could not find the requested resource", "resource_not_found"),
        "validation_error": Error(422, "There was a validation error on this request"),
        "rate_limit": Error(429, "Rate limit exceeded", headers={"Retry-After": "30"}),
    }
    statuses = {
        "pending": "awaiting_input",
        "in_review": "review",
        "approved": "approved",
        "declined": "declined",
        "expired": "abandoned",
    }
    invalid = "validation_error"
    # Webhooks come with line breaks, as in the tests of Onfido's own libraries.
    indent = 2

    def __init__(self) -> None:
        levels = {"basic": str(uuid4()), "full": str(uuid4())}
        super().__init__(Credential("api_live." + random_text(32)), levels, random_text(32))
        self.options = {"region": "eu"}
        self.applicants: set[str] = set()
        self.routes = {
            ("POST", "/v3.6/applicants"): self.applicant,
            ("POST", WORKFLOW_RUNS): self.create,
            ("GET", WORKFLOW_RUNS + "/(?P<reference>[^/]+)"): self.fetch,
            ("POST", "/v3.6/sdk_token"): self.token,
        }

    def authenticate(self, request: Request) -> Caller:
        caller = self.caller()
        if not same(request.header("Authorization"), f"Token token={caller.credential.api_key}"):
            raise Refused("authorization_error")
        return caller

    def failure(self, code: str, error: Error) -> Reply:
        member, found, what = error.message.partition(": ")
        fields = {member: [what]} if code == self.invalid and found else {}
        message = self.errors[code].message if fields else error.message
        body = {"type": error.code or code, "message": message, "fields": fields}
        return Reply.json(error.status, {"error": body}, error.headers)

    def applicant(self, request: Request) -> Reply:
        body = self.json(request)
        names = {name: self.text(body, name, 20_000) for name in ("first_name", "last_name")}
        reference = str(uuid4())
        self.applicants.add(reference)
        created = iso(self.clock.seconds())
        href = f"/v3.6/applicants/{reference}"
        return Reply.json(201, {"id": reference, "created_at": created, "sandbox": False, "href": href, **names})

    def known(self, body: dict[str, Any]) -> str:
        if (reference := self.text(body, "applicant_id")) not in self.applicants:
            raise self.wrong("applicant_id", "is unknown")
        return reference

    def create(self, request: Request) -> Reply:
        body = self.json(request)
        applicant = self.known(body)
        workflow = self.level(body.get("workflow_id"), "workflow_id")
        external_id = self.text(body, "customer_user_id", 256, required=False)
        link = self.object(body, "link", required=False)
        for name in ("completed_redirect_url", "expired_redirect_url"):
            self.url(link, name)
        tags = body.get("tags") or []
        if not isinstance(tags, list) or len(tags) > 30 or not all(isinstance(tag, str) for tag in tags):
            raise self.wrong("tags")
        self.object(body, "custom_data", required=False)
        session = Session(str(uuid4()), external_id, workflow, extra={"applicant": applicant, "tags": tags})
        return Reply.json(201, self.run(self.add(session)))

    def token(self, request: Request) -> Reply:
        body = self.json(request)
        self.known(body)
        given = [self.text(body, name, required=False) for name in ("referrer", "application_id")]
        if all(given):
            raise self.wrong("referrer", "stands beside an application_id")
        return Reply.json(200, {"token": random_text(200)})

    def fetch(self, _: Request, reference: str) -> Reply:
        return Reply.json(200, self.run(self.session(reference)))

    def run(self, session: Session) -> dict[str, Any]:
        done = session.status in ("approved", "declined")
        output = {"first_name": PERSON["first"], "last_name": PERSON["last"], "document_number": PERSON["document"]}
        return {
            "id": session.reference,
            "applicant_id": session.extra.get("applicant", str(uuid4())),
            "workflow_id": session.level,
            "workflow_version_id": 11,
            "status": self.word(session.status),
            "dashboard_url": f"https://dashboard.onfido.com/results/{session.reference}",
            "customer_user_id": session.external_id or None,
            "tags": session.extra.get("tags", []),
            "output": output if done else None,
            "reasons": list(session.reasons),
            "error": None,
            "sdk_token": random_text(200),
            "link": {"url": f"https://eu.onfido.app/l/{session.reference}", "completed_redirect_url": None},
            "created_at": iso(session.created),
            "updated_at": iso(session.created),
        }

    def payload(self, delivery: Delivery) -> dict[str, Any]:
        """The end of a run; of one that goes on, that a task of it has begun."""
        session, at = delivery.session, iso(delivery.at)[:19] + "Z"
        href = f"https://api.eu.onfido.com{WORKFLOW_RUNS}/{session.reference}"
        if session.status != "pending":
            about = {"id": session.reference, "status": self.word(session.status)}
            about |= {"completed_at_iso8601": at, "href": href}
            resource = self.run(session) | {"sdk_token": None, "updated_at": at}
            kind, action = "workflow_run", "workflow_run.completed"
        else:
            task = {"id": "profile_1eb92", "task_def_id": "profile_data", "workflow_run_id": session.reference}
            about = task | {"task_spec_id": "profile_1eb92", "status": "started", "started_at_iso8601": at}
            about["href"] = f"{href}/tasks/profile_1eb92"
            resource = task | {"created_at": at, "updated_at": at, "input": {}, "output": None}
            kind, action = "workflow_task", "workflow_task.started"
        return {"payload": {"resource_type": kind, "action": action, "object": about, "resource": resource}}

    def sign(self, body: bytes, delivery: Delivery) -> dict[str, str]:
        return {"X-SHA2-Signature": hex_mac(delivery.secrets[0], body)}
