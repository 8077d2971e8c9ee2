//! What a passkey is used for: a sign-in without a password, the second step of one with it, and a step-up.

use entities::passkey;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use webauthn_rs_proto::PublicKeyCredentialRequestOptions;

use super::super::super::audit::{Action, Actor, Event};
use super::super::super::limits::Limit;
use super::super::super::sessions::{Caller, SignedIn, refusal_reason};
use super::super::super::{Error, Origin, Services};
use super::super::lock;
use super::challenges::Ceremony;
use super::{Assertion, Offer, allow, of_account};
use crate::crypto::opaque_token::OpaqueToken;

type RequestOffer = Offer<PublicKeyCredentialRequestOptions>;

impl Services {
    /// Challenges whichever passkey the person picks. What is offered is the same for everybody.
    pub async fn offer_passkey_sign_in(&self, origin: &Origin) -> Result<RequestOffer, Error> {
        self.relying_party()?;
        self.admit_challenge(origin).await?;
        self.offer_assertion(Ceremony::Login, &[]).await
    }

    /// Signs in with a passkey alone. Whatever is wrong with it, the answer is the same.
    pub async fn sign_in_with_passkey(&self, answer: Assertion, origin: &Origin) -> Result<SignedIn, Error> {
        self.relying_party()?;
        let rate = self.config.limits.login_per_address;
        self.admit(vec![Limit::address("login", origin.ip, rate)]).await?;
        let (services, origin) = (self.clone(), origin.clone());
        let answer: Result<SignedIn, Error> = self
            .db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let claimed = passkey::Entity::find()
                        .filter(passkey::Column::CredentialId.eq(answer.credential.raw_id.clone()))
                        .one(transaction)
                        .await?;
                    let account = match claimed {
                        Some(passkey) => lock(transaction, passkey.account_id).await?,
                        None => None,
                    };
                    let verdict = services
                        .redeem_passkey(transaction, Ceremony::Login, account.as_ref(), &answer, &origin)
                        .await?;
                    let id = account.as_ref().map(|account| account.id);
                    let verdict = verdict.and_then(|means| {
                        let account = account.ok_or(Error::PasskeyRefused)?;
                        services.may_sign_in(&account)?;
                        Ok((account, means))
                    });
                    match verdict {
                        Ok((account, means)) => {
                            let opening = services.opening(account, &[means], &origin)?;
                            opening.write(transaction).await.map(Ok)
                        }
                        Err(refusal) => {
                            let mut failed = Event::new(Action::SignInFailed, Actor::Anonymous(&origin)).detail(
                                serde_json::json!({ "method": "passkey", "reason": refusal_reason(&refusal) }),
                            );
                            failed.account = id;
                            services.audit(failed).write(transaction).await?;
                            // The challenge stays used.
                            Ok(Err(match refusal {
                                // There is no account any more; a passkey has no password that could be wrong.
                                Error::InvalidCredentials => Error::PasskeyRefused,
                                other => other,
                            }))
                        }
                    }
                })
            })
            .await?;
        self.outbox.wake();
        answer
    }

    /// Challenges the passkeys of the account that a ticket is for.
    pub async fn offer_second_factor(&self, ticket: &str, origin: &Origin) -> Result<RequestOffer, Error> {
        self.relying_party()?;
        self.admit_challenge(origin).await?;
        let token = OpaqueToken::parse(ticket).ok_or(Error::InvalidTicket)?;
        let ticket = self.open_ticket(&token).await?;
        let rows = of_account(self.db.reader(), ticket.account_id).await?;
        if rows.is_empty() {
            return Err(Error::NotFound);
        }
        self.offer_assertion(Ceremony::SecondFactor(ticket.account_id, ticket.id), &rows).await
    }

    /// Answers a ticket with a passkey.
    pub async fn complete_with_passkey(
        &self,
        ticket: &str,
        answer: Assertion,
        remember: bool,
        origin: &Origin,
    ) -> Result<SignedIn, Error> {
        self.relying_party()?;
        let token = OpaqueToken::parse(ticket).ok_or(Error::InvalidTicket)?;
        self.admit_answer(&token, origin).await?;
        let (services, origin) = (self.clone(), origin.clone());
        let answer: Result<SignedIn, Error> = self
            .db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let ticket = services.take_ticket(transaction, &token).await?;
                    services.may_sign_in(&ticket.account)?;
                    let ceremony = Ceremony::SecondFactor(ticket.account.id, ticket.id);
                    let verdict = services
                        .redeem_passkey(transaction, ceremony, Some(&ticket.account), &answer, &origin)
                        .await?;
                    match verdict {
                        Ok(means) => services
                            .open_by_ticket(transaction, ticket, means, remember, &origin)
                            .await
                            .map(Ok),
                        Err(refusal) => {
                            services.refuse_answer(transaction, &ticket, "passkey", &origin).await?;
                            Ok(Err(refusal))
                        }
                    }
                })
            })
            .await?;
        self.outbox.wake();
        answer
    }

    /// Challenges the caller's passkeys.
    pub async fn offer_step_up(&self, caller: &Caller, origin: &Origin) -> Result<RequestOffer, Error> {
        self.relying_party()?;
        self.admit_challenge(origin).await?;
        let (account, session) = (caller.state.account, caller.state.session);
        let rows = of_account(self.db.reader(), account).await?;
        if rows.is_empty() {
            return Err(Error::NotFound);
        }
        self.offer_assertion(Ceremony::StepUp(account, session), &rows).await
    }

    /// Raises the caller's session, or makes its proof fresh, with a passkey.
    pub async fn step_up_with_passkey(
        &self,
        caller: &Caller,
        answer: Assertion,
        origin: &Origin,
    ) -> Result<SignedIn, Error> {
        self.relying_party()?;
        let (id, session, aal) = (caller.state.account, caller.state.session, caller.claims.aal);
        let rate = self.config.limits.mfa_per_account;
        self.admit(vec![Limit::subject("mfa", &id.to_string(), rate)]).await?;
        let (services, origin) = (self.clone(), origin.clone());
        let answer: Result<SignedIn, Error> = self
            .db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let account = lock(transaction, id).await?.ok_or(Error::InvalidAccessToken)?;
                    services.may_sign_in(&account)?;
                    let ceremony = Ceremony::StepUp(id, session);
                    let verdict = services
                        .redeem_passkey(transaction, ceremony, Some(&account), &answer, &origin)
                        .await?;
                    match verdict {
                        Ok(means) => {
                            services.raise(transaction, session, &account, means, &origin).await.map(Ok)
                        }
                        Err(refusal) => {
                            let refused = Event::new(Action::StepUpRefused, Actor::Account(&origin))
                                .account(id)
                                .session(session, aal)
                                .detail(serde_json::json!({ "method": "passkey" }));
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

    /// A challenge for these passkeys, or for any.
    async fn offer_assertion(
        &self,
        ceremony: Ceremony,
        rows: &[passkey::Model],
    ) -> Result<RequestOffer, Error> {
        // The passkeys themselves are looked up when the answer comes: their counters may have moved by then, and the
        // library would go by those it was given now.
        let (response, kept) = self
            .relying_party()?
            .start_discoverable_authentication()
            .map_err(|error| Error::Internal(format!("a passkey can't be challenged: {error}")))?;
        let options = allow(response.public_key, rows)?;
        let (challenge, expires_at) = self.begin(ceremony, &kept).await?;
        Ok(Offer { challenge, expires_at, options })
    }
}
