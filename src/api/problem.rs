//! What goes wrong, on the wire: problem documents (RFC 9457) with a stable code out of one closed table.

use poem::error::ResponseError;
use poem::http::StatusCode;
use poem_openapi::registry::{MetaHeader, MetaMediaType, MetaResponse, MetaSchema, MetaSchemaRef};
use poem_openapi::types::{Example, Type};
use poem_openapi::{Enum, Object};

use super::payload::{HttpValidationError, Location, Rejection, Violation};
use crate::crypto::password::Refusal;
use crate::services;
use crate::services::vault::Mistake;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident, $status:ident, $title:literal;)*) => {
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
        }
    };
}

codes! {
    /// The request can't be understood
    BadRequest, BAD_REQUEST, "Bad request";
    /// The link's token is unknown, malformed or replaced by a newer one
    InvalidVerificationToken, BAD_REQUEST, "Invalid verification token";
    /// The link's token is too old
    VerificationTokenExpired, BAD_REQUEST, "Verification token expired";
    /// The link's token has been used
    VerificationTokenUsed, BAD_REQUEST, "Verification token used";
    /// The mailed link is unknown, malformed or replaced by a newer one
    InvalidLink, BAD_REQUEST, "Invalid link";
    /// The mailed link is too old
    LinkExpired, BAD_REQUEST, "Link expired";
    /// The mailed link has been used
    LinkUsed, BAD_REQUEST, "Link used";
    /// No access token was sent
    Unauthenticated, UNAUTHORIZED, "Not signed in";
    /// The access token is not ours, expired, or its session has ended
    InvalidToken, UNAUTHORIZED, "Invalid access token";
    /// Signed in, but at too low a level or too long ago; `acr_values` and `max_age` say what is missing (RFC 9470)
    InsufficientUserAuthentication, UNAUTHORIZED, "Insufficient user authentication";
    /// The webhook is not signed by a provider that is set up here, or too long ago
    InvalidWebhook, UNAUTHORIZED, "Invalid webhook";
    /// The ticket is unknown, expired or used, or five wrong answers were given with it
    InvalidMfaTicket, UNAUTHORIZED, "Invalid MFA ticket";
    /// The address or the password is wrong
    InvalidCredentials, UNAUTHORIZED, "Invalid credentials";
    /// The refresh token is not ours, or its session has ended
    InvalidRefreshToken, UNAUTHORIZED, "Invalid refresh token";
    /// The refresh token was replaced before, so the session was ended as stolen
    RefreshTokenReused, UNAUTHORIZED, "Refresh token reused";
    /// The address must be confirmed first
    EmailNotVerified, FORBIDDEN, "E-mail address not verified";
    /// An operator has disabled the account
    AccountDisabled, FORBIDDEN, "Account disabled";
    /// The current password is wrong
    WrongCurrentPassword, FORBIDDEN, "Wrong current password";
    /// The code is wrong or has been used
    WrongCode, FORBIDDEN, "Wrong code";
    /// The passkey's answer does not verify, or it belongs to nobody here
    PasskeyRefused, FORBIDDEN, "Passkey refused";
    /// The access key was not made for this; `required_scope` says for what it must be
    InsufficientScope, FORBIDDEN, "Insufficient scope";
    /// The account may not do this for others; `required_role` says what it must be
    InsufficientRole, FORBIDDEN, "Insufficient role";
    /// Reviewers and operators don't decide about themselves
    OwnCase, FORBIDDEN, "Own case";
    /// The account was recovered recently, so that its secrets stay sealed for a while
    SecretsSealed, FORBIDDEN, "Secrets sealed";
    /// The owner has not allowed requests like this to be signed
    SigningNotAllowed, FORBIDDEN, "Signing not allowed";
    /// There is nothing here, or it belongs to somebody else
    NotFound, NOT_FOUND, "Not found";
    /// Without this operator there would be none
    LastOperator, CONFLICT, "Last operator";
    /// The account has as many of these as it may
    LimitReached, CONFLICT, "Limit reached";
    /// The owner has another one of this name
    NameTaken, CONFLICT, "Name taken";
    /// Requests to this service hold the secret itself, so that it can't be used without being revealed
    SigningUnsupported, CONFLICT, "Signing unsupported";
    /// The credential is past the end that its owner set
    CredentialExpired, CONFLICT, "Credential expired";
    /// The verification is decided, expired or cancelled
    VerificationClosed, CONFLICT, "Verification closed";
    /// The `Idempotency-Key` was sent before, with another request
    IdempotencyKeyReused, CONFLICT, "Idempotency key reused";
    /// A request with this `Idempotency-Key` is under way; repeat it in a moment
    RequestInProgress, CONFLICT, "Request in progress";
    /// The account has no second factor yet
    SecondFactorMissing, CONFLICT, "Second factor missing";
    /// The server is set up with an IP address as its `public_url`, to which no passkey can be bound
    PasskeysUnavailable, CONFLICT, "Passkeys unavailable";
    /// The path is there, the method isn't
    MethodNotAllowed, METHOD_NOT_ALLOWED, "Method not allowed";
    /// The request took too long to arrive
    RequestTimeout, REQUEST_TIMEOUT, "Request timeout";
    /// The body is too long
    PayloadTooLarge, PAYLOAD_TOO_LARGE, "Payload too large";
    /// The body is not declared as JSON
    UnsupportedMediaType, UNSUPPORTED_MEDIA_TYPE, "Unsupported media type";
    /// The content breaks the schema; answered as `HTTPValidationError`
    ValidationFailed, UNPROCESSABLE_ENTITY, "Validation failed";
    /// Too many requests; see `Retry-After`
    RateLimited, TOO_MANY_REQUESTS, "Too many requests";
    /// A stored credential was altered or moved, and can't be opened
    CredentialUnreadable, INTERNAL_SERVER_ERROR, "Credential unreadable";
    /// A mistake of the server
    InternalError, INTERNAL_SERVER_ERROR, "Internal error";
    /// A provider of identity checks refused, or gave an answer that makes no sense
    ProviderFailed, BAD_GATEWAY, "Provider failed";
    /// A provider of identity checks does not answer; see `Retry-After`
    ProviderUnavailable, SERVICE_UNAVAILABLE, "Provider unavailable";
    /// The server has more work than it can queue; see `Retry-After`
    Overloaded, SERVICE_UNAVAILABLE, "Overloaded";
    /// The database does not answer; see `Retry-After`
    Unavailable, SERVICE_UNAVAILABLE, "Unavailable";
}

