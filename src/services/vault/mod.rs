//! The vault: credentials that people hold at third parties. Stored sealed, tested, used without being shown, and shown only
//! to a person who has just proved who they are.

mod change;
mod list;
mod reveal;
mod sign;
mod store;
mod test;

use std::sync::Arc;

use entities::{AccountId, ApiKeyId, Timestamp, access_key, account, api_key, session};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter,
    Statement,
};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::access_keys::{AccessKeyCaller, Scope};
use super::audit::{Action, Actor, Event};
use super::sessions::Caller;
use super::{Error, Origin, Services};
use crate::clock::Sources;
use crate::config::Config;
use crate::crypto::record::{Place, RecordKey};
use crate::crypto::root_keys::{Local, RootKeyFailure, RootKeys, Transit};
use crate::crypto::root_ring::RootRing;
use crate::crypto::seal::{Sealer, Unopened};
use crate::plugins::connectors::{Connector, Credential, Guard, Network};
use crate::secret::Secret;

pub use change::Change;
pub use list::{Filter, Page, Place as PageEnd};
pub use sign::{SignRequest, Signed};
pub use store::NewApiKey;
pub use test::TestResult;

/// The fields that are sealed, by the names that they are bound to.
const API_KEY: &str = "api_key";
const SECRET: &str = "secret";
const PASSPHRASE: &str = "passphrase";
/// How often a use is begun, when each time another credential takes the place of the one that was read.
const TRIES: u32 = 3;

/// What the vault stands on.
pub struct Vault {
    pub roots: Box<dyn RootKeys>,
    pub network: Network,
}

impl Vault {
    /// The error is a line for the operator.
    pub async fn open(config: &Config, roots: &RootRing, sources: &Sources) -> Result<Arc<Self>, String> {
        let local = Sealer::new(roots, "vault", sources.entropy);
        let roots: Box<dyn RootKeys> = match (&config.vault.transit_url, &config.vault.transit_token) {
            (Some(url), Some(token)) => {
                Box::new(Transit::open(url.as_str(), token, &config.vault.transit_key, local).await?)
            }
            _ => Box::new(Local::new(local)),
        };
        let guard = Guard::new(&config.vault.private_networks, &config.vault.ports);
        Ok(Arc::new(Self {
            roots,
            network: Network::new(guard, config.vault.base_urls.clone(), sources.clone())?,
        }))
    }
}

impl Services {
    /// Whether credentials can be stored and used: wraps a key and unwraps it again.
    pub async fn check_vault(&self) -> Result<(), RootKeyFailure> {
        let (context, key) = (b"latchkey doctor", [0; 32]);
        let wrapped = self.vault.roots.wrap(context, &key).await?;
        let unwrapped = self.vault.roots.unwrap(context, &wrapped).await?;
        if *unwrapped == key { Ok(()) } else { Err(Unopened.into()) }
    }
}

/// What is wrong with a member of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// As in the body; a dot leads into an object.
    pub field: String,
    /// A sentence without the full stop. Repeats nothing that was entered.
    pub message: String,
}

impl Mistake {
    pub(super) fn new(field: &str, message: &str) -> Self {
        Self { field: field.to_owned(), message: message.to_owned() }
    }
}

/// A request that may be signed without revealing the credential.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Rule {
    pub method: String,
    /// Whole, or with `*` at its end for all that begins so.
    pub path: String,
}

/// Who comes to the vault.
#[derive(Debug, Clone)]
pub enum Visitor {
    Person(Caller),
    /// A server, with a key that the account's owner made for it.
    Server(AccessKeyCaller),
}

impl Visitor {
    #[must_use]
    pub fn account(&self) -> AccountId {
        match self {
            Self::Person(caller) => caller.state.account,
            Self::Server(key) => key.account,
        }
    }

    /// Until when the account counts as recovered of late, as far as was known when the visitor came.
    fn recovering_until(&self) -> Option<Timestamp> {
        match self {
            Self::Person(caller) => caller.state.recovering_until,
            Self::Server(key) => key.recovering_until,
        }
    }

