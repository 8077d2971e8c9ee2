//! Sign-up. An address that has an account gets the same answer, and its owner a mail that says so.

use entities::{AccountId, account};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, QueryFilter,
};

use super::super::audit::{Action, Actor, Event};
use super::super::limits::Limit;
use super::super::sessions::{self, SignedIn};
use super::super::{Error, Origin, Services, email_verifications};
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
            created_at: now,
            updated_at: now,
        };
        let id = account.id;
        let (verification, verify_mail) = self.new_verification(id, &request.email)?;
        let exists_mail =
            self.mail(None, &request.email, Mail::AccountExists { login_link: None, recovery_link: None })?;
        let created = self.audit(Event::new(Action::AccountCreated, Actor::Anonymous(origin)).account(id));
        let mut repeated = self.audit(Event::new(Action::SignUpRepeated, Actor::Anonymous(origin)));
        let verified_only = self.config.require_verified_email;
        let session = (!verified_only).then(|| self.new_session(id, origin));
        let tokens = session.as_ref().map(|session| self.tokens(session)).transpose()?;
        let session_record = session.as_ref().map(|session| {
            self.audit(
                Event::new(Action::SessionCreated, Actor::Account(origin))
                    .account(id)
                    .session(session.id, session.aal)
                    .detail(serde_json::json!({ "amr": session.amr })),
            )
        });

        let is_new = self
            .db
            .write(move |transaction| {
                Box::pin(async move {
                    if let Some(owner) = make_way(transaction, &account, verified_only).await? {
                        repeated.0.account_id = owner;
                        repeated.write(transaction).await?;
                        exists_mail.write(transaction).await?;
                        return Ok::<_, Error>(false);
                    }
                    email_verifications::insert(transaction, verification).await?;
                    verify_mail.write(transaction).await?;
                    created.write(transaction).await?;
                    if let Some(session) = session {
                        sessions::insert(transaction, session).await?;
                    }
                    if let Some(record) = session_record {
                        record.write(transaction).await?;
                    }
                    Ok(true)
                })
            })
            .await?;
        self.outbox.wake();
        Ok(match tokens {
            Some(tokens) if is_new => SignedUp::SignedIn(SignedIn {
                account: id,
                email: request.email,
                email_verified_at: None,
                tokens,
            }),
            _ => SignedUp::VerifyEmail { account: id, email: request.email },
        })
    }
}

/// Inserts the account unless its address is taken; then answers by whom, if that can be said.
async fn make_way(
    db: &DatabaseTransaction,
    account: &account::Model,
    verified_only: bool,
) -> Result<Option<Option<AccountId>>, DbErr> {
    let existing =
        account::Entity::find().filter(account::Column::EmailKey.eq(&account.email_key)).one(db).await?;
    if let Some(existing) = existing {
        // Without the demand for a confirmed address, an unconfirmed account is in use.
        let pending = verified_only && existing.email_verified_at.is_none() && existing.disabled_at.is_none();
        if !pending {
            return Ok(Some(Some(existing.id)));
        }
        account::Entity::delete_many()
            .filter(account::Column::Id.eq(existing.id))
            .filter(account::Column::EmailVerifiedAt.is_null())
            .exec(db)
            .await?;
    }
    // A sign-up at the same moment on another node may have been faster.
    let inserted = account::Entity::insert(account.clone().into_active_model().reset_all())
        .on_conflict(OnConflict::column(account::Column::EmailKey).do_nothing().to_owned())
        .exec_without_returning(db)
        .await?;
    Ok(if inserted == 1 { None } else { Some(None) })
}
