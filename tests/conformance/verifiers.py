"""Other services: they have a JWT library and the address of the key set, and know nothing else of the server."""

import json
import re
import subprocess
import time
import urllib.request
from pathlib import Path

import jwt

from server import Server

# Long enough for the key that was published to sign.
ROTATION_SECONDS = 30
CLAIMS = ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "sid", "aal", "amr", "auth_time", "scope"]


class Unexpected(Exception):
    """A library refused what is good, or took what is not."""


def key_set(server: Server) -> tuple[str, int, dict[str, str]]:
    """Its address, the seconds for which it may be kept, and the algorithm of each key."""
    address = f"{server.url}/.well-known/jwks.json"
    with urllib.request.urlopen(address, timeout=10) as answer:
        age = int(re.fullmatch(r"public, max-age=(\d+)", answer.headers["Cache-Control"])[1])
        return address, age, {key["kid"]: key["alg"] for key in json.load(answer)["keys"]}


class PyJwt:
    """PyJWT, on the cryptography of OpenSSL."""

    name = "PyJWT"

    def __init__(self, server: Server) -> None:
        address, age, _ = key_set(server)
        self.keys = jwt.PyJWKClient(address, lifespan=age)

    def verify(self, token: str, algorithm: str, issuer: str, audience: str) -> dict | None:
        """The claims, or None for a token that is refused."""
        try:
            key = self.keys.get_signing_key_from_jwt(token)
            found = jwt.decode_complete(
                token, key, algorithms=[algorithm], issuer=issuer, audience=audience, options={"require": CLAIMS}
            )
        except (jwt.InvalidTokenError, jwt.PyJWKClientError):
            return None
        # The library leaves the type to its caller (RFC 9068, 4).
        return found["payload"] if found["header"]["typ"] == "at+jwt" else None


class Jose:
    """jose, on the cryptography of Node, in a process that lives through the rotation."""

    name = "jose"

    def __init__(self, server: Server, node: Path, script: Path) -> None:
        address, age, _ = key_set(server)
        self.command = [node, script, address, str(age), json.dumps(CLAIMS)]

    def __enter__(self) -> "Jose":
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.wait(30)

    def verify(self, token: str, algorithm: str, issuer: str, audience: str) -> dict | None:
        """The claims, or None for a token that is refused."""
        question = {"token": token, "algorithm": algorithm, "issuer": issuer, "audience": audience}
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def along_a_rotation(server: Server, libraries: list, before: str, after: str) -> None:
    """Has tokens verified under the first key, while the next one is waiting, and under that one."""
    session = server.sign_up("verified").verify().log_in()
    old = session["access_token"]
    for library in libraries:
        accepts(library, server, old, before)
        refuses_what_is_not_so(library, server, old, before)

    server.run("keys", "rotate", "--algorithm", after)
    deadline = time.monotonic() + ROTATION_SECONDS
    published = None
    token = old
    while jwt.get_unverified_header(token)["alg"] != after:
        if time.monotonic() > deadline:
            raise Unexpected(f"the next key does not sign after {ROTATION_SECONDS} s")
        if not published and after in key_set(server)[2].values():
            published = time.monotonic()
        for library in libraries:
            accepts(library, server, token, before)
        time.sleep(0.2)
        session = server.call("POST", "/auth/refresh", {"refresh_token": session["refresh_token"]})["session"]
        token = session["access_token"]

    if not published or time.monotonic() - published < key_set(server)[1]:
        raise Unexpected("the next key signs before everybody can know it")
    for library in libraries:
        accepts(library, server, token, after)
        refuses_what_is_not_so(library, server, token, after)
        accepts(library, server, old, before)
    if sorted(key_set(server)[2].values()) != sorted([before, after]):
        raise Unexpected("the old key has gone too early")


def accepts(library: PyJwt | Jose, server: Server, token: str, algorithm: str) -> None:
    claims = library.verify(token, algorithm, server.url, server.url)
    if not claims or claims["amr"] != ["pwd"] or claims["exp"] - claims["iat"] != 900:
        raise Unexpected(f"{library.name} does not accept {token}: {claims}")


def refuses_what_is_not_so(library: PyJwt | Jose, server: Server, token: str, algorithm: str) -> None:
    other = {"EdDSA": "ES256", "ES256": "EdDSA"}[algorithm]
    questions = {
        "another algorithm": (token, other, server.url, server.url),
        "another issuer": (token, algorithm, "https://id.example.com", server.url),
        "another audience": (token, algorithm, server.url, "https://api.example.com"),
    }
    header, claims, signature = token.split(".")
    for place, parts in {
        "header": (altered(header), claims, signature),
        "claims": (header, altered(claims), signature),
        "signature": (header, claims, altered(signature)),
    }.items():
        questions[f"{place} altered"] = (".".join(parts), algorithm, server.url, server.url)
    for what, question in questions.items():
        if library.verify(*question) is not None:
            raise Unexpected(f"{library.name} accepts {what}: {question[0]}")
    print(f"{library.name} accepts a token under {algorithm}, and refuses {', '.join(questions)}")


def altered(part: str) -> str:
    at = len(part) // 2
    return part[:at] + ("B" if part[at] == "A" else "A") + part[at + 1 :]
