//! Tickets: what somebody holds between the right password and the second factor. Bound to account and password, good for a
//! few answers and a few minutes, used once.

use std::time::Duration;

use entities::{MfaTicketId, Timestamp, account, mfa_ticket};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, ExprTrait, QueryFilter,
    Statement, Value,
};
use sha2::{Digest, Sha256};

use super::super::audit::{Action, Actor, Event};
use super::super::limits::Limit;
use super::super::sessions::SignedIn;
use super::super::sessions::means::Means;
use super::super::{Error, Origin, Services};
use super::{Method, lock};
use crate::crypto::opaque_token::OpaqueToken;
use crate::plugins::mail::NoticeEvent;

/// Wrong answers that end a ticket.
const ANSWERS: i32 = 5;

/// What is left to do of a sign-in.
#[derive(Debug, Clone)]
pub struct Challenge {
    pub ticket: String,
    pub expires_at: Timestamp,
    pub methods: Vec<Method>,
}

/// A ticket that may be answered, its account locked.
pub(in super::super) struct Ticket {
    pub id: MfaTicketId,
    pub account: account::Model,
    /// Answers tried with it, this one included.
    pub attempts: i32,
}

impl Services {
    /// A ticket for somebody who has given the right password of an account with a second factor; refused when that was
    /// replaced since, if only by another hash of it.
    pub(in super::super) async fn challenge(
        &self,
        account: &account::Model,
        rehashed: Option<String>,
        origin: &Origin,
    ) -> Result<Challenge, Error> {
        let token = OpaqueToken::generate(self.sources.entropy);
        let now = self.sources.now();
        let row = mfa_ticket::Model {
            id: self.sources.id(),
            account_id: account.id,
            token_hash: token.hash(),
            password_tag: password_tag(&account.password_hash.0),
            attempts: 0,
            created_at: now,
            expires_at: now + Duration::from_secs(self.config.tokens.ticket_seconds),
            used_at: None,
        };
        let expires_at = row.expires_at;
        let mut records = vec![
            self.audit(Event::new(Action::SecondFactorAsked, Actor::Anonymous(origin)).account(account.id)),
        ];
        if rehashed.is_some() {
            records.push(
                self.audit(
                    Event::new(Action::PasswordRehashed, Actor::Anonymous(origin)).account(account.id),
                ),
            );
        }
        let (services, proven) = (self.clone(), account.clone());
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    // What is stored by now may be of another password, for which nothing was proved.
                    if !insert_if_unchanged(transaction, row, &proven).await? {
                        return Err(Error::InvalidCredentials);
                    }
                    if let Some(hash) = rehashed {
                        services.store_rehash(transaction, &proven, hash).await?;
                    }
                    for record in records {
                        record.write(transaction).await?;
                    }
                    Ok(())
                })
            })
            .await?;
        let methods = self.factors_of(account.id).await?.methods();
        Ok(Challenge { ticket: token.expose(), expires_at, methods })
    }

    /// Stores another hash of the same password in an account that is locked. Its tickets are good for that one from now on.
    pub(in super::super) async fn store_rehash(
        &self,
        db: &DatabaseTransaction,
        account: &account::Model,
        hash: String,
    ) -> Result<(), DbErr> {
        mfa_ticket::Entity::update_many()
            .col_expr(mfa_ticket::Column::PasswordTag, Expr::value(password_tag(&hash)))
            .filter(mfa_ticket::Column::AccountId.eq(account.id))
            .filter(mfa_ticket::Column::PasswordTag.eq(password_tag(&account.password_hash.0)))
            .filter(mfa_ticket::Column::ExpiresAt.gt(self.sources.now()))
            .exec(db)
            .await?;
        account::Entity::update_many()
            .col_expr(account::Column::PasswordHash, Expr::value(hash))
            .filter(account::Column::Id.eq(account.id))
            .exec(db)
            .await
            .map(drop)
    }

    /// Counts an answer against the account and the address, before anything is looked at. A new ticket does not start the
    /// account's count anew.
    pub(in super::super) async fn admit_answer(
        &self,
        ticket: &OpaqueToken,
        origin: &Origin,
    ) -> Result<(), Error> {
        let found = find(self.db.reader(), &ticket.hash()).await?.ok_or(Error::InvalidTicket)?;
        let limits = &self.config.limits;
        self.admit(vec![
            Limit::address("mfa", origin.ip, limits.login_per_address),
            Limit::subject("mfa", &found.account_id.to_string(), limits.mfa_per_account),
        ])
        .await
    }

    /// A ticket that may still be answered. Nothing is counted by looking at it.
    pub(super) async fn open_ticket(&self, ticket: &OpaqueToken) -> Result<mfa_ticket::Model, Error> {
        let now = self.sources.now();
        let found = find(self.db.reader(), &ticket.hash()).await?;
        found
            .filter(|row| row.used_at.is_none() && row.expires_at > now && row.attempts < ANSWERS)
            .ok_or(Error::InvalidTicket)
    }

    /// Takes a ticket for one answer, inside the transaction that checks it.
    pub(in super::super) async fn take_ticket(
        &self,
        db: &DatabaseTransaction,
        ticket: &OpaqueToken,
    ) -> Result<Ticket, Error> {
        let now = self.sources.now();
        let row = find(db, &ticket.hash()).await?.ok_or(Error::InvalidTicket)?;
        let account = lock(db, row.account_id).await?.ok_or(Error::InvalidTicket)?;
        let counted = mfa_ticket::Entity::update_many()
            .col_expr(mfa_ticket::Column::Attempts, Expr::col(mfa_ticket::Column::Attempts).add(1))
            .filter(mfa_ticket::Column::Id.eq(row.id))
            .filter(mfa_ticket::Column::UsedAt.is_null())
            .filter(mfa_ticket::Column::ExpiresAt.gt(now))
            .filter(mfa_ticket::Column::Attempts.lt(ANSWERS))
            .exec_with_returning(db)
            .await?;
        // The password that was proved may have been changed since.
        let Some(counted) =
            counted.first().filter(|row| row.password_tag == password_tag(&account.password_hash.0))
        else {
            return Err(Error::InvalidTicket);
        };
        Ok(Ticket { id: row.id, account, attempts: counted.attempts })
    }

    /// The ticket and the second factor were good: begins the session.
    pub(in super::super) async fn open_by_ticket(
        &self,
        db: &DatabaseTransaction,
        ticket: Ticket,
        means: Means,
        remember: bool,
        origin: &Origin,
    ) -> Result<SignedIn, Error> {
        mfa_ticket::Entity::update_many()
            .col_expr(mfa_ticket::Column::UsedAt, Expr::value(self.sources.now()))
            .filter(mfa_ticket::Column::Id.eq(ticket.id))
            .exec(db)
            .await?;
        let remember = remember && means != Means::RecoveryCode;
        let token =
            if remember { Some(self.remember_device(db, &ticket.account, origin).await?) } else { None };
        let opening = self.opening(ticket.account, &[Means::Password, means], origin)?;
        opening.with_device_token(token).write(db).await
    }

    /// A wrong answer: it is written down, and the owner hears of the last one that a ticket allows.
    pub(in super::super) async fn refuse_answer(
        &self,
        db: &DatabaseTransaction,
        ticket: &Ticket,
        method: &'static str,
        origin: &Origin,
    ) -> Result<(), Error> {
        self.audit(
            Event::new(Action::SecondFactorFailed, Actor::Anonymous(origin))
                .account(ticket.account.id)
                .detail(serde_json::json!({ "method": method })),
        )
        .write(db)
        .await?;
        if ticket.attempts >= ANSWERS {
            self.notice(&ticket.account, NoticeEvent::SuspiciousSignIn, origin)?.write(db).await?;
        }
        Ok(())
    }
}

