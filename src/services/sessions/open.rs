//! The one door behind which a session begins, whichever way the person came.

use std::time::Duration;

use entities::{SessionId, Timestamp, account, seen_device, session};
use sea_orm::sea_query::{Expr, ExprTrait, Query, SelectStatement};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, QueryFilter, Statement,
    Value,
};

use super::super::audit::{Action, Actor, Event, Record};
use super::super::outbox::Message;
use super::super::policy::AAL2;
use super::super::{Error, Origin, Services};
use super::means::{Means, Proof};
use super::{SignedIn, insert, live};
use crate::device;
use crate::plugins::mail::{Mail, NoticeEvent};

/// NIST SP 800-63B-4, 2.2.3: a session at aal 2 as a whole, and without activity.
const NIST_OVERALL: Duration = Duration::from_secs(24 * 3600);
const NIST_IDLE: Duration = Duration::from_secs(3600);

/// Devices that an account is known to be used from. Of more, those not seen for longest are forgotten.
const SEEN_DEVICES: i64 = 100;
/// When a device was last seen is known to within so long, which spares most sign-ins a statement.
const SEEN_AGAIN: Duration = Duration::from_secs(24 * 3600);

/// A session that is about to begin: rows to write, and what to answer when they are written.
pub(in super::super) struct Opening {
    pub account: account::Model,
    pub session: session::Model,
    /// A hash of the same password at today's cost.
    pub rehashed: Option<String>,
    seen: seen_device::Model,
    records: Vec<Record>,
    new_device: Message,
    deletion_cancelled: Option<(Record, Message)>,
    services: Services,
    signed_in: SignedIn,
}

impl Services {
    /// Prepares a session for the owner of an account, who has just proved to be there. What must hold of the account is
    /// asked here, so that no way in can forget it.
    pub(in super::super) fn opening(
        &self,
        account: account::Model,
        means: &[Means],
        origin: &Origin,
    ) -> Result<Opening, Error> {
        self.may_sign_in(&account)?;
        let now = self.sources.now();
        let session = self.new_session(&account, means, origin);
        let tokens = self.tokens(&session, account.recovering_until)?;
        let mut records = vec![
            self.audit(
                Event::new(Action::SessionCreated, Actor::Account(origin))
                    .account(account.id)
                    .session(session.id, session.aal)
                    .detail(serde_json::json!({ "amr": session.amr })),
            ),
        ];
        if means.contains(&Means::RecoveryCode) {
            records.push(
                self.audit(
                    Event::new(Action::RecoveryCodeUsed, Actor::Account(origin))
                        .account(account.id)
                        .session(session.id, session.aal),
                ),
            );
        }
        let deletion_cancelled = match account.deletion_due_at {
            None => None,
            Some(_) => Some((
                self.audit(
                    Event::new(Action::DeletionCancelled, Actor::Account(origin))
                        .account(account.id)
                        .session(session.id, session.aal),
                ),
                self.mail(
                    Some(account.id),
                    &account.email,
                    origin.language(account.locale.as_deref()),
                    Mail::DeletionCancelled,
                )?,
            )),
        };
        let new_device = self.notice(&account, NoticeEvent::NewDevice, origin)?;
        let signed_in = SignedIn {
            account: account.id,
            email: account.email.clone(),
            email_verified_at: account.email_verified_at,
            tokens,
            device_token: None,
        };
        Ok(Opening {
            seen: seen_device::Model {
                account_id: account.id,
                fingerprint: device::fingerprint(account.id, origin.user_agent.as_deref(), origin.ip),
                first_seen_at: now,
                last_seen_at: now,
            },
            account,
            session,
            rehashed: None,
            records,
            new_device,
            deletion_cancelled,
            services: self.clone(),
            signed_in,
        })
    }

    /// A session row for somebody who has just proved to be the owner.
    fn new_session(&self, account: &account::Model, means: &[Means], origin: &Origin) -> session::Model {
        let now = self.sources.now();
        let recovering = account.recovering_until.is_some_and(|until| until > now);
        let proof = Proof::of(means);
        let proof = if recovering { proof.capped() } else { proof };
        let (expires_at, idle_expires_at) = self.lifetimes(proof.aal, now);
        session::Model {
            id: self.sources.id(),
            account_id: account.id,
            counter: 0,
            rotated_at: now,
            refresh_tat: now,
            created_at: now,
            expires_at,
            idle_expires_at,
            revoked_at: None,
            revoked_reason: None,
            aal: proof.aal,
            amr: proof.amr,
            auth_time: now,
            ial: account.ial_at(now),
            ip: Some(origin.ip.to_string()),
            user_agent: origin.user_agent.clone(),
        }
    }