    /// Marks in a record that its credential is used, by setting what `set` says. Answers the record's nonce; nothing if it has
    /// another credential by now, or if the visitor may not use it any more: while it was being opened, the owner may have
    /// taken the account back from an intruder.
    async fn mark_use(
        &self,
        db: &DatabaseTransaction,
        id: ApiKeyId,
        version: i32,
        now: Timestamp,
        set: &str,
    ) -> Result<Option<i64>, DbErr> {
        let (door, open, door_id): (&str, &str, sea_orm::Value) = match self {
            Self::Person(caller) => ("sessions", "d.revoked_at IS NULL", caller.state.session.into()),
            Self::Server(key) => ("access_keys", "TRUE", key.id.into()),
        };
        let sql = format!(
            "UPDATE api_keys SET {set} WHERE id = $2 AND version = $3
               AND EXISTS (SELECT 1 FROM {door} d JOIN accounts a ON a.id = d.account_id WHERE d.id = $4 AND {open}
                 AND a.disabled_at IS NULL AND a.deletion_due_at IS NULL
                 AND (a.recovering_until IS NULL OR a.recovering_until <= $1))
             RETURNING nonce"
        );
        let values: [sea_orm::Value; 4] = [now.into(), id.into(), version.into(), door_id];
        let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
        db.query_all_raw(statement).await?.first().map(|row| row.try_get("", "nonce")).transpose()
    }

    /// An event of this visitor.
    fn event<'a>(&self, action: Action, origin: &'a Origin) -> Event<'a> {
        let event = Event::new(action, Actor::Account(origin)).account(self.account());
        match self {
            Self::Person(caller) => event.session(caller.state.session, caller.claims.aal),
            Self::Server(_) => event,
        }
    }

    /// What goes into the detail of an event: the key that was shown, if it was one.
    fn detail(&self, mut detail: Value) -> Value {
        if let Self::Server(key) = self {
            detail["access_key"] = key.id.to_string().into();
        }
        detail
    }

    /// Refuses a server whose key was not made for this.
    pub fn demand(&self, scope: Scope) -> Result<(), Error> {
        match self {
            Self::Person(_) => Ok(()),
            Self::Server(key) if key.scopes.contains(&scope) => Ok(()),
            Self::Server(_) => Err(Error::InsufficientScope(scope)),
        }
    }
}

/// A credential, opened.
struct Opened {
    api_key: Secret,
    secret: Option<Secret>,
    passphrase: Option<Secret>,
}

/// What is stored of a credential: the sealed part of a row.
struct Sealed {
    wrapped_key: Vec<u8>,
    api_key: Vec<u8>,
    secret: Option<Vec<u8>>,
    passphrase: Option<Vec<u8>>,
}

impl Services {
    /// A record of the account, or nothing: there is no way to ask for one without saying whose it is.
    async fn api_key_of(
        &self,
        db: &impl ConnectionTrait,
        owner: AccountId,
        id: ApiKeyId,
    ) -> Result<api_key::Model, Error> {
        let found =
            api_key::Entity::find_by_id(id).filter(api_key::Column::AccountId.eq(owner)).one(db).await?;
        found.ok_or(Error::NotFound)
    }

    /// Seals a credential under a new key of its own.
    async fn seal_credential(&self, place: &Place, credential: &Credential) -> Result<Sealed, Error> {
        let key = RecordKey::generate(self.sources.entropy);
        let seal = |field: &str, secret: &Secret| {
            key.seal(place, field, secret.expose().as_bytes(), self.sources.entropy)
        };
        let wrapped = self.vault.roots.wrap(&place.context(), key.bytes()).await;
        Ok(Sealed {
            wrapped_key: wrapped.map_err(unavailable)?,
            api_key: seal(API_KEY, &credential.api_key),
            secret: credential.secret.as_ref().map(|secret| seal(SECRET, secret)),
            passphrase: credential.passphrase.as_ref().map(|secret| seal(PASSPHRASE, secret)),
        })
    }

    /// Opens a record. One that does not open has been altered, or moved; that is written down, and every reason answers
    /// the same.
    async fn open_credential(&self, row: &api_key::Model) -> Result<Opened, Error> {
        match self.try_open(row).await {
            Ok(opened) => Ok(opened),
            Err(RootKeyFailure::Unavailable(reason)) => Err(Error::Unavailable(reason)),
            Err(RootKeyFailure::Unopened(_)) => {
                let event = Event::new(Action::ApiKeyUnreadable, Actor::Server)
                    .account(row.account_id)
                    .detail(serde_json::json!({ "api_key": row.id.to_string(), "version": row.version }));
                self.write_audit(event).await?;
                tracing::error!(api_key = %row.id, "a stored credential can't be opened: it was altered or moved");
                Err(Error::CredentialUnreadable)
            }
        }
    }

    async fn try_open(&self, row: &api_key::Model) -> Result<Opened, RootKeyFailure> {
        let place = place(row.account_id, row.id, row.version);
        let key = self.vault.roots.unwrap(&place.context(), &row.wrapped_key).await?;
        let key = RecordKey::from_bytes(&key)?;
        let open = |field: &str, sealed: &[u8]| -> Result<Secret, RootKeyFailure> {
            let plain = key.open(&place, field, sealed)?;
            Ok(Secret::new(std::str::from_utf8(&plain).map_err(|_| Unopened)?.to_owned()))
        };
        Ok(Opened {
            api_key: open(API_KEY, &row.sealed_api_key)?,
            secret: row.sealed_secret.as_deref().map(|sealed| open(SECRET, sealed)).transpose()?,
            passphrase: row
                .sealed_passphrase
                .as_deref()
                .map(|sealed| open(PASSPHRASE, sealed))
                .transpose()?,
        })
    }

