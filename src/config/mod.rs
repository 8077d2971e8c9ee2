//! Typed settings: defaults < `latchkey.toml` < environment, validated at start.
//!
//! Environment variables are the keys of this file in capitals behind `LATCHKEY_`, nested keys joined by `__`:
//! `LATCHKEY_LIMITS__ENABLED=false`. For any of them, `…_FILE` names a file that holds the value instead.

mod load;
pub mod text;
mod validate;
mod webhooks;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::plugins::kyc::{Check, Settings};
pub use crate::secret::Secret;
use crate::services::policy::Requirement;
pub use load::{ConfigErrors, load};
pub use webhooks::{WebhookEndpoint, Webhooks};

/// Everything an operator can set. The doc comment of a field is its documentation: what, unit, default.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Address and port to serve on. Default `127.0.0.1:8080`; port 0 takes a free one.
    pub listen: String,
    /// Where files live that the server makes itself: database, root key, mails. Default `data`.
    pub data_dir: PathBuf,
    /// `sqlite:///path/file.db` or `postgres://user:password@host:port/name`. Default: SQLite in the data directory.
    pub database_url: Option<Secret>,
    /// Most database connections held by this process. Default 16.
    pub database_connections: u32,
    /// How people and clients reach the server; links in mails and the issuer of tokens come from it. No trailing
    /// slash. Default `http://` and the listen address.
    pub public_url: Option<Url>,
    /// `smtp://user:password@host:port` (STARTTLS demanded unless the host is this machine or `?tls=none` is given),
    /// `smtps://…` or `file:///directory`. Default: `.eml` files in `mail` under the data directory.
    pub mail_url: Option<Secret>,
    /// Sender of mails. Default `Latchkey <no-reply@localhost>`.
    pub mail_from: String,
    /// Name of the product in mails and pages. Default `Latchkey`.
    pub product_name: String,
    /// Networks (CIDR) of reverse proxies whose `X-Forwarded-For` counts. Default none.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Origins that browsers may call from (CORS), such as `https://app.example.com`. Default none.
    pub cors_origins: Vec<String>,
    /// Whether a session needs a confirmed address. Default true.
    pub require_verified_email: bool,
    /// Where the answer to a confirmed address sends the person next (`redirect_url`). Default none.
    pub verified_redirect_url: Option<Url>,
    /// 32 random bytes in base64 that seal what is secret in the database. Default: made on first start and kept in
    /// `root.key` under the data directory. Several nodes need the same one.
    pub root_key: Option<Secret>,
    /// Other root keys that open what they sealed, along a rotation. Default none. Those of `root.key` are further lines of
    /// it.
    pub previous_root_keys: Vec<Secret>,
    /// Address of the Prometheus endpoint, such as `127.0.0.1:9090`. Default off.
    pub metrics_listen: Option<String>,
    pub log: Log,
    pub traces: Traces,
    pub hashing: Hashing,
    pub passwords: Passwords,
    pub tokens: Tokens,
    pub assurance: Assurance,
    pub passkeys: Passkeys,
    pub vault: Vault,
    pub kyc: Kyc,
    pub webhooks: Webhooks,
    pub limits: Limits,
    pub http: Http,
    pub retention: Retention,
}

/// What is logged and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Log {
    /// A level (`error`, `warn`, `info`, `debug`) or tracing filter directives. Default `info`.
    pub level: String,
    /// `human` or `json`. Default `human`.
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Human,
    Json,
}

/// A span for each request, for a collector that speaks OTLP.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Traces {
    /// Where spans go, as protobuf over HTTP, such as `http://127.0.0.1:4318/v1/traces`. Default off.
    pub otlp_url: Option<Url>,
    /// The share of requests that are traced, 0 to 1. Default 1.
    pub ratio: f64,
}

/// Argon2id (RFC 9106). Values below the floor refuse to start.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Hashing {
    /// KiB of memory per hash. Default and floor 19456 (19 MiB).
    pub memory_kib: u32,
    /// Passes over it. Default and floor 2.
    pub iterations: u32,
    /// Lanes. Default 1.
    pub parallelism: u32,
    /// Threads that hash. Default 0: one per core.
    pub threads: usize,
    /// Hashes that may wait; beyond it the answer is 503. Default 256.
    pub queue: usize,
}

