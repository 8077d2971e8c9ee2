//! What goes wrong, on the wire: problem documents (RFC 9457) with a stable code out of one closed table.

mod answers;
mod code;

use poem::error::ResponseError;
use poem::http::StatusCode;
use poem_openapi::Object;
use poem_openapi::types::Example;

use super::payload::{Location, Rejection, Violation};
use crate::crypto::password::Refusal;
use crate::services;
use crate::services::vault::Mistake;

pub(super) use answers::errors;
pub use answers::response;
pub use code::Code;

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
                Error::ChangedMeanwhile => Code::ChangedMeanwhile,
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
