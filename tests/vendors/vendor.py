"""What the stubs of all vendors share: routes, sessions, and webhooks, which a test orders."""

import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, ClassVar

from base import Caller, Credential, Provider, Refused, Reply, Request, b64, mac, merge, random_text

# Of the person who is looked at. Nothing of it may be found anywhere in the server under test.
PERSON = {"first": "Zdeněk", "last": "Canaryová", "birth": "1990-01-31", "document": "X9CANARY7", "country": "CZE"}
# What a test may say of any webhook.
COMMON = frozenset(("vendor", "reference", "status", "reasons", "at", "secret", "external_id", "merge"))

Route = Callable[..., Reply]


class Misorder(ValueError):
    """The test asked for a webhook or a state that the vendor does not have."""


@dataclass(frozen=True)
class Session:
    """A verification at the vendor. Status and reasons are what its API says, in our words."""

    reference: str
    external_id: str
    level: str = ""
    status: str = "pending"
    reasons: tuple[str, ...] = ()
    created: float = field(default_factory=time.time)
    # What else the vendor remembers.
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Delivery:
    """What a webhook says of a session, when, and what it is signed with."""

    session: Session
    at: float
    secrets: tuple[str, ...]
    event_id: str | None
    sandbox: bool
    options: Mapping[str, Any]


