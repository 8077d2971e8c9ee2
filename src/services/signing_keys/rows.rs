//! The keys as rows of the database: made, sealed, written, read and opened.

use entities::server_key::{self, Purpose};
use entities::{ServerKeyId, Timestamp};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr,
    EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, Select,
};
use zeroize::Zeroizing;

use super::super::Error;
use super::{Held, KeySet};
use crate::clock::Sources;
use crate::config::SigningAlgorithm;
use crate::crypto::access_token;
use crate::crypto::refresh_token::RefreshKey;
use crate::crypto::seal::Sealer;
use crate::crypto::signing_key::{self, SigningKey};
use crate::db::{Db, in_time};

const CREATION_LOCK: &str = "SELECT pg_advisory_xact_lock(5497863242318)";

/// One node at a time makes keys.
pub(super) async fn lock(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    if transaction.get_database_backend() == DbBackend::Postgres {
        transaction.execute_unprepared(CREATION_LOCK).await?;
    }
    Ok(())
}

pub(super) async fn insert(transaction: &DatabaseTransaction, key: server_key::Model) -> Result<(), DbErr> {
    server_key::Entity::insert(key.into_active_model().reset_all())
        .exec_without_returning(transaction)
        .await
        .map(drop)
}

/// Keys that are not retired, in the order in which they sign.
pub(super) fn unretired(now: Timestamp) -> Select<server_key::Entity> {
    let unretired = Condition::any()
        .add(server_key::Column::RetiresAt.is_null())
        .add(server_key::Column::RetiresAt.gt(now));
    server_key::Entity::find()
        .filter(unretired)
        .order_by_asc(server_key::Column::ActiveAt)
        .order_by_asc(server_key::Column::Id)
}

/// A key that signs access tokens from `active_at` on.
pub(super) fn access_key(
    sealer: &Sealer,
    sources: &Sources,
    algorithm: SigningAlgorithm,
    active_at: Timestamp,
) -> Result<server_key::Model, Error> {
    let (kid, secret) = signing_key::generate(algorithm)?;
    Ok(new_key(sealer, sources, Purpose::AccessToken, (kid, format!("{algorithm:?}")), &secret, active_at))
}

/// The key of refresh tokens.
pub(super) fn refresh_key(sealer: &Sealer, sources: &Sources) -> server_key::Model {
    let secret = Zeroizing::new(sources.entropy.bytes::<32>());
    let name = ("refresh-1".to_owned(), "HMAC-SHA-256".to_owned());
    new_key(sealer, sources, Purpose::RefreshToken, name, &*secret, sources.now())
}

fn new_key(
    sealer: &Sealer,
    sources: &Sources,
    purpose: Purpose,
    (kid, algorithm): (String, String),
    secret: &[u8],
    active_at: Timestamp,
) -> server_key::Model {
    let id: ServerKeyId = sources.id();
    let sealed = sealer.seal(&context(id, purpose, &kid), secret);
    server_key::Model {
        id,
        purpose,
        kid,
        algorithm,
        sealed,
        active_at,
        retires_at: None,
        created_at: sources.now(),
    }
}

/// What a sealed key is bound to: a row that takes another's place does not open.
pub(super) fn context(id: ServerKeyId, purpose: Purpose, kid: &str) -> Vec<u8> {
    format!("{id}/{purpose:?}/{kid}").into_bytes()
}

/// All keys that are not retired, ready to use. The error is a line for the operator.
pub(super) async fn read(db: &Db, sealer: &Sealer, now: Timestamp) -> Result<KeySet, String> {
    let rows = in_time(unretired(now).all(db.reader())).await;
    let rows = rows.map_err(|error| format!("server keys: {error}"))?;
    let mut signing = vec![];
    let mut refresh = None;
    let mut ids = vec![];
    for row in rows {
        let secret = sealer.open(&context(row.id, row.purpose, &row.kid), &row.sealed).map_err(|_| {
            format!(
                "root_key: the key {} of the server was sealed with another root key, or altered",
                row.kid
            )
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
    if signing.is_empty() {
        return Err("server keys: no key can sign".into());
    }
    Ok(KeySet::new(ids, signing, refresh))
}
