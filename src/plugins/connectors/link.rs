//! The way to a service: where its requests go, what time it is there, and the bounds that hold for every request.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use entities::Timestamp;
use reqwest::Client;
use serde_json::Value;
use url::Url;

use super::{About, Clock, Connector, Credential, Outcome, Report};
use crate::clock::Sources;
use crate::outbound::{self, Answer, Failure, Guard, Request};

const CONNECT: Duration = Duration::from_secs(3);
/// For a request and its whole answer.
const PATIENCE: Duration = Duration::from_secs(10);
const MAX_ANSWER: usize = 256 * 1024;
/// How long the difference between two clocks is taken to stay the same.
const OFFSET_KEPT: Duration = Duration::from_secs(600);
/// How long a service that did not tell its time is not asked again.
const SILENCE_KEPT: Duration = Duration::from_secs(60);
/// Nonces that one test may use, so that the next test begins beyond them.
pub const NONCES: u64 = 16;

/// The ways to all services.
pub struct Network {
    /// To the services that connectors name.
    named: Client,
    /// To those that owners name, looked at by the guard.
    guarded: Client,
    guard: Guard,
    /// By `connector.environment`.
    base_urls: BTreeMap<String, Url>,
    clocks: Clocks,
    sources: Sources,
}

/// What came of a test, and how long it took.
#[derive(Debug)]
pub struct Tested {
    pub report: Report,
    pub latency: Duration,
}

impl Network {
    /// The error is a line for the operator.
    pub fn new(guard: Guard, base_urls: BTreeMap<String, Url>, sources: Sources) -> Result<Self, String> {
        let client = || Ok::<_, String>(outbound::builder()?.connect_timeout(CONNECT));
        let build = |builder: reqwest::ClientBuilder| builder.build().map_err(|error| error.to_string());
        Ok(Self {
            named: build(client()?)?,
            // A proxy would resolve names by itself, beyond the guard.
            guarded: build(client()?.no_proxy().dns_resolver(Arc::new(guard.clone())))?,
            guard,
            base_urls,
            clocks: Clocks::default(),
            sources,
        })
    }

    /// Where the requests for a credential go.
    pub fn base_url(&self, connector: &dyn Connector, credential: &Credential) -> Result<Url, Report> {
        let about = connector.about();
        let name = format!("{}.{}", about.name, credential.environment);
        if let Some(url) = self.base_urls.get(&name) {
            return Ok(url.clone());
        }
        if let Some(url) = connector.base_url(credential) {
            self.guard.admit(&url).map_err(|refused| Report::new(Outcome::Network).advising(refused.0))?;
            return Ok(url);
        }
        let environment = about.environment(&credential.environment).or(about.environments.first());
        environment
            .and_then(|environment| Url::parse(environment.base_url).ok())
            .ok_or_else(|| Report::new(Outcome::WrongEnvironment))
    }

    /// Tests a credential. Once more when the clocks differ, since that can be mended; never otherwise: services shut out
    /// addresses that keep knocking with a wrong key.
    pub async fn test(&self, connector: &dyn Connector, credential: &Credential, first_nonce: u64) -> Tested {
        let started = self.sources.now();
        let report = match self.link(connector, credential, first_nonce) {
            Err(report) => report,
            Ok(link) => self.run(connector, credential, &link).await,
        };
        Tested { report: report.cleaned(credential), latency: self.sources.now().since(started) }
    }

    /// What a signature made for the service at this moment takes.
    pub async fn stamp(
        &self,
        connector: &dyn Connector,
        credential: &Credential,
        nonce: u64,
    ) -> Result<Stamp, Report> {
        let link = self.link(connector, credential, nonce)?;
        link.look_at_the_clock(connector.about(), false).await;
        Ok(link.stamp())
    }

    async fn run(&self, connector: &dyn Connector, credential: &Credential, link: &Link<'_>) -> Report {
        let test = async || connector.test(link, credential).await.unwrap_or_else(|report| report);
        link.look_at_the_clock(connector.about(), false).await;
        let report = test().await;
        if report.outcome == Outcome::ClockSkew && link.look_at_the_clock(connector.about(), true).await {
            return test().await;
        }
        report
    }

    fn link(
        &self,
        connector: &dyn Connector,
        credential: &Credential,
        first_nonce: u64,
    ) -> Result<Link<'_>, Report> {
        let base = self.base_url(connector, credential)?;
        let guarded = connector.base_url(credential).is_some();
        Ok(Link {
            client: if guarded { &self.guarded } else { &self.named },
            base,
            clocks: &self.clocks,
            sources: &self.sources,
            nonce: AtomicU64::new(first_nonce),
        })
    }
}

