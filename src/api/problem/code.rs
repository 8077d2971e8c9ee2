//! The closed table of what goes wrong: a code for programs, its status, its title, and what to do.

use poem::http::StatusCode;
use poem_openapi::Enum;
use poem_openapi::types::ToJSON;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident, $status:ident, $title:literal, $detail:literal;)*) => {
        /// What went wrong, for programs. The list only grows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Enum)]
        #[oai(rename = "ErrorCode", rename_all = "snake_case")]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code there is.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            #[must_use]
            pub fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// A short name of the problem, the same for every occurrence.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What happened and what to do, in a sentence or two.
            #[must_use]
            pub fn detail(self) -> &'static str {
                match self { $(Self::$name => $detail,)* }
            }
        }
    };
}

codes! {
    /// The request can't be understood
    BadRequest, BAD_REQUEST, "Bad request",
        "The request could not be understood.";
    /// The link's token is unknown, malformed or replaced by a newer one
    InvalidVerificationToken, BAD_REQUEST, "Invalid verification token",
        "This link is not valid, or a newer one has replaced it. Use the link in the newest mail, or ask for another.";
    /// The link's token is too old
    VerificationTokenExpired, BAD_REQUEST, "Verification token expired",
        "This link has expired. Ask for another mail.";
    /// The link's token has been used
    VerificationTokenUsed, BAD_REQUEST, "Verification token used",
        "This link has been used already. Sign in.";
    /// The mailed link is unknown, malformed or replaced by a newer one
    InvalidLink, BAD_REQUEST, "Invalid link",
        "This link is not valid, or a newer one has replaced it. Use the link in the newest mail, or ask for another.";
    /// The mailed link is too old
    LinkExpired, BAD_REQUEST, "Link expired",
        "This link has expired. Ask for another mail.";
    /// The mailed link has been used
    LinkUsed, BAD_REQUEST, "Link used",
        "This link has been used already.";
    /// No access token was sent
    Unauthenticated, UNAUTHORIZED, "Not signed in",
        "Send an access token: `Authorization: Bearer …`.";
    /// The access token is not ours, expired, or its session has ended
    InvalidToken, UNAUTHORIZED, "Invalid access token",
        "The access token is not valid any more. Refresh it or sign in again.";
    /// Signed in, but at too low a level or too long ago; `acr_values` and `max_age` say what is missing (RFC 9470)
    InsufficientUserAuthentication, UNAUTHORIZED, "Insufficient user authentication",
        "Prove once more that it is you, then repeat the request.";
    /// The webhook is not signed by a provider that is set up here, or too long ago
    InvalidWebhook, UNAUTHORIZED, "Invalid webhook",
        "This is not a webhook of a provider that is set up here.";
    /// The ticket is unknown, expired or used, or five wrong answers were given with it
    InvalidMfaTicket, UNAUTHORIZED, "Invalid MFA ticket",
        "This sign-in can't be continued. Start again with the password.";
    /// The address or the password is wrong
    InvalidCredentials, UNAUTHORIZED, "Invalid credentials",
        "The e-mail address or the password is wrong.";
    /// The refresh token is not ours, or its session has ended
    InvalidRefreshToken, UNAUTHORIZED, "Invalid refresh token",
        "The refresh token is not valid any more. Sign in again.";
    /// The refresh token was replaced before, so the session was ended as stolen
    RefreshTokenReused, UNAUTHORIZED, "Refresh token reused",
        "This refresh token was used before by somebody else or by an older copy of this client. The session has been ended for safety; sign in again.";
    /// The address must be confirmed first
    EmailNotVerified, FORBIDDEN, "E-mail address not verified",
        "Confirm the e-mail address first, with the link in the mail that was sent to it.";
    /// An operator has disabled the account
    AccountDisabled, FORBIDDEN, "Account disabled",
        "This account is disabled. Ask the operator of this service.";
    /// The current password is wrong
    WrongCurrentPassword, FORBIDDEN, "Wrong current password",
        "The current password is wrong.";
    /// The code is wrong or has been used
    WrongCode, FORBIDDEN, "Wrong code",
        "The code is wrong or has been used. Wait for the next one.";
    /// The passkey's answer does not verify, or it belongs to nobody here
    PasskeyRefused, FORBIDDEN, "Passkey refused",
        "This passkey can't be used here. Try another way to sign in.";
    /// The access key was not made for this; `required_scope` says for what it must be
    InsufficientScope, FORBIDDEN, "Insufficient scope",
        "This access key was not made for this. Use one that has the scope.";
    /// The account may not do this for others; `required_role` says what it must be
    InsufficientRole, FORBIDDEN, "Insufficient role",
        "This account may not do this. An operator can give it the role.";
    /// Reviewers and operators don't decide about themselves
    OwnCase, FORBIDDEN, "Own case",
        "Nobody decides about themselves. Leave it to somebody else.";
    /// The account was recovered recently, so that its secrets stay sealed for a while
    SecretsSealed, FORBIDDEN, "Secrets sealed",
        "The account was recovered recently, so its stored secrets stay sealed for a while. Try again later.";
    /// The owner has not allowed requests like this to be signed
    SigningNotAllowed, FORBIDDEN, "Signing not allowed",
        "Requests like this may not be signed with this credential. Its owner can allow it in `sign_rules`.";
    /// There is nothing here, or it belongs to somebody else
    NotFound, NOT_FOUND, "Not found",
        "There is nothing here, or it is not yours.";
    /// Without this operator there would be none
    LastOperator, CONFLICT, "Last operator",
        "This is the last operator. Make somebody else one first.";
    /// The account has as many of these as it may
    LimitReached, CONFLICT, "Limit reached",
        "There are as many of these as an account may have. Remove one first.";
    /// The owner has another one of this name
    NameTaken, CONFLICT, "Name taken",
        "There is another one of this name. Choose a different name.";
    /// Another request changed the same at this moment, and this one changed nothing
    ChangedMeanwhile, CONFLICT, "Changed meanwhile",
        "Another request has changed this at the same moment, and this one has changed nothing. Read it again before you repeat the change.";
    /// Requests to this service hold the secret itself, so that it can't be used without being revealed
    SigningUnsupported, CONFLICT, "Signing unsupported",
        "Requests to this service hold the secret itself. It can't be used without being revealed.";
    /// The credential is past the end that its owner set
    CredentialExpired, CONFLICT, "Credential expired",
        "This credential has expired. Store a new one, or change its end.";
    /// The verification is decided, expired or cancelled
    VerificationClosed, CONFLICT, "Verification closed",
        "This verification is at its end. Begin another one.";
    /// The `Idempotency-Key` was sent before, with another request
    IdempotencyKeyReused, CONFLICT, "Idempotency key reused",
        "This Idempotency-Key was sent with another request. Use a new key for a new request.";
    /// A request with this `Idempotency-Key` is under way; repeat it in a moment
    RequestInProgress, CONFLICT, "Request in progress",
        "The same request is under way. Repeat it in a moment.";
    /// The account has no second factor yet
    SecondFactorMissing, CONFLICT, "Second factor missing",
        "Add a second factor first.";
    /// The server is set up with an IP address as its `public_url`, to which no passkey can be bound
    PasskeysUnavailable, CONFLICT, "Passkeys unavailable",
        "Passkeys need a server with a domain name: it is set up with an IP address. Try another way to sign in.";
    /// The path is there, the method isn't
    MethodNotAllowed, METHOD_NOT_ALLOWED, "Method not allowed",
        "This path does not take this method; see the Allow header.";
    /// The request took too long to arrive
    RequestTimeout, REQUEST_TIMEOUT, "Request timeout",
        "The request did not arrive in time.";
    /// The body is too long
    PayloadTooLarge, PAYLOAD_TOO_LARGE, "Payload too large",
        "The request body is too long.";
    /// The body is not declared as JSON
    UnsupportedMediaType, UNSUPPORTED_MEDIA_TYPE, "Unsupported media type",
        "Send the request body as application/json.";
    /// The content breaks the schema; answered as `HTTPValidationError`
    ValidationFailed, UNPROCESSABLE_ENTITY, "Validation failed",
        "The request does not match the schema.";
    /// Too many requests; see `Retry-After`
    RateLimited, TOO_MANY_REQUESTS, "Too many requests",
        "Too many requests. Wait as long as Retry-After says.";
    /// A stored credential was altered or moved, and can't be opened
    CredentialUnreadable, INTERNAL_SERVER_ERROR, "Credential unreadable",
        "This credential can't be opened any more. Store it again, and tell the operator.";
    /// A mistake of the server
    InternalError, INTERNAL_SERVER_ERROR, "Internal error",
        "The server made a mistake. It has been logged under this request_id.";
    /// A provider of identity checks refused, or gave an answer that makes no sense
    ProviderFailed, BAD_GATEWAY, "Provider failed",
        "The provider did not do what it was asked. Try again, or another provider; the operator finds the reason in the log.";
    /// A provider of identity checks does not answer; see `Retry-After`
    ProviderUnavailable, SERVICE_UNAVAILABLE, "Provider unavailable",
        "The provider does not answer now. Repeat the request later.";
    /// The server has more work than it can queue; see `Retry-After`
    Overloaded, SERVICE_UNAVAILABLE, "Overloaded",
        "The server is busy. Try again in a moment.";
    /// The database does not answer; see `Retry-After`
    Unavailable, SERVICE_UNAVAILABLE, "Unavailable",
        "The service can't reach its database. Try again in a moment.";
}

impl Code {
    /// The code as it is written.
    #[must_use]
    pub fn name(self) -> String {
        match self.to_json() {
            Some(serde_json::Value::String(name)) => name,
            _ => unreachable!("a code is written as a string"),
        }
    }
}