/// Something went wrong (RFC 9457)
#[derive(Debug, Object)]
#[oai(example)]
pub struct Problem {
    /// A URI that identifies the kind of problem: `urn:latchkey:error:` and the code
    #[oai(rename = "type")]
    pub kind: String,
    /// A short name of the kind of problem
    pub title: String,
    /// The HTTP status
    pub status: u16,
    /// What happened and what to do, for a person
    pub detail: String,
    /// What happened, for a program
    pub error: Code,
    /// Always false
    pub success: bool,
    /// Names this request in the server's logs
    pub request_id: String,
    /// Where to ask for another verification mail, when that helps
    #[oai(skip_serializing_if_is_none)]
    pub resend_url: Option<String>,
    /// What is missing of the level: `aal2`, `ial1`, or both as `aal2+ial1`; as in `WWW-Authenticate`
    #[oai(skip_serializing_if_is_none)]
    pub acr_values: Option<String>,
    /// Seconds that the sign-in may be old, when it is older; as in `WWW-Authenticate`
    #[oai(skip_serializing_if_is_none)]
    pub max_age: Option<u64>,
    /// The scope that an access key must have, when it lacks it
    #[oai(skip_serializing_if_is_none)]
    pub required_scope: Option<String>,
    /// What the account must be, when it is not: `reviewer` or `operator`
    #[oai(skip_serializing_if_is_none)]
    pub required_role: Option<String>,
    /// Where a person has their identity verified, when that helps
    #[oai(skip_serializing_if_is_none)]
    pub verification_url: Option<String>,
    /// Where a signed-in person proves more, when that helps
    #[oai(skip_serializing_if_is_none)]
    pub step_up_url: Option<String>,
}

