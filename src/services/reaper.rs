//! Removes what nothing needs any more, in bounded batches, so that no table grows without end and no request waits.

use std::time::{Duration, Instant};

use entities::Timestamp;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, Value};
use tokio_util::sync::CancellationToken;

use super::audit::Record;
use super::mfa::ENROLMENT;
use super::{Error, Services};

const EVERY: Duration = Duration::from_secs(60);
const BATCH: u64 = 500;
const DAY: Duration = Duration::from_secs(86_400);
/// How far the clocks of a node and its database may be apart.
pub const CLOCKS_AGREE: Duration = Duration::from_secs(60);
/// A device that was not used for so long is a new one.
const SEEN_DEVICE_DAYS: u32 = 400;

/// By how much the clock was set, against one that only counts.
struct Steps {
    began: Instant,
    then: Timestamp,
}

impl Steps {
    fn since(then: Timestamp) -> Self {
        Self { began: Instant::now(), then }
    }

    /// `elapsed` has passed since the beginning. After a day, what the clock says then counts.
    fn until(&mut self, now: Timestamp, elapsed: Duration) -> Duration {
        let step = Duration::from_millis((self.then + elapsed).0.abs_diff(now.0));
        if elapsed > DAY {
            *self = Self::since(now);
        }
        step
    }
}

impl Services {
    /// Reaps until told to stop.
    pub async fn reap_regularly(&self, stop: CancellationToken) {
        let mut steps = Steps::since(self.sources.now());
        loop {
            if let Err(error) = self.reap_if_sure_of_the_time(&mut steps).await {
                metrics::counter!("latchkey_background_failures_total", "task" => "reaper").increment(1);
                tracing::warn!(?error, "reaping");
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// A clock that runs ahead would have all sessions removed, and more.
    async fn reap_if_sure_of_the_time(&self, steps: &mut Steps) -> Result<(), Error> {
        let now = self.sources.now();
        let skew = self.db.clock_skew(now).await?;
        if skew > CLOCKS_AGREE {
            tracing::error!(
                seconds = skew.as_secs(),
                "this machine's clock differs from the database's; nothing is removed"
            );
            return Ok(());
        }
        // SQLite has no clock to compare with.
        let step = steps.until(now, steps.began.elapsed());
        if self.db.engine() == DbBackend::Sqlite && step > CLOCKS_AGREE {
            tracing::error!(
                seconds = step.as_secs(),
                "this machine's clock was set; nothing is removed for a day, or until a restart"
            );
            return Ok(());
        }
        self.reap().await.map(drop)
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
            (
                "audit_events",
                "id",
                "id IN (SELECT id FROM audit_events ORDER BY id LIMIT 500) AND at < $1",
                trail,
            ),
        ] {
            rows += self.reap_where(table, key, condition, before).await?;
        }
        if self.config.require_verified_email {
            rows += self.reap_unconfirmed(unverified).await?;
        }
        rows += self.erase_due().await?;
        self.give_up_webhooks().await?;
        self.clean_late_events().await?;
        Ok(rows)
    }

    /// Removes accounts whose address was never confirmed.
    async fn reap_unconfirmed(&self, before: Timestamp) -> Result<u64, Error> {
        let sql = format!(
            "DELETE FROM accounts WHERE id IN
               (SELECT id FROM accounts WHERE email_verified_at IS NULL AND created_at < $1 LIMIT {BATCH})
             RETURNING id"
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
        let sql = format!(
            "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {condition} LIMIT {BATCH})"
        );
        let mut total = 0;
        loop {
            let statement = Statement::from_sql_and_values(self.db.engine(), &sql, [Value::from(before)]);
            let deleted = self
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
            total += deleted;
            if deleted < BATCH {
                return Ok(total);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_is_noticed_and_believed_after_a_day() {
        let hour = Duration::from_secs(3600);
        let mut steps = Steps::since(Timestamp(0));
        assert_eq!(steps.until(Timestamp(0) + hour, hour), Duration::ZERO);
        assert_eq!(steps.until(Timestamp(0) + 3 * hour, 2 * hour), hour);
        assert_eq!(steps.until(Timestamp(0) + hour, 2 * hour), hour);
        assert_eq!(steps.until(Timestamp(0) + 26 * hour, 25 * hour), hour);
        assert_eq!(steps.until(Timestamp(0) + 27 * hour, hour), Duration::ZERO);
    }
}
