//! Accounts: sign-up, profile, password, export and end; and what an operator may do to one.

pub(super) mod addresses;
mod delete;
mod erase;
mod export;
mod import;
mod operate;
mod search;
mod sign_up;

use entities::account;
use entities::session::RevocationReason;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::audit::{Action, Actor, Event};
use super::limits::Limit;
use super::links::supersede;
use super::mfa::devices::forget_all;
use super::sessions::{Caller, State, Which, revoke};
use super::{Error, Origin, Services};
use crate::crypto::password::Password;
use crate::locale::Locale;
use crate::plugins::mail::NoticeEvent;

pub use export::Export;
pub use import::Import;
pub use operate::{Measure, Selector};
pub use search::{AccountState, Filter, Overview, Page, Trail};
pub use sign_up::{SignUp, SignedUp};

/// What to change of a profile: `None` leaves a field as it is, `Some(None)` clears it.
#[derive(Debug, Clone, Default)]
pub struct ProfileChange {
    pub full_name: Option<Option<String>>,
    pub avatar_url: Option<Option<String>>,
    pub phone: Option<Option<String>>,
    pub locale: Option<Option<Locale>>,
}

impl Services {
    /// Changes the caller's own profile; answers it as it is afterwards.
    pub async fn update_profile(
        &self,
        caller: &Caller,
        change: ProfileChange,
        origin: &Origin,
    ) -> Result<State, Error> {
        let id = caller.state.account;
        let now = self.sources.now();
        let locale = change.locale.map(|locale| locale.map(|locale| locale.to_string()));
        let mut changed = vec![];
        let mut update = account::Entity::update_many().filter(account::Column::Id.eq(id));
        for (name, column, value) in [
            ("full_name", account::Column::FullName, change.full_name),
            ("avatar_url", account::Column::AvatarUrl, change.avatar_url),
            ("phone", account::Column::Phone, change.phone),
            ("locale", account::Column::Locale, locale),
        ] {
            if let Some(value) = value {
                update = update.col_expr(column, Expr::value(value));
                changed.push(name);
            }
        }
        if changed.is_empty() {
            return Ok(State::clone(&caller.state));
        }
        let update = update.col_expr(account::Column::UpdatedAt, Expr::value(now));
        let record = self.audit(
            Event::new(Action::ProfileUpdated, Actor::Account(origin))
                .account(id)
                .session(caller.state.session, caller.claims.aal)
                .detail(serde_json::json!({ "fields": changed })),
        );
        let row: account::Model = self
            .db
            .write(move |transaction| {
                Box::pin(async move {
                    update.exec(transaction).await?;
                    record.write(transaction).await?;
                    // As it is now, with what others have changed meanwhile; gone, if somebody deleted the account.
                    let row = account::Entity::find_by_id(id).one(transaction).await?;
                    row.ok_or(Error::InvalidAccessToken)
                })
            })
            .await?;
        Ok(State {
            full_name: row.full_name,
            avatar_url: row.avatar_url,
            phone: row.phone,
            locale: row.locale,
            updated_at: row.updated_at,
            ..State::clone(&caller.state)
        })
    }

    /// Changes the caller's password. Ends the account's other sessions and open links, and tells its owner by mail.
    pub async fn change_password(
        &self,
        caller: &Caller,
        current: Password,
        new: Password,
        origin: &Origin,
    ) -> Result<(), Error> {
        let rate = self.config.limits.password_per_account;
        self.admit(vec![Limit::subject("password", &caller.state.account.to_string(), rate)]).await?;
        self.admit_password(&new, &caller.state.email).await?;
        // A sign-in elsewhere may store another hash of the current one meanwhile: then once more. Of two changes at once, the
        // second no longer has the current password.
        let changed = self.replace_password(caller, current.clone(), new.clone(), origin).await?
            || self.replace_password(caller, current, new, origin).await?;
        if !changed {
            return Err(Error::WrongCurrentPassword);
        }
        self.outbox.wake();
        Ok(())
    }

    /// False if another hash is stored by now than the one that `current` was compared with.
    async fn replace_password(
        &self,
        caller: &Caller,
        current: Password,
        new: Password,
        origin: &Origin,
    ) -> Result<bool, Error> {
        let (id, session, aal) = (caller.state.account, caller.state.session, caller.claims.aal);
        let event = |action| Event::new(action, Actor::Account(origin)).account(id).session(session, aal);
        let row =
            account::Entity::find_by_id(id).one(self.db.reader()).await?.ok_or(Error::InvalidAccessToken)?;
        if !self.hasher.verify(current, Some(&row.password_hash.0)).await?.matches {
            self.write_audit(event(Action::PasswordChangeRefused)).await?;
            return Err(Error::WrongCurrentPassword);
        }
        let hash = self.hasher.hash(new).await?;
        let now = self.sources.now();
        let mail = self.notice(&row, NoticeEvent::PasswordChanged, origin)?;
        let record = self.audit(event(Action::PasswordChanged));
        let caller = caller.clone();
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let account = caller.lock(transaction).await?;
                    if account.password_hash != row.password_hash {
                        return Ok(false);
                    }
                    account::Entity::update_many()
                        .col_expr(account::Column::PasswordHash, Expr::value(hash))
                        .col_expr(account::Column::UpdatedAt, Expr::value(now))
                        .filter(account::Column::Id.eq(id))
                        .exec(transaction)
                        .await?;
                    let others = Which::AllOfBut(id, session);
                    revoke(transaction, others, RevocationReason::PasswordChanged, now).await?;
                    forget_all(transaction, id).await?;
                    supersede(transaction, id, now).await?;
                    record.write(transaction).await?;
                    mail.write(transaction).await?;
                    Ok(true)
                })
            })
            .await
    }
}