impl Example for Problem {
    fn example() -> Self {
        Code::InvalidCredentials.problem("01938f6e-2b7a-7c3d-9f10-5a4be1c2d3e4")
    }
}

/// Path of the operation that sends another verification mail.
pub const RESEND_URL: &str = "/auth/resend-verification";
/// Path of the operation by which a signed-in person proves more.
const STEP_UP_URL: &str = "/auth/step-up";
/// Path of the operation that begins an identity check.
const VERIFICATION_URL: &str = "/api/kyc/verifications";

/// Why a request is not answered as asked.
#[derive(Debug)]
pub enum Fault {
    Service(services::Error),
    /// The new password, in the member of this name, is not acceptable.
    PasswordRefused(&'static str, Refusal),
    MissingToken,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code().title())
    }
}

impl std::error::Error for Fault {}

impl ResponseError for Fault {
    fn status(&self) -> StatusCode {
        self.code().status()
    }
}

impl From<services::Error> for Fault {
    fn from(error: services::Error) -> Self {
        Self::Service(error)
    }
}

impl Fault {
    /// A refused password is a mistake in a member of the body.
    pub fn in_member(member: &'static str) -> impl Fn(services::Error) -> Self {
        move |error| match error {
            services::Error::PasswordRefused(refusal) => Self::PasswordRefused(member, refusal),
            other => Self::Service(other),
        }
    }

    #[must_use]
    pub fn code(&self) -> Code {
        use services::Error;
        match self {
            Self::MissingToken => Code::Unauthenticated,
            Self::PasswordRefused(..) => Code::ValidationFailed,
            Self::Service(error) => match error {
                Error::InvalidCredentials => Code::InvalidCredentials,
                Error::EmailNotVerified => Code::EmailNotVerified,
                Error::AccountDisabled => Code::AccountDisabled,
                Error::InvalidAccessToken => Code::InvalidToken,
                Error::InsufficientAuthentication(_) => Code::InsufficientUserAuthentication,
                Error::InsufficientRole(_) => Code::InsufficientRole,
                Error::InvalidTicket => Code::InvalidMfaTicket,
                Error::WrongCode => Code::WrongCode,
                Error::PasskeyRefused => Code::PasskeyRefused,
                Error::PasskeysUnavailable => Code::PasskeysUnavailable,
                Error::NotFound => Code::NotFound,
                Error::NoSecondFactor => Code::SecondFactorMissing,
                Error::LimitReached => Code::LimitReached,
                Error::InvalidFields(_) => Code::ValidationFailed,
                Error::NameTaken => Code::NameTaken,
                Error::InvalidWebhook => Code::InvalidWebhook,
                Error::OwnCase => Code::OwnCase,
                Error::LastOperator => Code::LastOperator,
                Error::VerificationClosed => Code::VerificationClosed,
                Error::IdempotencyKeyReused => Code::IdempotencyKeyReused,
                Error::InProgress => Code::RequestInProgress,
                Error::ProviderFailed => Code::ProviderFailed,
                Error::ProviderUnavailable(_) => Code::ProviderUnavailable,
                Error::InsufficientScope(_) => Code::InsufficientScope,
                Error::SecretsSealed => Code::SecretsSealed,
                Error::SigningUnsupported => Code::SigningUnsupported,
                Error::SigningNotAllowed => Code::SigningNotAllowed,
                Error::CredentialExpired => Code::CredentialExpired,
                Error::CredentialUnreadable => Code::CredentialUnreadable,
                Error::InvalidLink => Code::InvalidLink,
                Error::ExpiredLink => Code::LinkExpired,
                Error::UsedLink => Code::LinkUsed,
                Error::InvalidRefreshToken => Code::InvalidRefreshToken,
                Error::RefreshTokenReused => Code::RefreshTokenReused,
                Error::InvalidVerificationToken => Code::InvalidVerificationToken,
                Error::ExpiredVerificationToken => Code::VerificationTokenExpired,
                Error::UsedVerificationToken => Code::VerificationTokenUsed,
                Error::PasswordRefused(_) => Code::ValidationFailed,
                Error::WrongCurrentPassword => Code::WrongCurrentPassword,
                Error::RateLimited(_) => Code::RateLimited,
                Error::Overloaded => Code::Overloaded,
                Error::Unavailable(_) => Code::Unavailable,
                Error::Internal(_) => Code::InternalError,
            },
        }
    }

