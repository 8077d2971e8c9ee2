//! Confirming an address: a mailed link, 256 random bits, hashed at rest, used once.

use std::time::Duration;

use entities::{AccountId, Timestamp, account, email_verification};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, IntoActiveModel,
    QueryFilter, Statement, Value,
};

use super::audit::{Action, Actor, Event};
use super::limits::Limit;
use super::outbox::Message;
use super::sessions::Caller;
use super::{Error, Origin, Services};
use crate::crypto::opaque_token::OpaqueToken;
use crate::locale::Locale;
use crate::plugins::mail::Mail;

/// How long a completed verification can still be asked about.
const RECENT: Duration = Duration::from_secs(3600);

/// An address that has just been confirmed.
#[derive(Debug, Clone)]
pub struct Verified {
    pub account: AccountId,
    pub email: String,
}

/// What may be said about the verification of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Pending {
        expires_at: Timestamp,
    },
    Expired {
        expired_at: Timestamp,
    },
    Verified {
        at: Timestamp,
    },
    /// No account, or nothing that is the caller's business.
    Unknown,
}

impl Services {
    /// A new link: the row to write and the mail to send.
    pub(super) fn new_verification(
        &self,
        account: AccountId,
        email: &str,
        locale: Option<Locale>,
    ) -> Result<(email_verification::Model, Message), Error> {
        let token = OpaqueToken::generate(self.sources.entropy);
        let now = self.sources.now();
        let lifetime = Duration::from_secs(self.config.tokens.verification_seconds);
        let row = email_verification::Model {
            id: self.sources.id(),
            account_id: account,
            token_hash: token.hash(),
            created_at: now,
            expires_at: now + lifetime,
            used_at: None,
            superseded_at: None,
        };
        let link = self.link("verify-email", &token);
        let mail = Mail::VerifyEmail { link, expires_in: lifetime.as_secs() };
        let mail = self.mail(Some(account), email, locale, mail)?;
        Ok((row, mail))
    }

    /// Confirms the address that the mailed token was sent to. Of many attempts at once, one succeeds.
    pub async fn verify_email(&self, token: &str, origin: &Origin) -> Result<Verified, Error> {
        self.admit(vec![Limit::address("verify", origin.ip, self.config.limits.verify_per_address)]).await?;
        let token = OpaqueToken::parse(token).ok_or(Error::InvalidVerificationToken)?;
        let hash = token.hash();
        let now = self.sources.now();
        let mut record = self.audit(Event::new(Action::EmailVerified, Actor::Account(origin)));
        self.db
            .write(move |transaction| {
                Box::pin(async move {
                    // The account first, as a sign-up that replaces it does, or each could wait for the other.
                    let confirmed = confirm(transaction, &hash, now).await?;
                    let consumed = consume(transaction, &hash, now).await?;
                    let Some(verified) = confirmed.filter(|_| consumed) else {
                        return Err(explain(transaction, hash, now).await?);
                    };
                    record.0.account_id = Some(verified.account);
                    record.write(transaction).await?;
                    Ok(verified)
                })
            })
            .await
    }

    /// Asks for another mail. Whether there is anything to send is found out later, by the outbox: the answer, and the
    /// time it takes, are the same for any address. Answers how long to wait before asking again.
    pub async fn resend_verification(&self, email_key: &str, origin: &Origin) -> Result<Duration, Error> {
        let limits = &self.config.limits;
        self.admit(vec![Limit::address("resend", origin.ip, limits.resend_per_address)]).await?;
        let wait = self
            .admit_growing("resend", email_key, limits.resend_wait_seconds, limits.resend_wait_max_seconds)
            .await?;
        let request = self.verification_request(email_key, origin)?;
        self.db
            .write(move |transaction| {
                Box::pin(async move { request.write(transaction).await.map_err(Error::from) })
            })
            .await?;
        self.outbox.wake();
        Ok(wait)
    }

    /// The outbox's part of [`Self::resend_verification`]: a new link; the older ones stop working.
    pub(super) async fn send_verification_again(
        &self,
        email_key: &str,
        origin: &Origin,
    ) -> Result<(), Error> {
        let waiting = account::Entity::find()
            .filter(account::Column::EmailKey.eq(email_key))
            .filter(account::Column::EmailVerifiedAt.is_null())
            .filter(account::Column::DisabledAt.is_null())
            .one(self.db.reader())
            .await?;
        let Some(account) = waiting else { return Ok(()) };
        let language = origin.language(account.locale.as_deref());
        let (row, mail) = self.new_verification(account.id, &account.email, language)?;
        let now = self.sources.now();
        let record =
            self.audit(Event::new(Action::VerificationSent, Actor::Anonymous(origin)).account(account.id));
        let written: Result<(), Error> = self
            .db
            .write(move |transaction| {
                Box::pin(async move {
                    // First the one that needs the account, which a sign-up that replaces it takes first as well.
                    let id = row.id;
                    insert(transaction, row).await?;
                    email_verification::Entity::update_many()
                        .col_expr(email_verification::Column::SupersededAt, Expr::value(now))
                        .filter(email_verification::Column::AccountId.eq(account.id))
                        .filter(email_verification::Column::Id.ne(id))
                        .filter(email_verification::Column::UsedAt.is_null())
                        .filter(email_verification::Column::SupersededAt.is_null())
                        .exec(transaction)
                        .await?;
                    mail.write(transaction).await?;
                    record.write(transaction).await?;
                    Ok(())
                })
            })
            .await;
        written?;
        self.outbox.wake();
        Ok(())
    }

