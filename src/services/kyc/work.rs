//! Works through the inbox: events of one verification one after the other, those of different ones side by side. An event
//! and what follows from it are one transaction, so that a server that dies has done all of it or nothing.

use std::time::Duration;

use entities::kyc_event::{self, State};
use entities::{AccountId, KycVerificationId, Timestamp, kyc_verification};
use futures_util::future::join_all;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, FromQueryResult,
    QueryFilter, Statement, Value,
};
use tokio_util::sync::CancellationToken;

use super::super::audit::Actor;
use super::super::{Error, Services};
use super::Configured;
use super::apply::NewStep;
use super::status::Source;
use crate::db::columns;
use crate::plugins::kyc::{Event, Failure, Finding, Session, Status};

/// How long a worker has an event to itself: longer than a provider may take to answer.
const CLAIM: Duration = Duration::from_secs(60);
const BATCH: usize = 32;
/// How often a worker looks for events that other nodes took in or that are due again.
const POLL: Duration = Duration::from_secs(2);
/// A webhook may be quicker than the answer to the request that it is about.
const STRANGER: Duration = Duration::from_secs(30);
const STRANGER_ATTEMPTS: i32 = 4;
/// Waits between attempts, while the provider can't be asked: from this, doubling, to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Then it is given up, about two days after it came. The poller asks on.
const ATTEMPTS: i32 = 56;

/// What becomes of an event.
enum Outcome {
    Step {
        account: AccountId,
        verification: KycVerificationId,
        adopt: Option<String>,
        step: NewStep,
    },
    /// Of a person or a verification that nobody knows here.
    Unknown(&'static str),
    Again {
        after: Duration,
        why: String,
    },
    Dead(String),
}

impl Services {
    /// Works until told to stop. What is under way is finished. Each provider has a worker of its own, so that one that is slow
    /// holds up no other.
    pub async fn work_on_kyc(&self, stop: CancellationToken) {
        join_all(self.kyc.providers.iter().map(|provider| self.work_for(provider, &stop))).await;
    }

    async fn work_for(&self, provider: &Configured, stop: &CancellationToken) {
        loop {
            match self.work_batch(provider).await {
                Ok(done) if done > 0 && !stop.is_cancelled() => continue,
                Ok(_) => {}
                Err(error) => {
                    metrics::counter!("latchkey_background_failures_total", "task" => "kyc_inbox")
                        .increment(1);
                    tracing::warn!(?error, provider = provider.name(), "the inbox can't be read");
                }
            }
            tokio::select! {
                () = provider.wake.notified() => {}
                () = tokio::time::sleep(POLL) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// One round; answers how many events were claimed.
    async fn work_batch(&self, provider: &Configured) -> Result<usize, Error> {
        let claimed = self.claim_events(provider.name()).await?;
        let count = claimed.len();
        let work = claimed.into_iter().map(|event| self.work_on(provider, event));
        for result in join_all(work).await {
            if let Err(error) = result {
                // Due again when the claim runs out.
                tracing::warn!(?error, "an event is not done yet");
            }
        }
        Ok(count)
    }

    /// Takes the first event of each verification, of those that are due, for this worker alone.
    async fn claim_events(&self, provider: &'static str) -> Result<Vec<kyc_event::Model>, Error> {
        let now = self.sources.now();
        let until = now + CLAIM;
        self.db
            .write(move |transaction| {
                Box::pin(async move {
                    let skip = match transaction.get_database_backend() {
                        DbBackend::Postgres => "FOR UPDATE SKIP LOCKED",
                        _ => "",
                    };
                    let sql = format!(
                        "UPDATE kyc_events SET due_at = $1, attempts = attempts + 1 WHERE id IN (
                           SELECT e.id FROM kyc_events e WHERE e.provider = $3 AND e.state = 'pending'
                             AND e.due_at <= $2 AND NOT EXISTS (SELECT 1 FROM kyc_events p
                               WHERE p.subject = e.subject AND p.state = 'pending' AND p.id < e.id)
                           ORDER BY e.due_at LIMIT {BATCH} {skip}) RETURNING {}",
                        columns::<kyc_event::Entity>()
                    );
                    let engine = transaction.get_database_backend();
                    let values: [Value; 3] = [until.into(), now.into(), provider.into()];
                    let rows = transaction
                        .query_all_raw(Statement::from_sql_and_values(engine, sql, values))
                        .await?;
                    let read = |row| kyc_event::Model::from_query_result(row, "").map_err(Error::from);
                    rows.iter().map(read).collect()
                })
            })
            .await
    }

    /// For the reaper.
    pub(in super::super) async fn bring_kyc_events_forward(&self) -> Result<(), Error> {
        self.bring_forward("kyc_events", "state = 'pending'", vec![], LONGEST_WAIT).await
    }

    async fn work_on(&self, provider: &Configured, row: kyc_event::Model) -> Result<(), Error> {
        let outcome = self.judge(provider, &row).await?;
        let now = self.sources.now();
        let services = self.clone();
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move { services.finish(transaction, row, outcome, now).await })
            })
            .await?;
        self.outbox.wake();
        Ok(())
    }