/// Answers whether the password is still the one that was proved. The lock on PostgreSQL makes another hash of it wait until
/// the ticket is there to go along.
async fn insert_if_unchanged(
    db: &DatabaseTransaction,
    ticket: mfa_ticket::Model,
    proven: &account::Model,
) -> Result<bool, DbErr> {
    let lock = if db.get_database_backend() == DbBackend::Postgres { "FOR NO KEY UPDATE" } else { "" };
    let sql = format!(
        "INSERT INTO mfa_tickets (id, account_id, token_hash, password_tag, attempts, created_at, expires_at)
         SELECT $1, a.id, $3, $4, $5, $6, $7 FROM accounts a WHERE a.id = $2 AND a.password_hash = $8 {lock}"
    );
    let values: [Value; 8] = [
        ticket.id.into(),
        ticket.account_id.into(),
        ticket.token_hash.into(),
        ticket.password_tag.into(),
        ticket.attempts.into(),
        ticket.created_at.into(),
        ticket.expires_at.into(),
        proven.password_hash.clone().into(),
    ];
    let inserted = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values));
    Ok(inserted.await?.rows_affected() == 1)
}

async fn find(db: &impl ConnectionTrait, hash: &[u8]) -> Result<Option<mfa_ticket::Model>, DbErr> {
    mfa_ticket::Entity::find().filter(mfa_ticket::Column::TokenHash.eq(hash.to_vec())).one(db).await
}

/// The same for the same stored hash, and nothing that could be guessed with.
fn password_tag(stored: &str) -> Vec<u8> {
    Sha256::new().chain_update("mfa ticket").chain_update(stored).finalize()[..16].to_vec()
}
