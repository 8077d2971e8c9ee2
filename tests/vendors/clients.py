"""A client of each vendor, for the check of the stubs: what it asks, and how it finds its way in the answers."""

import base64
import hashlib
import hmac
import http.client
import json
import time
import urllib.parse
from dataclasses import dataclass
from typing import Any, ClassVar

Headers = dict[str, str]


def sha256(secret: str | bytes, message: str | bytes) -> str:
    key = secret.encode() if isinstance(secret, str) else secret
    return hmac.new(key, message.encode() if isinstance(message, str) else message, hashlib.sha256).hexdigest()


@dataclass
class Answer:
    status: int
    body: bytes
    headers: Headers

    def json(self) -> Any:
        return json.loads(self.body)


def exchange(base: str, method: str, target: str, body: bytes, headers: Headers) -> Answer:
    connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, target, body or None, headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()})
    finally:
        connection.close()


def lacking(body: dict[str, Any], path: str) -> dict[str, Any]:
    """A copy without the member at `a.b`."""
    name, _, rest = path.partition(".")
    if rest:
        return body | {name: lacking(body[name], rest)}
    return {other: value for other, value in body.items() if other != name}


class Client:
    """Of one vendor, by the settings that its stub gives out."""

    # What proves who asks.
    proof: ClassVar[str] = "Authorization"
    media_type: ClassVar[str] = "application/json"
    # A member of an order without which it is refused, and the status for orders that are refused.
    needs: ClassVar[str]
    refusal: ClassVar[int] = 400
    # Whether an order that comes again has the same session as its answer.
    repeats: ClassVar[bool] = False
    # The status for an order that can't be met beside one of before: again, or another one with its key.
    conflict: ClassVar[int | None] = None
    # Our words for a status, each with what the vendor says.
    words: ClassVar[dict[str, Any]]

    def __init__(self, described: dict[str, Any]) -> None:
        self.url, self.settings = described["url"], described["settings"]
        self.key, self.secret = self.settings.get("api_key", ""), self.settings.get("api_secret", "")
        self.level = self.settings["levels"].get("full", "")

    def ask(self, method: str, target: str, body: Any = None, proven: bool = True, **headers: str) -> Answer:
        raw = b"" if body is None else self.encode(body)
        sent = self.headers(method, target, raw)
        if body is not None:
            sent["Content-Type"] = self.media_type
        if not proven:
            sent[self.proof] = sent[self.proof][:-2] + "zz"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return exchange(self.url, method, target, raw, sent)

    def encode(self, body: Any) -> bytes:
        return json.dumps(body).encode()

    def create(self, external_id: str, key: str = "", lack: str = "", **options: Any) -> Answer:
        target, body = self.order(external_id)
        return self.ask("POST", target, lacking(body, lack), Idempotency_Key=key or external_id, **options)

    def fetch(self, reference: str, **options: Any) -> Answer:
        return self.ask("GET", self.path(reference), **options)

    def headers(self, method: str, target: str, body: bytes) -> Headers:
        raise NotImplementedError

    def order(self, external_id: str) -> tuple[str, dict[str, Any]]:
        raise NotImplementedError

    def path(self, reference: str) -> str:
        """Of the status."""
        raise NotImplementedError

    def reference(self, made: Any) -> str:
        return str(made["id"])

    def word(self, found: Any) -> Any:
        return found["status"]

    def more(self, reference: str, external_id: str) -> dict[str, tuple[Any, Any]]:
        """What else the vendor does: what came of it, and what should have."""
        return {}


