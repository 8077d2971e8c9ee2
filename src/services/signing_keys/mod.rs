//! The server's own keys: in the database, sealed by the root key, so that all nodes share them.
//!
//! A key is published, signs, verifies and retires. It is published for `tokens.publish_ahead_seconds` before it signs: a
//! quarter of that is for every node to read it, half for those who keep the key set as long as `Cache-Control` says,
//! and the last quarter for clocks that differ. It verifies until the longest token under it has expired. So nothing is
//! refused along a rotation.

mod rotate;
mod rows;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use entities::server_key::Purpose;
use entities::{ServerKeyId, Timestamp};
use quick_cache::sync::Cache;
use sea_orm::EntityTrait;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use super::{Error, Services};
use crate::clock::Sources;
use crate::config::Config;
use crate::crypto::access_token::{self, Claims};
use crate::crypto::refresh_token::RefreshKey;
use crate::crypto::root_ring::RootRing;
use crate::crypto::seal::{Sealer, Unopened};
use crate::crypto::signing_key::{PublicKey, SigningKey};
use crate::db::Db;

/// How often a node looks for keys that another one made, at least.
const RELOAD_EVERY: Duration = Duration::from_secs(30);
/// How long clients may keep the key set, at most.
const KEY_SET_MAX_AGE: Duration = Duration::from_secs(300);
/// How often tokens under unknown keys may make a node look besides: anybody can make them up.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Between the clocks of two nodes.
const SKEW: Duration = Duration::from_secs(60);
/// Verified tokens that are remembered.
const REMEMBERED: usize = 16_384;

/// The keys in memory, as last read.
pub struct Keyring {
    sealer: Sealer,
    issuer: String,
    audience: String,
    publish_ahead: Duration,
    set: RwLock<Arc<KeySet>>,
    /// Held while the database is asked, so that no answer gives way to an older one.
    asked: Mutex<Asked>,
}

/// How asking the database for keys went.
struct Asked {
    answered: bool,
    /// When a token under an unknown key was last the reason.
    looked_at: Option<Timestamp>,
}

struct KeySet {
    rows: Vec<(ServerKeyId, Option<Timestamp>)>,
    /// At least one, in the order in which they sign.
    signing: Vec<Held>,
    refresh: RefreshKey,
    /// Tokens whose signature was found good, by hash. A signature's validity can't change; the keys can, and then there
    /// is a new set with nothing remembered.
    verified: Cache<[u8; 32], Verified>,
}

struct Held {
    key: SigningKey,
    header: String,
    active_at: Timestamp,
    retires_at: Option<Timestamp>,
}

#[derive(Clone)]
struct Verified {
    claims: Arc<Claims>,
    /// When the key retires.
    until: Option<Timestamp>,
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

impl Services {
    /// The claims of a token that one of our keys signed for us, expired or not. A key that this node does not know may be
    /// one that another node made: then it looks before it refuses, though not each time.
    pub(super) async fn claims(&self, access_token: &str) -> Result<Arc<Claims>, Error> {
        let now = self.sources.now();
        let mut claims = self.keys.verify(access_token, now);
        if claims.is_none() && self.keys.lacks_the_key_of(access_token) {
            self.keys.look(&self.db, now).await?;
            claims = self.keys.verify(access_token, now);
        }
        claims.ok_or(Error::InvalidAccessToken)
    }
}

impl Keyring {
    /// Reads the keys, and makes them when there are none.
    pub async fn open(config: &Config, db: &Db, sources: &Sources, roots: &RootRing) -> Result<Self, String> {
        let sealer = Sealer::new(roots, "server keys", sources.entropy);
        let first = [
            rows::access_key(&sealer, sources, config.tokens.algorithm, sources.now())
                .map_err(|error| format!("{error:?}"))?,
            rows::refresh_key(&sealer, sources),
        ];
        let created: Result<(), Error> = db
            .write(move |transaction| {
                Box::pin(async move {
                    rows::lock(transaction).await?;
                    if entities::server_key::Entity::find().one(transaction).await?.is_none() {
                        for key in first {
                            rows::insert(transaction, key).await?;
                        }
                    }
                    Ok(())
                })
            })
            .await;
        created.map_err(|error| format!("server keys: {error:?}"))?;
        let set = rows::read(db, &sealer, sources.now()).await?;
        let issuer = config.public_url();
        let audience = config.tokens.audience.clone().unwrap_or_else(|| issuer.clone());
        Ok(Self {
            sealer,
            issuer,
            audience,
            publish_ahead: Duration::from_secs(config.tokens.publish_ahead_seconds),
            set: RwLock::new(Arc::new(set)),
            asked: Mutex::new(Asked { answered: true, looked_at: None }),
        })
    }

