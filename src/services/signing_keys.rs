//! The server's own keys: in the database, sealed by the root key, so that all nodes share them. A key is published
//! before it signs and verifies until the last token under it has expired, so nothing is refused along a rotation.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use entities::server_key::{self, Purpose};
use entities::{ServerKeyId, Timestamp};
use quick_cache::sync::Cache;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait,
    IntoActiveModel, QueryFilter, QueryOrder,
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::audit::{Action, Actor, Event};
use super::{Error, Services};
use crate::clock::Sources;
use crate::config::{Config, SigningAlgorithm};
use crate::crypto::access_token::{self, Claims};
use crate::crypto::refresh_token::RefreshKey;
use crate::crypto::root_key::RootKey;
use crate::crypto::seal::Sealer;
use crate::crypto::signing_key::{self, PublicKey, SigningKey};
use crate::db::Db;

/// How often a node looks for keys that another one made.
pub const RELOAD_EVERY: Duration = Duration::from_secs(30);
/// How long a new key is published before it signs: longer than a reload and than clients keep a key set.
const PUBLISH_AHEAD: Duration = Duration::from_secs(600);
/// How long clients may keep the key set.
pub const KEY_SET_MAX_AGE: Duration = Duration::from_secs(300);
/// Between the clocks of two nodes.
pub const SKEW: Duration = Duration::from_secs(60);
/// Verified tokens that are remembered.
const REMEMBERED: usize = 16_384;
const CREATION_LOCK: &str = "SELECT pg_advisory_xact_lock(5497863242318)";

/// The keys in memory, as last read.
pub struct Keyring {
    sealer: Sealer,
    issuer: String,
    audience: String,
    set: RwLock<Arc<KeySet>>,
}

struct KeySet {
    rows: Vec<(ServerKeyId, Option<Timestamp>)>,
    signing: Vec<Held>,
    refresh: RefreshKey,
    /// Claims of tokens whose signature was found good, by hash. A signature's validity can't change; the keys can, and
    /// then there is a new set with nothing remembered.
    verified: Cache<[u8; 32], Arc<Claims>>,
}

struct Held {
    key: SigningKey,
    header: String,
    active_at: Timestamp,
    retires_at: Option<Timestamp>,
}

/// A key as operators see it.
#[derive(Debug, Clone)]
pub struct KeyStatus {
    pub kid: String,
    pub algorithm: String,
    pub state: &'static str,
    pub active_at: Timestamp,
    pub retires_at: Option<Timestamp>,
}

impl Keyring {
    /// Reads the keys, and makes them when there are none.
    pub async fn open(config: &Config, db: &Db, sources: &Sources, root: &RootKey) -> Result<Self, String> {
        let sealer = Sealer::new(root, "server keys", sources.entropy);
        let first = [
            new_key(&sealer, sources, Purpose::AccessToken, Some(config.tokens.algorithm), sources.now())
                .map_err(|error| format!("{error:?}"))?,
            new_key(&sealer, sources, Purpose::RefreshToken, None, sources.now())
                .map_err(|error| format!("{error:?}"))?,
        ];
        let created: Result<(), Error> = db
            .write(move |transaction| {
                Box::pin(async move {
                    lock(transaction).await?;
                    if server_key::Entity::find().one(transaction).await?.is_none() {
                        for key in first {
                            insert(transaction, key).await?;
                        }
                    }
                    Ok(())
                })
            })
            .await;
        created.map_err(|error| format!("server keys: {error:?}"))?;
        let set = read(db, &sealer, sources.now()).await?;
        let issuer = config.public_url();
        let audience = config.tokens.audience.clone().unwrap_or_else(|| issuer.clone());
        Ok(Self { sealer, issuer, audience, set: RwLock::new(Arc::new(set)) })
    }

    /// Reads the keys again. Keeps what it has when they can't be read, and when nothing changed.
    pub async fn reload(&self, db: &Db, now: Timestamp) {
        match read(db, &self.sealer, now).await {
            Ok(set) if set.rows != self.set().rows => {
                *self.set.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
                tracing::info!("signing keys changed");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "signing keys can't be read again"),
        }
    }