    /// When a session that begins at, or is raised to, this level ends: in any case, and without a refresh.
    pub(super) fn lifetimes(&self, aal: i16, now: Timestamp) -> (Timestamp, Timestamp) {
        let overall = Duration::from_secs(self.config.tokens.session_seconds);
        let overall = if aal >= AAL2 && self.config.tokens.nist_lifetimes {
            overall.min(NIST_OVERALL)
        } else {
            overall
        };
        (now + overall, now + self.idle(aal))
    }

    /// How long a session at this level may go without a refresh.
    pub(super) fn idle(&self, aal: i16) -> Duration {
        let idle = Duration::from_secs(self.config.tokens.session_idle_seconds);
        if aal >= AAL2 && self.config.tokens.nist_lifetimes { idle.min(NIST_IDLE) } else { idle }
    }
}

impl Opening {
    /// Begins the session, unless the account is no longer what it was when the proof was checked: disabled, deleted, with
    /// another password or other factors. Hashing takes long enough for all of that.
    pub async fn write(self, db: &DatabaseTransaction) -> Result<SignedIn, Error> {
        let fingerprint = &self.seen.fingerprint;
        let Some(last_seen) = insert_if_unchanged(db, &self.session, &self.account, fingerprint).await?
        else {
            return Err(Error::InvalidCredentials);
        };
        if let Some(hash) = self.rehashed {
            self.services.store_rehash(db, &self.account, hash).await?;
        }
        if let Some((record, mail)) = self.deletion_cancelled {
            let due = account::Column::DeletionDueAt;
            let update = account::Entity::update_many()
                .col_expr(due, Expr::value(None::<Timestamp>))
                .filter(account::Column::Id.eq(self.account.id))
                .filter(due.is_not_null());
            // Of two sign-ins at once, one takes the deletion back.
            if update.exec(db).await?.rows_affected == 1 {
                record.write(db).await?;
                mail.write(db).await?;
            }
        }
        let most = self.services.config.tokens.sessions_per_account;
        if Record::write_all_counting(self.records, others(&self.session), db).await? >= most {
            let mut records = vec![];
            for id in end_beyond(db, &self.session, most).await? {
                let ended = Event::new(Action::SessionEnded, Actor::Server).account(self.account.id);
                let detail = serde_json::json!({ "session": id.to_string(), "reason": "too_many_sessions" });
                records.push(self.services.audit(ended.detail(detail)));
            }
            Record::write_all(records, db).await?;
        }
        let lately = last_seen.is_some_and(|at| self.seen.last_seen_at.since(at) < SEEN_AGAIN);
        if !lately && is_new_device(db, &self.seen).await? {
            self.new_device.write(db).await?;
        }
        Ok(self.signed_in)
    }

    /// Begins the session of an account that this very transaction has made.
    pub async fn write_first(self, db: &DatabaseTransaction) -> Result<SignedIn, Error> {
        insert(db, self.session).await?;
        is_new_device(db, &self.seen).await?;
        Record::write_all(self.records, db).await?;
        Ok(self.signed_in)
    }

    #[must_use]
    pub fn with(mut self, record: Record) -> Self {
        self.records.push(record);
        self
    }

    #[must_use]
    pub fn with_device_token(mut self, token: Option<String>) -> Self {
        self.signed_in.device_token = token;
        self
    }
}