/// What is asked of a new password beside the rules inside the binary.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Passwords {
    /// A service that knows breached passwords by the protocol of Have I Been Pwned, such as
    /// `https://api.pwnedpasswords.com/range`. It learns five digits of a hash. Default off.
    pub breach_url: Option<Url>,
    /// Milliseconds to wait for it; then the password is admitted unchecked. Default 1500.
    pub breach_timeout_ms: u64,
}

/// Lifetimes, in seconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// Access tokens. Default 900 (15 minutes), at most 3600.
    pub access_seconds: u64,
    /// A session that is not refreshed ends after this. Default 604800 (7 days).
    pub session_idle_seconds: u64,
    /// A session ends after this, however busy. Default 2592000 (30 days).
    pub session_seconds: u64,
    /// A refresh token shown again within this time gets the same successor; later it ends the session as stolen.
    /// Default 10, at most 60.
    pub refresh_grace_seconds: u64,
    /// True ends sessions at aal 2 as NIST SP 800-63B-4 advises: after 24 hours, or an hour without a refresh. Default
    /// false.
    pub nist_lifetimes: bool,
    /// Sessions that an account may have; a further one ends the one that was refreshed longest ago. Default 50.
    pub sessions_per_account: u64,
    /// The wait for a second factor after the right password. Default 300 (5 minutes).
    pub ticket_seconds: u64,
    /// A remembered device may skip the second factor. Default 2592000 (30 days).
    pub remembered_device_seconds: u64,
    /// Links that confirm an address. Default 86400 (24 hours).
    pub verification_seconds: u64,
    /// Links that replace a forgotten password. Default 3600 (1 hour).
    pub reset_seconds: u64,
    /// Links by which the old address takes back a change of address. Default 259200 (72 hours).
    pub email_revert_seconds: u64,
    /// Audience (`aud`) of access tokens. Default: the public URL.
    pub audience: Option<String>,
    /// How keys made from now on sign access tokens: `EdDSA` or `ES256`. Default `EdDSA`.
    pub algorithm: SigningAlgorithm,
    /// A new signing key is published for this long before it signs. Default 600 (10 minutes). Other services should not
    /// keep the key set for longer than half of it, and clocks not differ by more than a quarter.
    pub publish_ahead_seconds: u64,
}

impl Tokens {
    /// The most that `access_seconds` may be: no access token of ours lives longer.
    pub const MOST_ACCESS_SECONDS: u64 = 3600;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SigningAlgorithm {
    EdDSA,
    ES256,
}

/// What must be proved for what.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Assurance {
    /// Seconds for which a sign-in or step-up counts as recent, as changes of factors, address or password demand.
    /// Default 600 (10 minutes).
    pub recent_seconds: u64,
    /// Seconds after a recovery in which the account counts as aal 1 and stored secrets stay sealed. Default 86400 (24
    /// hours).
    pub recovery_seconds: u64,
    /// What an operation demands beyond its own rule, by operation id: `profile_update = { aal = 2, max_age = 300 }`.
    /// Default none.
    pub routes: BTreeMap<String, Requirement>,
}

/// Where passkeys belong (WebAuthn).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Passkeys {
    /// The domain that passkeys are bound to, for good: the host of the public URL or a domain above it. Default: that host.
    pub rp_id: Option<String>,
    /// Origins from which passkeys may be used beside the public URL's: `https://app.example.com` at or below the domain,
    /// or an Android app's `android:apk-key-hash:…`. Default none.
    pub origins: Vec<String>,
}

/// Credentials of third parties.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Vault {
    /// Credentials that an account may store. Default 100.
    pub keys_per_account: u64,
    /// True refuses credentials that may withdraw. They are tested before they are stored then. Default false.
    pub refuse_withdrawal_keys: bool,
    /// Where the requests of a connector go in place of its own host, by connector and environment:
    /// `"binance.live" = "http://127.0.0.1:9000"`. Default none.
    pub base_urls: BTreeMap<String, Url>,
    /// Networks (CIDR) that the generic connectors may reach although they are not public, on any port and without TLS.
    /// Default none.
    pub private_networks: Vec<ipnet::IpNet>,
    /// Ports beside 443 that the generic connectors may use. Default none.
    #[serde(deserialize_with = "text::numbers")]
    pub ports: Vec<u16>,
    /// The Transit engine of OpenBao or HashiCorp Vault that wraps the keys of credentials, such as
    /// `https://bao.example.com:8200/v1/transit`. Default off: the root key does.
    pub transit_url: Option<Url>,
    /// Its token. Default none.
    pub transit_token: Option<Secret>,
    /// Name of its key. Default `latchkey`.
    pub transit_key: String,
}

