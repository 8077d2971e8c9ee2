//! Identity checks. A provider verifies the person; its webhooks and answers become steps of one verification; what an
//! approval is worth becomes the account's `ial`.

mod apply;
mod demo;
mod grants;
mod health;
mod list;
mod operate;
pub(super) mod person;
mod poll;
mod receive;
mod review;
mod start;
pub mod status;
mod work;

use std::sync::Arc;
use std::time::Duration;

use entities::{AccountId, KycVerificationId, kyc_verification};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use url::Url;

use super::{Error, Services};
use crate::clock::Sources;
use crate::config::{Config, Grant};
use crate::crypto::root_ring::RootRing;
use crate::crypto::seal::{Sealer, Unopened};
use crate::plugins::kyc::{self, Check, Failure, Network, Provider, Settings, Status};
use crate::secret::Secret;

pub use health::{Health, ProviderHealth};
pub use list::{Next, Offer, Page, Place, Standing};
pub use receive::{Delivery, Received};
pub use review::{Case, Decision, Proposal, Verdict};
pub use start::NewVerification;

/// What the provider inside the server offers.
const DEMO_LEVELS: [&str; 2] = ["basic", "full"];

/// A provider that the operator has set up.
pub struct Configured {
    pub provider: &'static dyn Provider,
    pub settings: Settings,
    /// Something of it is in the inbox.
    wake: Notify,
}

impl Configured {
    fn new(provider: &'static dyn Provider, settings: Settings) -> Self {
        Self { provider, settings, wake: Notify::new() }
    }

    #[must_use]
    pub fn name(&self) -> &'static str {
        self.provider.about().name
    }
}

/// What identity checks stand on.
pub struct Kyc {
    network: Network,
    providers: Vec<Configured>,
    sealer: Sealer,
    grants: Vec<Grant>,
    contacts: health::Contacts,
}

impl Kyc {
    /// The error is a line for the operator.
    pub fn open(config: &Config, roots: &RootRing, sources: &Sources) -> Result<Arc<Self>, String> {
        let mut providers: Vec<Configured> = kyc::ALL
            .iter()
            .filter_map(|provider| {
                let settings = config.kyc.providers.get(provider.about().name)?.clone();
                Some(Configured::new(*provider, settings))
            })
            .collect();
        if let Some(provider) = kyc::find(kyc::DEMO).filter(|_| config.kyc.demo) {
            let levels = DEMO_LEVELS.iter().map(|level| (level.to_string(), level.to_string())).collect();
            let base_url = Url::parse(&config.public_url()).ok();
            let settings = Settings { levels, base_url, sandbox: true, ..Settings::default() };
            providers.push(Configured::new(provider, settings));
        }
        Ok(Arc::new(Self {
            network: Network::new(sources.clone())?,
            providers,
            sealer: Sealer::new(roots, "kyc", sources.entropy),
            grants: grants::in_force(&config.kyc.grants),
            contacts: health::Contacts::default(),
        }))
    }

    /// Those that the operator has set up, in the order in which they are offered.
    #[must_use]
    pub fn providers(&self) -> &[Configured] {
        &self.providers
    }

    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&Configured> {
        self.providers.iter().find(|configured| configured.name() == name)
    }

    /// A sealed value under the current root key.
    pub(super) fn rewrap(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Unopened> {
        self.sealer.rewrap(context, sealed)
    }
}

/// What a person goes on with at the provider.
#[derive(Debug, Clone, Default)]
pub struct Handover {
    pub url: Option<Url>,
    pub token: Option<Secret>,
}

/// The same, as it is sealed.
#[derive(Serialize, Deserialize)]
struct SealedHandover {
    url: Option<Url>,
    token: Option<String>,
}

/// The status of a row. What a newer release wrote there is taken for open.
#[must_use]
pub fn status_of(row: &kyc_verification::Model) -> Status {
    row.status.parse().unwrap_or(Status::InReview)
}

/// Rows that are open, in so many words: else the index of the few is not used.
fn is_open() -> Expr {
    Expr::cust("status IN ('pending', 'in_review', 'resubmission')")
}

/// What was found in order.
#[must_use]
pub fn checks_of(text: &str) -> Vec<Check> {
    serde_json::from_str(text).unwrap_or_default()
}

/// Texts that are stored as a list in JSON.
#[must_use]
pub fn texts_of(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_default()
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "[]".into())
}

/// What a caller learns of a failure at a provider. The log has the reason.
fn failed(provider: &str, failure: &Failure) -> Error {
    const AGAIN: Duration = Duration::from_secs(10);
    match failure {
        Failure::Busy(wait) => Error::ProviderUnavailable(wait.unwrap_or(AGAIN)),
        Failure::Unanswered(reason) => {
            tracing::warn!(provider, %reason, "no answer from a provider of identity checks");
            Error::ProviderUnavailable(AGAIN)
        }
        Failure::Credentials(_) | Failure::Refused { .. } | Failure::Malformed(_) => {
            tracing::error!(provider, %failure, "a provider of identity checks does not do what it is asked");
            Error::ProviderFailed
        }
    }
}

impl Services {
    /// A verification of the account, or nothing: there is no way to ask for one without saying whose it is. One that the
    /// provider has not answered for is not there yet.
    async fn verification_of(
        &self,
        db: &impl ConnectionTrait,
        owner: AccountId,
        id: KycVerificationId,
    ) -> Result<kyc_verification::Model, Error> {
        let found = kyc_verification::Entity::find_by_id(id)
            .filter(kyc_verification::Column::AccountId.eq(owner))
            .filter(kyc_verification::Column::Reference.is_not_null())
            .one(db)
            .await?;
        found.ok_or(Error::NotFound)
    }
}
