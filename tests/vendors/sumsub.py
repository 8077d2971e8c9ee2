"""Sumsub: requests signed with their time, webhooks with a digest; one applicant for each external id."""

import urllib.parse
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any
from uuid import uuid4

from base import Caller, Credential, Error, Refused, Reply, Request, integer, random_text, same
from vendor import PERSON, Delivery, Session, Vendor, hex_id, hex_mac

TOLERANCE = 60
ALGORITHMS = {"sha256": "HMAC_SHA256_HEX", "sha512": "HMAC_SHA512_HEX", "sha1": "HMAC_SHA1_HEX"}


def signature(secret: str, stamp: str, request: Request) -> str:
    return hex_mac(secret, f"{stamp}{request.method}{request.target}".encode() + request.body)


def standing(session: Session) -> dict[str, Any]:
    """Where the review stands, with its result once there is one."""
    status = {"pending": "init", "in_review": "pending"}.get(session.status, "completed")
    answer: dict[str, Any] = {"reviewAnswer": "GREEN"}
    if session.status in ("declined", "resubmission"):
        answer = {
            "moderationComment": "We could not verify your profile.",
            "clientComment": f"Of {PERSON['first']} {PERSON['last']}.",
            "reviewAnswer": "RED",
            "rejectLabels": list(session.reasons) or ["UNSATISFACTORY_PHOTOS"],
            "reviewRejectType": "FINAL" if session.status == "declined" else "RETRY",
            "buttonIds": [],
        }
    return {"reviewStatus": status} | ({"reviewResult": answer} if status == "completed" else {})


def written(at: float) -> str:
    """Not as ISO 8601 has it."""
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