/// Identity checks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Kyc {
    /// True adds a provider inside the server, where people approve or decline themselves. Never for production. Default
    /// false.
    pub demo: bool,
    /// Vendors by name, each with what it needs (`docs/kyc.md`). Default none.
    pub providers: BTreeMap<String, Settings>,
    /// What an approval is worth: the best of those that fit counts. Default none; then any approval gives `ial` 1 for 365
    /// days.
    pub grants: Vec<Grant>,
    /// Countries (ISO 3166-1 alpha-2) in which verifications are offered, for clients to show. Default none named.
    pub countries: Vec<String>,
    /// Seconds until a verification that is not decided is given up. Default 604800 (7 days).
    pub verification_seconds: u64,
    /// First wait, in seconds, until a vendor is asked about a verification that went quiet; it doubles up to a day. Default
    /// 3600.
    pub poll_seconds: u64,
    /// Days that webhooks are kept, sealed. Default 30.
    pub events_days: u32,
    /// True demands that a second reviewer agrees before a decision counts. Default false.
    pub two_reviewers: bool,
}

/// What an approval is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Name of the provider, or `*`.
    #[serde(default = "any")]
    pub provider: String,
    /// The level that was offered, or `*`.
    #[serde(default = "any")]
    pub level: String,
    /// What the vendor must have found in order, such as `document` and `face`.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// 0, 1 or 2.
    pub ial: i16,
    /// Days from the approval on.
    pub valid_days: u32,
}

fn any() -> String {
    "*".into()
}

/// How often a thing may be done. A rate is `count/seconds`: so many at once, given back evenly over that time.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// False switches all of them off: for load tests, never for production. Default true.
    pub enabled: bool,
    /// Sign-ups per client address. Default `20/3600`.
    pub signup_per_address: Rate,
    /// Sign-ups with one address. Default `10/3600`.
    pub signup_per_account: Rate,
    /// Sign-in attempts per client address. Default `60/600`.
    pub login_per_address: Rate,
    /// Sign-in attempts per account. Default `10/600`.
    pub login_per_account: Rate,
    /// Refreshes per session. Default `30/900`.
    pub refresh_per_session: Rate,
    /// Requests for another verification mail per client address. Default `20/3600`.
    pub resend_per_address: Rate,
    /// First wait, in seconds, between verification mails to one address; it doubles each time. Default 60.
    pub resend_wait_seconds: u64,
    /// The longest such wait, in seconds. Default 3600.
    pub resend_wait_max_seconds: u64,
    /// Attempts to confirm an address per client address, and as many with other mailed links. Default `60/600`.
    pub verify_per_address: Rate,
    /// Questions about a verification's status per client address. Default `120/600`.
    pub status_per_address: Rate,
    /// Password changes and proofs of the password while signed in per account. Default `10/3600`.
    pub password_per_account: Rate,
    /// Answers with a second factor per account, right or wrong. Default `10/600`.
    pub mfa_per_account: Rate,
    /// Challenges for passkeys per client address. Default `60/600`.
    pub passkey_per_address: Rate,
    /// Requests for a link that replaces a forgotten password per client address. Default `20/3600`.
    pub reset_per_address: Rate,
    /// Requests to change the address per account. Default `5/86400`.
    pub email_change_per_account: Rate,
    /// Credentials stored or changed per account. Default `60/3600`.
    pub api_key_per_account: Rate,
    /// Tests of one credential. Default `6/60`.
    pub connection_test_per_key: Rate,
    /// Tests of credentials per account. Default `60/3600`.
    pub connection_test_per_account: Rate,
    /// Tests of credentials per host of a service, from all nodes. Default `120/60`.
    pub connection_test_per_host: Rate,
    /// Secrets revealed per account. Default `30/3600`.
    pub reveal_per_account: Rate,
    /// Requests signed per credential. Default `600/60`.
    pub sign_per_key: Rate,
    /// Verifications begun per account. Default `10/86400`.
    pub verification_per_account: Rate,
    /// Exports per account. Default `5/3600`.
    pub export_per_account: Rate,
}

