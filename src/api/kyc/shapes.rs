//! What identity checks look like on the wire.

use entities::kyc_verification;
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};

use super::super::auth::{EXAMPLE_ID, EXAMPLE_INSTANT};
use super::super::instant::Instant;
use super::super::payload::{HttpsUrl, Level, Name, Nullable};
use crate::plugins::kyc::Status;
use crate::services::kyc::{self, Handover, Next};

/// How far a verification has come
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum KycStatus {
    /// The person has something to do
    Pending,
    /// The provider or a reviewer looks at it
    InReview,
    /// The person may try again
    Resubmission,
    /// Given up, or approved too long ago
    Expired,
    /// Approved
    Approved,
    /// Declined
    Declined,
    /// Taken back by the person
    Cancelled,
}

impl From<Status> for KycStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Pending => Self::Pending,
            Status::InReview => Self::InReview,
            Status::Resubmission => Self::Resubmission,
            Status::Expired => Self::Expired,
            Status::Approved => Self::Approved,
            Status::Declined => Self::Declined,
            Status::Cancelled => Self::Cancelled,
        }
    }
}

impl From<KycStatus> for Status {
    fn from(status: KycStatus) -> Self {
        match status {
            KycStatus::Pending => Self::Pending,
            KycStatus::InReview => Self::InReview,
            KycStatus::Resubmission => Self::Resubmission,
            KycStatus::Expired => Self::Expired,
            KycStatus::Approved => Self::Approved,
            KycStatus::Declined => Self::Declined,
            KycStatus::Cancelled => Self::Cancelled,
        }
    }
}

/// What a person can do next
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum NextStep {
    /// Begin a verification
    Start,
    /// Go on at the provider, with `url` or `token`
    Continue,
    /// Wait
    Wait,
    /// Refresh the session, so that its access token says what is known now
    Refresh,
    /// Nothing
    Nothing,
}

impl From<Next> for NextStep {
    fn from(next: Next) -> Self {
        match next {
            Next::Start => Self::Start,
            Next::Continue => Self::Continue,
            Next::Wait => Self::Wait,
            Next::Refresh => Self::Refresh,
            Next::Nothing => Self::Nothing,
        }
    }
}

/// A verification to be begun
#[derive(Debug, Object)]
#[oai(example)]
pub struct NewVerification {
    /// One of the levels on offer
    pub level: Level,
    /// Which provider; null for the first one that offers the level
    pub provider: Option<Nullable<Name>>,
    /// Where the provider sends the person afterwards
    pub redirect_url: Option<Nullable<HttpsUrl>>,
}

impl Example for NewVerification {
    fn example() -> Self {
        Self { level: Level::new("full"), provider: None, redirect_url: None }
    }
}

/// An identity check
#[derive(Debug, Object)]
#[oai(example)]
pub struct Verification {
    /// Its id
    pub id: String,
    /// Who does it
    pub provider: String,
    /// What is checked
    pub level: String,
    /// How far it has come. Why it was declined is not told: it would teach how to get through
    pub status: KycStatus,
    /// What the person can do next
    pub next: NextStep,
    /// The level of identity that it gives (NIST SP 800-63A), while it is approved
    pub ial: i16,
    /// Until when it gives that
    pub valid_until: Nullable<Instant>,
    /// When it was begun
    pub created_at: Instant,
    /// When it last changed
    pub updated_at: Instant,
    /// When it is given up, unless it is decided before
    pub ends_at: Instant,
}

impl Verification {
    #[must_use]
    pub fn new(row: &kyc_verification::Model, token_ial: i16) -> Self {
        let status = kyc::status_of(row);
        let next = match status {
            Status::Pending | Status::Resubmission => NextStep::Continue,
            Status::InReview => NextStep::Wait,
            Status::Approved if row.ial > token_ial => NextStep::Refresh,
            Status::Approved => NextStep::Nothing,
            Status::Declined | Status::Expired | Status::Cancelled => NextStep::Start,
        };
        Self {
            id: row.id.to_string(),
            provider: row.provider.clone(),
            level: row.level.clone(),
            status: status.into(),
            next,
            ial: row.ial,
            valid_until: row.valid_until.map(Instant).into(),
            created_at: Instant(row.created_at),
            updated_at: Instant(row.updated_at),
            ends_at: Instant(row.ends_at),
        }
    }
}

impl Example for Verification {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID.into(),
            provider: "sumsub".into(),
            level: "full".into(),
            status: KycStatus::Pending,
            next: NextStep::Continue,
            ial: 0,
            valid_until: None.into(),
            created_at: EXAMPLE_INSTANT,
            updated_at: EXAMPLE_INSTANT,
            ends_at: EXAMPLE_INSTANT,
        }
    }
}

