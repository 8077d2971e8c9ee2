//! Which passwords may be set: the rules inside the binary and, where one is configured, a service that knows breached
//! passwords. Such a service is an advice: when it does not answer, the password is admitted.

use std::time::Duration;

use metrics::counter;
use tokio::sync::Semaphore;

use super::{Error, Services};
use crate::config;
use crate::crypto::password::{Password, RangeQuery, Refusal, check};
use crate::outbound::{self, Failure};

/// An answer has some forty kilobytes.
const MAX_ANSWER: usize = 1 << 20;
/// Questions under way at a time, more than hashing leaves time for. A slow service must not gather all requests.
const AT_ONCE: usize = 32;

impl Services {
    /// Admits or refuses a password that is about to be set for `email`, whether or not that has an account. May ask
    /// another server: never inside a transaction.
    pub(super) async fn admit_password(&self, password: &Password, email: &str) -> Result<(), Error> {
        check(password, email)?;
        match &self.breaches {
            Some(breaches) if breaches.include(password).await => Err(Refusal::Breached.into()),
            _ => Ok(()),
        }
    }
}

/// A service that is asked by the range protocol of Have I Been Pwned.
pub struct Breaches {
    client: reqwest::Client,
    /// Without a slash at its end.
    url: String,
    patience: Duration,
    places: Semaphore,
}

impl Breaches {
    /// `None` when none is configured. The error is a line for the operator.
    pub fn configured(settings: &config::Passwords) -> Result<Option<Self>, String> {
        let Some(url) = &settings.breach_url else { return Ok(None) };
        let client = outbound::client().map_err(|error| format!("passwords.breach_url: {error}"))?;
        let url = url.as_str().trim_end_matches('/').to_owned();
        let patience = Duration::from_millis(settings.breach_timeout_ms);
        Ok(Some(Self { client, url, patience, places: Semaphore::new(AT_ONCE) }))
    }

    /// Whether the service lists the password. Whatever goes wrong counts, is logged, and means no.
    async fn include(&self, password: &Password) -> bool {
        let (outcome, listed) = match self.ask(password).await {
            Ok(true) => ("listed", true),
            Ok(false) => ("not_listed", false),
            Err(outcome) => {
                tracing::warn!(outcome, "a password was admitted without a look at the breached ones");
                (outcome, false)
            }
        };
        counter!("latchkey_breach_checks_total", "outcome" => outcome).increment(1);
        listed
    }

    async fn ask(&self, password: &Password) -> Result<bool, &'static str> {
        let _place = self.places.try_acquire().map_err(|_| "busy")?;
        let query = RangeQuery::new(password);
        // With padding, not even the length of the answer tells which range it was.
        let request =
            self.client.get(format!("{}/{}", self.url, query.prefix())).header("Add-Padding", "true");
        let answer =
            outbound::fetch(request, self.patience, MAX_ANSWER).await.map_err(|failure| match failure {
                Failure::Timeout => "timeout",
                Failure::Unreachable => "unreachable",
                Failure::Status(_) => "status",
                Failure::TooLarge => "too_large",
                Failure::Malformed => "malformed",
            })?;
        query.listed_in(&answer).ok_or("malformed")
    }
}
