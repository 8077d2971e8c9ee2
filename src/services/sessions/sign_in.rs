//! Signing in with a password. Where there is a second factor, the right password gives a ticket for it and no session.

use entities::account;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::super::audit::{Action, Actor, Event};
use super::super::limits::Limit;
use super::super::mfa::Challenge;
use super::super::{Error, Origin, Services};
use super::SignedIn;
use super::means::Means;
use crate::crypto::password::Password;

/// How far a sign-in is.
#[derive(Debug)]
pub enum SigningIn {
    SignedIn(SignedIn),
    /// The password was right. A second factor is to follow.
    SecondFactor {
        account: Box<account::Model>,
        challenge: Challenge,
    },
}

impl Services {
    /// Signs in with a password. A wrong password and an unknown address cost the same and answer the same. A remembered
    /// device stands in for the second factor; the session then has aal 1.
    pub async fn sign_in(
        &self,
        email_key: &str,
        password: Password,
        device_token: Option<&str>,
        origin: &Origin,
    ) -> Result<SigningIn, Error> {
        // A flood costs no statements.
        self.hasher.admit()?;
        let limits = &self.config.limits;
        self.admit(vec![
            Limit::address("login", origin.ip, limits.login_per_address),
            Limit::subject("login", email_key, limits.login_per_account),
        ])
        .await?;
        let (account, rehashed) = self.prove(email_key, password.clone(), origin).await?;
        let due = account.deletion_due_at;
        match self.go_on(account, rehashed, device_token, origin).await {
            // The account has changed since, perhaps by no more than another hash of the same password: proved anew, once.
            Err(Error::InvalidCredentials) => {
                let (account, rehashed) = self.prove(email_key, password, origin).await?;
                // A deletion asked for meanwhile is not taken back by somebody who came before.
                if account.deletion_due_at > due {
                    return Err(Error::InvalidCredentials);
                }
                self.go_on(account, rehashed, device_token, origin).await
            }
            outcome => outcome,
        }
    }

    /// Finds whose password it is; with a new hash of it, if one is to be stored.
    async fn prove(
        &self,
        email_key: &str,
        password: Password,
        origin: &Origin,
    ) -> Result<(account::Model, Option<String>), Error> {
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
                Ok((account, rehashed))
            }
            (found, refusal) => {
                let refusal = refusal.unwrap_or(Error::InvalidCredentials);
                let mut event = Event::new(Action::SignInFailed, Actor::Anonymous(origin))
                    .detail(serde_json::json!({ "reason": refusal_reason(&refusal) }));
                event.account = found.map(|account| account.id);
                self.write_audit(event).await?;
                Err(refusal)
            }
        }
    }

    /// The one gate before any session: what must hold of an account, whichever way the person comes.
    pub(in super::super) fn may_sign_in(&self, account: &account::Model) -> Result<(), Error> {
        if account.disabled_at.is_some() {
            return Err(Error::AccountDisabled);
        }
        if account.deletion_due_at.is_some_and(|due| due <= self.sources.now()) {
            return Err(Error::InvalidCredentials);
        }
        if self.config.require_verified_email && account.email_verified_at.is_none() {
            return Err(Error::EmailNotVerified);
        }
        Ok(())
    }

    /// After the right password: a session, or a ticket for the second factor.
    async fn go_on(
        &self,
        account: account::Model,
        rehashed: Option<String>,
        device_token: Option<&str>,
        origin: &Origin,
    ) -> Result<SigningIn, Error> {
        if account.second_factor_at.is_some() && !self.remembers(&account, device_token).await? {
            let challenge = self.challenge(&account, rehashed, origin).await?;
            return Ok(SigningIn::SecondFactor { account: Box::new(account), challenge });
        }
        let mut opening = self.opening(account, &[Means::Password], origin)?;
        if rehashed.is_some() {
            let event =
                Event::new(Action::PasswordRehashed, Actor::Account(origin)).account(opening.account.id);
            opening = opening.with(self.audit(event));
        }
        opening.rehashed = rehashed;
        let write = self.db.write(move |transaction| Box::pin(opening.write(transaction)));
        write.await.map(SigningIn::SignedIn)
    }
}

/// The refusal of a sign-in, for the audit trail.
pub(in super::super) fn refusal_reason(refusal: &Error) -> &'static str {
    match refusal {
        Error::PasskeyRefused => "passkey_refused",
        Error::EmailNotVerified => "email_not_verified",
        Error::AccountDisabled => "account_disabled",
        _ => "invalid_credentials",
    }
}
