//! Refresh: one compare-and-swap on the session's counter. A token shown twice within a short window (a retry, two tabs)
//! gets the same successor; shown later, it has been stolen, and the session ends.

use std::collections::HashMap;
use std::time::Duration;

use entities::session::{self, RevocationReason};
use entities::{SessionId, Timestamp, account};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, FromQueryResult, QueryResult,
    Statement, Value,
};
use uuid::Uuid;

use super::super::audit::{Action, Actor, Event, Record};
use super::super::clock_check::CLOCKS_AGREE;
use super::super::policy::{AAL1, AAL2};
use super::super::{Error, Origin, Services, limits};
use super::{SignedIn, Which, revoke};
use crate::crypto::refresh_token::RefreshToken;
use crate::db::{BatchError, Batcher, Db, columns, places};
use crate::plugins::mail::NoticeEvent;

/// A current token to be exchanged.
#[derive(Clone)]
pub struct Renewal {
    token: RefreshToken,
    terms: Terms,
    record: Record,
}

/// A session with what the answer says of its account.
#[derive(Clone)]
pub struct Renewed {
    session: session::Model,
    email: String,
    email_verified_at: Option<Timestamp>,
    recovering_until: Option<Timestamp>,
}

/// Numbers that a refresh needs, taken before the transaction.
#[derive(Clone, Copy)]
struct Terms {
    now: Timestamp,
    idle: Duration,
    /// The same for a session at aal 2.
    idle_aal2: Duration,
    grace: Duration,
    /// Limit per session: milliseconds a refresh costs, and how many may be spent ahead.
    cost: i64,
    burst: i64,
}

impl Services {
    pub async fn refresh(&self, refresh_token: &str, origin: &Origin) -> Result<SignedIn, Error> {
        let token = RefreshToken::decode(refresh_token, &self.keys.refresh_key())
            .ok_or(Error::InvalidRefreshToken)?;
        let terms = self.terms();
        let event = Event::new(Action::SessionRefreshed, Actor::Account(origin)).session(token.session, 0);
        let renewal = Renewal { token, terms, record: self.audit(event) };
        let renewed = match self.refreshes.ask(renewal.clone()).await {
            Err(BatchError::Db(_)) => {
                // Somebody else's trouble, such as a deadlock with another node, is not this token's: once more, alone.
                renew(&self.db, vec![renewal]).await?.pop().flatten()
            }
            outcome => outcome?,
        };
        let renewed = match renewed {
            Some(renewed) => renewed,
            None => {
                let (services, origin) = (self.clone(), origin.clone());
                let explain = self.db.write(move |transaction| {
                    Box::pin(async move { services.explain(transaction, token, terms, &origin).await })
                });
                let explained = explain.await?;
                if matches!(explained, Err(Error::RefreshTokenReused)) {
                    self.outbox.wake();
                }
                explained?
            }
        };
        Ok(SignedIn {
            account: renewed.session.account_id,
            tokens: self.tokens(&renewed.session, renewed.recovering_until)?,
            email: renewed.email,
            email_verified_at: renewed.email_verified_at,
            device_token: None,
        })
    }

    fn terms(&self) -> Terms {
        let tokens = &self.config.tokens;
        let limits = &self.config.limits;
        let burst = i64::from(limits.refresh_per_session.seconds) * 1000;
        let cost = (burst / i64::from(limits.refresh_per_session.count)).max(1);
        Terms {
            now: self.sources.now(),
            idle: self.idle(AAL1),
            idle_aal2: self.idle(AAL2),
            grace: Duration::from_secs(tokens.refresh_grace_seconds),
            cost: if limits.enabled { cost } else { 0 },
            burst,
        }
    }
}

/// The audit record, completed with what only the row knows.
fn about(mut record: Record, session: &session::Model) -> Record {
    record.0.account_id = Some(session.account_id);
    record.0.aal = Some(session.aal);
    record
}

/// Renews sessions, many in one transaction of two statements.
pub fn renewals(db: Db) -> Batcher<Renewal, Option<Renewed>> {
    // PostgreSQL commits side by side; SQLite one after the other.
    let at_once = if db.engine() == DbBackend::Postgres { 4 } else { 1 };
    Batcher::spawn("refresh", at_once, move |renewals| {
        let db = db.clone();
        Box::pin(async move { renew(&db, renewals).await })
    })
}

async fn renew(db: &Db, renewals: Vec<Renewal>) -> Result<Vec<Option<Renewed>>, BatchError> {
    let Some(terms) = renewals.iter().map(|renewal| renewal.terms).max_by_key(|terms| terms.now) else {
        return Ok(vec![]);
    };
    // Of two that show the same token, the first is served; the other is a repetition.
    let mut first = HashMap::new();
    for (at, renewal) in renewals.iter().enumerate() {
        first.entry((renewal.token.session, renewal.token.counter)).or_insert(at);
    }
    let statement = swap(db.engine(), terms, first.values().map(|at| renewals[*at].token));
    let count = renewals.len();
    db.write(move |transaction| {
        Box::pin(async move {
            let mut answers: Vec<Option<Renewed>> = vec![None; count];
            let mut records = vec![];
            for row in transaction.query_all_raw(statement).await? {
                let renewed = Renewed::read(&row)?;
                if let Some(at) = first.get(&(renewed.session.id, renewed.session.counter - 1)) {
                    records.push(about(renewals[*at].record.clone(), &renewed.session));
                    answers[*at] = Some(renewed);
                }
            }
            Record::write_all(records, transaction).await?;
            Ok(answers)
        })
    })
    .await
}