    fn set(&self) -> Arc<KeySet> {
        Arc::clone(&self.set.read().unwrap_or_else(PoisonError::into_inner))
    }

    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    #[must_use]
    pub fn audience(&self) -> &str {
        &self.audience
    }

    #[must_use]
    pub fn refresh_key(&self) -> RefreshKey {
        self.set().refresh.clone()
    }

    /// Signs with the newest key that is active at `now`.
    pub fn sign(&self, claims: &Claims, now: Timestamp) -> Result<String, Error> {
        let set = self.set();
        let held = set
            .signing
            .iter()
            .filter(|held| held.active_at <= now)
            .max_by_key(|held| held.active_at)
            .ok_or_else(|| Error::Internal("no signing key is active".into()))?;
        Ok(access_token::sign(&held.key, &held.header, claims)?)
    }

    /// The claims of a token that one of our keys signed for us, whatever the time; `None` for any other text.
    #[must_use]
    pub fn verify(&self, token: &str, now: Timestamp) -> Option<Arc<Claims>> {
        if token.len() > access_token::MAX_LENGTH {
            return None;
        }
        let set = self.set();
        let hash: [u8; 32] = Sha256::digest(token).into();
        let claims = match set.verified.get(&hash) {
            Some(claims) => claims,
            None => {
                let kid = access_token::kid(token)?;
                let held = set.signing.iter().find(|held| held.key.kid == kid)?;
                if held.retires_at.is_some_and(|retires| retires <= now) {
                    return None;
                }
                let claims = Arc::new(access_token::verify(token, &held.key, &self.issuer, &self.audience)?);
                set.verified.insert(hash, Arc::clone(&claims));
                claims
            }
        };
        (claims.nbf <= (now + SKEW).seconds()).then_some(claims)
    }

    /// Public keys for others to verify with: those that sign, those that will and those that did of late.
    #[must_use]
    pub fn public_keys(&self, now: Timestamp) -> Vec<PublicKey> {
        let set = self.set();
        let current = set.signing.iter().filter(|held| held.retires_at.is_none_or(|retires| retires > now));
        current.map(|held| held.key.public()).collect()
    }

    #[must_use]
    pub fn status(&self, now: Timestamp) -> Vec<KeyStatus> {
        let set = self.set();
        let signs = set.signing.iter().filter(|held| held.active_at <= now).map(|held| held.active_at).max();
        set.signing
            .iter()
            .map(|held| KeyStatus {
                kid: held.key.kid.clone(),
                algorithm: held.key.public().alg.to_owned(),
                state: match () {
                    () if held.retires_at.is_some_and(|retires| retires <= now) => "retired",
                    () if held.active_at > now => "published",
                    () if Some(held.active_at) == signs => "signing",
                    () => "verifying",
                },
                active_at: held.active_at,
                retires_at: held.retires_at,
            })
            .collect()
    }
}

impl Services {
    /// Publishes a new key that will sign after a while, and lets the ones before it retire after their last token.
    pub async fn rotate_signing_key(&self, algorithm: SigningAlgorithm) -> Result<KeyStatus, Error> {
        let now = self.sources.now();
        let active_at = now + PUBLISH_AHEAD;
        let retires_at =
            active_at + Duration::from_secs(self.config.tokens.access_seconds) + SKEW + RELOAD_EVERY;
        let key =
            new_key(&self.keys.sealer, &self.sources, Purpose::AccessToken, Some(algorithm), active_at)?;
        let kid = key.kid.clone();
        let audit = self.audit(
            Event::new(Action::SigningKeyRotated, Actor::Operator).detail(serde_json::json!({ "kid": kid })),
        );
        let done: Result<(), Error> = self
            .db
            .write(move |transaction| {
                Box::pin(async move {
                    lock(transaction).await?;
                    server_key::Entity::update_many()
                        .col_expr(server_key::Column::RetiresAt, sea_orm::sea_query::Expr::value(retires_at))
                        .filter(server_key::Column::Purpose.eq(Purpose::AccessToken))
                        .filter(server_key::Column::RetiresAt.is_null())
                        .exec(transaction)
                        .await?;
                    insert(transaction, key).await?;
                    audit.write(transaction).await?;
                    Ok(())
                })
            })
            .await;
        done?;
        self.keys.reload(&self.db, now).await;
        let status = self.keys.status(now).into_iter().find(|status| status.kid == kid);
        status.ok_or_else(|| Error::Internal("the new key is not there".into()))
    }
}

