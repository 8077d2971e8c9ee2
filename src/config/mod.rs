//! Typed settings: defaults < `latchkey.toml` < environment, validated at start.
//!
//! Environment variables are the keys of this file in capitals behind `LATCHKEY_`, nested keys joined by `__`:
//! `LATCHKEY_LIMITS__ENABLED=false`. For any of them, `…_FILE` names a file that holds the value instead.

mod kyc;
mod limits;
mod load;
pub mod text;
mod tokens;
mod validate;
mod vault;
mod webhooks;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

pub use crate::secret::Secret;
use crate::services::policy::Requirement;
pub use kyc::{Grant, Kyc};
pub use limits::{Limits, Rate};
pub use load::{ConfigErrors, load};
pub use tokens::{SigningAlgorithm, Tokens};
pub use vault::Vault;
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
