"""Checks the stubs: their webhooks by code of its own that the vectors prove, and their APIs as a client of each."""

import base64
import hmac
import http.client
import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import clients
from clients import Client, Headers, exchange, sha256
from stub import start

VECTORS = Path(__file__).parent.parent / "vectors" / "webhooks.json"
AT = 1_700_000_000
failures: list[str] = []


def expect(what: str, given: object, expected: object) -> None:
    if given != expected:
        failures.append(f"{what}: {given!r} instead of {expected!r}")


# Signatures, as one who gets a webhook recomputes them. Names of headers are in lower case.


def with_time(part: str, secret: str, body: bytes) -> bool:
    """The signatures of `t=…,v1=…,v1=…`."""
    pairs = [each.split("=", 1) for each in part.split(",")]
    expected = sha256(secret, f"{dict(pairs)['t']}.".encode() + body)
    return ["v1", expected] in pairs


def sumsub(secret: str, headers: Headers, body: bytes) -> bool:
    algorithm = {"HMAC_SHA256_HEX": "sha256", "HMAC_SHA512_HEX": "sha512", "HMAC_SHA1_HEX": "sha1"}
    digest = hmac.new(secret.encode(), body, algorithm[headers["x-payload-digest-alg"]]).hexdigest()
    return headers["x-payload-digest"] == digest


def didit(secret: str, headers: Headers, body: bytes) -> bool:
    def number(text: str) -> float | int:
        return int(float(text)) if float(text).is_integer() else float(text)

    said = json.loads(body, parse_float=number)
    plain = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return (headers["x-signature"], headers["x-signature-v2"]) == (sha256(secret, body), sha256(secret, plain))


def standard_webhooks(secret: str, headers: Headers, body: bytes) -> bool:
    message = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    raw = bytes.fromhex(sha256(base64.b64decode(secret.removeprefix("whsec_")), message))
    return f"v1,{base64.b64encode(raw).decode()}" in headers["webhook-signature"].split(" ")


VERIFIERS: dict[str, Callable[[str, Headers, bytes], bool]] = {
    "sumsub": sumsub,
    "persona": lambda s, h, b: any(with_time(each, s, b) for each in h["persona-signature"].split(" ")),
    "onfido": lambda s, h, b: h["x-sha2-signature"] == sha256(s, b),
    "veriff": lambda s, h, b: h["x-hmac-signature"] == sha256(s, b),
    "stripe_identity": lambda s, h, b: with_time(h["stripe-signature"], s, b),
    "didit": didit,
    "jumio": lambda s, h, _: h["authorization"] == f"Bearer {s}",
    "standard_webhooks": standard_webhooks,
}


def check_vectors() -> None:
    vectors = {vector["id"]: vector for vector in json.loads(VECTORS.read_text())["vectors"]}
    standard, stamped = vectors["stdwebhooks_v1"]["input"], "t=1700000000,v1={}"
    # Each with the headers that its signature comes in.
    cases: list[tuple[str, str, Headers]] = [
        ("sumsub", "sumsub_webhook_hmac_sha256_hex", {"x-payload-digest": "{}"}),
        ("sumsub", "sumsub_webhook_hmac_sha512_hex", {"x-payload-digest": "{}"}),
        ("sumsub", "sumsub_webhook_hmac_sha1_hex", {"x-payload-digest": "{}"}),
        ("persona", "persona_signature", {"persona-signature": stamped}),
        ("onfido", "onfido_classic", {"x-sha2-signature": "{}"}),
        ("onfido", "onfido_studio", {"x-sha2-signature": "{}"}),
        ("onfido", "onfido_studio_pretty_object", {"x-sha2-signature": "{}"}),
        ("veriff", "veriff_body_1", {"x-hmac-signature": "{}"}),
        ("stripe_identity", "stripe_signature_header", {"stripe-signature": stamped}),
        ("didit", "didit_v1", {"x-signature": "{}", "x-signature-v2": vectors["didit_v2"]["expected"]}),
        ("standard_webhooks", "stdwebhooks_v1", {
            "webhook-id": standard["webhook_id"], "webhook-timestamp": standard["webhook_timestamp"],
            "webhook-signature": "{}",
        }),
    ]  # fmt: skip
    for vendor, which, templates in cases:
        given, expected = vectors[which]["input"], vectors[which]["expected"]
        headers = {name: template.format(expected) for name, template in templates.items()} | given.get("headers", {})
        secret = next(given[name] for name in ("secret", "token", "shared_secret") if name in given)
        body = given["raw_body"].encode()
        expect(f"vector {which}", VERIFIERS[vendor](secret, headers, body), True)
        expect(f"vector {which}, changed", VERIFIERS[vendor](secret, headers, body.replace(b"e", b"f", 1)), False)
    for which, secret, text in (
        ("sumsub_request_sig", "secret", "string_to_sign"),
        ("veriff_session_id", "shared_secret", "session_id"),
        ("stripe_hmac_json", "secret", "payload"),
    ):
        vector = vectors[which]
        expect(f"vector {which}", sha256(vector["input"][secret], vector["input"][text]), vector["expected"])