    /// The whole problem document.
    #[must_use]
    pub fn problem(&self, request_id: &str) -> Problem {
        let problem = self.code().problem(request_id);
        if let Self::Service(services::Error::InsufficientScope(scope)) = self {
            return Problem { required_scope: Some(<&str>::from(scope).to_owned()), ..problem };
        }
        if let Self::Service(services::Error::InsufficientRole(role)) = self {
            return Problem { required_role: Some(role.name().to_owned()), ..problem };
        }
        let Self::Service(services::Error::InsufficientAuthentication(missing)) = self else {
            return problem;
        };
        Problem {
            detail: missing.to_string(),
            acr_values: missing.acr_values(),
            max_age: missing.max_age,
            step_up_url: missing.can_step_up().then(|| STEP_UP_URL.to_owned()),
            verification_url: missing.can_verify().then(|| VERIFICATION_URL.to_owned()),
            ..problem
        }
    }

    /// What a 401 says in `WWW-Authenticate` (RFC 6750, 3.1; RFC 9470, 3).
    #[must_use]
    pub fn challenge(&self) -> Option<String> {
        let Self::Service(services::Error::InsufficientAuthentication(missing)) = self else { return None };
        let mut challenge =
            format!("Bearer error=\"insufficient_user_authentication\", error_description=\"{missing}\"");
        if let Some(values) = missing.acr_values() {
            challenge += &format!(", acr_values=\"{values}\"");
        }
        if let Some(seconds) = missing.max_age {
            challenge += &format!(", max_age=\"{seconds}\"");
        }
        Some(challenge)
    }

    /// Seconds after which it may go better.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Service(services::Error::RateLimited(wait)) => Some(whole_seconds(*wait)),
            Self::Service(services::Error::Overloaded) => Some(1),
            Self::Service(services::Error::ProviderUnavailable(wait)) => Some(whole_seconds(*wait)),
            Self::Service(services::Error::Unavailable(_)) => Some(2),
            _ => None,
        }
    }

    /// The mistake as a violation of the schema, where it is one.
    #[must_use]
    pub fn rejection(&self) -> Option<Rejection> {
        let name = |text: &str| Location::Name(text.to_owned());
        if let Self::Service(services::Error::InvalidFields(mistakes)) = self {
            let violation = |mistake: &Mistake| {
                let missing = mistake.message == "Field required";
                let (kind, msg) = match missing {
                    true => ("missing", mistake.message.clone()),
                    false => ("value_error", format!("Value error, {}", mistake.message)),
                };
                Violation {
                    loc: std::iter::once("body").chain(mistake.field.split('.')).map(name).collect(),
                    msg,
                    kind: kind.into(),
                    input: poem_openapi::types::Any(serde_json::Value::Null),
                    ctx: (!missing).then(|| {
                        [("error".to_owned(), poem_openapi::types::Any(serde_json::json!({})))].into()
                    }),
                }
            };
            return Some(Rejection::Invalid(mistakes.iter().map(violation).collect()));
        }
        let Self::PasswordRefused(member, refusal) = self else { return None };
        Some(Rejection::Invalid(vec![Violation {
            loc: vec![name("body"), name(member)],
            msg: format!("Value error, {refusal}"),
            kind: "value_error".into(),
            input: poem_openapi::types::Any(serde_json::Value::Null),
            ctx: Some([("error".to_owned(), poem_openapi::types::Any(serde_json::json!({})))].into()),
        }]))
    }
}

