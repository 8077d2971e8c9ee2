//! What goes in and out of the operations on stored credentials.

use entities::{Timestamp, api_key};
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};

use super::super::auth::{EXAMPLE_ID, EXAMPLE_INSTANT};
use super::super::instant::Instant;
use super::super::payload::{
    ApiSecret, Label, Line, Method, Name, Nullable, Patch, PathRule, QueryText, Settings,
};
use crate::services::Services;
use crate::services::vault::{self, TestResult};

/// Requests that may be signed without revealing the credential
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub struct SignRule {
    /// In capitals
    pub method: Method,
    /// The path from the root of the service's host; with `*` at its end, all that begins so
    #[oai(validator(max_length = 512))]
    pub path: PathRule,
}

impl Example for SignRule {
    fn example() -> Self {
        Self { method: "GET".into(), path: "/api/v3/*".into() }
    }
}

impl From<SignRule> for vault::Rule {
    fn from(rule: SignRule) -> Self {
        Self { method: rule.method.into(), path: rule.path.into() }
    }
}

impl From<vault::Rule> for SignRule {
    fn from(rule: vault::Rule) -> Self {
        Self { method: rule.method.into(), path: rule.path.into() }
    }
}

/// A credential to be stored
#[derive(Object)]
pub struct NewApiKey {
    /// Name of the connector; needed
    pub provider: Option<Name>,
    /// The older name of `provider`
    #[oai(deprecated)]
    pub exchange: Option<Name>,
    /// What to call it; no two of an owner are called alike
    #[oai(validator(min_length = 1, max_length = 100))]
    pub name: Line,
    /// The key, or the token where the service has nothing else
    #[oai(write_only)]
    pub api_key: ApiSecret,
    /// The secret that belongs to it, or the private key, where the connector has one
    #[oai(write_only)]
    pub secret: Option<Nullable<ApiSecret>>,
    /// The older name of `secret`
    #[oai(write_only, deprecated)]
    pub api_secret: Option<Nullable<ApiSecret>>,
    /// The passphrase, where the connector has one
    #[oai(write_only)]
    pub passphrase: Option<Nullable<ApiSecret>>,
    /// The older name of `passphrase`
    #[oai(write_only, deprecated)]
    pub api_passphrase: Option<Nullable<ApiSecret>>,
    /// One of the connector's; its first by default
    pub environment: Patch<Name>,
    /// What the connector needs beside the secrets: its fields whose names begin with `settings.`
    pub settings: Patch<Settings>,
    /// When it ends, as far as its owner knows
    pub expires_at: Patch<Instant>,
    /// For filters
    #[oai(validator(max_items = 20, unique_items))]
    pub labels: Option<Vec<Label>>,
    /// What may be signed with it without revealing it. Needs a recent sign-in
    #[oai(validator(max_items = 50))]
    pub sign_rules: Option<Vec<SignRule>>,
    /// Whether to test the connection after saving
    #[oai(default = "yes")]
    pub test: bool,
}

fn yes() -> bool {
    true
}

/// Changes to a stored credential. A new credential is sent whole and takes the place of the old one
#[derive(Object)]
pub struct ApiKeyChange {
    /// What to call it
    #[oai(validator(min_length = 1, max_length = 100))]
    pub name: Option<Line>,
    /// In place of those that it has
    #[oai(validator(max_items = 20, unique_items))]
    pub labels: Option<Vec<Label>>,
    /// In place of those that it has. Needs a recent sign-in
    #[oai(validator(max_items = 50))]
    pub sign_rules: Option<Vec<SignRule>>,
    /// When it ends; null for no end
    pub expires_at: Patch<Instant>,
    /// The key of a new credential. Needs a recent sign-in
    #[oai(write_only)]
    pub api_key: Option<ApiSecret>,
    /// The secret of the new credential
    #[oai(write_only)]
    pub secret: Option<ApiSecret>,
    /// The older name of `secret`
    #[oai(write_only, deprecated)]
    pub api_secret: Option<ApiSecret>,
    /// The passphrase of the new credential
    #[oai(write_only)]
    pub passphrase: Option<ApiSecret>,
    /// The older name of `passphrase`
    #[oai(write_only, deprecated)]
    pub api_passphrase: Option<ApiSecret>,
    /// With a new credential: where it belongs
    pub environment: Option<Name>,
    /// With a new credential: what the connector needs beside the secrets
    pub settings: Option<Settings>,
}

/// Whether something is so
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Answer {
    Yes,
    No,
    /// The service does not tell
    Unknown,
}

impl Answer {
    fn of(told: &str) -> Self {
        match told {
            "yes" => Self::Yes,
            "no" => Self::No,
            _ => Self::Unknown,
        }
    }
}