    /// What is to become of an event. Asks the provider where that is needed, outside of any transaction.
    async fn judge(&self, provider: &Configured, row: &kyc_event::Model) -> Result<Outcome, Error> {
        let event = row.event.as_deref().and_then(|text| serde_json::from_str::<Event>(text).ok());
        let Some(event) = event else { return Ok(Outcome::Dead("unreadable event".into())) };
        let Some(finding) = event.finding.clone() else { return Ok(Outcome::Unknown("no finding")) };
        let Some(verification) = self.find_verification(&row.provider, &event).await? else {
            return Ok(if row.attempts < STRANGER_ATTEMPTS {
                Outcome::Again { after: STRANGER, why: "no such verification yet".into() }
            } else {
                Outcome::Unknown("no such verification")
            });
        };
        if event.external_id.as_ref().is_some_and(|id| *id != verification.external_id) {
            return Ok(Outcome::Unknown("another person's reference"));
        }
        let occurred_at = event.occurred_at.map_or(row.received_at, Timestamp);
        let adopt = event.reference.clone().filter(|_| verification.reference.is_none());
        let (occurred_at, finding) = match self
            .confirm(provider, &verification, &event, occurred_at, finding)
            .await
        {
            Ok(confirmed) => confirmed,
            Err(failure) if row.attempts >= ATTEMPTS => return Ok(Outcome::Dead(failure.to_string())),
            Err(failure) => {
                tracing::warn!(provider = row.provider, event = %row.id, %failure, "an event can't be confirmed yet");
                return Ok(Outcome::Again { after: back_off(row.attempts), why: failure.to_string() });
            }
        };
        let mut step = NewStep::new(occurred_at, finding, Source::Provider);
        step.detail = serde_json::json!({ "event": row.id.to_string() });
        Ok(Outcome::Step { account: verification.account_id, verification: verification.id, adopt, step })
    }

    /// A webhook is a hint: an approval counts once the provider says so itself, and so does everything whose time is not
    /// signed, since it might be old.
    async fn confirm(
        &self,
        configured: &Configured,
        verification: &kyc_verification::Model,
        event: &Event,
        occurred_at: Timestamp,
        finding: Finding,
    ) -> Result<(Timestamp, Finding), Failure> {
        let about = configured.provider.about();
        let asks = about.fetches && (finding.status == Status::Approved || !about.signs_time);
        let reference = verification.reference.clone().or_else(|| event.reference.clone());
        let Some(reference) = reference.filter(|_| asks) else { return Ok((occurred_at, finding)) };
        let (asked_at, told) = self.ask_provider(verification, reference).await?;
        // What the webhook said was so when it said so.
        if told.status == finding.status && about.signs_time {
            let checks = if told.checks.is_empty() { finding.checks } else { told.checks };
            return Ok((occurred_at, Finding { checks, ..told }));
        }
        Ok((asked_at, told))
    }