class Sumsub(Client):
    proof = "X-App-Access-Sig"
    needs = "externalUserId"
    conflict = 409
    words = {
        "pending": ("init", None), "in_review": ("pending", None), "approved": ("completed", "GREEN"),
        "declined": ("completed", "FINAL"), "resubmission": ("completed", "RETRY"),
    }  # fmt: skip

    def headers(self, method: str, target: str, body: bytes) -> Headers:
        stamp = str(int(time.time()))
        signed = sha256(self.secret, f"{stamp}{method}{target}".encode() + body)
        return {"X-App-Token": self.key, "X-App-Access-Ts": stamp, "X-App-Access-Sig": signed}

    def order(self, external_id: str) -> tuple[str, dict[str, Any]]:
        return f"/resources/applicants?levelName={self.level}", {"externalUserId": external_id}

    def path(self, reference: str) -> str:
        return f"/resources/applicants/{reference}/one"

    def word(self, found: Any) -> Any:
        review = found.get("review", found)
        result = review.get("reviewResult", {})
        return review["reviewStatus"], result.get("reviewRejectType", result.get("reviewAnswer"))

    def more(self, reference: str, external_id: str) -> dict[str, tuple[Any, Any]]:
        by_ours = self.ask("GET", f"/resources/applicants/-;externalUserId={external_id}/one").json()
        status = self.ask("GET", f"/resources/applicants/{reference}/status").json()
        wanted = {"userId": external_id, "levelName": self.level, "ttlInSecs": 600}
        token = self.ask("POST", "/resources/accessTokens/sdk", wanted).json()
        link = self.ask("POST", "/resources/sdkIntegrations/levels/-/websdkLink", wanted).json()
        old = {"X_App_Access_Ts": str(int(time.time()) - 90)}
        return {
            "by our id": (by_ours["id"], reference),
            "status": (self.word(status), self.word(by_ours)),
            "token": (token["userId"], external_id),
            "link": (link["url"].startswith("https://"), True),
            "another time than the signed one": (self.fetch(reference, **old).status, 401),
        }


class Persona(Client):
    needs = "data.attributes.inquiry-template-id"
    repeats = True
    conflict = 409
    words = {each: each for each in ("pending", "approved", "declined", "expired")} | {"in_review": "needs_review"}

    def headers(self, method: str, target: str, body: bytes) -> Headers:
        return {"Authorization": f"Bearer {self.key}", "Persona-Version": "2025-12-08"}

    def order(self, external_id: str) -> tuple[str, dict[str, Any]]:
        meta = {"auto-create-account": True, "auto-create-account-reference-id": external_id}
        meta |= {"auto-create-one-time-link": True, "auto-create-inquiry-session": True}
        return "/api/v1/inquiries", {"data": {"attributes": {"inquiry-template-id": self.level}}, "meta": meta}

    def path(self, reference: str) -> str:
        return f"/api/v1/inquiries/{reference}"

    def reference(self, made: Any) -> str:
        return str(made["data"]["id"])

    def word(self, found: Any) -> Any:
        return found["data"]["attributes"]["status"]

    def more(self, reference: str, external_id: str) -> dict[str, tuple[Any, Any]]:
        again = self.create(external_id)
        link = self.ask("POST", self.path(reference) + "/generate-one-time-link").json()
        resumed = self.ask("POST", self.path(reference) + "/resume").json()
        return {
            "meta": (sorted(again.json()["meta"]), ["one-time-link", "session-token"]),
            "replayed": (again.headers.get("idempotent-replayed"), "true"),
            "link": (list(link["meta"]), ["one-time-link"]),
            "resumed": (list(resumed["meta"]), ["session-token"]),
            "without a version": (self.fetch(reference, Persona_Version="").status, 400),
        }