/// What a key may do
#[derive(Debug, Object)]
pub struct KeyPermissions {
    /// Read balances and orders
    pub read: Answer,
    /// Trade
    pub trade: Answer,
    /// Withdraw to somewhere else
    pub withdraw: Answer,
    /// Move between accounts of the same owner
    pub transfer: Answer,
    /// In the service's own words
    pub raw: Vec<String>,
}

/// From where a key may be used
#[derive(Debug, Object)]
pub struct KeyIpRestriction {
    /// Whether it is restricted to addresses
    pub restricted: Answer,
    /// To which, where the service tells
    pub addresses: Vec<String>,
}

/// How a test ended
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
pub enum TestOutcome {
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

/// What came of a test
#[derive(Debug, Object)]
#[oai(example)]
pub struct ConnectionTest {
    /// How it ended
    pub outcome: TestOutcome,
    /// What may be the cause, and what to do, for a person
    pub detail: String,
    /// What the owner should think about
    pub warnings: Vec<String>,
    /// What the key may do
    pub permissions: KeyPermissions,
    /// From where it may be used
    pub ip_restriction: KeyIpRestriction,
    /// Whose key it is, in the service's words
    pub account_reference: Nullable<String>,
    /// When the key ends, by the service
    pub provider_expires_at: Nullable<Instant>,
    /// The service's own code
    pub provider_code: Nullable<String>,
    /// The service's own words
    pub provider_message: Nullable<String>,
    /// Seconds to wait, where the service said so
    pub retry_after: Nullable<u64>,
    /// Milliseconds that it took
    pub latency_ms: u64,
    /// When it was
    pub tested_at: Instant,
}

impl From<TestResult> for ConnectionTest {
    fn from(result: TestResult) -> Self {
        use poem_openapi::types::ParseFromJSON as _;
        let outcome = TestOutcome::parse_from_json(Some(result.outcome.clone().into()));
        let warnings = result.warnings().into_iter().map(str::to_owned).collect();
        let told = &result.permissions;
        Self {
            outcome: outcome.unwrap_or(TestOutcome::Unexpected),
            detail: result.advice,
            warnings,
            permissions: KeyPermissions {
                read: Answer::of(&told.read),
                trade: Answer::of(&told.trade),
                withdraw: Answer::of(&told.withdraw),
                transfer: Answer::of(&told.transfer),
                raw: result.permissions.raw,
            },
            ip_restriction: KeyIpRestriction {
                restricted: match result.ip_restricted {
                    Some(true) => Answer::Yes,
                    Some(false) => Answer::No,
                    None => Answer::Unknown,
                },
                addresses: result.ip_addresses,
            },
            account_reference: result.account.into(),
            provider_expires_at: result.expires_at.map(|at| Instant(Timestamp(at))).into(),
            provider_code: result.provider_code.into(),
            provider_message: result.provider_message.into(),
            retry_after: result.retry_after.into(),
            latency_ms: result.latency_ms,
            tested_at: Instant(Timestamp(result.at)),
        }
    }
}

impl Example for ConnectionTest {
    fn example() -> Self {
        Self {
            outcome: TestOutcome::Ok,
            detail: "The credential works.".into(),
            warnings: vec![],
            permissions: KeyPermissions {
                read: Answer::Yes,
                trade: Answer::No,
                withdraw: Answer::No,
                transfer: Answer::Unknown,
                raw: vec!["query-funds".into()],
            },
            ip_restriction: KeyIpRestriction {
                restricted: Answer::Yes,
                addresses: vec!["203.0.113.7".into()],
            },
            account_reference: None.into(),
            provider_expires_at: None.into(),
            provider_code: None.into(),
            provider_message: None.into(),
            retry_after: None.into(),
            latency_ms: 212,
            tested_at: EXAMPLE_INSTANT,
        }
    }
}

/// What is known of a credential
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
pub enum ApiKeyStatus {
    /// No test has told anything yet
    Untested,
    /// The last test that could tell found it working
    Working,
    /// The last test that could tell found it not working
    Failing,
    /// Past the end that its owner set
    Expired,
}

/// A stored credential, without its secrets
#[derive(Debug, Object)]
#[oai(example)]
pub struct ApiKey {
    /// Its id
    pub id: String,
    /// Name of the connector
    pub provider: String,
    /// Where it belongs
    pub environment: String,
    /// What its owner calls it
    pub name: String,
    /// The last characters of the key behind dots, by which its owner tells it from others
    pub api_key_masked: String,
    /// For filters
    pub labels: Vec<String>,
    /// What may be signed with it without revealing it
    pub sign_rules: Vec<SignRule>,
    /// What the connector needs beside the secrets
    pub settings: Settings,
    /// What is known of it
    pub status: ApiKeyStatus,
    /// The last test; null before the first
    pub last_test: Nullable<ConnectionTest>,
    /// When it was last revealed or signed with
    pub last_used_at: Nullable<Instant>,
    /// When it ends, as far as its owner knows
    pub expires_at: Nullable<Instant>,
    /// Counts the credentials that were stored under this id
    pub version: i32,
    /// When it was stored
    pub created_at: Instant,
    /// When it was last changed
    pub updated_at: Instant,
}

impl ApiKey {
    /// As its owner sees it.
    pub fn new(row: api_key::Model, services: &Services) -> Self {
        let status = match services.status_of(&row) {
            "working" => ApiKeyStatus::Working,
            "failing" => ApiKeyStatus::Failing,
            "expired" => ApiKeyStatus::Expired,
            _ => ApiKeyStatus::Untested,
        };
        let rules: Vec<vault::Rule> = serde_json::from_str(&row.rules).unwrap_or_default();
        Self {
            last_test: services.last_test(&row).map(ConnectionTest::from).into(),
            id: row.id.to_string(),
            provider: row.provider,
            environment: row.environment,
            name: row.name,
            api_key_masked: format!("••••{}", row.hint),
            labels: serde_json::from_str(&row.labels).unwrap_or_default(),
            sign_rules: rules.into_iter().map(SignRule::from).collect(),
            settings: Settings(serde_json::from_str(&row.settings).unwrap_or_default()),
            status,
            last_used_at: row.last_used_at.map(Instant).into(),
            expires_at: row.expires_at.map(Instant).into(),
            version: row.version,
            created_at: Instant(row.created_at),
            updated_at: Instant(row.updated_at),
        }
    }
}

impl Example for ApiKey {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID.into(),
            provider: "kraken".into(),
            environment: "live".into(),
            name: "Savings".into(),
            api_key_masked: "••••7Qx2".into(),
            labels: vec!["team: research".into()],
            sign_rules: vec![],
            settings: Settings::default(),
            status: ApiKeyStatus::Working,
            last_test: Some(ConnectionTest::example()).into(),
            last_used_at: None.into(),
            expires_at: None.into(),
            version: 1,
            created_at: EXAMPLE_INSTANT,
            updated_at: EXAMPLE_INSTANT,
        }
    }
}

