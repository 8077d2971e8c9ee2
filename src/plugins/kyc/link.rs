//! The way to a vendor, and the bounds that hold for every request.

use std::time::Duration;

use entities::Timestamp;
use reqwest::Client;
use url::Url;

use super::Settings;
use crate::clock::Sources;
use crate::outbound::{self, Answer, Request};

const CONNECT: Duration = Duration::from_secs(3);
/// For a request and its whole answer.
const PATIENCE: Duration = Duration::from_secs(10);
const MAX_ANSWER: usize = 1024 * 1024;

/// Why a vendor did not do what it was asked. Says nothing of what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Unanswered(#[from] outbound::Failure),
    /// It does not take our credentials: the operator's to mend.
    #[error("the provider does not accept its credentials (status {0})")]
    Credentials(u16),
    #[error("the provider asks to wait")]
    Busy(Option<Duration>),
    /// Its own code for why, where it gives one.
    #[error("the provider refused (status {status}, {code})")]
    Refused { status: u16, code: String },
    #[error("the provider's answer lacks {0}")]
    Malformed(&'static str),
}

/// The ways to all vendors.
pub struct Network {
    client: Client,
    sources: Sources,
}

impl Network {
    /// The error is a line for the operator.
    pub fn new(sources: Sources) -> Result<Self, String> {
        let client = outbound::builder()?.connect_timeout(CONNECT).build();
        Ok(Self { client: client.map_err(|error| error.to_string())?, sources })
    }

    #[must_use]
    pub fn link<'a>(&'a self, settings: &'a Settings, default: &str) -> Option<Link<'a>> {
        let base = settings.base_url.clone().or_else(|| Url::parse(default).ok())?;
        Some(Link { client: &self.client, base, settings, sources: &self.sources })
    }
}

/// The way to one vendor.
pub struct Link<'a> {
    client: &'a Client,
    base: Url,
    pub settings: &'a Settings,
    sources: &'a Sources,
}

impl Link<'_> {
    /// Scheme and host.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.base
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.sources.now()
    }

    /// Sends a request and takes a success as the answer. What the vendor refuses is told apart by status; `code` finds its
    /// own code in the answer.
    pub async fn send(
        &self,
        request: Request,
        code: fn(&Answer) -> Option<String>,
    ) -> Result<Answer, Failure> {
        self.send_to(&self.base, request, code).await
    }

    /// The same to another host of the vendor's. The operator's base URL stands for all of them.
    pub async fn send_to(
        &self,
        host: &Url,
        request: Request,
        code: fn(&Answer) -> Option<String>,
    ) -> Result<Answer, Failure> {
        let host = self.settings.base_url.as_ref().unwrap_or(host);
        let answer = outbound::exchange(self.client, host, &request, PATIENCE, MAX_ANSWER).await?;
        match answer.status {
            200..=299 => Ok(answer),
            401 | 403 => Err(Failure::Credentials(answer.status)),
            429 => Err(Failure::Busy(answer.retry_after().map(Duration::from_secs))),
            400..=499 => {
                let code = code(&answer).unwrap_or_default();
                let code = code.chars().filter(|letter| !letter.is_control()).take(100).collect();
                Err(Failure::Refused { status: answer.status, code })
            }
            status => {
                let status = reqwest::StatusCode::from_u16(status).unwrap_or_default();
                Err(Failure::Unanswered(outbound::Failure::Status(status)))
            }
        }
    }
}
