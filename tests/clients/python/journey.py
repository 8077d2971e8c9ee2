"""A person's way through the server with the generated client."""

import base64
import json
import sys
import time
import urllib.parse
import urllib.request
import uuid

from latchkey_client import AuthenticatedClient, Client
from latchkey_client.api.api_keys import api_key_create, api_key_decrypt, api_key_test
from latchkey_client.api.auth import account_create, email_verify, profile_get, session_create, session_end, session_refresh
from latchkey_client.api.kyc import verification_create, verification_get
from latchkey_client.api.mfa import mfa_verify, totp_confirm, totp_create
from latchkey_client.models import (
    ApiKeyEnvelope,
    AuthResponse,
    AuthSession,
    CodeMethod,
    ErrorCode,
    HTTPValidationError,
    KycStatus,
    LoginRequest,
    LogoutRequest,
    MfaVerification,
    Named,
    NewApiKey,
    NewApiKeySettingsType0,
    NewVerification,
    Problem,
    RefreshRequest,
    RevealedEnvelope,
    SignupRequest,
    TestEnvelope,
    TestOutcome,
    TotpConfirmation,
    TotpConfirmed,
    TotpEnrolment,
    VerificationSession,
    VerifyEmailRequest,
    VerifyEmailResponse,
)

_, server, person = sys.argv
anybody = Client(server)

EMAIL, PASSWORD = "python@journey.example", "an unhurried walk to the harbour"


def ask(what: str, **about: str) -> str:
    """What the person does outside the application: see person.py."""
    with urllib.request.urlopen(f"{person}/{what}?{urllib.parse.urlencode(about)}") as answer:
        return answer.read().decode()


def signed_in(session: AuthSession | None) -> AuthenticatedClient:
    assert session
    return AuthenticatedClient(server, session.access_token)


short = account_create.sync(client=anybody, body=SignupRequest(EMAIL, "short"))
assert isinstance(short, HTTPValidationError) and short.detail[0].loc == ["body", "password"], short
account = account_create.sync(client=anybody, body=SignupRequest(EMAIL, PASSWORD))
assert isinstance(account, AuthResponse), account
assert account.next_step == "verify_email" and account.session is None
verified = email_verify.sync(client=anybody, body=VerifyEmailRequest(ask("mail", to=EMAIL)))
assert isinstance(verified, VerifyEmailResponse), verified
print("signed up and confirmed")

wrong = session_create.sync(client=anybody, body=LoginRequest(EMAIL, f"not {PASSWORD}"))
assert isinstance(wrong, Problem), wrong
assert (wrong.status, wrong.error) == (401, ErrorCode.INVALID_CREDENTIALS)

first = session_create.sync(client=anybody, body=LoginRequest(EMAIL, PASSWORD))
assert isinstance(first, AuthResponse), first
client = signed_in(first.session)
app = totp_create.sync(client=client, body=Named("Phone"))
assert isinstance(app, TotpEnrolment), app
confirmed = totp_confirm.sync(uuid.UUID(app.id), client=client, body=TotpConfirmation(ask("code", secret=app.secret)))
assert isinstance(confirmed, TotpConfirmed), confirmed
assert confirmed.recovery_codes and len(confirmed.recovery_codes) == 10
session_end.sync(client=anybody, body=LogoutRequest(confirmed.session.access_token))
print("added an authenticator app")

login = session_create.sync(client=anybody, body=LoginRequest(EMAIL, PASSWORD))
assert isinstance(login, AuthResponse), login
assert login.next_step == "mfa" and login.mfa
second = mfa_verify.sync(
    client=anybody, body=MfaVerification(login.mfa.ticket, CodeMethod.TOTP, ask("code", secret=app.secret))
)
assert isinstance(second, AuthResponse) and second.session, second
client = signed_in(second.session)
print("signed in with two factors")

settings = NewApiKeySettingsType0.from_dict({"base_url": person, "test_path": "/status"})
new = NewApiKey("Demo", "a-key-of-the-journey", provider="generic_bearer", settings=settings)
stored = api_key_create.sync(client=client, body=new)
assert isinstance(stored, ApiKeyEnvelope), stored
key = uuid.UUID(stored.data.id)
tested = api_key_test.sync(key, client=client)
assert isinstance(tested, TestEnvelope) and tested.data.outcome == TestOutcome.OK, tested
revealed = api_key_decrypt.sync(key, client=client)
assert isinstance(revealed, RevealedEnvelope) and revealed.data.api_key == new.api_key, revealed
print("stored, tested and revealed a credential")

check = verification_create.sync(client=client, body=NewVerification("full"), idempotency_key=str(uuid.uuid4()))
assert isinstance(check, VerificationSession) and check.url, check
ask("approve", page=check.url)
for _ in range(100):
    found = verification_get.sync(uuid.UUID(check.verification.id), client=client)
    assert isinstance(found, VerificationSession), found
    if found.verification.status == KycStatus.APPROVED:
        break
    time.sleep(0.2)
else:
    raise AssertionError("not approved in 20 seconds")
third = session_refresh.sync(client=anybody, body=RefreshRequest(second.session.refresh_token))
assert isinstance(third, AuthResponse) and third.session, third
payload = third.session.access_token.split(".")[1]
assert json.loads(base64.urlsafe_b64decode(payload + "=="))["ial"] == 1
print("identified")

session_end.sync(client=anybody, body=LogoutRequest(third.session.access_token))
refused = profile_get.sync(client=signed_in(third.session))
assert isinstance(refused, Problem), refused
assert (refused.status, refused.error) == (401, ErrorCode.INVALID_TOKEN)
print("signed out")