/// Moves counters on, where the token is the current one, session and account are alive and the limit allows it. A limit
/// that only a clock that was ahead can have written leaves this one refresh.
///
/// A token ahead of the row is ours all the same: the row is older, out of a backup or from a standby that lagged, and the
/// session goes on behind the token. Is it a copy of one that was replaced since, then its owner's newer one is ahead in turn,
/// and what the copy has led to is reuse.
fn swap(engine: DbBackend, terms: Terms, tokens: impl Iterator<Item = RefreshToken>) -> Statement {
    let mut values: Vec<Value> = vec![
        terms.now.into(),
        (terms.now + terms.idle).into(),
        terms.cost.into(),
        Timestamp(terms.now.0 + terms.burst - terms.cost).into(),
        (terms.now + terms.idle_aal2).into(),
        (Timestamp(terms.now.0 + terms.burst) + CLOCKS_AGREE).into(),
    ];
    let fixed = values.len();
    for token in tokens {
        values.extend([Value::from(token.session), token.counter.into()]);
    }
    let count = (values.len() - fixed) / 2;
    // No session has this id: it fills the places that are left.
    for _ in count..places(count) {
        values.extend([Value::from(SessionId(Uuid::nil())), (-1i64).into()]);
    }
    let rows: Vec<String> =
        (fixed..values.len()).step_by(2).map(|at| format!("(${}, ${})", at + 1, at + 2)).collect();
    let sql = format!(
        "WITH asked (asked_id, asked_counter) AS (VALUES {})
         UPDATE sessions SET counter = asked_counter + 1, rotated_at = $1,
           idle_expires_at = CASE WHEN aal >= {AAL2} THEN $5 ELSE $2 END,
           refresh_tat = CASE WHEN refresh_tat > $6 THEN $4 WHEN refresh_tat > $1 THEN refresh_tat ELSE $1 END + $3,
           ial = (SELECT CASE WHEN a.ial_until > $1 THEN a.ial ELSE 0 END FROM accounts a
             WHERE a.id = sessions.account_id)
         FROM asked
         WHERE sessions.id = asked_id AND counter <= asked_counter AND revoked_at IS NULL AND expires_at > $1
           AND idle_expires_at > $1 AND (refresh_tat <= $4 OR refresh_tat > $6)
           AND EXISTS (SELECT 1 FROM accounts a WHERE a.id = sessions.account_id AND a.disabled_at IS NULL
             AND a.deletion_due_at IS NULL)
         RETURNING {},
           (SELECT a.email FROM accounts a WHERE a.id = sessions.account_id) AS account_email,
           (SELECT a.email_verified_at FROM accounts a WHERE a.id = sessions.account_id) AS account_verified,
           (SELECT a.recovering_until FROM accounts a WHERE a.id = sessions.account_id) AS account_recovering",
        rows.join(", "),
        columns::<session::Entity>()
    );
    Statement::from_sql_and_values(engine, sql, values)
}

impl Renewed {
    fn read(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            session: session::Model::from_query_result(row, "")?,
            email: row.try_get("", "account_email")?,
            email_verified_at: row.try_get("", "account_verified")?,
            recovering_until: row.try_get("", "account_recovering")?,
        })
    }
}

impl Services {
    /// Why the swap found nothing to do: a repetition, a theft, a limit, or an end.
    async fn explain(
        &self,
        db: &DatabaseTransaction,
        token: RefreshToken,
        terms: Terms,
        origin: &Origin,
    ) -> Result<Result<Renewed, Error>, Error> {
        let invalid = Err(Error::InvalidRefreshToken);
        let event = |action, session: &session::Model| {
            self.audit(
                Event::new(action, Actor::Account(origin))
                    .account(session.account_id)
                    .session(session.id, session.aal),
            )
        };
        let Some(session) = session::Entity::find_by_id(token.session).one(db).await? else {
            return Ok(invalid);
        };
        let Some(account) = account::Entity::find_by_id(session.account_id).one(db).await? else {
            return Ok(invalid);
        };
        let now = terms.now;
        if session.revoked_at.is_some()
            || session.expires_at <= now
            || session.idle_expires_at <= now
            || account.disabled_at.is_some()
            || account.deletion_due_at.is_some()
        {
            return Ok(invalid);
        }
        // Only the limit has stood in its way.
        if token.counter >= session.counter {
            let free = session.refresh_tat.0 + terms.cost - terms.burst;
            limits::count_refusal("refresh", "subject");
            return Ok(Err(Error::RateLimited(Timestamp(free).since(now))));
        }
        // The last one before a step-up: whoever shows it gets nothing of what was proved since, and has stolen nothing.
        let stepped_up = session.auth_time == session.rotated_at && session.auth_time != session.created_at;
        if token.counter + 1 == session.counter && stepped_up {
            return Ok(invalid);
        }
        if token.counter + 1 == session.counter && now.since(session.rotated_at) <= terms.grace {
            event(Action::RefreshRepeated, &session).write(db).await?;
            return Ok(Ok(Renewed {
                session,
                email: account.email,
                email_verified_at: account.email_verified_at,
                recovering_until: account.recovering_until,
            }));
        }
        // Ours, authentic, and replaced before: somebody else has a copy, and there is no telling who.
        if revoke(db, Which::One(session.id), RevocationReason::RefreshTokenReused, now).await? == 0 {
            return Ok(invalid);
        }
        event(Action::RefreshReused, &session).write(db).await?;
        self.notice(&account, NoticeEvent::SessionStolen, origin)?.write(db).await?;
        Ok(Err(Error::RefreshTokenReused))
    }
}
