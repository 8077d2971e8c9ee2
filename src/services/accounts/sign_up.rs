//! Sign-up. An address that has an account gets the same answer, and its owner a mail that says so.

use entities::{AccountId, account};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveModelTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel};

use super::super::audit::{Action, Actor, Event};
use super::super::limits::Limit;
use super::super::sessions::SignedIn;
use super::super::sessions::means::Means;
use super::super::{Error, Origin, Services, email_verifications};
use super::addresses::Holder;
use crate::crypto::password::Password;
use crate::plugins::mail::Mail;

/// Somebody who wants an account.
pub struct SignUp {
    /// As typed; mail goes here.
    pub email: String,
    /// The canonical form.
    pub email_key: String,
    pub password: Password,
}

/// What became of it.
#[derive(Debug)]
pub enum SignedUp {
    /// Look into your mail. The id is that of a new account, or made up when the address has one already.
    VerifyEmail { account: AccountId, email: String },
    /// No confirmed address is required.
    SignedIn(SignedIn),
}

impl Services {
    /// Signs somebody up. A sign-up whose address was never confirmed is replaced by a newer one: whoever first types an
    /// address must not be able to keep its owner out, nor to wait inside for the owner to confirm it.
    pub async fn sign_up(&self, request: SignUp, origin: &Origin) -> Result<SignedUp, Error> {
        self.hasher.admit()?;
        let limits = &self.config.limits;
        self.admit(vec![
            Limit::address("signup", origin.ip, limits.signup_per_address),
            Limit::subject("signup", &request.email_key, limits.signup_per_account),
        ])
        .await?;
        self.admit_password(&request.password, &request.email).await?;
        let hash = self.hasher.hash(request.password).await?;

        let now = self.sources.now();
        let account = account::Model {
            id: self.sources.id(),
            email: request.email.clone(),
            email_key: request.email_key,
            password_hash: account::PasswordHash(hash),
            email_verified_at: None,
            full_name: None,
            avatar_url: None,
            phone: None,
            disabled_at: None,
            locale: origin.locale.map(|locale| locale.to_string()),
            second_factor_at: None,
            recovering_until: None,
            deletion_due_at: None,
            role: account::Role::User,
            ial: 0,
            ial_until: None,
            created_at: now,
            updated_at: now,
        };
        let id = account.id;
        let (verification, verify_mail) = self.new_verification(id, &request.email, origin.locale)?;
        let created = self.audit(Event::new(Action::AccountCreated, Actor::Anonymous(origin)).account(id));
        let mut repeated = self.audit(Event::new(Action::SignUpRepeated, Actor::Anonymous(origin)));
        let verified_only = self.config.require_verified_email;
        let opening = if verified_only {
            None
        } else {
            Some(self.opening(account.clone(), &[Means::Password], origin)?)
        };

        let (services, origin) = (self.clone(), origin.clone());
        let signed_up = self
            .db
            .write(move |transaction| {
                Box::pin(async move {
                    if let Some(owner) = services.insert(transaction, &account).await? {
                        repeated.0.account_id = owner.as_ref().map(|owner| owner.account);
                        repeated.write(transaction).await?;
                        let language =
                            origin.language(owner.as_ref().and_then(|owner| owner.locale.as_deref()));
                        let recovery_link = Some(services.recovery_link());
                        let mail = Mail::AccountExists { login_link: None, recovery_link };
                        services.mail(None, &account.email, language, mail)?.write(transaction).await?;
                        return Ok::<_, Error>(None);
                    }
                    email_verifications::insert(transaction, verification).await?;
                    verify_mail.write(transaction).await?;
                    created.write(transaction).await?;
                    match opening {
                        Some(opening) => opening.write_first(transaction).await.map(Some),
                        None => Ok(None),
                    }
                })
            })
            .await?;
        self.outbox.wake();
        Ok(match signed_up {
            Some(signed_in) => SignedUp::SignedIn(signed_in),
            None => SignedUp::VerifyEmail { account: id, email: request.email },
        })
    }

    /// Inserts the account unless its address is taken; then answers by whom, if that can be said.
    async fn insert(
        &self,
        db: &DatabaseTransaction,
        account: &account::Model,
    ) -> Result<Option<Option<Holder>>, DbErr> {
        let holder = self.make_way(db, &account.email_key, None).await?;
        if holder.is_some() {
            return Ok(Some(holder));
        }
        // A sign-up at the same moment on another node may have been faster.
        let inserted = account::Entity::insert(account.clone().into_active_model().reset_all())
            .on_conflict(OnConflict::column(account::Column::EmailKey).do_nothing().to_owned())
            .exec_without_returning(db)
            .await?;
        Ok(if inserted == 1 { None } else { Some(None) })
    }
}
