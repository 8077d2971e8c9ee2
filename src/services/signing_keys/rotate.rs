//! The change of keys: the next one is published, signs after a while, and lets the ones before it retire.

use std::time::Duration;

use entities::Timestamp;
use entities::server_key::{self, Purpose};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter};

use super::super::audit::{Action, Actor, Event};
use super::super::{Error, Services};
use super::{KeyStatus, SKEW, rows};
use crate::config::{SigningAlgorithm, Tokens};

/// Keys that are there at a time. The key set is a page too, and has to stay short.
const MOST: usize = 8;

impl Services {
    /// Publishes a new key that will sign after a while, and lets the ones before it retire after their last token.
    pub async fn rotate_signing_key(&self, algorithm: SigningAlgorithm) -> Result<KeyStatus, Error> {
        let now = self.sources.now();
        let key =
            rows::access_key(&self.keys.sealer, &self.sources, algorithm, now + self.keys.publish_ahead)?;
        // The longest that any node's settings allow: those that run may differ from the ones of this command.
        let last_token = Duration::from_secs(Tokens::MOST_ACCESS_SECONDS);
        let overlap = last_token + self.keys.key_set_max_age() + SKEW;
        let kid = key.kid.clone();
        let audit = self.audit(
            Event::new(Action::SigningKeyRotated, Actor::Operator).detail(serde_json::json!({ "kid": kid })),
        );
        let done: Result<(), Error> = self
            .db
            .write(move |transaction| {
                Box::pin(async move {
                    rows::lock(transaction).await?;
                    succeed(transaction, key, overlap, now).await?;
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

/// Puts `key` behind those that are there, and sets their end.
async fn succeed(
    transaction: &DatabaseTransaction,
    mut key: server_key::Model,
    overlap: Duration,
    now: Timestamp,
) -> Result<(), Error> {
    let held = rows::unretired(now)
        .filter(server_key::Column::Purpose.eq(Purpose::AccessToken))
        .all(transaction)
        .await?;
    if held.len() >= MOST {
        let free = held.iter().filter_map(|key| key.retires_at).min();
        return Err(Error::RateLimited(free.map_or(overlap, |at| at.since(now))));
    }
    // Keys sign in the order in which they were made, whichever clock or setting made the last one. A key that signed
    // after its successor would still sign when it retires.
    if let Some(last) = held.last() {
        key.active_at = key.active_at.max(last.active_at + Duration::from_millis(1));
    }
    server_key::Entity::update_many()
        .col_expr(server_key::Column::RetiresAt, Expr::value(key.active_at + overlap))
        .filter(server_key::Column::Purpose.eq(Purpose::AccessToken))
        .filter(server_key::Column::RetiresAt.is_null())
        .exec(transaction)
        .await?;
    rows::insert(transaction, key).await?;
    Ok(())
}