class Vendor(Provider):
    """One vendor. A subclass says how requests are verified, what it answers, and what its webhooks look like."""

    # Our words for a status, each with what the vendor has for it.
    statuses: ClassVar[Mapping[str, Any]]
    # What else a test may say of its webhooks.
    takes: ClassVar[frozenset[str]] = frozenset()
    # The code for a request that is not as it should be.
    invalid: ClassVar[str] = "400"
    indent: ClassVar[int | None] = None

    def __init__(self, key: Credential | None, levels: Mapping[str, str], webhook_secret: str | None) -> None:
        super().__init__()
        self.key = key
        self.credentials = {} if key is None else {"api": key}
        self.levels = levels
        self.webhook_secret = webhook_secret
        self.webhook_token: str | None = None
        self.options: dict[str, str] = {}
        self.routes: dict[tuple[str, str], Route] = {}
        self.sessions: dict[str, Session] = {}
        self.replies: dict[str, tuple[Request, Reply]] = {}
        self.lock = threading.Lock()

    def described(self, url: str) -> dict[str, Any]:
        """The settings of a server that is the vendor's client, and our words that the vendor has."""
        settings: dict[str, Any] = {
            "webhook_secrets": [] if self.webhook_secret is None else [self.webhook_secret],
            "webhook_tokens": [] if self.webhook_token is None else [self.webhook_token],
            "levels": self.levels,
            "options": self.options,
        }
        if self.key is not None:
            settings |= {"api_key": self.key.api_key, "base_url": url}
            if self.key.secret is not None:
                settings["api_secret"] = self.key.secret
        return {"settings": settings, "statuses": list(self.statuses)}

    # Requests.

    def answer(self, request: Request, caller: Caller, patches: list[tuple[Any, dict[str, str]]]) -> Reply:
        for (method, path), route in self.routes.items():
            found = re.fullmatch(path, request.path)
            if found is not None and method == request.method:
                with self.lock:
                    reply = route(request, **found.groupdict())
                for patch, headers in patches:
                    payload = merge(json.loads(reply.body), patch)
                    reply = Reply.json(reply.status, payload, reply.headers | headers)
                return reply
        raise Refused("404")

    def caller(self) -> Caller:
        assert self.key is not None
        return Caller(self.key)

    def wrong(self, member: str, what: str = "is missing, or not as it should be") -> Refused:
        return Refused(self.invalid, f"{member}: {what}")

    def json(self, request: Request) -> dict[str, Any]:
        """The members of a body that is said to be JSON, and is."""
        self.media_type(request, "application/json")
        try:
            body = json.loads(request.body)
        except ValueError:
            raise self.wrong("body", "is not JSON") from None
        if not isinstance(body, dict):
            raise self.wrong("body", "is no object")
        return body

    def media_type(self, request: Request, expected: str) -> None:
        if request.header("Content-Type").partition(";")[0].strip().lower() != expected:
            raise self.wrong("Content-Type", f"is not {expected}")

    def object(self, body: Mapping[str, Any], name: str, required: bool = True) -> dict[str, Any]:
        value = body.get(name, None if required else {})
        if not isinstance(value, dict):
            raise self.wrong(name)
        return value

    def text(self, body: Mapping[str, Any], name: str, most: int = 255, required: bool = True) -> str:
        value = body.get(name, None if required else "")
        if not isinstance(value, str) or len(value) > most or (required and not value.strip()):
            raise self.wrong(name)
        return value

    def url(self, body: Mapping[str, Any], name: str) -> str:
        """Where people or webhooks go. Vendors want https; the servers under test have none."""
        value = self.text(body, name, 2048, required=False)
        if value and not re.fullmatch(r"https?://[^\s/]+\S*", value):
            raise self.wrong(name, "is no URL")
        return value

    def level(self, value: Any, name: str) -> str:
        if value not in self.levels.values():
            raise self.wrong(name, "is unknown")
        return str(value)

    def once(self, request: Request, conflict: str, make: Callable[[], Reply]) -> Reply:
        """The first answer to all requests with one Idempotency-Key, which have to be the same."""
        key = request.header("Idempotency-Key")
        if not key:
            return make()
        if len(key) > 255:
            raise self.wrong("Idempotency-Key", "is too long")
        if key not in self.replies:
            self.replies[key] = request, make()
            return self.replies[key][1]
        first, reply = self.replies[key]
        if (first.target, first.body) != (request.target, request.body):
            raise Refused(conflict)
        return replace(reply, headers=reply.headers | {"Idempotent-Replayed": "true"})

    def add(self, session: Session) -> Session:
        self.sessions[session.reference] = session
        return session

    def session(self, reference: str) -> Session:
        if reference not in self.sessions:
            raise Refused("404")
        return self.sessions[reference]

    # What a test orders.

    def word(self, status: str) -> Any:
        if status not in self.statuses:
            raise Misorder(f"{self.name} has no {status!r}; there are {', '.join(self.statuses)}")
        return self.statuses[status]

    def tell(self, order: Mapping[str, Any]) -> None:
        """What the API says of a session from now on."""
        self.word(order["status"])
        with self.lock:
            session = self.sessions[order["reference"]]
            self.add(replace(session, status=order["status"], reasons=tuple(order.get("reasons", ()))))

    def webhook(self, order: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
        """Headers and body of a delivery, with its proper signature."""
        if unknown := order.keys() - COMMON - self.takes:
            raise Misorder(f"{self.name} has no {', '.join(unknown)}")
        self.word(order["status"])
        session = self.sessions.get(order["reference"], Session(order["reference"], ""))
        session = replace(
            session,
            status=order["status"],
            reasons=tuple(order.get("reasons", ())),
            external_id=order.get("external_id", session.external_id),
        )
        own = order.get("secret", self.webhook_token if self.webhook_secret is None else self.webhook_secret)
        delivery = Delivery(
            session,
            order.get("at", self.clock.seconds()),
            tuple(order.get("rotation", [own])),
            order.get("event_id"),
            order.get("sandbox", False),
            order,
        )
        payload = merge(self.payload(delivery), order.get("merge", {}))
        body = json.dumps(payload, indent=self.indent).encode()
        return {"Content-Type": "application/json"} | self.sign(body, delivery), body

    def payload(self, delivery: Delivery) -> dict[str, Any]:
        raise NotImplementedError

    def sign(self, body: bytes, delivery: Delivery) -> dict[str, str]:
        """The headers that prove where it comes from."""
        raise NotImplementedError


def hex_mac(secret: str, message: bytes, algorithm: str = "sha256") -> str:
    """As most vendors sign: the secret is taken as text, whatever it looks like."""
    return mac(algorithm, secret.encode(), message).hex()


def basic(name: str, password: str) -> str:
    return "Basic " + b64(f"{name}:{password}".encode())


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def is_uuid(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text.lower()) is not None


def hex_id(digits: int) -> str:
    return secrets.token_hex(digits // 2)


def prefixed(prefix: str) -> str:
    return prefix + random_text(24)
