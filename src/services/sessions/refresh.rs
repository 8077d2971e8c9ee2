//! Refresh: one compare-and-swap on the session's counter. A token shown twice within a short window (a retry, two tabs)
//! gets the same successor; shown later, it has been stolen, and the session ends.

use std::time::Duration;

use entities::session::{self, RevocationReason};
use entities::{AccountId, Timestamp, audit_event};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, FromQueryResult, QueryResult,
    Statement, Value,
};

use super::super::audit::{Action, Actor, Event, Record};
use super::super::{Error, Origin, Services};
use super::{SignedIn, Which, revoke};
use crate::crypto::refresh_token::RefreshToken;

/// What the token turned out to be worth.
enum Outcome {
    Renewed(Row),
    Refused(Error),
}

/// A session with what the answer says of its account.
struct Row {
    session: session::Model,
    email: String,
    email_verified_at: Option<Timestamp>,
}

/// Numbers that a refresh needs, taken before the transaction.
#[derive(Clone, Copy)]
struct Terms {
    now: Timestamp,
    idle: Duration,
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
        let audit = |action| self.audit(Event::new(action, Actor::Account(origin)).session(token.session, 0));
        let renewed = audit(Action::SessionRefreshed);
        let repeated = audit(Action::RefreshRepeated);
        let reused = audit(Action::RefreshReused);
        let outcome = match self.db.engine() {
            DbBackend::Postgres => {
                let rows = self.db.write_one::<Error>(swap_and_audit(token, terms, renewed.0)).await?;
                match rows.first() {
                    Some(row) => Outcome::Renewed(Row::read(row)?),
                    None => {
                        self.db
                            .write(move |transaction| {
                                Box::pin(explain(transaction, token, terms, repeated, reused))
                            })
                            .await?
                    }
                }
            }
            engine => {
                let statement = Statement::from_sql_and_values(engine, SWAP, terms.values(token));
                self.db
                    .write(move |transaction| {
                        Box::pin(async move {
                            let Some(row) = transaction.query_one_raw(statement).await? else {
                                return explain(transaction, token, terms, repeated, reused).await;
                            };
                            let row = Row::read(&row)?;
                            about(renewed, &row.session).write(transaction).await?;
                            Ok::<_, Error>(Outcome::Renewed(row))
                        })
                    })
                    .await?
            }
        };
        match outcome {
            Outcome::Refused(error) => Err(error),
            Outcome::Renewed(row) => Ok(SignedIn {
                account: row.session.account_id,
                tokens: self.tokens(&row.session)?,
                email: row.email,
                email_verified_at: row.email_verified_at,
            }),
        }
    }

    fn terms(&self) -> Terms {
        let tokens = &self.config.tokens;
        let limits = &self.config.limits;
        let burst = i64::from(limits.refresh_per_session.seconds) * 1000;
        let cost = (burst / i64::from(limits.refresh_per_session.count)).max(1);
        Terms {
            now: self.sources.now(),
            idle: Duration::from_secs(tokens.session_idle_seconds),
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

/// Moves the counter on, if the token is the current one, the session and its account are alive and the limit allows it.
const SWAP: &str = "UPDATE sessions SET counter = counter + 1, rotated_at = $1, idle_expires_at = $2,
    refresh_tat = CASE WHEN refresh_tat > $1 THEN refresh_tat ELSE $1 END + $3
  WHERE id = $4 AND counter = $5 AND revoked_at IS NULL AND expires_at > $1 AND idle_expires_at > $1
    AND refresh_tat <= $6
    AND EXISTS (SELECT 1 FROM accounts a WHERE a.id = sessions.account_id AND a.disabled_at IS NULL)
  RETURNING *,
    (SELECT a.email FROM accounts a WHERE a.id = sessions.account_id) AS account_email,
    (SELECT a.email_verified_at FROM accounts a WHERE a.id = sessions.account_id) AS account_verified";

impl Terms {
    fn values(self, token: RefreshToken) -> Vec<Value> {
        vec![
            self.now.into(),
            (self.now + self.idle).into(),
            self.cost.into(),
            token.session.into(),
            token.counter.into(),
            Timestamp(self.now.0 + self.burst - self.cost).into(),
        ]
    }
}

impl Row {
    fn read(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            session: session::Model::from_query_result(row, "")?,
            email: row.try_get("", "account_email")?,
            email_verified_at: row.try_get("", "account_verified")?,
        })
    }
}

/// The swap and its audit row in one statement, which PostgreSQL can and which spares it a transaction's round trips.
fn swap_and_audit(token: RefreshToken, terms: Terms, record: audit_event::Model) -> Statement {
    let sql = format!(
        "WITH renewed AS ({SWAP}), audited AS (
           INSERT INTO audit_events (id, at, action, actor, account_id, session_id, aal, ip, user_agent, request_id)
           SELECT $7, $1, $8, $9, account_id, id, aal, $10, $11, $12 FROM renewed)
         SELECT * FROM renewed"
    );
    let mut values = terms.values(token);
    values.extend([
        Value::from(record.id),
        record.action.into(),
        record.actor.into(),
        record.ip.into(),
        record.user_agent.into(),
        record.request_id.into(),
    ]);
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

/// Why the swap found nothing to do: a repetition, a theft, a limit, or an end.
async fn explain(
    db: &DatabaseTransaction,
    token: RefreshToken,
    terms: Terms,
    repeated: Record,
    reused: Record,
) -> Result<Outcome, Error> {
    let invalid = Outcome::Refused(Error::InvalidRefreshToken);
    let Some(session) = session::Entity::find_by_id(token.session).one(db).await? else { return Ok(invalid) };
    let Some(account) =
        entities::account::Entity::find_by_id::<AccountId>(session.account_id).one(db).await?
    else {
        return Ok(invalid);
    };
    let now = terms.now;
    if session.revoked_at.is_some()
        || session.expires_at <= now
        || session.idle_expires_at <= now
        || account.disabled_at.is_some()
    {
        return Ok(invalid);
    }
    if token.counter == session.counter {
        let free = session.refresh_tat.0 + terms.cost - terms.burst;
        return Ok(Outcome::Refused(Error::RateLimited(Timestamp(free).since(now))));
    }
    if token.counter + 1 == session.counter && now.since(session.rotated_at) <= terms.grace {
        about(repeated, &session).write(db).await?;
        let row = Row { session, email: account.email, email_verified_at: account.email_verified_at };
        return Ok(Outcome::Renewed(row));
    }
    // Ours, authentic, and replaced before: somebody else has a copy, and there is no telling who.
    revoke(db, Which::One(session.id), RevocationReason::RefreshTokenReused, now).await?;
    about(reused, &session).write(db).await?;
    Ok(Outcome::Refused(Error::RefreshTokenReused))
}
