//! Another address for an account: confirmed by a link to the new one, and undone by a link to the old one, which works for
//! longer than a thief can count on its owner not looking.

use std::time::Duration;

use entities::{AccountId, Timestamp, account, email_change};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter, SqlErr,
};

use super::accounts::addresses::taken_by;
use super::audit::{Action, Actor, Event};
use super::limits::Limit;
use super::links::judge;
use super::mfa::lock;
use super::sessions::Caller;
use super::{Error, Origin, Services, email_verifications};
use crate::crypto::opaque_token::OpaqueToken;
use crate::crypto::password::Password;
use crate::plugins::mail::Mail;

impl Services {
    /// Mails a link to the address that the caller wants to have. One that is somebody else's gets a mail that says so, and
    /// the caller the same answer. Links to addresses asked for before stop working.
    pub async fn request_email_change(
        &self,
        caller: &Caller,
        email: &str,
        email_key: &str,
        origin: &Origin,
    ) -> Result<(), Error> {
        let id = caller.state.account;
        let rate = self.config.limits.email_change_per_account;
        self.admit(vec![Limit::subject("email_change", &id.to_string(), rate)]).await?;

        let token = OpaqueToken::generate(self.sources.entropy);
        let (now, expires_in) = (self.sources.now(), self.config.tokens.verification_seconds);
        let link = self.link("confirm-email", &token);
        let record = self.audit(
            Event::new(Action::EmailChangeRequested, Actor::Account(origin))
                .account(id)
                .session(caller.state.session, caller.claims.aal),
        );
        let (email, email_key) = (email.to_owned(), email_key.to_owned());
        let (services, caller, origin) = (self.clone(), caller.clone(), origin.clone());
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let account = caller.lock(transaction).await?;
                    supersede(transaction, id, now).await?;
                    let verified_only = services.config.require_verified_email;
                    let mail = match taken_by(transaction, &email_key, id, verified_only, now).await? {
                        None => {
                            let mail = Mail::ConfirmEmailChange { link, expires_in };
                            let language = origin.language(account.locale.as_deref());
                            services.mail(Some(id), &email, language, mail)?
                        }
                        Some(holder) => {
                            let language = origin.language(holder.locale.as_deref());
                            services.mail(None, &holder.email, language, Mail::EmailChangeTaken)?
                        }
                    };
                    // Of a taken address too, so that both take the same time; nobody has its token.
                    let row = email_change::Model {
                        id: services.sources.id(),
                        account_id: id,
                        old_email: account.email,
                        old_email_key: account.email_key,
                        new_email: email,
                        new_email_key: email_key,
                        confirm_hash: token.hash(),
                        revert_hash: None,
                        created_at: now,
                        expires_at: now + Duration::from_secs(expires_in),
                        confirmed_at: None,
                        revert_until: None,
                        reverted_at: None,
                        superseded_at: None,
                    };
                    email_change::Entity::insert(row.into_active_model().reset_all())
                        .exec_without_returning(transaction)
                        .await?;
                    mail.write(transaction).await?;
                    record.write(transaction).await.map_err(Error::from)
                })
            })
            .await?;
        self.outbox.wake();
        Ok(())
    }

    /// Gives the account the address that the mailed token was sent to, and the old one a way back. Whoever confirms need not
    /// be signed in: mails are read on other devices.
    pub async fn confirm_email_change(&self, token: &str, origin: &Origin) -> Result<(), Error> {
        self.admit_link(origin).await?;
        let by_token = email_change::Column::ConfirmHash.eq(parse(token)?.hash());
        let back = OpaqueToken::generate(self.sources.entropy);
        let now = self.sources.now();
        let (services, origin) = (self.clone(), origin.clone());
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let (account, row) = services.change_by(transaction, by_token).await?;
                    judge(row.confirmed_at, row.superseded_at, row.expires_at, now)?;
                    let holder = services.make_way(transaction, &row.new_email_key, Some(account.id));
                    if holder.await?.is_some() {
                        return Err(Error::InvalidLink);
                    }
                    // An address that was never confirmed may be a stranger's, who must not come in by it.
                    let returnable = account.email_verified_at.is_some();
                    let expires_in = services.config.tokens.email_revert_seconds;
                    let until = returnable.then(|| now + Duration::from_secs(expires_in));
                    email_change::Entity::update_many()
                        .col_expr(email_change::Column::ConfirmedAt, Expr::value(now))
                        .col_expr(email_change::Column::RevertHash, Expr::value(until.map(|_| back.hash())))
                        .col_expr(email_change::Column::RevertUntil, Expr::value(until))
                        .filter(email_change::Column::Id.eq(row.id))
                        .exec(transaction)
                        .await?;
                    move_to(transaction, account.id, &row.new_email, &row.new_email_key, now).await?;
                    // What was mailed to the old address is not for the account any more.
                    super::links::supersede(transaction, account.id, now).await?;
                    email_verifications::forget_all(transaction, account.id).await?;
                    let changed = Event::new(Action::EmailChanged, Actor::Account(&origin));
                    services.audit(changed.account(account.id)).write(transaction).await?;
                    if returnable {
                        let mail = Mail::EmailChanged {
                            new_email_masked: masked(&row.new_email),
                            link: services.link("restore-email", &back),
                            expires_in,
                            at: now.seconds(),
                            ip: Some(origin.ip),
                        };
                        let language = origin.language(account.locale.as_deref());
                        services
                            .mail(Some(account.id), &account.email, language, mail)?
                            .write(transaction)
                            .await?;
                    }
                    Ok(())
                })
            })
            .await?;
        self.outbox.wake();
        Ok(())
    }

    /// Takes a change back with the token that was mailed to the old address. Whoever made the change may know the password
    /// and be signed in: both end, and the mail brings a link to a new password.
    pub async fn revert_email_change(&self, token: &str, origin: &Origin) -> Result<(), Error> {
        self.admit_link(origin).await?;
        let by_token = email_change::Column::RevertHash.eq(parse(token)?.hash());
        let now = self.sources.now();
        // Looked at before as well: a hash is for those who hold a link.
        let row = email_change::Entity::find().filter(by_token.clone()).one(self.db.reader()).await?;
        let row = row.ok_or(Error::InvalidLink)?;
        judge_way_back(&row, now)?;
        let unknown = Password::new(&OpaqueToken::generate(self.sources.entropy).expose());
        let password_hash = self.hasher.hash(unknown).await?;
        let reset = self.new_reset(row.account_id);
        let (services, origin) = (self.clone(), origin.clone());
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let (account, row) = services.change_by(transaction, by_token).await?;
                    judge_way_back(&row, now)?;
                    email_change::Entity::update_many()
                        .col_expr(email_change::Column::RevertedAt, Expr::value(now))
                        .filter(email_change::Column::Id.eq(row.id))
                        .exec(transaction)
                        .await?;
                    close_later_ways_back(transaction, &row, now).await?;
                    move_to(transaction, account.id, &row.old_email, &row.old_email_key, now).await?;
                    account::Entity::update_many()
                        .col_expr(account::Column::PasswordHash, Expr::value(password_hash))
                        .filter(account::Column::Id.eq(account.id))
                        .exec(transaction)
                        .await?;
                    email_verifications::forget_all(transaction, account.id).await?;
                    services.recover(transaction, account.id).await?;
                    let restored = Event::new(Action::EmailRestored, Actor::Account(&origin));
                    services.audit(restored.account(account.id)).write(transaction).await?;
                    let mail = Mail::EmailRestored {
                        at: now.seconds(),
                        ip: Some(origin.ip),
                        link: Some(reset.link.clone()),
                        expires_in: reset.expires_in,
                    };
                    reset.write(transaction).await?;
                    let language = origin.language(account.locale.as_deref());
                    let mail = services.mail(Some(account.id), &row.old_email, language, mail)?;
                    mail.write(transaction).await.map_err(Error::from)
                })
            })
            .await?;
        self.outbox.wake();
        Ok(())
    }

    /// The change that a token is for, and its account, locked.
    async fn change_by(
        &self,
        db: &DatabaseTransaction,
        by_token: Expr,
    ) -> Result<(account::Model, email_change::Model), Error> {
        let find = || email_change::Entity::find().filter(by_token.clone()).one(db);
        let account = find().await?.ok_or(Error::InvalidLink)?.account_id;
        let account = lock(db, account).await?.filter(|account| self.may_recover(account));
        // Again, as it is now that nobody else can change it.
        Ok((account.ok_or(Error::InvalidLink)?, find().await?.ok_or(Error::InvalidLink)?))
    }
}