    /// How far a verification is. Tells only while one is under way or was completed within the last hour, or to the
    /// owner of the address; otherwise it would tell who has an account.
    pub async fn verification_status(
        &self,
        email_key: &str,
        caller: Option<&Caller>,
        origin: &Origin,
    ) -> Result<Status, Error> {
        self.admit(vec![Limit::address("status", origin.ip, self.config.limits.status_per_address)]).await?;
        let now = self.sources.now();
        let sql = "SELECT a.email_verified_at, (SELECT MAX(v.expires_at) FROM email_verifications v
                     WHERE v.account_id = a.id AND v.superseded_at IS NULL) AS expires_at
                   FROM accounts a WHERE a.email_key = $1 AND a.disabled_at IS NULL";
        let statement = Statement::from_sql_and_values(self.db.engine(), sql, [email_key.into()]);
        let Some(found) = Found::find_by_statement(statement).one(self.db.reader()).await? else {
            return Ok(Status::Unknown);
        };
        let owner = caller.is_some_and(|caller| caller.state.email_key == email_key);
        Ok(match found {
            Found { email_verified_at: Some(at), .. } if owner || now.since(at) <= RECENT => {
                Status::Verified { at }
            }
            Found { email_verified_at: Some(_), .. } | Found { expires_at: None, .. } => Status::Unknown,
            Found { expires_at: Some(expires_at), .. } if expires_at > now => Status::Pending { expires_at },
            Found { expires_at: Some(expired_at), .. } => Status::Expired { expired_at },
        })
    }
}

#[derive(FromQueryResult)]
struct Found {
    email_verified_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
}

pub(super) async fn insert(db: &impl ConnectionTrait, row: email_verification::Model) -> Result<(), DbErr> {
    let row = row.into_active_model().reset_all();
    email_verification::Entity::insert(row).exec_without_returning(db).await.map(drop)
}

/// Removes the links that confirm an address which is the account's no longer.
pub(super) async fn forget_all(db: &impl ConnectionTrait, account: AccountId) -> Result<(), DbErr> {
    email_verification::Entity::delete_many()
        .filter(email_verification::Column::AccountId.eq(account))
        .exec(db)
        .await
        .map(drop)
}

/// A token that can be used at `$1`.
const USABLE: &str = "token_hash = $2 AND used_at IS NULL AND superseded_at IS NULL AND expires_at > $1";

/// Confirms the address of the account that the token is for, if it can be used.
async fn confirm(db: &impl ConnectionTrait, hash: &[u8], now: Timestamp) -> Result<Option<Verified>, DbErr> {
    let sql = format!(
        "UPDATE accounts SET email_verified_at = COALESCE(email_verified_at, $1), updated_at = $1
         WHERE id = (SELECT account_id FROM email_verifications WHERE {USABLE}) RETURNING id, email"
    );
    let values: [Value; 2] = [now.into(), hash.to_vec().into()];
    let row =
        db.query_one_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    row.map(|row| Ok(Verified { account: row.try_get("", "id")?, email: row.try_get("", "email")? }))
        .transpose()
}

/// Uses the token up; answers whether it still could be.
async fn consume(db: &impl ConnectionTrait, hash: &[u8], now: Timestamp) -> Result<bool, DbErr> {
    let sql = format!("UPDATE email_verifications SET used_at = $1 WHERE {USABLE}");
    let values: [Value; 2] = [now.into(), hash.to_vec().into()];
    let done = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    Ok(done.rows_affected() == 1)
}

/// Whoever holds all 256 bits may know what became of them; nobody else learns anything.
async fn explain(db: &impl ConnectionTrait, hash: Vec<u8>, now: Timestamp) -> Result<Error, DbErr> {
    let found = email_verification::Entity::find()
        .filter(email_verification::Column::TokenHash.eq(hash))
        .one(db)
        .await?;
    Ok(match found {
        Some(row) if row.used_at.is_some() => Error::UsedVerificationToken,
        Some(row) if row.superseded_at.is_none() && row.expires_at <= now => Error::ExpiredVerificationToken,
        _ => Error::InvalidVerificationToken,
    })
}
