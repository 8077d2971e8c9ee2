//! Step-up: a signed-in person proves more, or proves it again.

use entities::account;
use sea_orm::EntityTrait;

use super::super::audit::{Action, Actor, Event};
use super::super::limits::Limit;
use super::super::policy::Shortfall;
use super::super::sessions::means::Means;
use super::super::sessions::{Caller, SignedIn};
use super::super::{Error, Origin, Services};
use super::Code;
use crate::crypto::password::Password;

/// What a signed-in person proves.
pub enum StepUp {
    /// Only while there is no second factor: a password does not make two factors fresh.
    Password(Password),
    Code(Code),
}

impl Services {
    /// Raises the caller's session, or makes its proof fresh, and answers with new tokens.
    pub async fn step_up(&self, caller: &Caller, proof: StepUp, origin: &Origin) -> Result<SignedIn, Error> {
        match proof {
            StepUp::Password(password) => self.step_up_with_password(caller, password, origin).await,
            StepUp::Code(code) => self.step_up_with_code(caller, code, origin).await,
        }
    }

    async fn step_up_with_password(
        &self,
        caller: &Caller,
        password: Password,
        origin: &Origin,
    ) -> Result<SignedIn, Error> {
        let rate = self.config.limits.password_per_account;
        self.admit(vec![Limit::subject("password", &caller.state.account.to_string(), rate)]).await?;
        if caller.state.second_factor_at.is_some() {
            return Err(Error::InsufficientAuthentication(Shortfall::second_factor()));
        }
        // A sign-in elsewhere may store another hash of the same password meanwhile: then once more.
        if let Some(raised) = self.raise_by_password(caller, password.clone(), origin).await? {
            return Ok(raised);
        }
        self.raise_by_password(caller, password, origin).await?.ok_or(Error::WrongCurrentPassword)
    }

    /// `None` if another hash is stored by now than the one that the password was compared with.
    async fn raise_by_password(
        &self,
        caller: &Caller,
        password: Password,
        origin: &Origin,
    ) -> Result<Option<SignedIn>, Error> {
        let (id, session) = (caller.state.account, caller.state.session);
        let row =
            account::Entity::find_by_id(id).one(self.db.reader()).await?.ok_or(Error::InvalidAccessToken)?;
        if !self.hasher.verify(password, Some(&row.password_hash.0)).await?.matches {
            let refused = Event::new(Action::StepUpRefused, Actor::Account(origin))
                .account(id)
                .session(session, caller.claims.aal)
                .detail(serde_json::json!({ "method": "password" }));
            self.write_audit(refused).await?;
            return Err(Error::WrongCurrentPassword);
        }
        let (services, caller, origin) = (self.clone(), caller.clone(), origin.clone());
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let account = caller.lock(transaction).await?;
                    // Hashing takes long enough for the password, or what it is worth, to change.
                    if account.second_factor_at.is_some() {
                        return Err(Error::InsufficientAuthentication(Shortfall::second_factor()));
                    }
                    if account.password_hash != row.password_hash {
                        return Ok(None);
                    }
                    services.may_sign_in(&account)?;
                    services.raise(transaction, session, &account, Means::Password, &origin).await.map(Some)
                })
            })
            .await
    }

    async fn step_up_with_code(
        &self,
        caller: &Caller,
        code: Code,
        origin: &Origin,
    ) -> Result<SignedIn, Error> {
        let (id, session, aal) = (caller.state.account, caller.state.session, caller.claims.aal);
        let rate = self.config.limits.mfa_per_account;
        self.admit(vec![Limit::subject("mfa", &id.to_string(), rate)]).await?;
        let (services, caller, origin) = (self.clone(), caller.clone(), origin.clone());
        let answer: Result<SignedIn, Error> = self
            .db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let mut account = caller.lock(transaction).await?;
                    services.may_sign_in(&account)?;
                    match services.redeem(transaction, &mut account, &code, &origin).await? {
                        Ok(()) => services
                            .raise(transaction, session, &account, code.means(), &origin)
                            .await
                            .map(Ok),
                        Err(refusal) => {
                            let refused = Event::new(Action::StepUpRefused, Actor::Account(&origin))
                                .account(id)
                                .session(session, aal)
                                .detail(serde_json::json!({ "method": code.method() }));
                            services.audit(refused).write(transaction).await?;
                            Ok(Err(refusal))
                        }
                    }
                })
            })
            .await?;
        self.outbox.wake();
        answer
    }
}