    /// What the provider says, and when it was asked: what somebody decides before the answer comes is newer.
    pub(super) async fn ask_provider(
        &self,
        verification: &kyc_verification::Model,
        reference: String,
    ) -> Result<(Timestamp, Finding), Failure> {
        let configured = self.kyc.provider(&verification.provider);
        let configured = configured.ok_or(Failure::Malformed("a provider that is set up"))?;
        let base = configured.provider.base_url(&configured.settings);
        let link = self.kyc.network.link(&configured.settings, &base);
        let link = link.ok_or(Failure::Malformed("a host"))?;
        let session = Session {
            reference,
            handle: verification.handle.clone(),
            external_id: verification.external_id.clone(),
        };
        let asked_at = self.sources.now();
        let finding = configured.provider.fetch(&link, &session).await?;
        self.note_contact(configured.name()).await;
        Ok((asked_at, finding))
    }

    async fn find_verification(
        &self,
        provider: &str,
        event: &Event,
    ) -> Result<Option<kyc_verification::Model>, Error> {
        use kyc_verification::Column;
        let mut names = Condition::any();
        if let Some(reference) = &event.reference {
            names = names.add(Column::Reference.eq(reference));
        }
        if let Some(external) = &event.external_id {
            // Only where the provider's own id is not known yet; else that one decides.
            let nameless = Condition::all().add(Column::ExternalId.eq(external));
            let nameless = match event.reference {
                // Where nothing is begun at the provider, our id stands for it.
                Some(_) => nameless.add(
                    Condition::any().add(Column::Reference.is_null()).add(Column::Reference.eq(external)),
                ),
                None => nameless,
            };
            names = names.add(nameless);
        }
        if names.is_empty() {
            return Ok(None);
        }
        let query = kyc_verification::Entity::find().filter(Column::Provider.eq(provider)).filter(names);
        Ok(query.one(self.db.reader()).await?)
    }

    async fn finish(
        &self,
        db: &DatabaseTransaction,
        row: kyc_event::Model,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<(), Error> {
        use kyc_event::Column;
        let update = || {
            kyc_event::Entity::update_many()
                .filter(Column::Id.eq(row.id))
                // Of two workers, when a claim has run out, the later one goes on.
                .filter(Column::Attempts.eq(row.attempts))
                .filter(Column::State.eq(State::Pending))
        };
        let close = |state: State, why: Option<String>| {
            update()
                .col_expr(Column::State, Expr::value(state))
                .col_expr(Column::FinishedAt, Expr::value(now))
                .col_expr(Column::LastError, Expr::value(why))
        };
        let update = match &outcome {
            Outcome::Step { .. } => {
                close(State::Done, None).col_expr(Column::Event, Expr::value(None::<String>))
            }
            Outcome::Unknown(why) => {
                metrics::counter!("latchkey_kyc_unknown_total", "provider" => row.provider.clone())
                    .increment(1);
                tracing::error!(provider = row.provider, event = %row.id, why, "a webhook about nobody here");
                close(State::Unknown, Some((*why).to_owned()))
            }
            Outcome::Dead(why) => {
                metrics::counter!("latchkey_kyc_dead_total", "provider" => row.provider.clone()).increment(1);
                tracing::error!(provider = row.provider, event = %row.id, why, "a webhook was given up");
                close(State::Dead, Some(why.clone()))
            }
            Outcome::Again { after, why } => update()
                .col_expr(Column::DueAt, Expr::value(now + *after))
                .col_expr(Column::LastError, Expr::value(why.clone())),
        };
        if update.exec(db).await?.rows_affected == 0 {
            return Ok(());
        }
        let Outcome::Step { account, verification, adopt, step } = outcome else { return Ok(()) };
        if let Some(reference) = adopt {
            kyc_verification::Entity::update_many()
                .col_expr(kyc_verification::Column::Reference, Expr::value(reference))
                .filter(kyc_verification::Column::Id.eq(verification))
                .filter(kyc_verification::Column::Reference.is_null())
                .exec(db)
                .await?;
        }
        self.add_step(db, account, verification, step, Actor::Server).await.map(drop)
    }
}

fn back_off(attempts: i32) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(20);
    FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT)
}