/// Answers when the device was last seen, if it ever was; nothing if the account has changed. The lock on PostgreSQL makes a
/// change of the account wait until the session is there for it to end, and other sign-ins until it can be counted.
async fn insert_if_unchanged(
    db: &DatabaseTransaction,
    session: &session::Model,
    proven: &account::Model,
    fingerprint: &[u8],
) -> Result<Option<Option<Timestamp>>, DbErr> {
    let lock = if db.get_database_backend() == DbBackend::Postgres { "FOR NO KEY UPDATE" } else { "" };
    let sql = format!(
        "INSERT INTO sessions (id, account_id, counter, rotated_at, refresh_tat, created_at, expires_at,
           idle_expires_at, aal, amr, auth_time, ip, user_agent, ial)
         SELECT $1, a.id, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $17 FROM accounts a
         WHERE a.id = $2 AND a.disabled_at IS NULL AND a.password_hash = $14
           AND a.second_factor_at IS NOT DISTINCT FROM $15
           AND (a.deletion_due_at IS NULL OR (a.deletion_due_at = $16 AND $16 > $6)) {lock}
         RETURNING (SELECT d.last_seen_at FROM seen_devices d WHERE d.account_id = $2 AND d.fingerprint = $18)"
    );
    let session = session.clone();
    let values: [Value; 18] = [
        session.id.into(),
        session.account_id.into(),
        session.counter.into(),
        session.rotated_at.into(),
        session.refresh_tat.into(),
        session.created_at.into(),
        session.expires_at.into(),
        session.idle_expires_at.into(),
        session.aal.into(),
        session.amr.into(),
        session.auth_time.into(),
        session.ip.into(),
        session.user_agent.into(),
        proven.password_hash.clone().into(),
        proven.second_factor_at.into(),
        // A deletion asked for meanwhile is not taken back by somebody who signed in before.
        proven.deletion_due_at.into(),
        session.ial.into(),
        fingerprint.into(),
    ];
    let row =
        db.query_one_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    row.map(|row| row.try_get_by_index(0)).transpose()
}

/// The account's other sessions that have not ended.
fn others(session: &session::Model) -> SelectStatement {
    Query::select()
        .expr(Expr::col(session::Column::Id).count())
        .from(session::Entity)
        .cond_where(live(session.account_id, session.created_at))
        .and_where(session::Column::Id.ne(session.id))
        .take()
}

/// Ends sessions that the account has beyond its number: those refreshed longest ago. Answers which.
async fn end_beyond(
    db: &DatabaseTransaction,
    session: &session::Model,
    count: u64,
) -> Result<Vec<SessionId>, DbErr> {
    let sql = "UPDATE sessions SET revoked_at = $1, revoked_reason = 'too_many_sessions' WHERE id IN (
           SELECT id FROM sessions WHERE account_id = $2 AND id <> $3 AND revoked_at IS NULL AND expires_at > $1
             AND idle_expires_at > $1 ORDER BY rotated_at DESC, id DESC LIMIT 1000 OFFSET $4)
         RETURNING id";
    let others = i64::try_from(count.saturating_sub(1)).unwrap_or(i64::MAX);
    let values: [Value; 4] =
        [session.created_at.into(), session.account_id.into(), session.id.into(), others.into()];
    let ended = db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values));
    ended.await?.iter().map(|row| row.try_get("", "id")).collect()
}

/// Remembers the device; answers whether the account has been used before, but never from it.
async fn is_new_device(db: &DatabaseTransaction, seen: &seen_device::Model) -> Result<bool, DbErr> {
    let engine = db.get_database_backend();
    let run = async |sql: &str, values: Vec<Value>| {
        db.query_all_raw(Statement::from_sql_and_values(engine, sql, values)).await
    };
    let (account, fingerprint) = (seen.account_id, seen.fingerprint.clone());
    let known = "UPDATE seen_devices SET last_seen_at = $3 WHERE account_id = $1 AND fingerprint = $2
         RETURNING account_id";
    let values = vec![account.into(), fingerprint.into(), seen.last_seen_at.into()];
    if !run(known, values.clone()).await?.is_empty() {
        return Ok(false);
    }
    let sql = "INSERT INTO seen_devices (account_id, fingerprint, first_seen_at, last_seen_at) VALUES ($1, $2, $3, $3)
         ON CONFLICT (account_id, fingerprint) DO NOTHING
         RETURNING EXISTS (SELECT 1 FROM seen_devices o WHERE o.account_id = $1 AND o.fingerprint <> $2) AS others";
    let Some(row) = run(sql, values).await?.into_iter().next() else { return Ok(false) };
    // Whoever is on the way all the time is known by the places of late.
    let forget = "DELETE FROM seen_devices WHERE account_id = $1 AND fingerprint IN (SELECT fingerprint
           FROM seen_devices WHERE account_id = $1 ORDER BY last_seen_at DESC, fingerprint LIMIT 1000 OFFSET $2)";
    run(forget, vec![account.into(), SEEN_DEVICES.into()]).await?;
    row.try_get("", "others")
}