/// `Retry-After` counts whole seconds; rounding down would invite a request that is too early.
#[must_use]
pub fn whole_seconds(wait: std::time::Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

impl Code {
    /// The code as it is written.
    #[must_use]
    pub fn name(self) -> String {
        match poem_openapi::types::ToJSON::to_json(&self) {
            Some(serde_json::Value::String(name)) => name,
            _ => unreachable!("a code is written as a string"),
        }
    }

    /// What happened and what to do, in a sentence or two.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            Self::BadRequest => "The request could not be understood.",
            Self::InvalidVerificationToken => {
                "This link is not valid, or a newer one has replaced it. Use the link in the newest mail, or ask for another."
            }
            Self::VerificationTokenExpired => "This link has expired. Ask for another mail.",
            Self::VerificationTokenUsed => "This link has been used already. Sign in.",
            Self::Unauthenticated => "Send an access token: `Authorization: Bearer …`.",
            Self::InvalidToken => "The access token is not valid any more. Refresh it or sign in again.",
            Self::InvalidLink => {
                "This link is not valid, or a newer one has replaced it. Use the link in the newest mail, or ask for another."
            }
            Self::LinkExpired => "This link has expired. Ask for another mail.",
            Self::LinkUsed => "This link has been used already.",
            Self::InsufficientUserAuthentication => {
                "Prove once more that it is you, then repeat the request."
            }
            Self::InvalidMfaTicket => "This sign-in can't be continued. Start again with the password.",
            Self::WrongCode => "The code is wrong or has been used. Wait for the next one.",
            Self::PasskeyRefused => "This passkey can't be used here. Try another way to sign in.",
            Self::PasskeysUnavailable => {
                "Passkeys need a server with a domain name: it is set up with an IP address. Try another way to sign in."
            }
            Self::SecondFactorMissing => "Add a second factor first.",
            Self::InsufficientScope => "This access key was not made for this. Use one that has the scope.",
            Self::InsufficientRole => "This account may not do this. An operator can give it the role.",
            Self::InvalidWebhook => "This is not a webhook of a provider that is set up here.",
            Self::LastOperator => "This is the last operator. Make somebody else one first.",
            Self::OwnCase => "Nobody decides about themselves. Leave it to somebody else.",
            Self::VerificationClosed => "This verification is at its end. Begin another one.",
            Self::IdempotencyKeyReused => {
                "This Idempotency-Key was sent with another request. Use a new key for a new request."
            }
            Self::RequestInProgress => "The same request is under way. Repeat it in a moment.",
            Self::ProviderFailed => {
                "The provider did not do what it was asked. Try again, or another provider; the operator finds the reason in the log."
            }
            Self::ProviderUnavailable => "The provider does not answer now. Repeat the request later.",
            Self::SecretsSealed => {
                "The account was recovered recently, so its stored secrets stay sealed for a while. Try again later."
            }
            Self::SigningUnsupported => {
                "Requests to this service hold the secret itself. It can't be used without being revealed."
            }
            Self::SigningNotAllowed => {
                "Requests like this may not be signed with this credential. Its owner can allow it in `sign_rules`."
            }
            Self::NameTaken => "There is another one of this name. Choose a different name.",
            Self::CredentialExpired => "This credential has expired. Store a new one, or change its end.",
            Self::CredentialUnreadable => {
                "This credential can't be opened any more. Store it again, and tell the operator."
            }
            Self::LimitReached => "There are as many of these as an account may have. Remove one first.",
            Self::InvalidCredentials => "The e-mail address or the password is wrong.",
            Self::InvalidRefreshToken => "The refresh token is not valid any more. Sign in again.",
            Self::RefreshTokenReused => {
                "This refresh token was used before by somebody else or by an older copy of this client. The session has been ended for safety; sign in again."
            }
            Self::EmailNotVerified => {
                "Confirm the e-mail address first, with the link in the mail that was sent to it."
            }
            Self::AccountDisabled => "This account is disabled. Ask the operator of this service.",
            Self::WrongCurrentPassword => "The current password is wrong.",
            Self::NotFound => "There is nothing here, or it is not yours.",
            Self::MethodNotAllowed => "This path does not take this method; see the Allow header.",
            Self::RequestTimeout => "The request did not arrive in time.",
            Self::PayloadTooLarge => "The request body is too long.",
            Self::UnsupportedMediaType => "Send the request body as application/json.",
            Self::ValidationFailed => "The request does not match the schema.",
            Self::RateLimited => "Too many requests. Wait as long as Retry-After says.",
            Self::InternalError => "The server made a mistake. It has been logged under this request_id.",
            Self::Overloaded => "The server is busy. Try again in a moment.",
            Self::Unavailable => "The service can't reach its database. Try again in a moment.",
        }
    }

    /// The whole problem document.
    #[must_use]
    pub fn problem(self, request_id: &str) -> Problem {
        let resend = matches!(
            self,
            Self::EmailNotVerified | Self::VerificationTokenExpired | Self::InvalidVerificationToken
        );
        Problem {
            kind: format!("urn:latchkey:error:{}", self.name()),
            title: self.title().into(),
            status: self.status().as_u16(),
            detail: self.detail().into(),
            error: self,
            success: false,
            request_id: request_id.to_owned(),
            resend_url: resend.then(|| RESEND_URL.to_owned()),
            acr_values: None,
            max_age: None,
            required_scope: None,
            required_role: None,
            verification_url: None,
            step_up_url: None,
        }
    }
}