class Onfido(Client):
    needs = "applicant_id"
    refusal = 422
    words = {
        "pending": "awaiting_input", "in_review": "review", "approved": "approved", "declined": "declined",
        "expired": "abandoned",
    }  # fmt: skip

    def headers(self, method: str, target: str, body: bytes) -> Headers:
        return {"Authorization": f"Token token={self.key}"}

    def order(self, external_id: str) -> tuple[str, dict[str, Any]]:
        applicant = self.ask("POST", "/v3.6/applicants", {"first_name": "A", "last_name": "B"}).json()["id"]
        body = {"applicant_id": applicant, "workflow_id": self.level, "customer_user_id": external_id}
        return "/v3.6/workflow_runs", body

    def path(self, reference: str) -> str:
        return f"/v3.6/workflow_runs/{reference}"

    def more(self, reference: str, external_id: str) -> dict[str, tuple[Any, Any]]:
        run = self.fetch(reference).json()
        nameless = self.ask("POST", "/v3.6/applicants", {"first_name": "A"})
        token = self.ask("POST", "/v3.6/sdk_token", {"applicant_id": run["applicant_id"]})
        return {
            "our id": (run["customer_user_id"], external_id),
            "nameless": (list(nameless.json()["error"]["fields"]), ["last_name"]),
            "token": (list(token.json()), ["token"]),
        }


class Veriff(Client):
    proof = "X-AUTH-CLIENT"
    needs = "verification"
    words = {
        "pending": None, "in_review": ("review", 9121), "approved": ("approved", 9001), "declined": ("declined", 9102),
        "resubmission": ("resubmission_requested", 9103), "expired": ("expired", 9104),
    }  # fmt: skip

    def headers(self, method: str, target: str, body: bytes) -> Headers:
        signed = body if method == "POST" else target.split("/")[3]
        return {"X-AUTH-CLIENT": self.key, "X-HMAC-SIGNATURE": sha256(self.secret, signed)}

    def order(self, external_id: str) -> tuple[str, dict[str, Any]]:
        wanted = {"callback": "https://app.example.com/return", "vendorData": external_id}
        return "/v1/sessions", {"verification": wanted}

    def path(self, reference: str) -> str:
        return f"/v1/sessions/{reference}/decision"

    def reference(self, made: Any) -> str:
        return str(made["verification"]["id"])

    def word(self, found: Any) -> Any:
        return found["verification"] and (found["verification"]["status"], found["verification"]["code"])

    def more(self, reference: str, external_id: str) -> dict[str, tuple[Any, Any]]:
        return {
            "unsigned": (self.fetch(reference, X_HMAC_SIGNATURE="").status, 401),
            "order signed wrongly": (self.create("signed", X_HMAC_SIGNATURE="0" * 64).status, 401),
            "order unsigned": (self.create("unsigned", X_HMAC_SIGNATURE="").status, 201),
        }


class StripeIdentity(Client):
    needs = "verification_flow"
    media_type = "application/x-www-form-urlencoded"
    repeats = True
    conflict = 400
    words = {
        "pending": ("requires_input", None), "in_review": ("processing", None), "approved": ("verified", None),
        "declined": ("requires_input", "consent_declined"), "expired": ("canceled", None),
        "resubmission": ("requires_input", "document_unverified_other"),
    }  # fmt: skip

    def headers(self, method: str, target: str, body: bytes) -> Headers:
        return {"Authorization": f"Bearer {self.key}"}

    def encode(self, body: Any) -> bytes:
        return urllib.parse.urlencode(body).encode()

    def order(self, external_id: str) -> tuple[str, dict[str, Any]]:
        body = {"verification_flow": self.level, "client_reference_id": external_id, "metadata[user_id]": external_id}
        return "/v1/identity/verification_sessions", body

    def path(self, reference: str) -> str:
        return f"/v1/identity/verification_sessions/{reference}"

    def word(self, found: Any) -> Any:
        return found["status"], (found["last_error"] or {}).get("code")

    def more(self, reference: str, external_id: str) -> dict[str, tuple[Any, Any]]:
        again = self.create(external_id)
        target, body = self.order("unknown")
        unknown = self.ask("POST", target, body | {"level": "full"}).json()
        plain = self.ask("POST", target, {"type": "document", "options[document][require_matching_selfie]": "true"})
        return {
            "page": (again.json()["url"].startswith("https://"), True),
            "replayed": (again.headers.get("idempotent-replayed"), "true"),
            "our id": (again.json()["metadata"], {"user_id": external_id}),
            "unknown parameter": (
                [unknown["error"][each] for each in ("code", "param")],
                ["parameter_unknown", "level"],
            ),
            "without a flow": (plain.status, 200),
        }