/// An identity check with what the person goes on with
#[derive(Object)]
#[oai(example)]
pub struct VerificationSession {
    /// The check
    verification: Verification,
    /// The provider's page for the person; null where there is none, or when it is at its end
    url: Nullable<String>,
    /// What the provider's SDK is begun with; null where there is none, or when it is at its end
    token: Nullable<String>,
    /// What the application tells a provider that is not asked from here; the provider's events must name it
    reference: String,
}

impl VerificationSession {
    #[must_use]
    pub fn new(row: &kyc_verification::Model, token_ial: i16, handover: Handover) -> Self {
        Self {
            verification: Verification::new(row, token_ial),
            url: handover.url.map(|url| url.to_string()).into(),
            token: handover.token.map(|token| token.expose().to_owned()).into(),
            reference: row.external_id.clone(),
        }
    }
}

impl Example for VerificationSession {
    fn example() -> Self {
        Self {
            verification: Verification::example(),
            url: Some("https://verify.example.com/session/8fJ2".into()).into(),
            token: None.into(),
            reference: "f1Yk0pJb3mQ9sT7uVxWzA2cD4eF6gH8i".into(),
        }
    }
}

/// A piece of a list of verifications
#[derive(Debug, Object)]
#[oai(example)]
pub struct VerificationPage {
    /// The newest first
    pub verifications: Vec<Verification>,
    /// Send it as `before` to read on; null at the end
    pub before: Nullable<String>,
}

impl Example for VerificationPage {
    fn example() -> Self {
        Self { verifications: vec![Verification::example()], before: None.into() }
    }
}

/// A level that somebody can be verified at
#[derive(Debug, Object)]
pub struct KycOffer {
    /// For `provider`
    pub provider: String,
    /// The provider, for people
    pub title: String,
    /// For `level`
    pub level: String,
    /// The best that it can give (NIST SP 800-63A)
    pub ial: i16,
}

/// How the caller stands
#[derive(Debug, Object)]
pub struct KycStanding {
    /// How well it is known who the caller is (NIST SP 800-63A); the access token says so after the next refresh
    pub ial: i16,
    /// Until when
    pub ial_until: Nullable<Instant>,
    /// What the caller can do next
    pub next: NextStep,
    /// The check that was begun last
    pub verification: Nullable<Verification>,
}

/// Identity checks here, and how the caller stands
#[derive(Debug, Object)]
#[oai(example)]
pub struct KycOverview {
    /// What is on offer, in the order of a menu; empty where the operator has set nothing up
    pub offers: Vec<KycOffer>,
    /// Countries (ISO 3166-1 alpha-2) in which it is offered; empty where none are named
    pub countries: Vec<String>,
    /// How the caller stands; null without an access token
    pub standing: Nullable<KycStanding>,
}

impl Example for KycOverview {
    fn example() -> Self {
        let offer =
            KycOffer { provider: "sumsub".into(), title: "Sumsub".into(), level: "full".into(), ial: 2 };
        let standing = KycStanding {
            ial: 0,
            ial_until: None.into(),
            next: NextStep::Continue,
            verification: Some(Verification::example()).into(),
        };
        Self {
            offers: vec![offer],
            countries: vec!["DE".into(), "FR".into()],
            standing: Some(standing).into(),
        }
    }
}

/// How a provider is doing
#[derive(Debug, Object)]
pub struct KycProviderHealth {
    /// Which one
    pub name: String,
    /// When it last answered this server, to the minute
    pub last_contact_at: Nullable<Instant>,
    /// When its last webhook came
    pub last_webhook_at: Nullable<Instant>,
}

/// How identity checks are doing
#[derive(Debug, Object)]
#[oai(example)]
pub struct KycHealth {
    /// `ok` while this answers, `off` where nothing is set up
    pub service: String,
    /// Those that are set up
    pub providers: Vec<KycProviderHealth>,
    /// Webhooks that wait to be worked on
    pub backlog: u64,
    /// Since when the oldest of them waits
    pub waiting_since: Nullable<Instant>,
}

impl Example for KycHealth {
    fn example() -> Self {
        let provider = KycProviderHealth {
            name: "sumsub".into(),
            last_contact_at: Some(EXAMPLE_INSTANT).into(),
            last_webhook_at: Some(EXAMPLE_INSTANT).into(),
        };
        Self { service: "ok".into(), providers: vec![provider], backlog: 0, waiting_since: None.into() }
    }
}
