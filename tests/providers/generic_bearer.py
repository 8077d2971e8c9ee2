"""Any service that takes a token in a header; also what the named ones of that kind are built on."""

from base import Caller, Credential, Endpoint, Error, Provider, Refused, Reply, Request, random_text


class Bearer(Provider):
    """Tokens in `Authorization: Bearer`. The token is the key: there is no secret beside it."""

    unknown = "401"

    def token(self, request: Request) -> str:
        scheme, _, token = request.header("Authorization").partition(" ")
        return token if scheme == "Bearer" else ""

    def authenticate(self, request: Request) -> Caller:
        credential = self.find(self.token(request))
        if credential is None:
            raise Refused(self.unknown)
        return Caller(credential)


class GenericBearer(Bearer):
    name = "generic_bearer"
    errors = {
        "401": Error(401, "unauthorized"),
        "403": Error(403, "forbidden"),
        "404": Error(404, "not found"),
        "429": Error(429, "too many requests", headers={"Retry-After": "30"}),
        "500": Error(500, "internal error"),
        "503": Error(503, "unavailable"),
    }

    def __init__(self) -> None:
        super().__init__()
        in_header = {"test_path": "/status", "header_name": "X-Api-Key", "prefix": ""}
        self.credentials = {
            "bearer": Credential(random_text(40), settings={"test_path": "/status"}),
            "header": Credential(random_text(40), settings=in_header),
        }
        scopes = lambda _: {"X-OAuth-Scopes": "read, write"}  # noqa: E731
        self.endpoints = {("GET", "/status"): Endpoint(lambda _: {"status": "ok"}, scopes)}

    def authenticate(self, request: Request) -> Caller:
        name = "X-Api-Key" if request.header("X-Api-Key") else "Authorization"
        credential = self.find(request.header(name) if name == "X-Api-Key" else self.token(request))
        # Each token in its own header.
        if credential is None or credential.settings.get("header_name", "Authorization") != name:
            raise Refused("401")
        return Caller(credential)

    def failure(self, code: str, error: Error) -> Reply:
        return Reply.json(error.status, {"error": error.message}, error.headers)