/// A credential, revealed
#[derive(Object)]
#[oai(example)]
pub struct RevealedApiKey {
    /// The key
    pub api_key: String,
    /// The secret; null where there is none
    pub secret: Nullable<String>,
    /// The passphrase; null where there is none
    pub passphrase: Nullable<String>,
}

impl Example for RevealedApiKey {
    fn example() -> Self {
        Self {
            api_key: "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A".into(),
            secret: Some("NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j".to_owned())
                .into(),
            passphrase: None.into(),
        }
    }
}

/// A request to be signed
#[derive(Debug, Object)]
#[oai(example)]
pub struct ApiRequest {
    /// In capitals
    pub method: Method,
    /// The path from the root of the service's host, percent-encoded
    #[oai(validator(min_length = 1, max_length = 2048))]
    pub path: String,
    /// The query as it will be sent, percent-encoded, without `?`
    #[oai(default, validator(max_length = 8192))]
    pub query: QueryText,
    /// The body as it will be sent
    #[oai(default, validator(max_length = 32768))]
    pub body: String,
}

impl Example for ApiRequest {
    fn example() -> Self {
        Self {
            method: "GET".into(),
            path: "/api/v3/account".into(),
            query: "omitZeroBalances=true".into(),
            body: String::new(),
        }
    }
}

/// A header of a signed request
#[derive(Debug, Object)]
pub struct SignedHeader {
    /// Its name
    pub name: String,
    /// Its value
    pub value: String,
}

/// A signed request, to be sent as it is, soon and once
#[derive(Debug, Object)]
#[oai(example)]
pub struct SignedApiRequest {
    /// Scheme and host
    pub base_url: String,
    /// As asked for
    pub method: String,
    /// As asked for
    pub path: String,
    /// The whole query, without `?`
    pub query: String,
    /// The whole body
    pub body: String,
    /// To be sent with it
    pub headers: Vec<SignedHeader>,
}

impl Example for SignedApiRequest {
    fn example() -> Self {
        Self {
            base_url: "https://api.binance.com".into(),
            method: "GET".into(),
            path: "/api/v3/account".into(),
            query: "omitZeroBalances=true&recvWindow=5000&timestamp=1700000000000&signature=87e5c622…".into(),
            body: String::new(),
            headers: vec![SignedHeader { name: "X-MBX-APIKEY".into(), value: "vmPUZE6m…".into() }],
        }
    }
}
