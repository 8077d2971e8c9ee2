//! Removes what nothing needs any more, in bounded batches, so that no table grows without end and no request waits; and gets
//! back what a wrong clock has put off.

use std::time::Duration;

use entities::Timestamp;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, Value};
use tokio_util::sync::CancellationToken;

use super::audit::Record;
use super::clock_check::{CLOCKS_AGREE, Steps};
use super::mfa::ENROLMENT;
use super::{Error, Services};

const EVERY: Duration = Duration::from_secs(60);
const BATCH: u64 = 500;
const DAY: Duration = Duration::from_secs(86_400);
/// A device that was not used for so long is a new one.
const SEEN_DEVICE_DAYS: u32 = 400;

impl Services {
    /// Reaps until told to stop.
    pub async fn reap_regularly(&self, stop: CancellationToken) {
        let mut steps = Steps::since(self.sources.now());
        loop {
            let done = self.reap_if_sure_of_the_time(&mut steps).await.unwrap_or_else(|error| {
                tracing::warn!(?error, "reaping");
                false
            });
            if !done {
                metrics::counter!("latchkey_background_failures_total", "task" => "reaper").increment(1);
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Whether it is.
    async fn reap_if_sure_of_the_time(&self, steps: &mut Steps) -> Result<bool, Error> {
        if !self.sure_of_the_time(steps).await? {
            return Ok(false);
        }
        self.reap().await.map(|_| true)
    }

    /// Removes all that is due; answers how many rows.
    pub async fn reap(&self) -> Result<u64, Error> {
        let now = self.sources.now();
        let retention = &self.config.retention;
        let ended = now - DAY * retention.ended_days;
        let unverified = now - DAY * retention.unverified_days;
        let trail = now - DAY * retention.audit_days;
        let mut rows = 0;
        for (table, key, condition, before) in [
            ("sessions", "id", "expires_at < $1", ended),
            ("sessions", "id", "revoked_at IS NOT NULL AND revoked_at < $1", ended),
            ("email_verifications", "id", "expires_at < $1", ended),
            ("password_resets", "id", "expires_at < $1", ended),
            ("email_changes", "id", "expires_at < $1 AND (revert_until IS NULL OR revert_until < $1)", ended),
            ("mfa_tickets", "id", "expires_at < $1", now),
            ("webauthn_challenges", "id", "expires_at < $1", now),
            ("totp_authenticators", "id", "confirmed_at IS NULL AND created_at < $1", now - ENROLMENT),
            ("remembered_devices", "id", "expires_at < $1", now),
            ("seen_devices", "account_id, fingerprint", "last_seen_at < $1", now - DAY * SEEN_DEVICE_DAYS),
            (
                "outbox_messages",
                "id",
                "finished_at IS NOT NULL AND state = 'sent' AND finished_at < $1",
                ended,
            ),
            // Somebody may want to know for long why a mail did not arrive.
            (
                "outbox_messages",
                "id",
                "finished_at IS NOT NULL AND state = 'dead' AND finished_at < $1",
                trail,
            ),
            (
                "webhook_deliveries",
                "id",
                "finished_at IS NOT NULL AND state = 'sent' AND finished_at < $1",
                ended,
            ),
            (
                "webhook_deliveries",
                "id",
                "finished_at IS NOT NULL AND state = 'dead' AND finished_at < $1",
                trail,
            ),
            ("webhook_pauses", "endpoint", "paused_until < $1", now),
            (
                "kyc_verifications",
                "id",
                "status IN ('declined', 'expired', 'cancelled') AND updated_at < $1",
                trail,
            ),
            ("kyc_events", "id", "received_at < $1", now - DAY * self.config.kyc.events_days),
            ("rate_limits", "key", "tat < $1", now - DAY),
            ("server_keys", "id", "retires_at < $1", ended),
        ] {
            rows += self.reap_where(table, key, condition, before).await?;
        }
        rows += self.reap_trail(trail).await?;
        if self.config.require_verified_email {
            rows += self.reap_unconfirmed(unverified).await?;
        }
        rows += self.erase_due().await?;
        self.give_up_webhooks().await?;
        self.clean_late_events().await?;
        self.bring_mail_forward().await?;
        self.bring_webhooks_forward().await?;
        self.bring_kyc_events_forward().await?;
        Ok(rows)
    }

    /// Removes accounts whose address was never confirmed, and is not just being confirmed.
    async fn reap_unconfirmed(&self, before: Timestamp) -> Result<u64, Error> {
        let sql = format!(
            "DELETE FROM accounts WHERE id IN
               (SELECT id FROM accounts WHERE email_verified_at IS NULL AND created_at < $1 LIMIT {BATCH})
               AND email_verified_at IS NULL RETURNING id"
        );
        let mut total = 0;
        loop {
            let statement = Statement::from_sql_and_values(self.db.engine(), &sql, [Value::from(before)]);
            let services = self.clone();
            let deleted = self.db.write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let gone = transaction.query_all_raw(statement).await?;
                    let gone = gone.iter().map(|row| Ok(services.never_confirmed(row.try_get("", "id")?)));
                    let records = gone.collect::<Result<Vec<_>, DbErr>>()?;
                    let count = records.len() as u64;
                    Record::write_all(records, transaction).await?;
                    Ok(count)
                })
            });
            let deleted = deleted.await?;
            total += deleted;
            if deleted < BATCH {
                return Ok(total);
            }
        }
    }

    async fn reap_where(
        &self,
        table: &str,
        key: &str,
        condition: &str,
        before: Timestamp,
    ) -> Result<u64, Error> {
        // PostgreSQL waits for a row that is just being changed, and then looks again at what is said outside alone.
        let again = match self.db.engine() {
            DbBackend::Postgres => condition,
            _ => "TRUE",
        };
        let sql = format!(
            "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {condition} LIMIT {BATCH})
               AND ({again})"
        );
        self.in_batches(&sql, vec![before.into()]).await
    }

    /// The oldest, which are the first of the trail. Nobody changes them.
    async fn reap_trail(&self, before: Timestamp) -> Result<u64, Error> {
        let sql = format!(
            "DELETE FROM audit_events WHERE id IN (SELECT id FROM audit_events ORDER BY id LIMIT {BATCH}) AND at < $1"
        );
        self.in_batches(&sql, vec![before.into()]).await
    }

    /// Makes due now what a clock that was ahead has put off, for longer than anything waits. `waiting` says which rows wait;
    /// its own values begin with `$3`.
    pub(super) async fn bring_forward(
        &self,
        table: &str,
        waiting: &str,
        own: Vec<Value>,
        longest: Duration,
    ) -> Result<(), Error> {
        let now = self.sources.now();
        // Two nodes may be twice as far apart as one is from the database.
        let values = [now, now + longest + 2 * CLOCKS_AGREE].map(Value::from);
        let late = format!("{waiting} AND due_at > $2");
        let sql = format!(
            "UPDATE {table} SET due_at = $1 WHERE id IN (SELECT id FROM {table} WHERE {late} LIMIT {BATCH})
               AND {late}"
        );
        let found = self.in_batches(&sql, values.into_iter().chain(own).collect()).await?;
        if found > 0 {
            tracing::warn!(table, found, "put off by a clock that was ahead; due now");
        }
        Ok(())
    }

    /// Runs a statement about a batch of rows until there are no more; answers how many there were.
    async fn in_batches(&self, sql: &str, values: Vec<Value>) -> Result<u64, Error> {
        let mut total = 0;
        loop {
            let statement = Statement::from_sql_and_values(self.db.engine(), sql, values.clone());
            let done = self
                .db
                .write(move |transaction| {
                    Box::pin(async move {
                        transaction
                            .execute_raw(statement)
                            .await
                            .map(|done| done.rows_affected())
                            .map_err(Error::from)
                    })
                })
                .await?;
            total += done;
            if done < BATCH {
                return Ok(total);
            }
        }
    }
}
