//! Who is calling: one look at the token, one coalesced look at the session and its account. Nothing is cached but the
//! validity of a signature, so logout, disablement and theft take effect at the next request on every node.

use std::collections::HashMap;
use std::sync::Arc;

use entities::account::Role;
use entities::{AccountId, SessionId, Timestamp, account, session};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter,
    QueryResult, Statement, Value,
};

use super::super::mfa::lock;
use super::super::policy::Standing;
use super::super::{Error, Services};
use super::means::AMR_TWO_FACTORS;
use crate::crypto::access_token::Claims;
use crate::db::{BatchError, Batcher, Db, places};

/// A session and its account, as they stand in the database.
#[derive(Debug, Clone)]
pub struct State {
    pub session: SessionId,
    pub account: AccountId,
    pub expires_at: Timestamp,
    pub idle_expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    pub disabled_at: Option<Timestamp>,
    pub deletion_due_at: Option<Timestamp>,
    pub second_factor_at: Option<Timestamp>,
    pub recovering_until: Option<Timestamp>,
    pub locale: Option<String>,
    pub role: Role,
    pub ial: i16,
    pub ial_until: Option<Timestamp>,
    pub email: String,
    pub email_key: String,
    pub full_name: Option<String>,
    pub avatar_url: Option<String>,
    pub phone: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct Caller {
    pub claims: Arc<Claims>,
    pub state: Arc<State>,
}

impl Caller {
    /// How the caller stands before a policy: what the token says, and what has become of the account since.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Standing {
        let known = if self.state.ial_until.is_some_and(|until| until > now) { self.state.ial } else { 0 };
        Standing {
            aal: self.claims.aal,
            two_factors: self.claims.amr.iter().any(|method| method == AMR_TWO_FACTORS),
            // What has been taken back since the token was made counts no more.
            ial: self.claims.ial.min(known),
            known_ial: known,
            auth_time: Timestamp(self.claims.auth_time.saturating_mul(1000)),
            second_factor: self.state.second_factor_at.is_some(),
            recovering: self.state.recovering_until.is_some_and(|until| until > now),
        }
    }

    /// [`lock`]s the account for a change that the session makes. Whoever had the lock before may have ended the session: a
    /// recovery must not be followed by what the intruder had asked for.
    pub(in super::super) async fn lock(&self, db: &DatabaseTransaction) -> Result<account::Model, Error> {
        let account = lock(db, self.state.account).await?;
        let session =
            session::Entity::find_by_id(self.state.session).filter(session::Column::RevokedAt.is_null());
        let alive = session.count(db).await? > 0;
        account.filter(|_| alive).ok_or(Error::InvalidAccessToken)
    }
}

impl Services {
    /// The caller behind an access token, as of now.
    pub async fn authenticate(&self, access_token: &str) -> Result<Caller, Error> {
        let now = self.sources.now();
        let claims = self.claims(access_token).await?;
        if claims.expired(now) {
            return Err(Error::InvalidAccessToken);
        }
        let state = self.sessions.ask(claims.session()).await?.ok_or(Error::InvalidAccessToken)?;
        let alive = state.revoked_at.is_none()
            && state.disabled_at.is_none()
            && state.deletion_due_at.is_none()
            && state.expires_at > now
            && state.idle_expires_at > now
            && state.account == claims.account();
        if alive { Ok(Caller { claims, state }) } else { Err(Error::InvalidAccessToken) }
    }
}

const SELECT: &str =
    "SELECT s.id, s.account_id, s.expires_at, s.idle_expires_at, s.revoked_at, a.disabled_at, a.email,
    a.email_key, a.full_name, a.avatar_url, a.phone, a.created_at, a.updated_at, a.deletion_due_at,
    a.second_factor_at, a.recovering_until, a.locale, a.role, a.ial, a.ial_until
    FROM sessions s JOIN accounts a ON a.id = s.account_id WHERE s.id IN (";

/// Looks sessions up together with their accounts, many in one statement.
pub fn states(db: Db) -> Batcher<SessionId, Option<Arc<State>>> {
    // One at a time: what waits meanwhile makes the next one worth its trip.
    Batcher::spawn("session", 1, move |ids| {
        let db = db.clone();
        Box::pin(async move { fetch(&db, ids).await })
    })
}

async fn fetch(db: &Db, ids: Vec<SessionId>) -> Result<Vec<Option<Arc<State>>>, BatchError> {
    let count = places(ids.len());
    let marks: Vec<String> = (1..=count).map(|at| format!("${at}")).collect();
    let sql = format!("{SELECT}{})", marks.join(","));
    // The last id fills the places that are left.
    let keys = ids.iter().chain(ids.last().into_iter().cycle()).take(count).copied().map(Value::from);
    let rows = db.reader().query_all_raw(Statement::from_sql_and_values(db.engine(), sql, keys)).await?;
    let found: HashMap<SessionId, Arc<State>> = rows
        .iter()
        .map(|row| state(row).map(|state| (state.session, Arc::new(state))))
        .collect::<Result<_, DbErr>>()?;
    Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
}

fn state(row: &QueryResult) -> Result<State, DbErr> {
    // By position, in the order of SELECT: names would be searched for in every row.
    Ok(State {
        session: row.try_get_by_index(0)?,
        account: row.try_get_by_index(1)?,
        expires_at: row.try_get_by_index(2)?,
        idle_expires_at: row.try_get_by_index(3)?,
        revoked_at: row.try_get_by_index(4)?,
        disabled_at: row.try_get_by_index(5)?,
        email: row.try_get_by_index(6)?,
        email_key: row.try_get_by_index(7)?,
        full_name: row.try_get_by_index(8)?,
        avatar_url: row.try_get_by_index(9)?,
        phone: row.try_get_by_index(10)?,
        created_at: row.try_get_by_index(11)?,
        updated_at: row.try_get_by_index(12)?,
        deletion_due_at: row.try_get_by_index(13)?,
        second_factor_at: row.try_get_by_index(14)?,
        recovering_until: row.try_get_by_index(15)?,
        locale: row.try_get_by_index(16)?,
        role: row.try_get_by_index(17)?,
        ial: row.try_get_by_index(18)?,
        ial_until: row.try_get_by_index(19)?,
    })
}