/// `count` at once, given back evenly over `seconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub seconds: u32,
}

impl Serialize for Rate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}/{}", self.count, self.seconds))
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.split_once('/')
            .and_then(|(count, seconds)| Some((count.trim().parse().ok()?, seconds.trim().parse().ok()?)))
            .filter(|(count, seconds)| *count > 0 && *seconds > 0)
            .map(|(count, seconds)| Self { count, seconds })
            .ok_or_else(|| {
                serde::de::Error::custom(format!("`{text}` is not a rate such as `10/600` (count/seconds)"))
            })
    }
}

/// Bounds on connections and requests.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Http {
    /// Connections served at a time. Default 1024.
    pub max_connections: usize,
    /// Seconds for a request's head to arrive. Default 10.
    pub header_timeout_seconds: u64,
    /// Seconds for a request's body to arrive. Default 30.
    pub body_timeout_seconds: u64,
    /// Seconds a connection may rest between requests. Default 60.
    pub idle_timeout_seconds: u64,
    /// Seconds a client may leave an answer unread. Default 30.
    pub write_timeout_seconds: u64,
    /// Bytes of a request body. Default 65536.
    pub max_body_bytes: usize,
    /// Bytes of a request head. Default 16384.
    pub max_header_bytes: usize,
    /// Seconds that requests in flight have when the server stops. Default 20.
    pub shutdown_seconds: u64,
}

/// How long rows are kept that nothing needs any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Retention {
    /// Days that sessions signed out or past their absolute end, used links, delivered mails and webhooks are kept.
    /// Default 7.
    pub ended_days: u32,
    /// Days that an account may stay unconfirmed before it is removed with all that hangs on it. Default 30.
    pub unverified_days: u32,
    /// Days between an owner's wish to delete the account and its end, in which signing in cancels it. Default 7.
    pub deletion_days: u32,
    /// Days that the audit trail is kept. Default 400.
    pub audit_days: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            data_dir: "data".into(),
            database_url: None,
            database_connections: 16,
            public_url: None,
            mail_url: None,
            mail_from: "Latchkey <no-reply@localhost>".into(),
            product_name: "Latchkey".into(),
            trusted_proxies: vec![],
            cors_origins: vec![],
            require_verified_email: true,
            verified_redirect_url: None,
            root_key: None,
            previous_root_keys: vec![],
            metrics_listen: None,
            log: Log::default(),
            traces: Traces::default(),
            hashing: Hashing::default(),
            passwords: Passwords::default(),
            tokens: Tokens::default(),
            assurance: Assurance::default(),
            passkeys: Passkeys::default(),
            vault: Vault::default(),
            kyc: Kyc::default(),
            webhooks: Webhooks::default(),
            limits: Limits::default(),
            http: Http::default(),
            retention: Retention::default(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Human }
    }
}

impl Default for Hashing {
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, parallelism: 1, threads: 0, queue: 256 }
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self { breach_url: None, breach_timeout_ms: 1500 }
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            access_seconds: 900,
            session_idle_seconds: 7 * 86_400,
            session_seconds: 30 * 86_400,
            refresh_grace_seconds: 10,
            nist_lifetimes: false,
            sessions_per_account: 50,
            ticket_seconds: 300,
            remembered_device_seconds: 30 * 86_400,
            verification_seconds: 86_400,
            reset_seconds: 3600,
            email_revert_seconds: 72 * 3600,
            audience: None,
            algorithm: SigningAlgorithm::EdDSA,
            publish_ahead_seconds: 600,
        }
    }
}

impl Default for Traces {
    fn default() -> Self {
        Self { otlp_url: None, ratio: 1.0 }
    }
}

impl Default for Assurance {
    fn default() -> Self {
        Self { recent_seconds: 600, recovery_seconds: 86_400, routes: BTreeMap::new() }
    }
}