/// How the document describes an error status.
pub fn response(status: u16) -> MetaResponse {
    let description = match status {
        400 => {
            "The token is invalid, expired or used (`error` says which), or the request can't be understood"
        }
        401 => {
            "Not signed in, not well or recently enough (`insufficient_user_authentication`), or the credentials are not valid"
        }
        403 => "Signed in or known, but not allowed (`error` says why)",
        404 => "There is none, or it belongs to somebody else",
        408 => "The request body did not arrive in time",
        409 => "The account or the server does not allow it as it stands (`error` says why)",
        413 => "The request body is longer than 64 KiB",
        415 => "The request body is not `application/json`",
        422 => "The request breaks the schema; every mistake is listed",
        429 => "Too many requests; wait as long as `Retry-After` says",
        500 => "A mistake of the server",
        502 => "A provider failed (`error` says how)",
        _ => "Overloaded, or the database does not answer; wait as long as `Retry-After` says",
    };
    let header = |name: &str, description: &str, schema: MetaSchema| MetaHeader {
        name: name.into(),
        description: Some(description.into()),
        required: true,
        deprecated: false,
        schema: MetaSchemaRef::Inline(Box::new(schema)),
    };
    let headers = match status {
        401 => vec![header(
            "WWW-Authenticate",
            "The scheme to use (RFC 6750), and what is missing (RFC 9470)",
            MetaSchema::new("string"),
        )],
        429 | 503 => {
            let seconds = MetaSchema { minimum: Some(0.0), ..MetaSchema::new("integer") };
            vec![header("Retry-After", "Seconds to wait", seconds)]
        }
        _ => vec![],
    };
    let content = if status == 422 {
        MetaMediaType { content_type: "application/json", schema: HttpValidationError::schema_ref() }
    } else {
        MetaMediaType { content_type: "application/problem+json", schema: Problem::schema_ref() }
    };
    MetaResponse { description, status: Some(status), status_range: None, content: vec![content], headers }
}

/// Declares the error answers of an operation: a type that documents these statuses and carries any [`Fault`].
macro_rules! errors {
    ($name:ident: $($status:literal),*) => {
        #[derive(Debug)]
        pub struct $name($crate::api::problem::Fault);

        impl poem_openapi::ApiResponse for $name {
            fn meta() -> poem_openapi::registry::MetaResponses {
                let statuses = [$($status,)* 500, 503];
                poem_openapi::registry::MetaResponses {
                    responses: statuses.into_iter().map($crate::api::problem::response).collect(),
                }
            }

            fn register(registry: &mut poem_openapi::registry::Registry) {
                use poem_openapi::types::Type;
                $crate::api::problem::Problem::register(registry);
                $crate::api::payload::HttpValidationError::register(registry);
            }
        }

        impl<T: Into<$crate::api::problem::Fault>> From<T> for $name {
            fn from(fault: T) -> Self {
                Self(fault.into())
            }
        }

        impl From<$name> for poem::Error {
            fn from(error: $name) -> Self {
                error.0.into()
            }
        }
    };
}
pub(super) use errors;
