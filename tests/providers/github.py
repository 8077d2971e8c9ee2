"""GitHub: a bearer token; what it may do, and until when, is in headers of the answer."""

from base import Caller, Credential, Endpoint, Error, Refused, Reply, Request, random_text
from generic_bearer import Bearer


class GitHub(Bearer):
    name = "github"
    errors = {
        "401": Error(401, "Bad credentials"),
        "403": Error(403, "Resource not accessible by personal access token"),
        "no_user_agent": Error(
            403, "Request forbidden by administrative rules. Please make sure it has a User-Agent header", "text"
        ),
        "rate_limit": Error(403, "API rate limit exceeded for user ID 1.", headers={
            "x-ratelimit-limit": "5000", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1700000000",
        }),
        "secondary_rate_limit": Error(
            403, "You have exceeded a secondary rate limit.", headers={"Retry-After": "60"}
        ),
        "429": Error(429, "API rate limit exceeded", headers={"Retry-After": "60", "x-ratelimit-remaining": "0"}),
        "500": Error(500, "Server Error"),
    }  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.credentials = {
            "classic": Credential("ghp_" + random_text(36)),
            "fine_grained": Credential("github_pat_" + random_text(82)),
        }
        self.endpoints = {("GET", "/user"): Endpoint(self.user, self.headers)}

    def authenticate(self, request: Request) -> Caller:
        if not request.header("User-Agent"):
            raise Refused("no_user_agent")
        return super().authenticate(request)

    def failure(self, code: str, error: Error) -> Reply:
        if error.code == "text":
            return Reply.text(error.status, error.message, headers=error.headers)
        more = {"documentation_url": "https://docs.github.com/rest", "status": str(error.status)}
        return Reply.json(error.status, {"message": error.message} | more, error.headers)

    def user(self, _: Caller) -> dict[str, object]:
        return {"login": "octocat", "id": 583231, "type": "User", "name": "The Octocat", "email": None}

    def headers(self, caller: Caller) -> dict[str, str]:
        headers = {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "4999"}
        if caller.credential.api_key.startswith("ghp_"):
            return headers | {"X-OAuth-Scopes": "read:user, repo"}
        return headers | {"github-authentication-token-expiration": "2030-01-01 00:00:00 UTC"}