impl Default for Vault {
    fn default() -> Self {
        Self {
            keys_per_account: 100,
            refuse_withdrawal_keys: false,
            base_urls: BTreeMap::new(),
            private_networks: vec![],
            ports: vec![],
            transit_url: None,
            transit_token: None,
            transit_key: "latchkey".into(),
        }
    }
}

impl Default for Kyc {
    fn default() -> Self {
        Self {
            demo: false,
            providers: BTreeMap::new(),
            grants: vec![],
            countries: vec![],
            verification_seconds: 604_800,
            poll_seconds: 3600,
            events_days: 30,
            two_reviewers: false,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let rate = |count, seconds| Rate { count, seconds };
        Self {
            enabled: true,
            signup_per_address: rate(20, 3600),
            signup_per_account: rate(10, 3600),
            login_per_address: rate(60, 600),
            login_per_account: rate(10, 600),
            refresh_per_session: rate(30, 900),
            resend_per_address: rate(20, 3600),
            resend_wait_seconds: 60,
            resend_wait_max_seconds: 3600,
            verify_per_address: rate(60, 600),
            status_per_address: rate(120, 600),
            password_per_account: rate(10, 3600),
            mfa_per_account: rate(10, 600),
            passkey_per_address: rate(60, 600),
            reset_per_address: rate(20, 3600),
            email_change_per_account: rate(5, 86_400),
            api_key_per_account: rate(60, 3600),
            connection_test_per_key: rate(6, 60),
            connection_test_per_account: rate(60, 3600),
            connection_test_per_host: rate(120, 60),
            reveal_per_account: rate(30, 3600),
            sign_per_key: rate(600, 60),
            verification_per_account: rate(10, 86_400),
            export_per_account: rate(5, 3600),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            header_timeout_seconds: 10,
            body_timeout_seconds: 30,
            idle_timeout_seconds: 60,
            write_timeout_seconds: 30,
            max_body_bytes: 65_536,
            max_header_bytes: 16_384,
            shutdown_seconds: 20,
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { ended_days: 7, unverified_days: 30, deletion_days: 7, audit_days: 400 }
    }
}

impl Config {
    /// The database in use: the configured one, else SQLite in the data directory.
    #[must_use]
    pub fn database_url(&self) -> Secret {
        self.database_url.clone().unwrap_or_else(|| {
            Secret::new(format!("sqlite://{}", self.data_dir.join("latchkey.db").display()))
        })
    }

    /// The file of an SQLite database; `None` on PostgreSQL.
    #[must_use]
    pub fn sqlite_file(&self) -> Option<PathBuf> {
        let url = self.database_url();
        let path = url.expose().strip_prefix("sqlite:")?;
        let path = path.strip_prefix("//").unwrap_or(path);
        Some(path.split('?').next().unwrap_or(path).into())
    }

    /// The mail transport in use: the configured one, else files in the data directory.
    #[must_use]
    pub fn mail_url(&self) -> Secret {
        self.mail_url.clone().unwrap_or_else(|| {
            let directory = std::path::absolute(self.data_dir.join("mail")).unwrap_or_else(|_| "mail".into());
            Secret::new(format!("file://{}", directory.display()))
        })
    }

    /// The domain that passkeys are bound to; none while the server is known by an IP address only.
    #[must_use]
    pub fn rp_id(&self) -> Option<String> {
        let host = || Url::parse(&self.public_url()).ok()?.domain().map(str::to_owned);
        self.passkeys.rp_id.clone().or_else(host)
    }

    /// Origins from which passkeys may be used: the public URL's, if it lies within the domain, and those set.
    #[must_use]
    pub fn passkey_origins(&self, rp_id: &str) -> Vec<Url> {
        let own = Url::parse(&self.public_url()).ok().filter(|url| within(url, rp_id));
        let others = self.passkeys.origins.iter().filter_map(|origin| Url::parse(origin).ok());
        own.into_iter().chain(others).collect()
    }

    /// The public URL without a trailing slash: prefix of links and issuer of tokens.
    #[must_use]
    pub fn public_url(&self) -> String {
        match &self.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.listen),
        }
    }
}

/// Whether the URL's host is this domain or one below it.
fn within(url: &Url, domain: &str) -> bool {
    let below =
        |host: &str| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    url.domain().is_some_and(below)
}
