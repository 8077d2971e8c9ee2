"""Any service with signed requests, after a description of how it wants them signed."""

import base64
import hashlib
import re
import secrets
import urllib.parse
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from base import Caller, Credential, Endpoint, Error, Provider, Refused, Reply, Request, mac, random_text, same

WINDOW_SECONDS = 30
UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000}
DEFAULTS: Mapping[str, Any] = {
    "method": "GET",
    "test_path": "/status",
    "algorithm": "sha256",
    "secret_encoding": "utf8",
    "template": "{ts}{method}{path_query}{body}",
    "ts_unit": "ms",
    "body_hash": "none",
    "output": "hex",
    "headers": {"X-Key": "{api_key}", "X-Sign": "{signature}", "X-Ts": "{ts}"},
}


def variant(**settings: Any) -> dict[str, Any]:
    return {**DEFAULTS, **settings}


def read(settings: Mapping[str, Any], request: Request) -> dict[str, str]:
    """What the headers say, by the templates they were made from: `Key {api_key}:{signature}`."""
    values: dict[str, str] = {}
    for name, template in settings["headers"].items():
        parts = re.split(r"\{(\w+)\}", template)
        pattern = "".join(re.escape(part) if i % 2 == 0 else f"(?P<{part}>.*?)" for i, part in enumerate(parts))
        if (found := re.fullmatch(pattern, request.header(name))) is not None:
            values |= found.groupdict()
    return values


def key(settings: Mapping[str, Any], secret: str) -> bytes:
    match settings["secret_encoding"]:
        case "base64":
            return base64.b64decode(secret, validate=True)
        case "hex":
            return bytes.fromhex(secret)
        case _:
            return secret.encode()


def encoded(settings: Mapping[str, Any], raw: bytes) -> str:
    match settings["output"]:
        case "base64":
            return base64.b64encode(raw).decode()
        case "base64url":
            # Without padding, as in a JWT; one with padding is taken too.
            return base64.urlsafe_b64encode(raw).decode().rstrip("=")
        case _:
            return raw.hex()


def verify(settings: Mapping[str, Any], secret: str, values: Mapping[str, str], signature: str) -> bool:
    text = re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], ""), settings["template"])
    expected = encoded(settings, mac(settings["algorithm"], key(settings, secret), text.encode("latin-1")))
    return same(signature.rstrip("=") if settings["output"] == "base64url" else signature, expected)


def described(settings: Mapping[str, Any], request: Request) -> tuple[dict[str, str], str]:
    """What may stand in the template, and the signature."""
    values = read(settings, request)
    signature, query = values.pop("signature", ""), request.query
    if (name := settings.get("query_signature_param")) is not None:
        rest, found, encoded_signature = query.rpartition(f"{name}=")
        if found and "&" not in encoded_signature:
            query, signature = rest.removesuffix("&"), urllib.parse.unquote(encoded_signature)
        values |= {k: v for k, v in urllib.parse.parse_qsl(query) if k in ("ts", "nonce")}
    hashed = settings["body_hash"].removesuffix("hex")
    body = request.body.decode("latin-1")
    return values | {
        "method": request.method,
        "path": request.path,
        "query": query,
        "path_query": f"{request.path}?{query}" if query else request.path,
        "body": body,
        "body_hash": "" if hashed == "none" else hashlib.new(hashed, request.body).hexdigest(),
    }, signature


class GenericHmac(Provider):
    name = "generic_hmac"
    errors = {
        "missing_header": Error(400, "a header is missing"),
        "invalid_key": Error(401, "unknown key"),
        "invalid_signature": Error(401, "wrong signature"),
        "invalid_passphrase": Error(401, "wrong passphrase"),
        "expired": Error(401, "wrong time"),
        "401": Error(401, "unauthorized"),
        "403": Error(403, "forbidden"),
        "404": Error(404, "not found"),
        "429": Error(429, "too many requests", headers={"Retry-After": "30"}),
        "500": Error(500, "internal error"),
        "503": Error(503, "unavailable"),
    }

    def __init__(self) -> None:
        super().__init__()
        plain, raw = lambda: random_text(32), lambda: secrets.token_bytes(32)
        okx = {"X-Key": "{api_key}", "X-Sign": "{signature}", "X-Ts": "{ts}", "X-Phrase": "{passphrase}"}
        with_nonce = {"Authorization": "HMAC {api_key}:{nonce}:{signature}", "X-Ts": "{ts}"}
        lines = "{method}\n{path}\n{query}\n{body_hash}\n{ts}"
        self.credentials = {
            "default": Credential(plain(), plain(), settings=variant()),
            # As OKX and Gate want it.
            "iso8601": Credential(
                plain(), plain(), random_text(12), variant(ts_unit="iso8601ms", output="base64", headers=okx)
            ),
            "lines": Credential(
                plain(),
                plain(),
                settings=variant(algorithm="sha512", ts_unit="s", body_hash="sha512hex", template=lines),
            ),
            "base64": Credential(
                plain(),
                base64.b64encode(raw()).decode(),
                settings=variant(
                    secret_encoding="base64",
                    output="base64url",
                    ts_unit="us",
                    body_hash="sha256hex",
                    template="{ts}.{nonce}.{api_key}.{method}.{path_query}.{body_hash}",
                    headers=with_nonce,
                ),
            ),
            "hex": Credential(
                plain(), raw().hex(), settings=variant(algorithm="sha1", secret_encoding="hex", ts_unit="s")
            ),
            "query": Credential(
                plain(),
                plain(),
                settings=variant(
                    template="{ts}{method}{path_query}{body}",
                    headers={"X-Key": "{api_key}", "X-Ts": "{ts}"},
                    query_signature_param="signature",
                ),
            ),
        }
        self.endpoints = {("GET", "/status"): Endpoint(lambda _: {"status": "ok"})}

    def authenticate(self, request: Request) -> Caller:
        credential, values, signature = self.whose(request)
        if not signature or not values.get("ts"):
            raise Refused("missing_header")
        self.check_time(credential.settings["ts_unit"], values["ts"])
        if credential.passphrase is not None and not same(values.get("passphrase", ""), credential.passphrase):
            raise Refused("invalid_passphrase")
        assert credential.secret is not None
        if not verify(credential.settings, credential.secret, values, signature):
            raise Refused("invalid_signature")
        return Caller(credential, values.get("nonce"))

    def whose(self, request: Request) -> tuple[Credential, dict[str, str], str]:
        """Headers differ from key to key, so each is asked whether the request is of its kind."""
        for credential in self.credentials.values():
            values, signature = described(credential.settings, request)
            if values.get("api_key") == credential.api_key:
                return credential, values, signature
        raise Refused("invalid_key")

    def check_time(self, unit: str, text: str) -> None:
        try:
            if unit == "iso8601ms":
                parsed = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
                sent = parsed.timestamp()
            else:
                sent = int(text) / UNITS[unit]
        except ValueError:
            raise Refused("expired") from None
        if abs(self.clock.seconds() - sent) > WINDOW_SECONDS:
            raise Refused("expired")

    def failure(self, code: str, error: Error) -> Reply:
        return Reply.json(error.status, {"error": error.message, "code": code}, error.headers)