/// One node at a time looks whether keys are missing.
async fn lock(transaction: &DatabaseTransaction) -> Result<(), sea_orm::DbErr> {
    if transaction.get_database_backend() == DbBackend::Postgres {
        transaction.execute_unprepared(CREATION_LOCK).await?;
    }
    Ok(())
}

async fn insert(transaction: &DatabaseTransaction, key: server_key::Model) -> Result<(), sea_orm::DbErr> {
    server_key::Entity::insert(key.into_active_model().reset_all())
        .exec_without_returning(transaction)
        .await
        .map(drop)
}

fn new_key(
    sealer: &Sealer,
    sources: &Sources,
    purpose: Purpose,
    algorithm: Option<SigningAlgorithm>,
    active_at: Timestamp,
) -> Result<server_key::Model, Error> {
    let (kid, name, secret) = match algorithm {
        Some(algorithm) => {
            let (kid, secret) = signing_key::generate(algorithm)?;
            (kid, format!("{algorithm:?}"), secret)
        }
        None => {
            let secret = Zeroizing::new(sources.entropy.bytes::<32>().to_vec());
            ("refresh-1".to_owned(), "HMAC-SHA-256".to_owned(), secret)
        }
    };
    let id: ServerKeyId = sources.id();
    let sealed = sealer.seal(&context(id, purpose, &kid), &secret);
    let now = sources.now();
    Ok(server_key::Model {
        id,
        purpose,
        kid,
        algorithm: name,
        sealed,
        active_at,
        retires_at: None,
        created_at: now,
    })
}

/// What a sealed key is bound to: a row that takes another's place does not open.
fn context(id: ServerKeyId, purpose: Purpose, kid: &str) -> Vec<u8> {
    format!("{id}/{purpose:?}/{kid}").into_bytes()
}

async fn read(db: &Db, sealer: &Sealer, now: Timestamp) -> Result<KeySet, String> {
    let unretired = Condition::any()
        .add(server_key::Column::RetiresAt.is_null())
        .add(server_key::Column::RetiresAt.gt(now));
    let rows = server_key::Entity::find()
        .filter(unretired)
        .order_by_asc(server_key::Column::ActiveAt)
        .all(db.reader())
        .await
        .map_err(|error| format!("server keys: {error}"))?;
    let mut signing = vec![];
    let mut refresh = None;
    let mut ids = vec![];
    for row in rows {
        let secret = sealer.open(&context(row.id, row.purpose, &row.kid), &row.sealed).map_err(|_| {
            "root_key: this database was sealed with another root key (LATCHKEY_ROOT_KEY or root.key in the data directory)"
                .to_owned()
        })?;
        ids.push((row.id, row.retires_at));
        match row.purpose {
            Purpose::AccessToken => {
                let unusable = |_| format!("server keys: {} can't be used", row.kid);
                let key =
                    SigningKey::from_pkcs8(row.kid.clone(), &row.algorithm, &secret).map_err(unusable)?;
                let header = access_token::header(&key).map_err(unusable)?;
                signing.push(Held { key, header, active_at: row.active_at, retires_at: row.retires_at });
            }
            Purpose::RefreshToken => {
                let secret: &[u8; 32] = secret
                    .as_slice()
                    .try_into()
                    .map_err(|_| "server keys: refresh key has a wrong length")?;
                refresh = Some(RefreshKey::new(secret));
            }
        }
    }
    let refresh = refresh.ok_or("server keys: the refresh key is missing")?;
    if !signing.iter().any(|held| held.active_at <= now) {
        return Err("server keys: no key can sign".into());
    }
    Ok(KeySet { rows: ids, signing, refresh, verified: Cache::new(REMEMBERED) })
}
