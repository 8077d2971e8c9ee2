"""OpenAI: a bearer token; the code in the body tells a wrong key from a wrong address."""

from base import Credential, Endpoint, Error, Reply, random_text
from generic_bearer import Bearer


class OpenAi(Bearer):
    name = "openai"
    unknown = "invalid_api_key"
    errors = {
        "invalid_api_key": Error(401, "Incorrect API key provided: sk-proj-****************rong."),
        "ip_not_authorized": Error(401, "Your IP address is not authorized: IP not authorized."),
        "missing_scope": Error(403, "You have insufficient permissions: Missing scopes: model.read."),
        "unsupported_country_region_territory": Error(403, "Country, region, or territory not supported"),
        "rate_limit_exceeded": Error(429, "Rate limit reached for requests", headers={"Retry-After": "20"}),
        "insufficient_quota": Error(429, "You exceeded your current quota, please check your plan."),
        "server_error": Error(500, "The server had an error while processing your request"),
    }

    def __init__(self) -> None:
        super().__init__()
        self.credentials = {"bearer": Credential("sk-proj-" + random_text(48))}
        model = {"id": "gpt-4o-mini", "object": "model", "created": 1721172741, "owned_by": "system"}
        headers = {"openai-organization": "org-stub", "openai-version": "2020-10-01"}
        self.endpoints = {
            ("GET", "/v1/models"): Endpoint(lambda _: {"object": "list", "data": [model]}, lambda _: dict(headers))
        }

    def failure(self, code: str, error: Error) -> Reply:
        body = {"message": error.message, "type": "invalid_request_error", "param": None, "code": code}
        return Reply.json(error.status, {"error": body}, error.headers)
