//! A forgotten password: a mailed link by which another one is set. It signs nobody in and stands in for no second factor.

use std::time::Duration;

use entities::{AccountId, Timestamp, account, password_reset};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter,
};

use super::audit::{Action, Actor, Event};
use super::limits::Limit;
use super::links::judge;
use super::mfa::lock;
use super::{Error, Origin, Services};
use crate::crypto::opaque_token::OpaqueToken;
use crate::crypto::password::Password;
use crate::plugins::mail::{Mail, NoticeEvent};

/// A link that is about to be mailed.
pub(super) struct NewReset {
    pub row: password_reset::Model,
    pub link: String,
    pub expires_in: u64,
}

impl NewReset {
    pub async fn write(self, db: &DatabaseTransaction) -> Result<(), DbErr> {
        let row = self.row.into_active_model().reset_all();
        password_reset::Entity::insert(row).exec_without_returning(db).await.map(drop)
    }
}

impl Services {
    /// Asks for a link. Whether there is anything to send is found out later, by the outbox: the answer, and the time it
    /// takes, are the same for any address. Answers how long to wait before asking again.
    pub async fn request_password_reset(&self, email_key: &str, origin: &Origin) -> Result<Duration, Error> {
        let limits = &self.config.limits;
        self.admit(vec![Limit::address("reset", origin.ip, limits.reset_per_address)]).await?;
        let wait = self
            .admit_growing("reset", email_key, limits.resend_wait_seconds, limits.resend_wait_max_seconds)
            .await?;
        let request = self.reset_request(email_key, origin)?;
        self.db
            .write(move |transaction| {
                Box::pin(async move { request.write(transaction).await.map_err(Error::from) })
            })
            .await?;
        self.outbox.wake();
        Ok(wait)
    }

    /// The outbox's part of [`Self::request_password_reset`]: a new link; the older ones stop working.
    pub(super) async fn send_password_reset(&self, email_key: &str, origin: &Origin) -> Result<(), Error> {
        let found = account::Entity::find()
            .filter(account::Column::EmailKey.eq(email_key))
            .one(self.db.reader())
            .await?;
        let Some(found) = found.filter(|account| self.may_recover(account)) else { return Ok(()) };
        let reset = self.new_reset(found.id);
        let requested = Event::new(Action::PasswordResetRequested, Actor::Anonymous(origin));
        let record = self.audit(requested.account(found.id));
        let (services, origin, now) = (self.clone(), origin.clone(), self.sources.now());
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let account = lock(transaction, found.id).await?;
                    // To the address that was asked for, or to none.
                    let account = account.filter(|account| account.email_key == found.email_key);
                    let Some(account) = account.filter(|account| services.may_recover(account)) else {
                        return Ok(());
                    };
                    supersede(transaction, account.id, now).await?;
                    let mail = Mail::ResetPassword { link: reset.link.clone(), expires_in: reset.expires_in };
                    let language = origin.language(account.locale.as_deref());
                    reset.write(transaction).await?;
                    services
                        .mail(Some(account.id), &account.email, language, mail)?
                        .write(transaction)
                        .await?;
                    record.write(transaction).await.map_err(Error::from)
                })
            })
            .await?;
        self.outbox.wake();
        Ok(())
    }

    pub(super) fn new_reset(&self, account: AccountId) -> NewReset {
        let token = OpaqueToken::generate(self.sources.entropy);
        let (now, expires_in) = (self.sources.now(), self.config.tokens.reset_seconds);
        let row = password_reset::Model {
            id: self.sources.id(),
            account_id: account,
            token_hash: token.hash(),
            created_at: now,
            expires_at: now + Duration::from_secs(expires_in),
            used_at: None,
            superseded_at: None,
        };
        NewReset { row, link: self.link("reset-password", &token), expires_in }
    }

    /// Whether an account can be recovered: not while an operator has disabled it, nor once it is due to be deleted.
    pub(super) fn may_recover(&self, account: &account::Model) -> bool {
        let now = self.sources.now();
        account.disabled_at.is_none() && account.deletion_due_at.is_none_or(|due| due > now)
    }

    /// Sets the password of the account that the mailed token is for. Ends its sessions and begins a recovery. Whoever reads
    /// the mailbox owns it, so the address is confirmed as well. Of many attempts at once, one succeeds.
    pub async fn reset_password(&self, token: &str, new: Password, origin: &Origin) -> Result<(), Error> {
        self.admit_link(origin).await?;
        let hash = OpaqueToken::parse(token).ok_or(Error::InvalidLink)?.hash();
        let now = self.sources.now();
        // Looked at before as well: a hash is for those who hold a link, and a refused password does not use it up.
        let row = find(self.db.reader(), &hash).await?.ok_or(Error::InvalidLink)?;
        judge(row.used_at, row.superseded_at, row.expires_at, now)?;
        let id = row.account_id;
        let account = account::Entity::find_by_id(id).one(self.db.reader()).await?;
        let account = account.filter(|account| self.may_recover(account)).ok_or(Error::InvalidLink)?;
        self.admit_password(&new, &account.email).await?;
        let password_hash = self.hasher.hash(new).await?;

        let (services, origin) = (self.clone(), origin.clone());
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let account = lock(transaction, id).await?;
                    let account =
                        account.filter(|account| services.may_recover(account)).ok_or(Error::InvalidLink)?;
                    let row = find(transaction, &hash).await?.ok_or(Error::InvalidLink)?;
                    judge(row.used_at, row.superseded_at, row.expires_at, now)?;
                    password_reset::Entity::update_many()
                        .col_expr(password_reset::Column::UsedAt, Expr::value(now))
                        .filter(password_reset::Column::Id.eq(row.id))
                        .exec(transaction)
                        .await?;
                    account::Entity::update_many()
                        .col_expr(account::Column::PasswordHash, Expr::value(password_hash))
                        .col_expr(
                            account::Column::EmailVerifiedAt,
                            Expr::value(account.email_verified_at.or(Some(now))),
                        )
                        .col_expr(account::Column::UpdatedAt, Expr::value(now))
                        .filter(account::Column::Id.eq(id))
                        .exec(transaction)
                        .await?;
                    services.recover(transaction, id).await?;
                    let event = |action| Event::new(action, Actor::Account(&origin)).account(id);
                    services.audit(event(Action::PasswordReset)).write(transaction).await?;
                    if account.email_verified_at.is_none() {
                        services.audit(event(Action::EmailVerified)).write(transaction).await?;
                    }
                    let notice = services.notice(&account, NoticeEvent::PasswordReset, &origin)?;
                    notice.write(transaction).await.map_err(Error::from)
                })
            })
            .await?;
        self.outbox.wake();
        Ok(())
    }
}

async fn find(db: &impl ConnectionTrait, hash: &[u8]) -> Result<Option<password_reset::Model>, DbErr> {
    password_reset::Entity::find().filter(password_reset::Column::TokenHash.eq(hash.to_vec())).one(db).await
}

/// Stops the links that were mailed before.
pub(super) async fn supersede(
    db: &DatabaseTransaction,
    account: AccountId,
    now: Timestamp,
) -> Result<(), DbErr> {
    password_reset::Entity::update_many()
        .col_expr(password_reset::Column::SupersededAt, Expr::value(now))
        .filter(password_reset::Column::AccountId.eq(account))
        .filter(password_reset::Column::UsedAt.is_null())
        .filter(password_reset::Column::SupersededAt.is_null())
        .exec(db)
        .await
        .map(drop)
}
