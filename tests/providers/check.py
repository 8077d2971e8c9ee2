"""Checks the stubs: against the signing vectors, and over HTTP with requests signed here."""

import base64
import hashlib
import hmac
import http.client
import json
import sys
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

import binance
import bitget
import bybit
import coinbase
import gate
import kraken
import kucoin
import okx
from base import Credential, Provider, Request
from server import serve
from stub import ALL

VECTORS = Path(__file__).parent.parent / "vectors" / "signing.json"
failures: list[str] = []


def expect(what: str, given: object, expected: object) -> None:
    if given != expected:
        failures.append(f"{what}: {given!r} instead of {expected!r}")


# Against the vectors.


def split_text(vector: dict[str, Any]) -> bytes:
    return vector["input"]["string_to_sign"].encode()


def jwt_key(vector: dict[str, Any]) -> Any:
    given = vector["input"]
    if "private_key_pem" in given:
        return serialization.load_pem_private_key(given["private_key_pem"].encode(), None)
    return ed25519.Ed25519PrivateKey.from_private_bytes(base64.b64decode(given["api_key_secret_64b"])[:32])


def pem_credential(vector: dict[str, Any]) -> Credential:
    key = serialization.load_pem_private_key(vector["input"]["private_key_pkcs8_pem"].encode(), None)
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    return Credential("key", key=key)


def binance_vector(vector: dict[str, Any], signature: str) -> bool:
    given = vector["input"]
    credential = Credential("key", given["secret"]) if "secret" in given else pem_credential(vector)
    request = Request("GET", "/", f"{given['payload']}&signature={urllib.parse.quote(signature, safe='')}")
    payload, found = binance.split(request)
    return found is not None and binance.verify(credential, payload, found)


def gate_vector(vector: dict[str, Any], signature: str) -> bool:
    given = {"method": "GET", "path": "/api/v4/account/detail", "query": "", "body": ""} | vector["input"]
    request = Request(given["method"], given["path"], given["query"], given["body"].encode())
    return gate.verify(given["secret"], request, given["timestamp"], signature)


def kraken_vector(vector: dict[str, Any], signature: str) -> bool:
    given = vector["input"]
    return kraken.verify(given["secret"], given["path"], given["nonce"], given["body"].encode(), signature)


VERIFIERS: dict[str, Callable[[dict[str, Any], str], bool]] = {
    "binance": binance_vector,
    "bitget": lambda v, s: bitget.verify(Credential("key", v["input"]["secret"]), split_text(v), s),
    "bybit": lambda v, s: bybit.verify(Credential("key", v["input"]["secret"]), split_text(v), s),
    "coinbase": lambda v, s: coinbase.verify(jwt_key(v), s) is not None,
    "gate": gate_vector,
    "kraken": kraken_vector,
    "kucoin": lambda v, s: kucoin.verify(v["input"]["secret"], v["input"]["plain"].encode(), s),
    "okx": lambda v, s: okx.verify(v["input"]["secret"], split_text(v), s),
}


def check_vectors() -> None:
    for vector in json.loads(VECTORS.read_text())["vectors"]:
        verify, signature = VERIFIERS[vector["provider"]], vector["expected"]
        # The last letter of base64 may hold bits that do not count, so the wrong one is in the middle.
        middle = len(signature) - 8
        wrong = signature[:middle] + ("b" if signature[middle] == "a" else "a") + signature[middle + 1 :]
        expect(f"vector {vector['id']}", verify(vector, signature), True)
        expect(f"vector {vector['id']}, changed", verify(vector, wrong), False)


# Over HTTP.


@dataclass
class Key:
    """A credential as a client has it."""

    api_key: str
    secret: str = ""
    passphrase: str = ""
    environment: str = "live"
    settings: dict[str, Any] | None = None


@dataclass
class Message:
    method: str
    target: str
    body: str
    headers: dict[str, str]


def hashed(algorithm: str, key: bytes, text: str | bytes) -> bytes:
    return hmac.new(key, text.encode() if isinstance(text, str) else text, algorithm).digest()


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def signature(key: Key, text: str, encode: Callable[[bytes], str]) -> str:
    """With what the key is: a private key in PEM, or a secret for HMAC-SHA256."""
    if "PRIVATE KEY" not in key.secret:
        return encode(hashed("sha256", key.secret.encode(), text))
    private = serialization.load_pem_private_key(key.secret.encode(), None)
    if isinstance(private, rsa.RSAPrivateKey):
        return b64(private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))
    assert isinstance(private, ed25519.Ed25519PrivateKey)
    return b64(private.sign(text.encode()))


