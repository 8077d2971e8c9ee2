"""Coinbase Advanced Trade: a JWT for every request."""

import uuid

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from base import Caller, Credential, Endpoint, Error, PrivateKey, Provider, Refused, Reply, Request, b64, pem

LIFE = 120
# Times in the JWT are whole seconds.
LEEWAY = 2


def raw(key: ed25519.Ed25519PrivateKey, with_public: bool) -> str:
    """The seed in base64, alone or with the public key behind it."""
    seed = key.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return b64(seed + public if with_public else seed)


def verify(key: PrivateKey, token: str) -> tuple[dict[str, object], dict[str, object]] | None:
    """Header and claims, when the signature holds. The key decides the algorithm, not the token."""
    algorithm = "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "EdDSA"
    unchecked = {f"verify_{name}": False for name in ("exp", "nbf", "iat", "aud", "iss", "sub")}
    try:
        decoded = jwt.decode_complete(token, key.public_key(), algorithms=[algorithm], options=unchecked)
    except jwt.InvalidTokenError:
        return None
    return decoded["header"], decoded["payload"]


class Coinbase(Provider):
    name = "coinbase"
    errors = {
        "401": Error(401, "Unauthorized"),
        "403": Error(403, "Missing required scopes", "PERMISSION_DENIED"),
        "429": Error(429, "Too many requests", "RESOURCE_EXHAUSTED"),
        "500": Error(500, "Internal server error", "INTERNAL"),
    }

    def __init__(self) -> None:
        super().__init__()
        curve, pkcs8 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        pair, seed, in_pem = (ed25519.Ed25519PrivateKey.generate() for _ in range(3))
        sec1 = pem(curve, serialization.PrivateFormat.TraditionalOpenSSL)
        organization = f"organizations/{uuid.uuid4()}/apiKeys"
        self.credentials = {
            "es256": Credential(f"{organization}/{uuid.uuid4()}", sec1, key=curve),
            "es256_pkcs8": Credential(f"{organization}/{uuid.uuid4()}", pem(pkcs8), key=pkcs8),
            "eddsa": Credential(f"{organization}/{uuid.uuid4()}", raw(pair, True), key=pair),
            "eddsa_seed": Credential(str(uuid.uuid4()), raw(seed, False), key=seed),
            "eddsa_pem": Credential(str(uuid.uuid4()), pem(in_pem), key=in_pem),
        }
        self.endpoints = {("GET", "/api/v3/brokerage/key_permissions"): Endpoint(self.permissions)}
        self.public = {("GET", "/api/v3/brokerage/time"): self.time}

    def authenticate(self, request: Request) -> Caller:
        scheme, _, token = request.header("Authorization").partition(" ")
        if scheme != "Bearer" or not token:
            raise Refused("401")
        try:
            kid = jwt.get_unverified_header(token).get("kid", "")
        except jwt.InvalidTokenError:
            raise Refused("401") from None
        credential = self.find(kid)
        if credential is None or credential.key is None or (verified := verify(credential.key, token)) is None:
            raise Refused("401")
        header, claims = verified
        begins, ends, nonce = claims.get("nbf"), claims.get("exp"), header.get("nonce")
        now = self.clock.seconds()
        # The name of the host is signed too. A stub has another one than the provider, and takes both.
        uris = {f"{request.method} {host}{request.path}" for host in ("api.coinbase.com", request.header("Host"))}
        sound = (
            header.get("typ") == "JWT"
            and isinstance(nonce, str)
            and len(nonce) >= 16
            and claims.get("sub") == kid
            and claims.get("iss") == "cdp"
            and claims.get("uri") in uris
            and isinstance(begins, int)
            and isinstance(ends, int)
            and begins <= now + LEEWAY
            and now < ends <= begins + LIFE
        )
        if not sound:
            raise Refused("401")
        return Caller(credential, nonce)

    def failure(self, code: str, error: Error) -> Reply:
        if error.code is None:
            return Reply.text(error.status, f"{error.message}\n", headers=error.headers)
        body = {"error": error.code, "message": error.message, "error_details": error.message}
        return Reply.json(error.status, body, error.headers)

    def time(self) -> dict[str, str]:
        milliseconds = self.clock.milliseconds()
        return {
            "iso": "2023-11-14T22:13:20Z",
            "epochSeconds": str(milliseconds // 1000),
            "epochMillis": str(milliseconds),
        }

    def permissions(self, _: Caller) -> dict[str, object]:
        return {
            "can_view": True,
            "can_trade": False,
            "can_transfer": False,
            "portfolio_uuid": "6f4a1e6c-5f1b-4b57-9f0a-0a4b7f3d2c11",
            "portfolio_type": "DEFAULT",
        }
