//! Sessions: signing in, staying signed in, signing out. A session is one row; see [`refresh`] for how it is renewed.

mod authenticate;
mod refresh;

use std::time::Duration;

use entities::session::RevocationReason;
use entities::{AccountId, SessionId, Timestamp, account, session};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait,
    ExprTrait, IntoActiveModel, QueryFilter, Statement,
};
use uuid::Uuid;

use super::audit::{Action, Actor, Event};
use super::limits::Limit;
use super::{Error, Origin, Services};
use crate::crypto::access_token::Claims;
use crate::crypto::password::Password;
use crate::crypto::refresh_token::RefreshToken;

pub use authenticate::{Caller, State, states};
pub use refresh::{Renewal, Renewed, renewals};

/// NIST SP 800-63B level of a password alone.
const AAL_PASSWORD: i16 = 1;
/// RFC 8176 name of a password.
const AMR_PASSWORD: &str = "pwd";
/// What a token of ours is good for, until there are narrower ones.
const SCOPE: &str = "account";

/// What a client holds while signed in.
#[derive(Debug, Clone)]
pub struct Tokens {
    pub access_token: String,
    pub refresh_token: String,
    /// When the access token expires.
    pub expires_at: Timestamp,
}

/// Whom the tokens are for.
#[derive(Debug, Clone)]
pub struct SignedIn {
    pub account: AccountId,
    pub email: String,
    pub email_verified_at: Option<Timestamp>,
    pub tokens: Tokens,
}

impl Services {
    /// Signs in with a password. A wrong password and an unknown address cost the same and answer the same.
    pub async fn sign_in(
        &self,
        email_key: &str,
        password: Password,
        origin: &Origin,
    ) -> Result<SignedIn, Error> {
        let limits = &self.config.limits;
        self.admit(vec![
            Limit::address("login", origin.ip, limits.login_per_address),
            Limit::subject("login", email_key, limits.login_per_account),
        ])
        .await?;
        let found = account::Entity::find()
            .filter(account::Column::EmailKey.eq(email_key))
            .one(self.db.reader())
            .await?;
        let stored = found.as_ref().map(|account| account.password_hash.0.as_str());
        let verdict = self.hasher.verify(password.clone(), stored).await?;
        let refusal = match &found {
            Some(account) if verdict.matches => self.may_sign_in(account).err(),
            _ => Some(Error::InvalidCredentials),
        };
        match (found, refusal) {
            (Some(account), None) => {
                let rehashed =
                    if verdict.needs_rehash { Some(self.hasher.hash(password).await?) } else { None };
                self.begin_session(account, rehashed, origin).await
            }
            (found, refusal) => {
                let refusal = refusal.unwrap_or(Error::InvalidCredentials);
                let mut event = Event::new(Action::SignInFailed, Actor::Anonymous(origin))
                    .detail(serde_json::json!({ "reason": reason(&refusal) }));
                event.account = found.map(|account| account.id);
                self.write_audit(event).await?;
                Err(refusal)
            }
        }
    }

    /// The one gate before any session: what must hold of an account, whichever way the person comes.
    pub(super) fn may_sign_in(&self, account: &account::Model) -> Result<(), Error> {
        if account.disabled_at.is_some() {
            return Err(Error::AccountDisabled);
        }
        if self.config.require_verified_email && account.email_verified_at.is_none() {
            return Err(Error::EmailNotVerified);
        }
        Ok(())
    }

    async fn begin_session(
        &self,
        account: account::Model,
        rehashed: Option<String>,
        origin: &Origin,
    ) -> Result<SignedIn, Error> {
        let session = self.new_session(account.id, origin);
        let tokens = self.tokens(&session)?;
        let mut records = vec![
            self.audit(
                Event::new(Action::SessionCreated, Actor::Account(origin))
                    .account(account.id)
                    .session(session.id, session.aal)
                    .detail(serde_json::json!({ "amr": session.amr })),
            ),
        ];
        if rehashed.is_some() {
            records.push(
                self.audit(Event::new(Action::PasswordRehashed, Actor::Account(origin)).account(account.id)),
            );
        }
        let proven = account.password_hash.clone();
        self.db
            .write(move |transaction| {
                Box::pin(async move {
                    if !insert_if_unchanged(transaction, session, &proven).await? {
                        return Err(Error::InvalidCredentials);
                    }
                    if let Some(hash) = rehashed {
                        account::Entity::update_many()
                            .col_expr(account::Column::PasswordHash, Expr::value(hash))
                            .filter(account::Column::Id.eq(account.id))
                            .exec(transaction)
                            .await?;
                    }
                    for record in records {
                        record.write(transaction).await?;
                    }
                    Ok(())
                })
            })
            .await?;
        Ok(SignedIn {
            account: account.id,
            email: account.email,
            email_verified_at: account.email_verified_at,
            tokens,
        })
    }