def sign_binance(message: Message, key: Key, now: float) -> None:
    path, _, query = message.target.partition("?")
    query = f"{query}&timestamp={int(now * 1000)}".removeprefix("&")
    signed = urllib.parse.quote(signature(key, query + message.body, bytes.hex), safe="")
    message.target = f"{path}?{query}&signature={signed}"
    message.headers["X-MBX-APIKEY"] = key.api_key


def sign_coinbase(message: Message, key: Key, now: float) -> None:
    path = message.target.partition("?")[0]
    if "PRIVATE KEY" in key.secret:
        private: Any = serialization.load_pem_private_key(key.secret.encode(), None)
    else:
        private = ed25519.Ed25519PrivateKey.from_private_bytes(base64.b64decode(key.secret)[:32])
    claims = {"sub": key.api_key, "iss": "cdp", "nbf": int(now), "exp": int(now) + 120}
    claims["uri"] = f"{message.method} api.coinbase.com{path}"
    algorithm = "EdDSA" if isinstance(private, ed25519.Ed25519PrivateKey) else "ES256"
    headers = {"kid": key.api_key, "nonce": f"{time.time_ns():032x}"}
    message.headers["Authorization"] = f"Bearer {jwt.encode(claims, private, algorithm, headers)}"


def sign_kraken(message: Message, key: Key, now: float) -> None:
    nonce = str(int(now * 1e6))
    message.method, message.body = "POST", f"nonce={nonce}&otp={key.passphrase}"
    text = message.target.encode() + hashlib.sha256((nonce + message.body).encode()).digest()
    message.headers |= {
        "API-Key": key.api_key,
        "API-Sign": b64(hashed("sha512", base64.b64decode(key.secret), text)),
        "Content-Type": "application/x-www-form-urlencoded",
    }


def sign_bybit(message: Message, key: Key, now: float) -> None:
    stamp, parameters = str(int(now * 1000)), message.target.partition("?")[2] or message.body
    message.headers |= {
        "X-BAPI-API-KEY": key.api_key,
        "X-BAPI-TIMESTAMP": stamp,
        "X-BAPI-RECV-WINDOW": "5000",
        "X-BAPI-SIGN": signature(key, f"{stamp}{key.api_key}5000{parameters}", bytes.hex),
    }


