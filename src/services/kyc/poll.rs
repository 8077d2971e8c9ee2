//! What happens without anybody saying so: verifications that went quiet are asked for, those that are not decided are given
//! up in time, and approvals end.

use std::time::Duration;

use entities::{AccountId, KycVerificationId, Timestamp, kyc_verification};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, QuerySelect,
    Statement, Value,
};
use tokio_util::sync::CancellationToken;

use super::super::audit::Actor;
use super::super::clock_check::Steps;
use super::super::{Error, Services};
use super::apply::NewStep;
use super::status::Source;
use super::{is_open, status_of};
use crate::db::columns;
use crate::plugins::kyc::Status;

const EVERY: Duration = Duration::from_secs(30);
const BATCH: u64 = 16;
/// Verifications ended in one round.
const ENDED: u64 = 500;
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);
/// Doublings until the longest wait is reached, whatever the first one is.
const MOST_DOUBLINGS: i32 = 12;
/// A row that the provider never answered for is of no use to anybody after this.
const NEVER_ANSWERED: Duration = Duration::from_secs(86_400);

impl Services {
    /// Looks after verifications until told to stop.
    pub async fn watch_kyc(&self, stop: CancellationToken) {
        let mut steps = Steps::since(self.sources.now());
        loop {
            let done = self.look_after_kyc_if_sure_of_the_time(&mut steps).await.unwrap_or_else(|error| {
                tracing::warn!(?error, "verifications can't be looked after");
                false
            });
            if !done {
                metrics::counter!("latchkey_background_failures_total", "task" => "kyc_polls").increment(1);
            }
            if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
                return;
            }
        }
    }

    /// Whether it is. By a clock that is ahead, polls too would do lasting harm: they put off those to come, and date what they
    /// find.
    async fn look_after_kyc_if_sure_of_the_time(&self, steps: &mut Steps) -> Result<bool, Error> {
        if !self.sure_of_the_time(steps).await? {
            return Ok(false);
        }
        self.look_after_kyc().await.map(|()| true)
    }

    /// One round.
    pub async fn look_after_kyc(&self) -> Result<(), Error> {
        while self.poll_batch().await? > 0 {}
        self.expire_kyc().await
    }

    /// Asks for verifications that went quiet; answers how many.
    async fn poll_batch(&self) -> Result<usize, Error> {
        let due = self.claim_polls().await?;
        let count = due.len();
        futures_util::future::join_all(due.into_iter().map(|row| self.poll(row))).await;
        Ok(count)
    }

    /// Takes those that are due; each is due again later, whatever comes of it.
    async fn claim_polls(&self) -> Result<Vec<kyc_verification::Model>, Error> {
        let now = self.sources.now();
        let first = Duration::from_secs(self.config.kyc.poll_seconds);
        self.db
            .write(move |transaction| {
                Box::pin(async move {
                    let engine = transaction.get_database_backend();
                    let skip = if engine == DbBackend::Postgres { "FOR UPDATE SKIP LOCKED" } else { "" };
                    let sql = format!(
                        "UPDATE kyc_verifications SET polls = polls + 1, poll_at = $1 + CASE
                           WHEN polls >= {MOST_DOUBLINGS} THEN $3 WHEN $2 * (1 << polls) > $3 THEN $3
                           ELSE $2 * (1 << polls) END
                         WHERE id IN (SELECT id FROM kyc_verifications WHERE poll_at <= $1 ORDER BY poll_at
                           LIMIT {BATCH} {skip}) RETURNING {}",
                        columns::<kyc_verification::Entity>()
                    );
                    let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
                    // The next wait is twice the one that has just ended.
                    let values: [Value; 3] =
                        [now.into(), (2 * millis(first)).into(), millis(LONGEST_WAIT).into()];
                    let rows = transaction
                        .query_all_raw(Statement::from_sql_and_values(engine, sql, values))
                        .await?;
                    let read = |row| kyc_verification::Model::from_query_result(row, "").map_err(Error::from);
                    rows.iter().map(read).collect()
                })
            })
            .await
    }

    async fn poll(&self, row: kyc_verification::Model) {
        let (id, provider) = (row.id, row.provider.clone());
        if let Err(reason) = self.try_poll(row).await {
            tracing::warn!(verification = %id, provider, reason, "a provider can't be asked for a verification");
        }
    }

    async fn try_poll(&self, row: kyc_verification::Model) -> Result<(), String> {
        let Some(reference) = row.reference.clone() else { return Ok(()) };
        let asked = self.ask_provider(&row, reference).await;
        let (asked_at, finding) = asked.map_err(|failure| failure.to_string())?;
        if finding.status == status_of(&row) {
            return Ok(());
        }
        let step = NewStep::new(asked_at, finding, Source::Poll);
        self.step_alone(row.account_id, row.id, step).await.map_err(|error| format!("{error:?}"))
    }

    /// Ends what is over: open verifications and approvals, and rows that came to nothing.
    async fn expire_kyc(&self) -> Result<(), Error> {
        use kyc_verification::Column;
        let now = self.sources.now();
        let answered = || {
            kyc_verification::Entity::find()
                .select_only()
                .columns([Column::AccountId, Column::Id])
                .filter(Column::Reference.is_not_null())
                .limit(ENDED)
        };
        let late = answered().filter(is_open()).filter(Column::EndsAt.lte(now));
        let over = answered()
            .filter(Column::Status.eq(<&str>::from(Status::Approved)))
            .filter(Column::ValidUntil.lte(now));
        for (query, why) in [(late, "given up"), (over, "ran out")] {
            let due: Vec<(AccountId, KycVerificationId)> = query.into_tuple().all(self.db.reader()).await?;
            for (account, id) in due {
                // The others need not wait for this one.
                if let Err(error) = self.step_alone(account, id, NewStep::expired(now, why)).await {
                    tracing::warn!(?error, verification = %id, "a verification can't be ended yet");
                }
            }
        }
        self.forget_unanswered(now).await
    }

    async fn step_alone(
        &self,
        account: AccountId,
        id: KycVerificationId,
        step: NewStep,
    ) -> Result<(), Error> {
        let services = self.clone();
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    services.add_step(transaction, account, id, step, Actor::Server).await.map(drop)
                })
            })
            .await?;
        self.outbox.wake();
        Ok(())
    }

    async fn forget_unanswered(&self, now: Timestamp) -> Result<(), Error> {
        use kyc_verification::Column;
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    kyc_verification::Entity::delete_many()
                        .filter(Column::Reference.is_null())
                        .filter(Column::CreatedAt.lt(now - NEVER_ANSWERED))
                        // Somebody may have come back to it and be waiting for the provider.
                        .filter(Column::BusyUntil.lte(now))
                        .exec(transaction)
                        .await?;
                    Ok(())
                })
            })
            .await
    }
}
