//! Accounts whose end is due go for good. Of the audit trail stays what happened and when, without a trace of the person.
//!
//! The trail may be long, so it is cleaned first, in bounded transactions; the account goes with the last one. A process
//! that dies on the way leaves an account that is still due, and the next one goes on.

use std::time::Duration;

use entities::{AccountId, AuditEventId, Timestamp, account, outbox_message};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Statement, Value,
};
use uuid::Uuid;

use super::super::audit::{Action, Actor, Event};
use super::super::mfa::lock;
use super::super::{Error, Services};
use crate::plugins::mail::Mail;

/// Events cleaned in one transaction, and accounts looked up at a time.
const BATCH: u64 = 500;
/// How long the trail of an account that is gone is looked at again.
const AFTERWARDS: Duration = Duration::from_secs(86_400);

/// How far one transaction got.
enum Step {
    /// There may be more events behind this one.
    Cleaned(AuditEventId),
    Erased,
    /// There is no such account, or its end is not due.
    Nothing,
}

impl Services {
    /// Deletes the accounts whose time has come; answers how many.
    pub(in super::super) async fn erase_due(&self) -> Result<u64, Error> {
        let (mut count, mut after) = (0, AccountId(Uuid::nil()));
        loop {
            let due: Vec<AccountId> = account::Entity::find()
                .select_only()
                .column(account::Column::Id)
                .filter(account::Column::DeletionDueAt.lte(self.sources.now()))
                .filter(account::Column::Id.gt(after))
                .order_by_asc(account::Column::Id)
                .limit(BATCH)
                .into_tuple()
                .all(self.db.reader())
                .await?;
            let Some(last) = due.last() else { return Ok(count) };
            after = *last;
            for id in due {
                match self.erase(id, Actor::Server).await {
                    Ok(erased) => count += u64::from(erased),
                    // The others need not wait for this one.
                    Err(error) => tracing::warn!(?error, account = %id, "an account can't be deleted yet"),
                }
            }
        }
    }

    /// Deletes an account whose end is due, with all that hangs on it. Answers whether there was one.
    pub(super) async fn erase(&self, id: AccountId, actor: Actor<'static>) -> Result<bool, Error> {
        let mut after = AuditEventId(Uuid::nil());
        loop {
            let services = self.clone();
            let step = self.db.write::<_, Error, _>(move |transaction| {
                Box::pin(async move { services.erase_step(transaction, id, after, actor).await })
            });
            match step.await? {
                Step::Cleaned(last) => after = last,
                Step::Nothing => return Ok(false),
                Step::Erased => {
                    self.outbox.wake();
                    return Ok(true);
                }
            }
        }
    }

    async fn erase_step(
        &self,
        db: &DatabaseTransaction,
        id: AccountId,
        after: AuditEventId,
        actor: Actor<'static>,
    ) -> Result<Step, Error> {
        let now = self.sources.now();
        let account = lock(db, id).await?;
        let due = account.filter(|row| row.deletion_due_at.is_some_and(|due| due <= now));
        let Some(account) = due else { return Ok(Step::Nothing) };
        if let Some(last) = clean(db, id, after).await? {
            return Ok(Step::Cleaned(last));
        }
        outbox_message::Entity::delete_many()
            .filter(outbox_message::Column::AccountId.eq(id))
            .exec(db)
            .await?;
        account::Entity::delete_by_id(id).exec(db).await?;
        self.audit(Event::new(Action::AccountDeleted, actor).account(id)).write(db).await?;
        // Nobody has shown that an address is theirs which was never confirmed.
        if account.email_verified_at.is_some() || !self.config.require_verified_email {
            let language = account.locale.and_then(|tag| tag.parse().ok());
            self.mail(None, &account.email, language, Mail::AccountDeleted)?.write(db).await?;
        }
        Ok(Step::Erased)
    }

    /// Cleans what requests that were under way have written behind the end of their account; answers how many events.
    pub(in super::super) async fn clean_late_events(&self) -> Result<u64, Error> {
        let since = self.sources.now() - AFTERWARDS;
        let sql = format!(
            "UPDATE audit_events SET {CLEAN} WHERE id IN (SELECT e.id FROM audit_events gone
               JOIN audit_events e ON e.account_id = gone.account_id AND e.id > $1
               WHERE gone.action = 'account.deleted' AND gone.id > $1 AND ({PERSONAL}) LIMIT {BATCH})"
        );
        let statement = Statement::from_sql_and_values(self.db.engine(), sql, [first_id(since)]);
        self.db
            .write(move |transaction| {
                Box::pin(async move { Ok(transaction.execute_raw(statement).await?.rows_affected()) })
            })
            .await
    }
}

/// What tells of a person: where they were, what they used, and what else a client or a service wrote.
const CLEAN: &str = "ip = NULL, user_agent = NULL, request_id = NULL, detail = NULL";
const PERSONAL: &str =
    "e.ip IS NOT NULL OR e.user_agent IS NOT NULL OR e.request_id IS NOT NULL OR e.detail IS NOT NULL";

/// Cleans events of an account, those behind `after`; answers the last one if there may be more.
async fn clean(
    db: &DatabaseTransaction,
    account: AccountId,
    after: AuditEventId,
) -> Result<Option<AuditEventId>, DbErr> {
    let sql = format!(
        "UPDATE audit_events SET {CLEAN} WHERE id IN (SELECT e.id FROM audit_events e
           WHERE e.account_id = $1 AND e.id > $2 AND ({PERSONAL}) ORDER BY e.id LIMIT {BATCH}) RETURNING id"
    );
    let values: [Value; 2] = [account.into(), after.into()];
    let rows =
        db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    let ids: Vec<AuditEventId> = rows.iter().map(|row| row.try_get("", "id")).collect::<Result<_, _>>()?;
    Ok(ids.iter().max().copied().filter(|_| ids.len() as u64 == BATCH))
}

/// No event from then on has a smaller id: a UUIDv7 begins with its time.
fn first_id(at: Timestamp) -> Value {
    let millis = u128::try_from(at.0).unwrap_or(0);
    AuditEventId(Uuid::from_u128(millis << 80)).into()
}