def sign_okx(message: Message, key: Key, now: float) -> None:
    stamp = datetime.fromtimestamp(now, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    message.headers |= {
        "OK-ACCESS-KEY": key.api_key,
        "OK-ACCESS-SIGN": signature(key, stamp + message.method + message.target + message.body, b64),
        "OK-ACCESS-TIMESTAMP": stamp,
        "OK-ACCESS-PASSPHRASE": key.passphrase,
    }
    if key.environment == "demo":
        message.headers["x-simulated-trading"] = "1"


def sign_kucoin(message: Message, key: Key, now: float) -> None:
    stamp = str(int(now * 1000))
    text = stamp + message.method + urllib.parse.unquote(message.target) + message.body
    message.headers |= {
        "KC-API-KEY": key.api_key,
        "KC-API-SIGN": signature(key, text, b64),
        "KC-API-TIMESTAMP": stamp,
        "KC-API-PASSPHRASE": signature(key, key.passphrase, b64),
        "KC-API-KEY-VERSION": (key.settings or {}).get("key_version", "3"),
    }


def sign_bitget(message: Message, key: Key, now: float) -> None:
    stamp = str(int(now * 1000))
    text = stamp + message.method + urllib.parse.unquote(message.target) + message.body
    message.headers |= {
        "ACCESS-KEY": key.api_key,
        "ACCESS-SIGN": signature(key, text, b64),
        "ACCESS-TIMESTAMP": stamp,
        "ACCESS-PASSPHRASE": key.passphrase,
    }
    if key.environment == "demo":
        message.headers["PAPTRADING"] = "1"


def sign_gate(message: Message, key: Key, now: float) -> None:
    path, _, query = message.target.partition("?")
    stamp, body = str(int(now)), hashlib.sha512(message.body.encode()).hexdigest()
    text = f"{message.method}\n{path}\n{query}\n{body}\n{stamp}"
    message.headers |= {
        "KEY": key.api_key,
        "Timestamp": stamp,
        "SIGN": hashed("sha512", key.secret.encode(), text).hex(),
    }


def sign_alpaca(message: Message, key: Key, _: float) -> None:
    message.headers |= {"APCA-API-KEY-ID": key.api_key, "APCA-API-SECRET-KEY": key.secret}


def sign_bearer(message: Message, key: Key, _: float) -> None:
    settings = key.settings or {}
    prefix = settings.get("prefix", "Bearer ")
    message.headers |= {settings.get("header_name", "Authorization"): prefix + key.api_key, "User-Agent": "check"}


def sign_generic(message: Message, key: Key, now: float) -> None:
    how = key.settings or {}
    secret = {"base64": base64.b64decode, "hex": bytes.fromhex, "utf8": str.encode}[how["secret_encoding"]](key.secret)
    stamp = datetime.fromtimestamp(now, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    if (factor := {"s": 1, "ms": 1e3, "us": 1e6}.get(how["ts_unit"])) is not None:
        stamp = str(int(now * factor))
    path, _, query = message.target.partition("?")
    body_hash = ""
    if how["body_hash"] != "none":
        body_hash = hashlib.new(how["body_hash"].removesuffix("hex"), message.body.encode()).hexdigest()
    values = {
        "ts": stamp, "nonce": str(time.time_ns()), "method": message.method, "path": path, "query": query,
        "path_query": message.target, "body": message.body, "body_hash": body_hash, "api_key": key.api_key,
        "passphrase": key.passphrase,
    }  # fmt: skip
    raw = hashed(how["algorithm"], secret, how["template"].format(**values))
    url_safe = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    values["signature"] = {"hex": raw.hex(), "base64": b64(raw), "base64url": url_safe}[how["output"]]
    message.headers |= {name: template.format(**values) for name, template in how["headers"].items()}
    if "query_signature_param" in how:
        message.target += ("&" if query else "?") + f"{how['query_signature_param']}={values['signature']}"


@dataclass
class Plan:
    """A call of a provider that tells of the key, and the codes for what can be wrong with a request."""

    sign: Callable[[Message, Key, float], None]
    path: str
    unknown: str
    wrong: str
    late: str | None = None
    # Of a secret that is no private key.
    credential: str = "hmac"
    phrase: str | None = None


PLANS = {
    "binance": Plan(sign_binance, "/sapi/v1/account/apiRestrictions", "-2014", "-1022", "-1021"),
    "coinbase": Plan(sign_coinbase, "/api/v3/brokerage/key_permissions", "401", "401", "401", "eddsa_seed"),
    "kraken": Plan(sign_kraken, "/0/private/GetApiKeyInfo", "EAPI:Invalid key", "EAPI:Invalid signature"),
    "bybit": Plan(sign_bybit, "/v5/user/query-api", "10003", "10004", "10002"),
    "okx": Plan(sign_okx, "/api/v5/account/config", "50111", "50113", "50102", phrase="50105"),
    "kucoin": Plan(sign_kucoin, "/api/v1/user/api-key", "400003", "400005", "400002", "v3", "400004"),
    "bitget": Plan(sign_bitget, "/api/v3/account/info", "40037", "40009", "40008", phrase="40012"),
    "gate": Plan(sign_gate, "/api/v4/account/detail", "INVALID_KEY", "INVALID_SIGNATURE", "REQUEST_EXPIRED"),
    "alpaca": Plan(sign_alpaca, "/v2/account", "unauthorized", "unauthorized", credential="live"),
    "stripe": Plan(sign_bearer, "/v1/balance", "401", "", credential="secret"),
    "openai": Plan(sign_bearer, "/v1/models", "invalid_api_key", "", credential="bearer"),
    "github": Plan(sign_bearer, "/user", "401", "", credential="classic"),
    "generic_bearer": Plan(sign_bearer, "/status", "401", "", credential="bearer"),
    "generic_hmac": Plan(
        sign_generic, "/status", "invalid_key", "invalid_signature", "expired", "iso8601", "invalid_passphrase"
    ),
}


def exchange(base: str, message: Message) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=10)
    try:
        connection.request(message.method, message.target, message.body.encode() or None, message.headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    finally:
        connection.close()


class Check:
    """One provider, asked for all that it knows."""

    def __init__(self, provider: Provider, described: dict[str, Any]) -> None:
        self.name = name = provider.name
        self.plan, self.public = PLANS[name], list(provider.public)
        self.control, self.url = described["control"]["url"], described[name]["url"]
        self.keys = {kind: Key(**given) for kind, given in described[name]["credentials"].items()}
        self.key = self.keys[self.plan.credential]

    def told(self, path: str, /, **options: Any) -> Any:
        body = json.dumps({"provider": self.name, **options}) if options else ""
        status, answer, _ = exchange(self.control, Message("POST" if body else "GET", path, body, {}))
        expect(f"{self.name} {path} {options}", status, 200)
        return json.loads(answer)

    def ask(self, key: Key, target: str, late: float = 0, body: str = "") -> tuple[int, bytes, dict[str, str]]:
        message = Message("POST" if body else "GET", target, body, {})
        self.plan.sign(message, key, time.time() - late)
        return exchange(self.url, message)

    def code(self) -> str | None:
        """Of the last request."""
        return self.told(f"/calls?provider={self.name}")[-1]["code"]

    def run(self) -> None:
        plan, key = self.plan, self.key
        for method, target in self.public:
            expect(f"{self.name} {target}", exchange(self.url, Message(method, target, "", {}))[0], 200)
        for kind, each in self.keys.items():
            for target in (plan.path, "/0/private/a" if self.name == "kraken" else "/a?b=1&c=2%2C3"):
                status, answer, _ = self.ask(each, target)
                expect(f"{self.name} {kind} {target}: {answer!r}", status, 200)
            if self.name not in ("kraken", "coinbase"):
                expect(f"{self.name} {kind} with a body", self.ask(each, "/a", body='{"b":1}')[0], 200)
        self.ask(Key(**{**key.__dict__, "api_key": key.api_key[:-1] + "-"}), plan.path)
        expect(f"{self.name} unknown key", self.code(), plan.unknown)
        if plan.wrong:
            other = "B" if key.secret[0] == "A" else "A"
            self.ask(Key(**{**key.__dict__, "secret": other + key.secret[1:]}), plan.path)
            expect(f"{self.name} wrong secret", self.code(), plan.wrong)
        if plan.late is not None:
            for late in (200, -200):
                self.ask(key, plan.path, late)
                expect(f"{self.name} late by {late}", self.code(), plan.late)
            self.told("/scenario", scenario="skew", seconds=200)
            expect(f"{self.name} skewed", self.ask(key, plan.path, -200)[0], 200)
        if plan.phrase is not None:
            self.told("/reset", provider=self.name)
            self.ask(Key(**{**key.__dict__, "passphrase": "wrong"}), plan.path)
            expect(f"{self.name} wrong passphrase", self.code(), plan.phrase)
        if self.name == "kraken":
            self.ask(key, plan.path, 1)
            expect("kraken nonce of before", self.code(), "EAPI:Invalid nonce")
        self.run_scenarios()

    def run_scenarios(self) -> None:
        key, path = self.key, self.plan.path
        self.told("/reset", provider=self.name)
        for code, error in self.told(f"/errors?provider={self.name}").items():
            self.told("/scenario", code=code)
            expect(f"{self.name} {code}", self.ask(key, path)[0], error["status"])
        self.told("/reset", provider=self.name)
        self.told("/scenario", scenario="status", status=500, path=path + "s")
        expect(f"{self.name} another path", self.ask(key, path)[0], 200)
        self.told("/scenario", scenario="permissions", merge={"extra": "merged"}, headers={"X-Extra": "1"})
        _, answer, headers = self.ask(key, path)
        expect(f"{self.name} merged", (b'"extra": "merged"' in answer, headers.get("X-Extra")), (True, "1"))
        cases: list[tuple[dict[str, Any], int, int | None]] = [
            ({"scenario": "garbage"}, 200, None),
            ({"scenario": "empty"}, 200, 0),
            ({"scenario": "huge", "bytes": 300_000}, 200, 300_000),
            ({"scenario": "huge", "length": False}, 200, 10 * 1024 * 1024),
            ({"scenario": "redirect"}, 302, 0),
            ({"scenario": "status", "status": 503}, 503, None),
            ({"scenario": "slow", "seconds": 0.01}, 200, None),
            ({"scenario": "drip", "seconds": 0.0001}, 200, None),
            ({"scenario": "answer", "body": {"a": None}}, 200, 11),
        ]
        for options, status, length in cases:
            self.told("/scenario", **options, times=1)
            given, answer, _ = self.ask(key, path)
            expect(f"{self.name} {options}", (given, length is None or len(answer) == length), (status, True))
        self.told("/scenario", scenario="close", times=1)
        try:
            self.ask(key, path)
            failures.append(f"{self.name} close: there was an answer")
        except (http.client.HTTPException, OSError):
            pass
        expect(f"{self.name} afterwards", self.ask(key, path)[0], 200)


def main() -> int:
    check_vectors()
    providers = [provider() for provider in ALL]
    described = serve(providers, 0)
    for provider in providers:
        Check(provider, described).run()
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"{len(ALL)} providers, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