    /// The key of a record, wrapped by the current root key. The record stays as it is.
    pub(super) async fn rewrap_record_key(
        &self,
        place: &Place,
        wrapped: &[u8],
    ) -> Result<Vec<u8>, RootKeyFailure> {
        let key = self.vault.roots.unwrap(&place.context(), wrapped).await?;
        self.vault.roots.wrap(&place.context(), &key).await
    }

    /// What the connector works with.
    async fn credential(&self, row: &api_key::Model) -> Result<Credential, Error> {
        let Opened { api_key, secret, passphrase } = self.open_credential(row).await?;
        let settings: Map<String, Value> = serde_json::from_str(&row.settings).unwrap_or_default();
        Ok(Credential { environment: row.environment.clone(), api_key, secret, passphrase, settings })
    }

    /// The record with the credential that it has now, after the use of another one could not be marked; or the reason why it
    /// could not, if it is the visitor's.
    async fn api_key_again(&self, visitor: &Visitor, id: ApiKeyId) -> Result<api_key::Model, Error> {
        let (db, owner) = (self.db.reader(), visitor.account());
        let account = account::Entity::find_by_id(owner).one(db).await?;
        let account = account
            .filter(|account| account.disabled_at.is_none() && account.deletion_due_at.is_none())
            .ok_or(Error::InvalidAccessToken)?;
        let doors = match visitor {
            Visitor::Person(caller) => {
                let session = session::Entity::find_by_id(caller.state.session);
                session.filter(session::Column::RevokedAt.is_null()).count(db).await?
            }
            Visitor::Server(key) => access_key::Entity::find_by_id(key.id).count(db).await?,
        };
        if doors == 0 {
            return Err(Error::InvalidAccessToken);
        }
        self.demand_unsealed(account.recovering_until)?;
        self.api_key_of(db, owner, id).await
    }

    /// Refuses what takes a secret while the account counts as recovered of late.
    fn demand_unsealed(&self, recovering_until: Option<Timestamp>) -> Result<(), Error> {
        let recovering = recovering_until.is_some_and(|until| until > self.sources.now());
        if recovering { Err(Error::SecretsSealed) } else { Ok(()) }
    }
}

pub(super) fn place(owner: AccountId, record: ApiKeyId, version: i32) -> Place {
    Place { owner: owner.0, record: record.0, version }
}

pub(super) fn unavailable(failure: RootKeyFailure) -> Error {
    match failure {
        RootKeyFailure::Unavailable(reason) => Error::Unavailable(reason),
        RootKeyFailure::Unopened(_) => Error::Internal("a key can't be wrapped".into()),
    }
}

/// The connector of a row. It was there when the row was stored.
fn connector(row: &api_key::Model) -> Result<&'static dyn Connector, Error> {
    crate::plugins::connectors::find(&row.provider)
        .ok_or_else(|| Error::Internal(format!("there is no connector {} any more", row.provider)))
}

/// The end of a key, by which its owner tells it from others: four characters at most, and fewer of a short one.
fn hint(api_key: &str) -> String {
    let letters = api_key.chars().count();
    let shown = (letters / 4).min(4);
    api_key.chars().skip(letters - shown).collect()
}

/// White space around what was pasted goes. In a private key, line ends may come written out.
fn tidy(text: &str) -> Secret {
    let text = Zeroizing::new(text.trim().to_owned());
    if text.contains("PRIVATE KEY") && text.contains("\\n") {
        return Secret::new(text.replace("\\r", "").replace("\\n", "\n"));
    }
    Secret::new(text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_shows_a_quarter_at_most() {
        for (key, expected) in [
            ("", ""),
            ("abc", ""),
            ("abcd", "d"),
            ("abcdefgh", "gh"),
            ("abcdefghijklmnopqrst", "qrst"),
            ("ääääb", "b"),
        ] {
            assert_eq!(hint(key), expected);
        }
    }

    #[test]
    fn what_was_pasted_is_tidied() {
        assert_eq!(tidy(" \tkey\r\n").expose(), "key");
        let pem = "-----BEGIN PRIVATE KEY-----\\nAAAA\\n-----END PRIVATE KEY-----\\n";
        assert_eq!(tidy(pem).expose(), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
        assert_eq!(tidy("a\\nb").expose(), "a\\nb");
    }
}