    /// A session row for somebody who has just proved a password.
    pub(super) fn new_session(&self, account: AccountId, origin: &Origin) -> session::Model {
        let now = self.sources.now();
        let tokens = &self.config.tokens;
        session::Model {
            id: self.sources.id(),
            account_id: account,
            counter: 0,
            rotated_at: now,
            refresh_tat: now,
            created_at: now,
            expires_at: now + Duration::from_secs(tokens.session_seconds),
            idle_expires_at: now + Duration::from_secs(tokens.session_idle_seconds),
            revoked_at: None,
            revoked_reason: None,
            aal: AAL_PASSWORD,
            amr: AMR_PASSWORD.to_owned(),
            auth_time: now,
            ip: Some(origin.ip.to_string()),
            user_agent: origin.user_agent.clone(),
        }
    }

    /// The tokens of a session at its counter. The same row gives the same tokens on every node; to the letter under
    /// EdDSA, whose signatures don't vary.
    pub(super) fn tokens(&self, session: &session::Model) -> Result<Tokens, Error> {
        let issued = session.rotated_at;
        let expires_at = issued + Duration::from_secs(self.config.tokens.access_seconds);
        let claims = Claims {
            iss: self.keys.issuer().to_owned(),
            sub: session.account_id.0,
            aud: self.keys.audience().to_owned(),
            exp: expires_at.seconds(),
            iat: issued.seconds(),
            nbf: issued.seconds(),
            jti: token_id(session.id, session.counter),
            sid: session.id.0,
            aal: session.aal,
            ial: 0,
            amr: session.amr.split(' ').map(str::to_owned).collect(),
            auth_time: session.auth_time.seconds(),
            scope: SCOPE.to_owned(),
        };
        let refresh = RefreshToken { session: session.id, counter: session.counter };
        Ok(Tokens {
            access_token: self.keys.sign(&claims, self.sources.now())?,
            refresh_token: refresh.encode(&self.keys.refresh_key()),
            expires_at,
        })
    }

    /// Ends the session that an access token of ours names, expired or not. Ending it twice is no mistake.
    pub async fn sign_out(&self, access_token: &str, origin: &Origin) -> Result<(), Error> {
        let now = self.sources.now();
        let claims = self.keys.verify(access_token, now).ok_or(Error::InvalidAccessToken)?;
        let (account, session, aal) = (claims.account(), claims.session(), claims.aal);
        let record = self.audit(
            Event::new(Action::SessionEnded, Actor::Account(origin))
                .account(account)
                .session(session, aal)
                .detail(serde_json::json!({ "reason": "logout" })),
        );
        self.db
            .write(move |transaction| {
                Box::pin(async move {
                    let ended =
                        revoke(transaction, Which::One(session), RevocationReason::Logout, now).await?;
                    if ended > 0 {
                        record.write(transaction).await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}

/// Which sessions to end.
pub(super) enum Which {
    One(SessionId),
    AllOf(AccountId),
    AllOfBut(AccountId, SessionId),
}

/// Ends sessions that have not ended yet; answers how many.
pub(super) async fn revoke(
    db: &impl ConnectionTrait,
    which: Which,
    reason: RevocationReason,
    now: Timestamp,
) -> Result<u64, DbErr> {
    let of = |account| session::Column::AccountId.eq(account);
    let condition = match which {
        Which::One(id) => session::Column::Id.eq(id),
        Which::AllOf(account) => of(account),
        Which::AllOfBut(account, kept) => of(account).and(session::Column::Id.ne(kept)),
    };
    let ended = session::Entity::update_many()
        .col_expr(session::Column::RevokedAt, Expr::value(now))
        .col_expr(session::Column::RevokedReason, Expr::value(reason))
        .filter(condition)
        .filter(session::Column::RevokedAt.is_null())
        .exec(db)
        .await?;
    Ok(ended.rows_affected)
}

pub(super) async fn insert(db: &impl ConnectionTrait, session: session::Model) -> Result<(), DbErr> {
    session::Entity::insert(session.into_active_model().reset_all())
        .exec_without_returning(db)
        .await
        .map(drop)
}

/// Inserts a session only while the account is as it was when the password was checked: neither disabled nor given
/// another password in between. Hashing takes long enough for both. The lock on PostgreSQL makes such a change wait until
/// the session is there for it to end.
async fn insert_if_unchanged(
    db: &DatabaseTransaction,
    session: session::Model,
    proven: &account::PasswordHash,
) -> Result<bool, DbErr> {
    let lock = match db.get_database_backend() {
        DbBackend::Postgres => "FOR SHARE",
        _ => "",
    };
    let sql = format!(
        "INSERT INTO sessions (id, account_id, counter, rotated_at, refresh_tat, created_at, expires_at,
           idle_expires_at, aal, amr, auth_time, ip, user_agent)
         SELECT $1, a.id, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13 FROM accounts a
         WHERE a.id = $2 AND a.disabled_at IS NULL AND a.password_hash = $14 {lock}"
    );
    let values: [sea_orm::Value; 14] = [
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
        proven.clone().into(),
    ];
    let done = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    Ok(done.rows_affected() == 1)
}

/// `jti`: names one access token, and is the same for the same session and counter.
fn token_id(session: SessionId, counter: i64) -> Uuid {
    let offset = u128::try_from(counter).unwrap_or(0);
    Uuid::from_u128(session.0.as_u128().wrapping_add(offset))
}

fn reason(refusal: &Error) -> &'static str {
    match refusal {
        Error::EmailNotVerified => "email_not_verified",
        Error::AccountDisabled => "account_disabled",
        _ => "invalid_credentials",
    }
}