class Sumsub(Vendor):
    name = "sumsub"
    errors = {
        "4001": Error(401, "app-token is unknown"),
        "4003": Error(401, "app-token-signature mismatch"),
        "4004": Error(401, "the request is too old, or of the future"),
        "400": Error(400, "Bad request", "none"),
        "404": Error(404, "Not found", "none"),
        "409": Error(409, "Conflict", "none"),
        "429": Error(429, "Too many requests", "none", {"Retry-After": "30"}),
    }
    statuses = {
        "pending": "applicantCreated",
        "in_review": "applicantPending",
        "approved": "applicantReviewed",
        "declined": "applicantReviewed",
        "resubmission": "applicantReviewed",
    }
    takes = frozenset(("event_id", "sandbox", "algorithm"))

    def __init__(self) -> None:
        key = Credential("prd:" + random_text(24), random_text(32))
        levels = {"basic": "basic-kyc-level", "full": "id-and-liveness"}
        super().__init__(key, levels, random_text(27))
        applicant = "/resources/applicants/(?P<which>[^/]+)"
        self.routes = {
            ("POST", "/resources/applicants"): self.create,
            ("POST", "/resources/accessTokens/sdk"): self.token,
            ("POST", "/resources/sdkIntegrations/levels/-/websdkLink"): self.link,
            ("GET", applicant + "/one"): self.one,
            ("GET", applicant + "/status"): self.status,
        }

    def authenticate(self, request: Request) -> Caller:
        caller = self.caller()
        if not same(request.header("X-App-Token"), caller.credential.api_key):
            raise Refused("4001")
        stamp = request.header("X-App-Access-Ts")
        given = request.header("X-App-Access-Sig")
        if not same(given, signature(caller.credential.secret or "", stamp, request)):
            raise Refused("4003")
        at = integer(stamp)
        if at is None or abs(self.clock.seconds() - at) > TOLERANCE:
            raise Refused("4004")
        return caller

    def failure(self, code: str, error: Error) -> Reply:
        body = {"description": error.message, "code": error.status, "correlationId": str(uuid4())}
        if error.code is None:
            body["errorCode"] = int(code) if code.isdecimal() else code
        return Reply.json(error.status, body, error.headers)

    def known(self, external_id: str) -> Session | None:
        return next((each for each in self.sessions.values() if each.external_id == external_id), None)

    def named(self, which: str) -> Session:
        """By its own id, or by ours as `-;externalUserId=…`."""
        own, found, external_id = urllib.parse.unquote(which).partition("-;externalUserId=")
        session = self.known(external_id) if found and not own else self.sessions.get(which)
        if session is None:
            raise Refused("404", "Applicant not found")
        return session

    def begin(self, external_id: str, level: str) -> Session:
        return self.add(Session(hex_id(24), external_id, level))

    def create(self, request: Request) -> Reply:
        level = dict(urllib.parse.parse_qsl(request.query)).get("levelName")
        level = self.level(level, "levelName")
        external_id = self.text(self.json(request), "externalUserId", 512)
        if (known := self.known(external_id)) is not None:
            # So an answer that was lost is not given again; who asks once more learns whose id it is.
            taken = f"Applicant with external user id '{external_id}' already exists: {known.reference}"
            raise Refused("409", taken)
        return Reply.json(201, self.applicant(self.begin(external_id, level)))

    def ordered(self, request: Request) -> tuple[Session, dict[str, Any]]:
        """Whom a token or a link is for. They are made where they are not known yet, or moved to the level."""
        body = self.json(request)
        external_id = self.text(body, "userId", 512)
        level = self.level(body.get("levelName"), "levelName")
        life = body.get("ttlInSecs", 600)
        if type(life) is not int or not 0 < life <= 86_400 * 30:
            raise self.wrong("ttlInSecs")
        known = self.known(external_id)
        return (self.begin(external_id, level) if known is None else self.add(replace(known, level=level))), body

    def token(self, request: Request) -> Reply:
        session, _ = self.ordered(request)
        return Reply.json(200, {"token": f"_act-jwt-{random_text(40)}", "userId": session.external_id})

    def link(self, request: Request) -> Reply:
        _, body = self.ordered(request)
        redirect = self.object(body, "redirect", required=False)
        for name in redirect:
            self.url(redirect, name)
        return Reply.json(200, {"url": f"https://in.sumsub.com/websdk/p/{random_text(16)}"})

    def one(self, _: Request, which: str) -> Reply:
        return Reply.json(200, self.applicant(self.named(which)))

    def status(self, _: Request, which: str) -> Reply:
        return Reply.json(200, self.review(self.named(which)))

    def review(self, session: Session) -> dict[str, Any]:
        return {
            "reviewId": "JuGRF",
            "attemptId": "Fzqbs",
            "attemptCnt": 1,
            "levelName": session.level,
            "createDate": written(session.created) + "+0000",
            "priority": 0,
        } | standing(session)

    def applicant(self, session: Session) -> dict[str, Any]:
        return {
            "id": session.reference,
            "createdAt": written(session.created)[:19],
            "key": "LatchkeyStub",
            "clientId": "latchkey",
            "inspectionId": "5cb56e8e0a975a35f333cb84",
            "externalUserId": session.external_id,
            "info": {"firstName": PERSON["first"], "lastName": PERSON["last"], "dob": PERSON["birth"]},
            "applicantPlatform": "Web",
            "requiredIdDocs": {"docSets": [{"idDocSetType": "IDENTITY", "types": ["PASSPORT"]}]},
            "review": self.review(session),
            "lang": "en",
            "type": "individual",
        }

    def payload(self, delivery: Delivery) -> dict[str, Any]:
        session = delivery.session
        return {
            "applicantId": session.reference,
            "inspectionId": "5cb56e8e0a975a35f333cb84",
            "correlationId": delivery.event_id or f"req-{uuid4()}",
            "externalUserId": session.external_id,
            "levelName": session.level,
            "type": self.word(session.status),
            **standing(session),
            "createdAtMs": written(delivery.at),
            "applicantType": "individual",
            "sandboxMode": delivery.sandbox,
            "clientId": "latchkey",
        }

    def sign(self, body: bytes, delivery: Delivery) -> dict[str, str]:
        algorithm = delivery.options.get("algorithm", "sha256")
        digest = hex_mac(delivery.secrets[0], body, algorithm)
        return {"X-Payload-Digest": digest, "X-Payload-Digest-Alg": ALGORITHMS[algorithm]}
