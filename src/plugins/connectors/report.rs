//! What came of a test.

use entities::Timestamp;
use strum::{EnumIter, IntoStaticStr};

use super::{Credential, Unsignable};
use crate::secret::Secret;

/// How a test ended. The list is closed: clients act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    Ok,
    InvalidKey,
    BadSignature,
    BadPassphrase,
    IpNotAllowed,
    ClockSkew,
    Nonce,
    MissingPermission,
    KeyExpired,
    AccountRestricted,
    GeoBlocked,
    WrongEnvironment,
    RateLimited,
    ProviderDown,
    Network,
    Unexpected,
}

impl Outcome {
    /// What may have happened, and what to do; where a connector knows no better.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Ok => "The credential works.",
            Self::InvalidKey => "The service does not know this key. Copy it again, or make a new one.",
            Self::BadSignature => {
                "The service knows the key but not its secret. Copy the secret again, or make a new key."
            }
            Self::BadPassphrase => {
                "The passphrase is wrong. It is the one chosen when the key was made, not the password of the account."
            }
            Self::IpNotAllowed => {
                "The key may not be used from this server's address. Add the address to the key's list at the service."
            }
            Self::ClockSkew => {
                "The service found the time of the request wrong, even after the clocks were compared. Check this server's clock."
            }
            Self::Nonce => {
                "Another program uses the same key and counts further ahead. Make a key for this application alone."
            }
            Self::MissingPermission => {
                "The key works, but may not do what the test asks for. Give it the permission to read, at the service."
            }
            Self::KeyExpired => "The key has expired. Make a new one.",
            Self::AccountRestricted => {
                "The service has restricted the account or the key. Sign in there to learn why."
            }
            Self::GeoBlocked => "The service refuses requests from the country of this server.",
            Self::WrongEnvironment => {
                "The key belongs to another environment or region of the service. Choose that one, or make a key for this one."
            }
            Self::RateLimited => "The service takes no more requests for now. Wait before the next test.",
            Self::ProviderDown => "The service does not work at the moment. Try again later.",
            Self::Network => "The service could not be reached. Try again later.",
            Self::Unexpected => "The service gave an answer that makes no sense here. Try again later.",
        }
    }

    /// Whether it says something about the credential, rather than about the way to the service.
    #[must_use]
    pub fn judges_the_credential(self) -> bool {
        !matches!(
            self,
            Self::RateLimited
                | Self::GeoBlocked
                | Self::ProviderDown
                | Self::Network
                | Self::Unexpected
                | Self::ClockSkew
        )
    }
}

/// Not knowing is not the same as no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Tri {
    Yes,
    No,
    #[default]
    Unknown,
}

impl From<bool> for Tri {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

impl From<Option<bool>> for Tri {
    fn from(yes: Option<bool>) -> Self {
        yes.map_or(Self::Unknown, Self::from)
    }
}

/// What the key may do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Permissions {
    pub read: Tri,
    pub trade: Tri,
    pub withdraw: Tri,
    /// Between accounts of the same owner.
    pub transfer: Tri,
    /// In the service's own words.
    pub raw: Vec<String>,
}

/// From where the key may be used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum IpRestriction {
    #[default]
    Unknown,
    Unrestricted,
    /// The addresses, where the service tells them.
    Restricted(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub outcome: Outcome,
    /// Whose key it is, in the service's words; never the key.
    pub account: Option<String>,
    pub permissions: Permissions,
    pub ip_restriction: IpRestriction,
    pub expires_at: Option<Timestamp>,
    /// The service's own code: `-2015`.
    pub provider_code: Option<String>,
    pub provider_message: Option<String>,
    /// Seconds to wait, where the service said so.
    pub retry_after: Option<u64>,
    /// All that may be the cause, and what to do.
    pub advice: &'static str,
}

impl Report {
    #[must_use]
    pub fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            account: None,
            permissions: Permissions::default(),
            ip_restriction: IpRestriction::default(),
            expires_at: None,
            provider_code: None,
            provider_message: None,
            retry_after: None,
            advice: outcome.advice(),
        }
    }

    /// With the service's own code and message.
    #[must_use]
    pub fn saying(mut self, code: impl Into<String>, message: impl Into<String>) -> Self {
        self.provider_code = Some(code.into()).filter(|text| !text.is_empty());
        self.provider_message = Some(message.into()).filter(|text| !text.is_empty());
        self
    }

    /// With a better sentence than the outcome has.
    #[must_use]
    pub fn advising(mut self, advice: &'static str) -> Self {
        self.advice = advice;
        self
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: Option<u64>) -> Self {
        self.retry_after = seconds;
        self
    }

    /// Texts of the service, cut, without control characters and without anything of the credential, which some services
    /// repeat in what they complain about.
    #[must_use]
    pub(super) fn cleaned(mut self, credential: &Credential) -> Self {
        let secrets: Vec<&str> =
            [Some(&credential.api_key), credential.secret.as_ref(), credential.passphrase.as_ref()]
                .into_iter()
                .flatten()
                .map(Secret::expose)
                .filter(|secret| secret.len() >= 4)
                .collect();
        let clean = |text: String, length: usize| {
            let text = secrets.iter().fold(text, |text, secret| text.replace(secret, "[redacted]"));
            let text: String = text.chars().filter(|letter| !letter.is_control()).take(length).collect();
            text
        };
        self.account = self.account.map(|text| clean(text, 100));
        self.provider_code = self.provider_code.map(|text| clean(text, 100));
        self.provider_message = self.provider_message.map(|text| clean(text, 200));
        let short = |texts: Vec<String>| texts.into_iter().take(100).map(|text| clean(text, 100)).collect();
        self.permissions.raw = short(self.permissions.raw);
        if let IpRestriction::Restricted(addresses) = self.ip_restriction {
            self.ip_restriction = IpRestriction::Restricted(short(addresses));
        }
        self
    }
}

impl From<Unsignable> for Report {
    fn from(error: Unsignable) -> Self {
        Self::new(Outcome::BadSignature).advising(error.0)
    }
}
