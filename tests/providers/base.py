"""What all stubs share: requests, answers, the clock, keys, and the provider they are built on."""

import base64
import copy
import hashlib
import hmac
import json
import secrets
import string
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

PrivateKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Request:
    """A request as it came over the wire. Names of headers are in lower case."""

    method: str
    path: str
    query: str = ""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def target(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path

    def header(self, name: str) -> str:
        return self.headers.get(name.lower(), "")


@dataclass
class Reply:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, status: int, value: Any, headers: Mapping[str, str] | None = None) -> "Reply":
        return cls(status, json.dumps(value).encode(), {"Content-Type": "application/json"} | dict(headers or {}))

    @classmethod
    def text(
        cls, status: int, text: str, kind: str = "text/plain", headers: Mapping[str, str] | None = None
    ) -> "Reply":
        return cls(status, text.encode(), {"Content-Type": kind} | dict(headers or {}))


@dataclass(frozen=True)
class Credential:
    """What a person would paste; and, where the secret is a private key, the key to verify with."""

    api_key: str
    secret: str | None = None
    passphrase: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    # `live` or `demo`, where one host serves both.
    environment: str = "live"
    key: PrivateKey | None = field(default=None, repr=False)

    def public(self) -> dict[str, Any]:
        """As the test that uses it wants it."""
        shown: dict[str, Any] = {"api_key": self.api_key, "environment": self.environment}
        for name in ("secret", "passphrase"):
            if (value := getattr(self, name)) is not None:
                shown[name] = value
        if self.settings:
            shown["settings"] = dict(self.settings)
        return shown


@dataclass(frozen=True)
class Error:
    """An entry of a provider's list of errors."""

    status: int
    message: str
    # Where the name in the list is not what the answer says.
    code: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """The request does not pass, with the provider's code for why."""

    def __init__(self, code: str, message: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Caller:
    """Whose request it is, after its signature has been verified."""

    credential: Credential
    nonce: str | None = None


class Clock:
    """The provider's own clock, which a test may move."""

    def __init__(self) -> None:
        self.skew = 0.0
        self.stopped: float | None = None

    def seconds(self) -> float:
        return (time.time() if self.stopped is None else self.stopped) + self.skew

    def milliseconds(self) -> int:
        return int(self.seconds() * 1000)


@dataclass(frozen=True)
class Endpoint:
    """An operation with an answer of its own, which takes the caller and gives the payload within the envelope."""

    payload: Callable[[Caller], Any]
    headers: Callable[[Caller], dict[str, str]] = lambda _: {}


class Provider:
    """One provider. A subclass says how requests are verified, and what answers and errors look like."""

    name: ClassVar[str]
    errors: ClassVar[Mapping[str, Error]]

    def __init__(self) -> None:
        self.clock = Clock()
        self.credentials: dict[str, Credential] = {}
        # By method and path.
        self.endpoints: dict[tuple[str, str], Endpoint] = {}
        self.public: dict[tuple[str, str], Callable[[], Any]] = {}

    def authenticate(self, request: Request) -> Caller:
        """The caller of a properly signed request. Raises `Refused`."""
        raise NotImplementedError

    def envelope(self, payload: Any) -> Any:
        """A success around its payload."""
        return payload

    def failure(self, code: str, error: Error) -> Reply:
        """An error in the provider's form."""
        raise NotImplementedError

    def forget(self) -> None:
        """Drops what requests have left behind, such as nonces."""

    def described(self, url: str) -> dict[str, Any]:
        """What a test has to know to be its client; `url` is where it is served."""
        return {"credentials": {name: credential.public() for name, credential in self.credentials.items()}}

    def find(self, api_key: str) -> Credential | None:
        return next((known for known in self.credentials.values() if known.api_key == api_key), None)

    def refusal(self, code: str, message: str | None = None) -> Reply:
        error = self.errors[code]
        if message is not None:
            error = Error(error.status, message, error.code, error.headers)
        return self.failure(code, error)

    def answer(self, request: Request, caller: Caller, patches: list[tuple[Any, dict[str, str]]]) -> Reply:
        """The success of a verified request. Paths that are not known are answered with what has been verified."""
        endpoint = self.endpoints.get((request.method, request.path))
        if endpoint is None:
            echo = {
                "method": request.method,
                "path": request.path,
                "query": request.query,
                "body": request.body.decode("utf-8", "replace"),
            }
            return Reply.json(200, self.envelope(self.echo(echo)))
        payload, headers = copy.deepcopy(endpoint.payload(caller)), endpoint.headers(caller)
        for patch, extra in patches:
            payload = self.patch(payload, patch)
            headers |= extra
        return Reply.json(200, self.envelope(payload), headers)

    def echo(self, echo: dict[str, str]) -> Any:
        return {"echo": echo}

    def patch(self, payload: Any, patch: Any) -> Any:
        """An object is merged into a payload or into the last entry of one, and anything else replaces it."""
        if isinstance(payload, list) and isinstance(patch, dict):
            return [*payload[:-1], merge(payload[-1], patch)]
        return merge(payload, patch)


def merge(target: Any, patch: Any) -> Any:
    """A merge patch after RFC 7396: null removes a member, anything but an object replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value)
    return result


def same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def mac(algorithm: str, secret: bytes, message: bytes) -> bytes:
    return hmac.new(secret, message, getattr(hashlib, algorithm)).digest()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def unb64(text: str) -> bytes | None:
    """Nothing but proper base64, with its padding."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None


def verifies(key: PrivateKey, signature: str, message: bytes) -> bool:
    """Whether a signature in base64 was made with this key: PKCS#1 v1.5 with SHA-256, or Ed25519."""
    raw = unb64(signature)
    if raw is None:
        return False
    try:
        if isinstance(key, rsa.RSAPrivateKey):
            key.public_key().verify(raw, message, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ed25519.Ed25519PrivateKey):
            key.public_key().verify(raw, message)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def integer(text: str) -> int | None:
    """A number of digits alone."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 20 else None


def random_text(length: int, letters: str = string.ascii_letters + string.digits) -> str:
    return "".join(secrets.choice(letters) for _ in range(length))


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    """One for all providers, as making one takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: PrivateKey, form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8) -> str:
    """`TraditionalOpenSSL` is SEC 1 for elliptic curves, and PKCS#1 for RSA."""
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
