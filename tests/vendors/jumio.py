"""Jumio: tokens of OAuth 2 that end, accounts with workflows; callbacks that nobody signs."""

import re
import urllib.parse
from typing import Any
from uuid import uuid4

from base import Caller, Credential, Error, Refused, Reply, Request, random_text, same
from vendor import PERSON, Delivery, Session, Vendor, basic, iso

TOKEN_LIFE = 3600
ACCOUNTS = "/api/v1/accounts"


class Jumio(Vendor):
    name = "jumio"
    errors = {
        "invalid_client": Error(401, "Client authentication failed"),
        "unsupported_grant_type": Error(400, "The grant type is not supported"),
        "401": Error(401, "Unauthorized"),
        "403": Error(403, "Forbidden"),
        "400": Error(400, "Bad Request"),
        "404": Error(404, "Not Found"),
        "429": Error(429, "Too Many Requests", headers={"Retry-After": "30"}),
    }
    # Status of a workflow, and its decision once there is one.
    statuses = {
        "pending": ("INITIATED", None),
        "in_review": ("PROCESSED", "WARNING"),
        "approved": ("PROCESSED", "PASSED"),
        "declined": ("PROCESSED", "REJECTED"),
        "expired": ("SESSION_EXPIRED", "NOT_EXECUTED"),
    }

    def __init__(self) -> None:
        levels = {"basic": "2", "full": "10013"}
        super().__init__(Credential(str(uuid4()), random_text(40)), levels, None)
        self.options = {"region": "emea-1"}
        self.webhook_token = random_text(43)
        # Each with the time of its end.
        self.tokens: dict[str, float] = {}
        workflow = ACCOUNTS + "/(?P<account>[^/]+)/workflow-executions/(?P<reference>[^/]+)"
        self.routes = {
            ("POST", "/oauth2/token"): self.token,
            ("POST", ACCOUNTS): self.create,
            ("PUT", ACCOUNTS + "/(?P<account>[^/]+)"): self.create,
            ("GET", workflow): self.fetch,
        }

    def authenticate(self, request: Request) -> Caller:
        caller, given = self.caller(), request.header("Authorization")
        if request.path == "/oauth2/token":
            if not same(given, basic(caller.credential.api_key, caller.credential.secret or "")):
                raise Refused("invalid_client")
            return caller
        end = self.tokens.get(given.removeprefix("Bearer ")) if given.startswith("Bearer ") else None
        if end is None or end < self.clock.seconds():
            raise Refused("401")
        if not request.header("User-Agent"):
            raise Refused("403", "User-Agent: is missing")
        return caller

    def failure(self, code: str, error: Error) -> Reply:
        if code in ("invalid_client", "unsupported_grant_type"):
            return Reply.json(error.status, {"error": code, "error_description": error.message}, error.headers)
        now = iso(self.clock.seconds())
        body = {"timestamp": now, "traceId": str(uuid4()), "httpStatus": error.status, "message": error.message}
        return Reply.json(error.status, body, error.headers)

    def token(self, request: Request) -> Reply:
        self.media_type(request, "application/x-www-form-urlencoded")
        form = urllib.parse.parse_qs(request.body.decode("latin-1"))
        if form != {"grant_type": ["client_credentials"]}:
            raise Refused("unsupported_grant_type")
        token = random_text(200)
        self.tokens[token] = self.clock.seconds() + TOKEN_LIFE
        return Reply.json(200, {"access_token": token, "expires_in": TOKEN_LIFE, "token_type": "Bearer"})

    def create(self, request: Request, account: str | None = None) -> Reply:
        """A workflow for a new account, or for one that there is."""
        body = self.json(request)
        external_id = self.text(body, "customerInternalReference", 100)
        person = self.text(body, "userReference", 100, required=False)
        key = self.object(body, "workflowDefinition").get("key")
        if type(key) is not int:
            raise self.wrong("workflowDefinition.key")
        level = self.level(str(key), "workflowDefinition.key")
        callback = self.url(body, "callbackUrl")
        if len(callback) > 255:
            raise self.wrong("callbackUrl", "is too long")
        if not re.fullmatch(r"\d{1,3}[mhd]", self.text(body, "tokenLifetime", required=False) or "30m"):
            raise self.wrong("tokenLifetime")
        if (web := body.get("web")) is not None:
            for name in self.object(body, "web"):
                if name in ("successUrl", "errorUrl"):
                    self.url(web, name)
        if account is not None and all(each.extra["account"] != account for each in self.sessions.values()):
            raise Refused("404")
        account = account or str(uuid4())
        session = self.add(Session(str(uuid4()), external_id, level, extra={"account": account, "person": person}))
        token = random_text(300)
        credential = {"id": str(uuid4()), "category": "ID", "allowedChannels": ["WEB", "API", "SDK"]}
        made = {
            "timestamp": iso(session.created),
            "account": {"id": account},
            "web": {"href": f"https://latchkey.web.emea-1.jumio.ai/web/v4/app?authorizationToken={token}"},
            "sdk": {"token": token},
            "workflowExecution": {"id": session.reference, "credentials": [credential]},
        }
        return Reply.json(200, made)

    def fetch(self, _: Request, account: str, reference: str) -> Reply:
        session = self.session(reference)
        if session.extra["account"] != account:
            raise Refused("404")
        status, decision = self.word(session.status)
        made: dict[str, Any] = {
            "workflow": {
                "id": session.reference,
                "status": status,
                "definitionKey": session.level,
                "userReference": session.extra["person"],
                "customerInternalReference": session.external_id,
            },
            "account": {"id": account},
            "createdAt": iso(session.created),
            "startedAt": iso(session.created),
            "completedAt": iso(session.created) if decision else None,
            "credentials": [],
            "steps": {"href": f"https://retrieval.emea-1.jumio.ai{ACCOUNTS}/{account}/steps"},
        }
        if decision is not None:
            label = session.reasons[0] if session.reasons else decision
            each = {"id": str(uuid4()), "decision": {"type": decision, "details": {"label": label}}}
            names = {"firstName": PERSON["first"], "lastName": PERSON["last"], "documentNumber": PERSON["document"]}
            made["decision"] = {"type": decision, "details": {"label": label}, "risk": {"score": 20.0}}
            made["capabilities"] = {"usability": [each], "extraction": [{**each, "data": names}], "liveness": [each]}
        return Reply.json(200, made)

    def payload(self, delivery: Delivery) -> dict[str, Any]:
        """Says that there is something to be asked for, and nothing of what was found."""
        session = delivery.session
        account = session.extra.get("account", str(uuid4()))
        href = f"https://retrieval.emea-1.jumio.ai{ACCOUNTS}/{account}"
        return {
            "callbackSentAt": iso(delivery.at),
            "userReference": session.extra.get("person", ""),
            "customerInternalReference": session.external_id,
            "workflowExecution": {
                "id": session.reference,
                "href": f"{href}/workflow-executions/{session.reference}",
                "definitionKey": session.level,
                "status": self.word(session.status)[0],
            },
            "account": {"id": account, "href": href},
        }

    def sign(self, body: bytes, delivery: Delivery) -> dict[str, str]:
        """Not at all: it carries what the operator has put into the address that Jumio was given."""
        return {"User-Agent": "Jumio Callback", "Authorization": f"Bearer {delivery.secrets[0]}"}