class Check:
    """One vendor, asked for all that it knows."""

    def __init__(self, name: str, client: Client, control: str) -> None:
        self.name, self.client, self.control = name, client, control

    def tell(self, path: str, expected: int = 200, /, **order: Any) -> Any:
        body = json.dumps({"vendor": self.name, **order}).encode()
        answer = exchange(self.control, "POST", path, body, {})
        expect(f"{self.name} {path} {order}: {answer.body!r}", answer.status, expected)
        return answer.json()

    def told(self, path: str) -> Any:
        return exchange(self.control, "GET", f"{path}?vendor={self.name}", b"", {}).json()

    def expect(self, what: str, given: object, expected: object) -> None:
        expect(f"{self.name} {what}", given, expected)

    def run(self) -> None:
        if not hasattr(self.client, "needs"):
            self.webhooks("anything", "")
            return
        made = self.client.create("order-1")
        self.expect(f"create: {made.body!r}", made.status in (200, 201), True)
        reference = self.client.reference(made.json())
        self.refusals(reference)
        self.repetitions(reference)
        for what, (given, expected) in self.client.more(reference, "order-1").items():
            self.expect(what, given, expected)
        for ours, theirs in self.client.words.items():
            self.tell("/state", reference=reference, status=ours)
            found = self.client.fetch(reference)
            self.expect(f"{ours}: {found.body!r}", (found.status, self.client.word(found.json())), (200, theirs))
        self.scenarios(reference)
        self.webhooks(reference, "order-1")

    def refusals(self, reference: str) -> None:
        client, refusal = self.client, self.client.refusal
        for answer in (client.create("order-2", proven=False), client.fetch(reference, proven=False)):
            self.expect(f"wrong key: {answer.body!r}", answer.status in (401, 403), True)
        calls = self.told("/calls")
        self.expect("calls", (calls[-1]["verified"], calls[-1]["code"] is None), (False, False))
        cases: list[tuple[str, dict[str, Any]]] = [("lacking", {"lack": client.needs})]
        cases.append(("of another type", {"Content_Type": "text/plain"}))
        for number, (what, options) in enumerate(cases):
            answer = client.create(f"refused-{number}", **options)
            self.expect(f"{what}: {answer.body!r}", answer.status, refusal)
        known, client.level = client.level, "unknown"
        if self.name != "veriff":
            self.expect("unknown level", client.create("order-3").status, refusal)
        client.level = known
        self.expect("unknown path", client.ask("GET", "/v1/sessions/nothing").status, 404)

    def repetitions(self, reference: str) -> None:
        client = self.client
        again = client.create("order-1")
        if client.repeats:
            self.expect("again", client.reference(again.json()), reference)
            with ThreadPoolExecutor(8) as pool:
                made = list(pool.map(lambda _: client.create("at-once"), range(8)))
            self.expect("at once", len({client.reference(each.json()) for each in made}), 1)
            if client.conflict is not None:
                self.expect("key of another", client.create("order-4", key="order-1").status, client.conflict)
        elif client.conflict is not None:
            self.expect("again", (again.status, reference in again.body.decode()), (client.conflict, True))
        else:
            self.expect("again", client.reference(again.json()) == reference, False)

    def scenarios(self, reference: str) -> None:
        path = self.client.path(reference)
        for code, error in self.told("/errors").items():
            self.tell("/scenario", code=code, times=1, path=path)
            self.expect(code, self.client.fetch(reference).status, error["status"])
        for options, status in (
            ({"scenario": "garbage"}, 200), ({"scenario": "empty"}, 200), ({"scenario": "huge", "bytes": 300_000}, 200),
            ({"scenario": "redirect"}, 302), ({"scenario": "status", "status": 503}, 503),
            ({"scenario": "slow", "seconds": 0.01}, 200), ({"scenario": "drip", "seconds": 0.0001}, 200),
            ({"scenario": "permissions", "merge": {"extra": "merged"}}, 200),
        ):  # fmt: skip
            self.tell("/scenario", **options, times=1, path=path)
            answer = self.client.fetch(reference)
            self.expect(f"{options}: {answer.body[:200]!r}", answer.status, status)
        self.expect("merged", answer.json()["extra"], "merged")
        self.tell("/scenario", scenario="close", times=1, path=path)
        try:
            self.client.fetch(reference)
            failures.append(f"{self.name} close: there was an answer")
        except (http.client.HTTPException, OSError):
            pass
        self.tell("/scenario", scenario="skew", seconds=90)
        self.expect("skewed", self.client.fetch(reference).status, 401 if self.name == "sumsub" else 200)
        self.tell("/reset")
        self.expect("afterwards", "extra" in self.client.fetch(reference).json(), False)

    def webhooks(self, reference: str, external_id: str) -> None:
        settings = self.client.settings
        own = (settings["webhook_secrets"] or settings["webhook_tokens"])[0]

        def order(secret: str = own, /, status: str = "approved", **options: Any) -> tuple[Headers, str]:
            """A delivery that is signed with this secret, and with no other."""
            made = self.tell("/webhook", reference=reference, status=status, **options)
            headers = {name.lower(): value for name, value in made["headers"].items()}
            body = base64.b64decode(made["body_base64"])
            verify = VERIFIERS[self.name]
            self.expect(f"webhook {status} {options}", verify(secret, headers, body), True)
            self.expect(f"webhook {status} {options}, another secret", verify(OTHER, headers, body), False)
            return headers, json.dumps(json.loads(body))

        for status in self.client.words:
            _, body = order(status=status, at=AT)
            # The task of a run that goes on does not know whose it is.
            known = [reference] if (self.name, status) == ("onfido", "pending") else [reference, external_id]
            self.expect(f"webhook {status} of", [each for each in known if each not in body], [])
        self.expect("merged", '"extra": 1' in order(merge={"extra": 1})[1], True)
        self.expect("another id", "stranger" in order(external_id="stranger")[1], True)
        order(NEW, secret=NEW)
        self.options(order)
        for options in ({"status": "approved", "colour": "red"}, {"status": "gone"}):
            self.tell("/webhook", 400, reference=reference, **options)

    def options(self, order: Callable[..., tuple[Headers, str]]) -> None:
        name = self.name
        if name in ("sumsub", "persona", "stripe_identity", "didit", "standard_webhooks"):
            self.expect("event id", "event-1" in str(order(event_id="event-1")), True)
        said = {"sumsub": '"sandboxMode": true', "stripe_identity": '"livemode": false', "didit": '"sandbox"'}
        if name in said:
            self.expect("sandbox", (said[name] in order()[1], said[name] in order(sandbox=True)[1]), (False, True))
        if name in ("persona", "stripe_identity", "standard_webhooks"):
            for secret in (NEW, NEWER):
                self.expect("time", str(AT) in str(order(secret, rotation=[NEW, NEWER], at=AT)[0]), True)
        if name == "sumsub":
            for algorithm in ("sha512", "sha1"):
                order(algorithm=algorithm)
        if name == "didit":
            self.expect("test", order(test=True)[0].get("x-didit-test-webhook"), "true")


# Secrets that the stubs do not have: in the form of Standard Webhooks, which is good for all.
NEW, NEWER, OTHER = (f"whsec_{base64.b64encode(letter * 32).decode()}" for letter in (b"n", b"m", b"o"))


def main() -> int:
    check_vectors()
    described = start()
    names = [name for name in described if name in VERIFIERS]
    for name in names:
        client: type[Client] = getattr(clients, name.title().replace("_", ""))
        Check(name, client(described[name]), described["control"]["url"]).run()
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"{len(names)} vendors, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