    /// A key of the database under the current root key.
    pub(super) fn rewrap(
        &self,
        id: ServerKeyId,
        purpose: Purpose,
        kid: &str,
        sealed: &[u8],
    ) -> Result<Vec<u8>, Unopened> {
        self.sealer.rewrap(&rows::context(id, purpose, kid), sealed)
    }

    /// How often to [`reload`](Self::reload).
    #[must_use]
    pub fn reload_every(&self) -> Duration {
        RELOAD_EVERY.min(self.publish_ahead / 4)
    }

    /// How long clients may keep the key set.
    #[must_use]
    pub fn key_set_max_age(&self) -> Duration {
        KEY_SET_MAX_AGE.min(self.publish_ahead / 2)
    }

    /// Reads the keys again. Keeps what it has when they can't be read, and when nothing changed.
    pub async fn reload(&self, db: &Db, now: Timestamp) {
        let mut asked = self.asked.lock().await;
        self.ask(&mut asked, db, now).await;
        if !asked.answered {
            metrics::counter!("latchkey_background_failures_total", "task" => "keys").increment(1);
        }
    }

    /// Reads the keys again unless that was tried of late. Whoever comes meanwhile waits for it, and takes part.
    async fn look(&self, db: &Db, now: Timestamp) -> Result<(), Error> {
        let mut asked = self.asked.lock().await;
        if asked.looked_at.is_none_or(|at| now.since(at) >= LOOK_EVERY) {
            asked.looked_at = Some(now);
            self.ask(&mut asked, db, now).await;
        }
        if asked.answered { Ok(()) } else { Err(Error::Unavailable("signing keys can't be read".into())) }
    }

    async fn ask(&self, asked: &mut Asked, db: &Db, now: Timestamp) {
        let read = rows::read(db, &self.sealer, now).await;
        asked.answered = read.is_ok();
        match read {
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

    /// Signs with the key whose turn it is.
    pub fn sign(&self, claims: &Claims, now: Timestamp) -> Result<String, Error> {
        let set = self.set();
        let held = set.signer(now).ok_or_else(|| Error::Internal("there is no signing key".into()))?;
        Ok(access_token::sign(&held.key, &held.header, claims)?)
    }

    /// The claims of a token that one of our keys signed for us, whatever the time; `None` for any other text.
    fn verify(&self, token: &str, now: Timestamp) -> Option<Arc<Claims>> {
        if token.len() > access_token::MAX_LENGTH {
            return None;
        }
        let set = self.set();
        let hash: [u8; 32] = Sha256::digest(token).into();
        let verified = match set.verified.get(&hash) {
            Some(verified) => verified,
            None => {
                let held = set.find(&access_token::kid(token)?)?;
                let claims = access_token::verify(token, &held.key, &self.issuer, &self.audience)?;
                let verified = Verified { claims: Arc::new(claims), until: held.retires_at };
                set.verified.insert(hash, verified.clone());
                verified
            }
        };
        let claims = verified.claims;
        let retired = verified.until.is_some_and(|until| until <= now);
        let begun = claims.nbf.max(claims.iat) <= (now + SKEW).seconds();
        (begun && !retired).then_some(claims)
    }

    fn lacks_the_key_of(&self, token: &str) -> bool {
        access_token::kid(token).is_some_and(|kid| self.set().find(&kid).is_none())
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
        let signer = set.signer(now).map(|held| &held.key.kid);
        set.signing
            .iter()
            .map(|held| KeyStatus {
                kid: held.key.kid.clone(),
                algorithm: held.key.public().alg.to_owned(),
                state: match () {
                    () if Some(&held.key.kid) == signer => "signing",
                    () if held.retires_at.is_some_and(|retires| retires <= now) => "retired",
                    () if held.active_at > now => "published",
                    () => "verifying",
                },
                active_at: held.active_at,
                retires_at: held.retires_at,
            })
            .collect()
    }
}

impl KeySet {
    fn new(rows: Vec<(ServerKeyId, Option<Timestamp>)>, signing: Vec<Held>, refresh: RefreshKey) -> Self {
        Self { rows, signing, refresh, verified: Cache::new(REMEMBERED) }
    }

    /// The newest key that is active at `now`. A node whose clock is behind that of the one which made the very first key
    /// has none that is, and nothing to wait for: it takes the first.
    fn signer(&self, now: Timestamp) -> Option<&Held> {
        self.signing.iter().rev().find(|held| held.active_at <= now).or(self.signing.first())
    }

    fn find(&self, kid: &str) -> Option<&Held> {
        self.signing.iter().find(|held| held.key.kid == kid)
    }
}
