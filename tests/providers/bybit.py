"""Bybit v5: time, key, window and parameters are signed; errors mostly with status 200."""

from base import (
    Caller, Credential, Endpoint, Error, Provider, Refused, Reply, Request, integer, mac, pem, random_text, rsa_key,
    same, verifies,
)  # fmt: skip


def verify(credential: Credential, text: bytes, signature: str) -> bool:
    if credential.key is not None:
        return verifies(credential.key, signature, text)
    assert credential.secret is not None
    return same(signature, mac("sha256", credential.secret.encode(), text).hex())


class Bybit(Provider):
    name = "bybit"
    errors = {
        "10001": Error(200, "Request parameter error."),
        "10002": Error(200, "invalid request, please check your server timestamp or recv_window param"),
        "10003": Error(200, "API key is invalid."),
        "10004": Error(200, "error sign! please check your signature generation algorithm."),
        "10005": Error(200, "Permission denied, please check your API key permissions."),
        "10006": Error(200, "Too many visits. Exceeded the API Rate Limit.", headers={
            "X-Bapi-Limit": "50", "X-Bapi-Limit-Status": "0", "X-Bapi-Limit-Reset-Timestamp": "1700000000000",
        }),
        "10007": Error(200, "User authentication failed."),
        "10009": Error(200, "IP has been banned."),
        "10010": Error(200, "Unmatched IP, please check your API key's bound IP addresses."),
        "10024": Error(200, "Compliance rules triggered."),
        "10027": Error(200, "Transactions are banned."),
        "33004": Error(200, "Your api key has expired."),
        "-2015": Error(200, "Your api key has expired."),
        "401": Error(401, "API key is invalid.", 10003),
        "429": Error(429, "Too many visits!", 10006),
        "403": Error(403, "access too frequent", "text"),
    }  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.credentials = {
            "hmac": Credential(random_text(18), random_text(36)),
            "rsa": Credential(random_text(18), pem(rsa_key()), key=rsa_key()),
        }
        self.endpoints = {("GET", "/v5/user/query-api"): Endpoint(self.query_api)}
        self.public = {("GET", "/v5/market/time"): self.time}

    def authenticate(self, request: Request) -> Caller:
        api_key, timestamp = request.header("X-BAPI-API-KEY"), request.header("X-BAPI-TIMESTAMP")
        window, signature = request.header("X-BAPI-RECV-WINDOW"), request.header("X-BAPI-SIGN")
        if not (api_key and timestamp and signature):
            raise Refused("10001", "empty value: apiTimestamp[] apiKey[] apiSignature[]")
        if (credential := self.find(api_key)) is None:
            raise Refused("10003")
        sent, allowed, now = integer(timestamp), integer(window or "5000"), self.clock.milliseconds()
        if sent is None or allowed is None or not now - allowed <= sent < now + 1000:
            raise Refused(
                "10002",
                "invalid request, please check your server timestamp or recv_window param. "
                f"req_timestamp[{timestamp}],server_timestamp[{now}],recv_window[{window}]",
            )
        parameters = request.query.encode("latin-1") if request.method == "GET" else request.body
        text = f"{timestamp}{api_key}{window}".encode() + parameters
        if not verify(credential, text, signature):
            # It repeats what should have been signed, with the key in it.
            raise Refused("10004", f"error sign! origin_string[{text.decode('utf-8', 'replace')}]")
        return Caller(credential)

    def envelope(self, payload: object) -> object:
        return self.answering(0, "", payload)

    def answering(self, code: int, message: str, result: object) -> dict[str, object]:
        now = self.clock.milliseconds()
        return {"retCode": code, "retMsg": message, "result": result, "retExtInfo": {}, "time": now}

    def failure(self, code: str, error: Error) -> Reply:
        if error.code == "text":
            return Reply.text(error.status, error.message, headers=error.headers)
        number = int(code) if error.code is None else error.code
        return Reply.json(error.status, self.answering(number, error.message, {}), error.headers)

    def time(self) -> object:
        now = self.clock.milliseconds()
        return self.answering(0, "OK", {"timeSecond": str(now // 1000), "timeNano": f"{now}000000"})

    def query_api(self, caller: Caller) -> dict[str, object]:
        return {
            "id": "2208369",
            "note": "stub",
            "apiKey": caller.credential.api_key,
            "readOnly": 1,
            "secret": "",
            "permissions": {
                "ContractTrade": ["Order", "Position"],
                "Spot": ["SpotTrade"],
                "Wallet": ["AccountTransfer", "SubMemberTransfer"],
                "Options": [],
                "Derivatives": ["DerivativesTrade"],
                "Exchange": ["ExchangeHistory"],
                "Earn": ["Earn"],
            },
            "ips": ["18.181.170.164"],
            "type": 1,
            "deadlineDay": -2,
            "expiredAt": "1970-01-01T00:00:00Z",
            "createdAt": "2025-10-13T03:20:45Z",
            "uta": 1,
            "userID": 1448939,
            "isMaster": True,
            "parentUid": "0",
            "kycLevel": "LEVEL_1",
            "kycRegion": "MYS",
            "rsaPublicKey": "",
        }