class Didit(Client):
    proof = "x-api-key"
    needs = "workflow_id"
    repeats = True
    words = {
        "pending": "In Progress", "in_review": "In Review", "approved": "Approved", "declined": "Declined",
        "resubmission": "Resubmitted", "expired": "Expired",
    }  # fmt: skip

    def headers(self, method: str, target: str, body: bytes) -> Headers:
        return {"x-api-key": self.key}

    def order(self, external_id: str) -> tuple[str, dict[str, Any]]:
        return "/v3/session/", {"workflow_id": self.level, "vendor_data": external_id}

    def path(self, reference: str) -> str:
        return f"/v3/session/{reference}/decision/"

    def reference(self, made: Any) -> str:
        return str(made["session_id"])

    def more(self, reference: str, external_id: str) -> dict[str, tuple[Any, Any]]:
        other = self.ask("POST", "/v3/session/", {"workflow_id": self.settings["levels"]["basic"], "vendor_data": "o"})
        return {
            "begun": (other.json()["status"], "Not Started"),
            "our id": (self.fetch(reference).json()["vendor_data"], external_id),
            "without the last slash": (self.ask("POST", "/v3/session", self.order("o")[1]).status, 404),
        }


class Jumio(Client):
    needs = "customerInternalReference"
    words = {
        "pending": ("INITIATED", None), "in_review": ("PROCESSED", "WARNING"), "approved": ("PROCESSED", "PASSED"),
        "declined": ("PROCESSED", "REJECTED"), "expired": ("SESSION_EXPIRED", "NOT_EXECUTED"),
    }  # fmt: skip
    # By the workflow that is done for it.
    accounts: dict[str, str]

    def __init__(self, described: dict[str, Any]) -> None:
        super().__init__(described)
        self.accounts = {}

    def token(self, secret: str, grant: str = "client_credentials") -> Answer:
        raw = base64.b64encode(f"{self.key}:{secret}".encode()).decode()
        headers = {"Authorization": f"Basic {raw}", "Content-Type": "application/x-www-form-urlencoded"}
        return exchange(self.url, "POST", "/oauth2/token", f"grant_type={grant}".encode(), headers)

    def headers(self, method: str, target: str, body: bytes) -> Headers:
        token = self.token(self.secret).json()["access_token"]
        return {"Authorization": f"Bearer {token}", "User-Agent": "check"}

    def order(self, external_id: str) -> tuple[str, dict[str, Any]]:
        body: dict[str, Any] = {"customerInternalReference": external_id, "userReference": "person"}
        key = int(self.level) if self.level.isdecimal() else 0
        body |= {"workflowDefinition": {"key": key}, "callbackUrl": "https://id.example.com/webhooks"}
        body |= {"tokenLifetime": "30m"}
        return "/api/v1/accounts", body

    def path(self, reference: str) -> str:
        return f"/api/v1/accounts/{self.accounts[reference]}/workflow-executions/{reference}"

    def reference(self, made: Any) -> str:
        reference = str(made["workflowExecution"]["id"])
        self.accounts[reference] = made["account"]["id"]
        return reference

    def word(self, found: Any) -> Any:
        return found["workflow"]["status"], found.get("decision", {}).get("type")

    def more(self, reference: str, external_id: str) -> dict[str, tuple[Any, Any]]:
        account = self.accounts[reference]
        more = self.ask("PUT", f"/api/v1/accounts/{account}", self.order("another")[1])
        return {
            "wrong secret": (self.token("wrong").json()["error"], "invalid_client"),
            "wrong grant": (self.token(self.secret, "password").json()["error"], "unsupported_grant_type"),
            "without a user agent": (self.fetch(reference, User_Agent="").status, 403),
            "another workflow": (more.json()["account"]["id"], account),
        }


class StandardWebhooks(Client):
    words = dict.fromkeys(("pending", "in_review", "approved", "declined", "resubmission", "expired"))
