//! Rules and transactions. A service reads from top to bottom: authorise, begin, change, audit row, outbox row, commit,
//! return. Nothing here knows HTTP, and nothing that leaves the process happens inside a transaction.

pub mod access_keys;
pub mod accounts;
pub mod audit;
pub mod clock_check;
pub mod email_changes;
pub mod email_verifications;
mod error;
pub mod kyc;
pub mod limits;
mod links;
mod measure;
pub mod mfa;
pub mod outbox;
mod page;
pub mod password_resets;
mod passwords;
pub mod policy;
mod reaper;
mod recovery;
pub mod root_keys;
pub mod sessions;
pub mod signing_keys;
pub mod vault;
pub mod webhooks;

use std::net::IpAddr;
use std::sync::Arc;

use webauthn_rs::prelude::Webauthn;

use crate::clock::Sources;
use crate::config::Config;
use crate::crypto::envelope::Envelopes;
use crate::crypto::password::{Hasher, HashingParams};
use crate::crypto::root_ring::RootRing;
use crate::crypto::seal::Sealer;
use crate::db::{Batcher, Db};
use crate::locale::Locale;

pub use error::Error;

/// What services stand on. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    pub config: Arc<Config>,
    pub db: Db,
    pub sources: Sources,
    pub hasher: Hasher,
    pub keys: Arc<signing_keys::Keyring>,
    pub outbox: outbox::Outbox,
    roots: RootRing,
    factors: Envelopes,
    relying_party: Option<Arc<Webauthn>>,
    challenges: Sealer,
    breaches: Option<Arc<passwords::Breaches>>,
    vault: Arc<vault::Vault>,
    pub kyc: Arc<kyc::Kyc>,
    webhooks: Arc<webhooks::Webhooks>,
    sessions: Arc<Batcher<entities::SessionId, Option<Arc<sessions::State>>>>,
    refreshes: Arc<Batcher<sessions::Renewal, Option<sessions::Renewed>>>,
}

/// Where a request comes from, for limits and the audit trail.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Origin {
    pub ip: IpAddr,
    pub user_agent: Option<String>,
    pub request_id: String,
    /// The language that the client asks for. Requests in outboxes of older releases have none.
    #[serde(default)]
    pub locale: Option<Locale>,
}

impl Origin {
    /// The language to write to an account in: its own, else the one that the client asks for.
    #[must_use]
    pub fn language(&self, own: Option<&str>) -> Option<Locale> {
        own.and_then(|tag| tag.parse().ok()).or(self.locale)
    }
}

impl Services {
    /// Sets everything up on a database whose schema is current. The error is a line for the operator.
    pub async fn start(config: Arc<Config>, db: Db, sources: Sources) -> Result<Self, String> {
        let roots = RootRing::obtain(&config, sources.entropy).map_err(|error| error.to_string())?;
        let vault = vault::Vault::open(&config, &roots, &sources).await?;
        let kyc = kyc::Kyc::open(&config, &roots, &sources)?;
        let webhooks = webhooks::Webhooks::open(&config)?;
        root_keys::demand_all(&db, &roots, &*vault.roots, sources.entropy).await?;
        let hasher = Hasher::start(&hashing_params(&config), sources.entropy)?;
        let keys = signing_keys::Keyring::open(&config, &db, &sources, &roots).await?;
        let outbox = outbox::Outbox::new(Sealer::new(&roots, "outbox", sources.entropy));
        let factors = Envelopes::new(Sealer::new(&roots, "second factors", sources.entropy), sources.entropy);
        let relying_party = mfa::relying_party(&config)?.map(Arc::new);
        let challenges = Sealer::new(&roots, "webauthn", sources.entropy);
        let breaches = passwords::Breaches::configured(&config.passwords)?.map(Arc::new);
        let sessions = Arc::new(sessions::states(db.clone()));
        let refreshes = Arc::new(sessions::renewals(db.clone()));
        let keys = Arc::new(keys);
        Ok(Self {
            config,
            db,
            sources,
            hasher,
            keys,
            outbox,
            roots,
            factors,
            relying_party,
            challenges,
            breaches,
            vault,
            kyc,
            webhooks,
            sessions,
            refreshes,
        })
    }
}

impl Services {
    /// Whether this node can do its work: the database answers and a key can sign.
    pub async fn check_ready(&self) -> Result<(), Error> {
        self.db.ping().await?;
        let now = self.sources.now();
        if self.keys.status(now).iter().any(|key| key.state == "signing") {
            Ok(())
        } else {
            Err(Error::Unavailable("no key can sign".into()))
        }
    }
}

fn hashing_params(config: &Config) -> HashingParams {
    let hashing = &config.hashing;
    HashingParams {
        memory_kib: hashing.memory_kib,
        iterations: hashing.iterations,
        parallelism: hashing.parallelism,
        threads: hashing.threads,
        queue: hashing.queue,
    }
}