/// What a signature takes beside key and request. Each is used for one request.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// By the clock of the service.
    pub now: Timestamp,
    /// Greater than any before for this credential.
    pub nonce: u64,
    pub random: [u8; 16],
}

/// The way to one service for one credential.
pub struct Link<'a> {
    client: &'a Client,
    base: Url,
    clocks: &'a Clocks,
    sources: &'a Sources,
    nonce: AtomicU64,
}

impl Link<'_> {
    /// What the next signature takes.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        Stamp {
            now: Timestamp(
                self.sources.now().0.saturating_add(self.clocks.offset(&self.host()).unwrap_or(0)),
            ),
            nonce: self.nonce.fetch_add(1, Ordering::Relaxed),
            random: self.sources.entropy.bytes(),
        }
    }

    /// Scheme, host and port: what clocks and limits are counted by.
    #[must_use]
    pub fn host(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    /// Sends a request, bounded in time and in the size of the answer. An answer of any status is one; that there is none
    /// is the report.
    pub async fn send(&self, request: Request) -> Result<Answer, Report> {
        const SLOW: &str = "The service did not answer in time. Try again later.";
        const REDIRECT: &str =
            "The service answered with a redirect, which is not followed with a credential.";
        const LARGE: &str = "The service gave an answer far larger than expected.";
        let sent = outbound::exchange(self.client, &self.base, &request, PATIENCE, MAX_ANSWER).await;
        let answer = sent.map_err(|failure| match failure {
            Failure::Timeout => Report::new(Outcome::Network).advising(SLOW),
            Failure::TooLarge => Report::new(Outcome::Unexpected).advising(LARGE),
            Failure::Unreachable => Report::new(Outcome::Network),
            Failure::Status(_) | Failure::Malformed => Report::new(Outcome::Unexpected),
        })?;
        if (300..400).contains(&answer.status) {
            return Err(Report::new(Outcome::Unexpected).advising(REDIRECT));
        }
        Ok(answer)
    }

    /// Learns the service's time when what is known of it is old, or `anew`. Answers whether it was learnt.
    async fn look_at_the_clock(&self, about: &About, anew: bool) -> bool {
        let Some(Clock { path, read }) = about.clock else { return false };
        let host = self.host();
        let asked = self.sources.now();
        if !anew && self.clocks.is_known(&host, asked) {
            return false;
        }
        // One asks for all that wait.
        let turn = self.clocks.turn(&host);
        let _turn = turn.lock().await;
        if !anew && self.clocks.is_known(&host, self.sources.now()) {
            return false;
        }
        let offset = self.ask_for_the_offset(path, read).await;
        self.clocks.set(host, offset, self.sources.now());
        offset.is_some()
    }

    async fn ask_for_the_offset(&self, path: &str, read: fn(&Value) -> Option<i64>) -> Option<i64> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let sent = self.sources.now();
        let answer = self.send(Request::get(path).query(query)).await.ok()?;
        let received = self.sources.now();
        let theirs = read(&answer.json())?;
        // When they read their clock, about half of the time had passed.
        let half = i64::try_from(received.since(sent).as_millis() / 2).unwrap_or(0);
        Some(theirs.saturating_add(half).saturating_sub(received.0))
    }
}

/// By how many milliseconds the clocks of services are ahead of ours, by host. Bounded by the number of connectors.
#[derive(Default)]
pub struct Clocks {
    known: Mutex<HashMap<String, Known>>,
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

#[derive(Clone, Copy)]
struct Known {
    offset: Option<i64>,
    until: Timestamp,
    since: Timestamp,
}

impl Clocks {
    fn offset(&self, host: &str) -> Option<i64> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(host)?.offset
    }

    /// Whether the service need not be asked, even though it may not have answered.
    fn is_known(&self, host: &str, now: Timestamp) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(host).copied();
        known.is_some_and(|known| now < known.until && now >= known.since)
    }

    /// Whose turn it is to ask.
    fn turn(&self, host: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(host.to_owned()).or_default())
    }

    /// Keeps what was learnt. Where nothing was, what was known before goes on to count, and the service is left alone for
    /// a while: one that is down must not cost each request a wait.
    fn set(&self, host: String, offset: Option<i64>, now: Timestamp) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.get(&host).and_then(|known| known.offset);
        let kept = if offset.is_some() { OFFSET_KEPT } else { SILENCE_KEPT };
        known.insert(host, Known { offset: offset.or(before), until: now + kept, since: now });
    }
}
