//! The end of an account: asked for by its owner, taken back by signing in, carried out when it is due.

use std::time::Duration;

use entities::session::RevocationReason;
use entities::{AccountId, Timestamp, account, mfa_ticket, webauthn_challenge};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter};

use super::super::audit::{Action, Actor, Event};
use super::super::mfa::devices::forget_all;
use super::super::mfa::lock;
use super::super::sessions::{Caller, Which, revoke};
use super::super::{Error, Origin, Services};
use crate::plugins::mail::Mail;

const DAY: Duration = Duration::from_secs(86_400);

impl Services {
    /// Has the caller's account deleted after a time in which signing in takes it back; answers when. Until then nobody is
    /// signed in, and nothing from before gets anybody in again.
    pub async fn schedule_deletion(&self, caller: &Caller, origin: &Origin) -> Result<Timestamp, Error> {
        let id = caller.state.account;
        let due = self.sources.now() + DAY * self.config.retention.deletion_days;
        let record = self.audit(
            Event::new(Action::DeletionScheduled, Actor::Account(origin))
                .account(id)
                .session(caller.state.session, caller.claims.aal),
        );
        let (services, caller, origin) = (self.clone(), caller.clone(), origin.clone());
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    // Of two requests at once, the second has no session any more.
                    let account = caller.lock(transaction).await?;
                    end(transaction, id, due, services.sources.now()).await?;
                    record.write(transaction).await?;
                    let language = origin.language(account.locale.as_deref());
                    let mail = Mail::DeletionScheduled { due: due.seconds() };
                    services.mail(Some(id), &account.email, language, mail)?.write(transaction).await?;
                    Ok(())
                })
            })
            .await?;
        self.outbox.wake();
        Ok(due)
    }

    /// Deletes an account now, for an operator. Answers whether there was one.
    pub async fn delete_account(&self, id: AccountId) -> Result<bool, Error> {
        let now = self.sources.now();
        // Due from here on: should this process die, a server's reaper goes on.
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    lock(transaction, id).await?;
                    Ok(end(transaction, id, now, now).await?)
                })
            })
            .await?;
        self.erase(id, Actor::Operator).await
    }
}

/// Nobody is signed in any more, nor half way in; the account goes when it is due.
async fn end(db: &DatabaseTransaction, id: AccountId, due: Timestamp, now: Timestamp) -> Result<(), DbErr> {
    account::Entity::update_many()
        .col_expr(account::Column::DeletionDueAt, Expr::value(due))
        .col_expr(account::Column::UpdatedAt, Expr::value(now))
        .filter(account::Column::Id.eq(id))
        .exec(db)
        .await?;
    revoke(db, Which::AllOf(id), RevocationReason::AccountDeleted, now).await?;
    forget_all(db, id).await?;
    mfa_ticket::Entity::delete_many().filter(mfa_ticket::Column::AccountId.eq(id)).exec(db).await?;
    webauthn_challenge::Entity::delete_many()
        .filter(webauthn_challenge::Column::AccountId.eq(id))
        .exec(db)
        .await
        .map(drop)
}