fn parse(token: &str) -> Result<OpaqueToken, Error> {
    OpaqueToken::parse(token).ok_or(Error::InvalidLink)
}

fn judge_way_back(row: &email_change::Model, now: Timestamp) -> Result<(), Error> {
    judge(row.reverted_at, row.superseded_at, row.revert_until.unwrap_or(now), now)
}

/// The address is confirmed, since its mailbox has just been read.
async fn move_to(
    db: &DatabaseTransaction,
    account: AccountId,
    email: &str,
    email_key: &str,
    now: Timestamp,
) -> Result<(), Error> {
    account::Entity::update_many()
        .col_expr(account::Column::Email, Expr::value(email))
        .col_expr(account::Column::EmailKey, Expr::value(email_key))
        .col_expr(account::Column::EmailVerifiedAt, Expr::value(now))
        .col_expr(account::Column::UpdatedAt, Expr::value(now))
        .filter(account::Column::Id.eq(account))
        .exec(db)
        .await
        .map(drop)
        .map_err(|error| match error.sql_err() {
            // Somebody else was faster.
            Some(SqlErr::UniqueConstraintViolation(_)) => Error::InvalidLink,
            _ => Error::from(error),
        })
}

/// Of a chain of changes, those that came after the one taken back: their addresses have no claim to the account.
async fn close_later_ways_back(
    db: &impl ConnectionTrait,
    row: &email_change::Model,
    now: Timestamp,
) -> Result<(), DbErr> {
    email_change::Entity::update_many()
        .col_expr(email_change::Column::SupersededAt, Expr::value(now))
        .filter(email_change::Column::AccountId.eq(row.account_id))
        .filter(email_change::Column::Id.ne(row.id))
        .filter(email_change::Column::ConfirmedAt.gte(row.confirmed_at))
        .filter(email_change::Column::RevertedAt.is_null())
        .filter(email_change::Column::SupersededAt.is_null())
        .exec(db)
        .await
        .map(drop)
}

/// Stops the links to new addresses that were mailed before. Ways back stay open.
pub(super) async fn supersede(
    db: &DatabaseTransaction,
    account: AccountId,
    now: Timestamp,
) -> Result<(), DbErr> {
    email_change::Entity::update_many()
        .col_expr(email_change::Column::SupersededAt, Expr::value(now))
        .filter(email_change::Column::AccountId.eq(account))
        .filter(email_change::Column::ConfirmedAt.is_null())
        .filter(email_change::Column::SupersededAt.is_null())
        .exec(db)
        .await
        .map(drop)
}

/// An address as its owner knows it again, and nobody else.
fn masked(email: &str) -> String {
    let (local, domain) = email.rsplit_once('@').unwrap_or((email, ""));
    format!("{}•••@{domain}", local.chars().next().unwrap_or('•'))
}
