//! Whose an address is. An account may have one, or may take it back for a while after a change.

use std::collections::HashSet;

use entities::{AccountId, Timestamp, account, email_change};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, QueryFilter,
    QuerySelect, Statement, Value,
};
use uuid::Uuid;

use super::super::Services;
use super::super::audit::{Action, Actor, Event, Record};

/// The account that an address belongs to.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Holder {
    pub account: AccountId,
    /// As its owner types it.
    pub email: String,
    pub locale: Option<String>,
    /// A sign-up that was never confirmed, and need not be heeded.
    pending: bool,
}

impl Services {
    /// Makes way for an account that is to have the address: removes a sign-up that was never confirmed. Answers whose the
    /// address is instead, when it is taken. What is the account's own already, or its way back, does not count for `asking`.
    pub(in super::super) async fn make_way(
        &self,
        db: &DatabaseTransaction,
        email_key: &str,
        asking: Option<AccountId>,
    ) -> Result<Option<Holder>, DbErr> {
        let (verified_only, now) = (self.config.require_verified_email, self.sources.now());
        let Some(holder) = holder(db, email_key, asking, verified_only, now).await? else { return Ok(None) };
        if !holder.pending {
            return Ok(Some(holder));
        }
        let deleted = account::Entity::delete_many()
            .filter(account::Column::Id.eq(holder.account))
            .filter(account::Column::EmailVerifiedAt.is_null())
            .exec(db)
            .await?;
        if deleted.rows_affected == 1 {
            self.never_confirmed(holder.account).write(db).await?;
        }
        Ok(None)
    }

    /// Tells that an account is gone whose address was never confirmed.
    pub(in super::super) fn never_confirmed(&self, account: AccountId) -> Record {
        let event = Event::new(Action::AccountDeleted, Actor::Server).account(account);
        self.audit(event.detail(serde_json::json!({ "reason": "never_confirmed" })))
    }
}

/// Whose the address is, if it is taken.
pub async fn taken_by(
    db: &DatabaseTransaction,
    email_key: &str,
    asking: AccountId,
    verified_only: bool,
    now: Timestamp,
) -> Result<Option<Holder>, DbErr> {
    let found = holder(db, email_key, Some(asking), verified_only, now).await?;
    Ok(found.filter(|holder| !holder.pending))
}

/// Of these addresses, those that an account may take back.
pub async fn reserved(
    db: &DatabaseTransaction,
    email_keys: Vec<String>,
    now: Timestamp,
) -> Result<HashSet<String>, DbErr> {
    let found: Vec<String> = email_change::Entity::find()
        .select_only()
        .column(email_change::Column::OldEmailKey)
        .filter(email_change::Column::OldEmailKey.is_in(email_keys))
        .filter(email_change::Column::RevertUntil.gt(now))
        .filter(email_change::Column::RevertedAt.is_null())
        .filter(email_change::Column::SupersededAt.is_null())
        .into_tuple()
        .all(db)
        .await?;
    Ok(found.into_iter().collect())
}

/// In one statement, so that an address on its way from an account to its way back is in one place or the other.
async fn holder(
    db: &DatabaseTransaction,
    email_key: &str,
    asking: Option<AccountId>,
    verified_only: bool,
    now: Timestamp,
) -> Result<Option<Holder>, DbErr> {
    // Without the demand for a confirmed address, an unconfirmed account is in use.
    let sql = "SELECT a.id AS account, a.email, a.locale,
             ($1 AND a.email_verified_at IS NULL AND a.disabled_at IS NULL) AS pending
           FROM accounts a WHERE a.email_key = $2 AND a.id <> $4
         UNION ALL
         SELECT a.id, c.old_email, a.locale, FALSE
           FROM email_changes c JOIN accounts a ON a.id = c.account_id
           WHERE c.old_email_key = $2 AND c.revert_until > $3 AND c.reverted_at IS NULL AND c.superseded_at IS NULL
             AND c.account_id <> $4
         ORDER BY pending LIMIT 1";
    let asking = asking.unwrap_or(AccountId(Uuid::nil()));
    let values: [Value; 4] = [verified_only.into(), email_key.into(), now.into(), asking.into()];
    Holder::find_by_statement(Statement::from_sql_and_values(db.get_database_backend(), sql, values))
        .one(db)
        .await
}
