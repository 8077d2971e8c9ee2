//! A person's passkeys: registered, listed, renamed, removed.

use entities::{PasskeyId, WebauthnChallengeId, account, passkey};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter,
};
use webauthn_rs::prelude::{AttestationFormat, Credential, ParsedAttestation, PasskeyRegistration};
use webauthn_rs_proto::{PublicKeyCredentialCreationOptions, RegisterPublicKeyCredential};

use super::super::super::audit::{Action, Actor, Event};
use super::super::super::sessions::means::Means;
use super::super::super::sessions::{Caller, SignedIn};
use super::super::super::{Error, Origin, Services};
use super::super::settle;
use super::challenges::Ceremony;
use super::{KIND, MOST, Offer, known, of_account, stored};
use crate::plugins::mail::NoticeEvent;

/// A passkey that counts from now on.
pub struct Registered {
    pub row: passkey::Model,
    /// Shown this once, when the account had none.
    pub recovery_codes: Option<Vec<String>>,
    /// The caller's session at its new level.
    pub signed_in: SignedIn,
}

impl Services {
    /// Challenges the caller's authenticator to make a passkey.
    pub async fn offer_registration(
        &self,
        caller: &Caller,
        origin: &Origin,
    ) -> Result<Offer<PublicKeyCredentialCreationOptions>, Error> {
        let relying_party = self.relying_party()?;
        self.admit_challenge(origin).await?;
        let state = &caller.state;
        let there = of_account(self.db.reader(), state.account).await?;
        if there.len() as u64 >= MOST {
            return Err(Error::LimitReached);
        }
        let exclude = there.into_iter().map(|row| row.credential_id).collect();
        let name = state.full_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&state.email);
        let (response, kept) = relying_party
            .start_passkey_registration(state.account.0, &state.email, name, Some(exclude))
            .map_err(|error| Error::Internal(format!("a passkey can't be offered: {error}")))?;
        let (challenge, expires_at) =
            self.begin(Ceremony::Registration(state.account, state.session), &kept).await?;
        Ok(Offer { challenge, expires_at, options: response.public_key })
    }

    /// Takes the passkey that the authenticator made. The caller has thereby proved two factors.
    pub async fn register_passkey(
        &self,
        caller: &Caller,
        name: String,
        challenge: WebauthnChallengeId,
        answer: RegisterPublicKeyCredential,
        origin: &Origin,
    ) -> Result<Registered, Error> {
        self.relying_party()?;
        let (id, session, aal) = (caller.state.account, caller.state.session, caller.claims.aal);
        let (services, caller, origin) = (self.clone(), caller.clone(), origin.clone());
        let answer: Result<Registered, Error> = self
            .db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let account = caller.lock(transaction).await?;
                    let event = |action| {
                        Event::new(action, Actor::Account(&origin)).account(account.id).session(session, aal)
                    };
                    let state =
                        services.take(transaction, Ceremony::Registration(id, session), challenge).await?;
                    let verified = state.and_then(|state| services.attested(&state, &answer));
                    let added = match verified {
                        Some(credential) => {
                            services.add_passkey(transaction, &account, name, credential).await?
                        }
                        None => Err(Error::PasskeyRefused),
                    };
                    let row = match added {
                        Ok(row) => row,
                        Err(refusal) => {
                            services.audit(event(Action::PasskeyRefused)).write(transaction).await?;
                            // The challenge stays used.
                            return Ok(Err(refusal));
                        }
                    };
                    services.audit(event(Action::PasskeyAdded)).write(transaction).await?;
                    let first = account.second_factor_at.is_none();
                    let now = services.sources.now();
                    settle(transaction, account.id, now).await?;
                    let account = account::Model {
                        second_factor_at: account.second_factor_at.or(Some(now)),
                        ..account
                    };
                    let recovery_codes = if first {
                        let codes = services.new_recovery_codes(transaction, account.id).await?;
                        let replaced = Event::new(Action::RecoveryCodesReplaced, Actor::Account(&origin))
                            .account(account.id)
                            .session(session, aal);
                        services.audit(replaced).write(transaction).await?;
                        Some(codes)
                    } else {
                        None
                    };
                    let added = NoticeEvent::PasskeyAdded { name: row.name.clone() };
                    services.notice(&account, added, &origin)?.write(transaction).await?;
                    let means = Means::Passkey { device_bound: !super::credential(&row)?.backup_eligible };
                    let signed_in = services.raise(transaction, session, &account, means, &origin).await?;
                    Ok(Ok(Registered { row, recovery_codes, signed_in }))
                })
            })
            .await?;
        self.outbox.wake();
        answer
    }

    /// The credential that an authenticator made to a challenge, without what nobody asks for later.
    fn attested(
        &self,
        state: &PasskeyRegistration,
        answer: &RegisterPublicKeyCredential,
    ) -> Option<Credential> {
        let passkey = self.relying_party().ok()?.finish_passkey_registration(answer, state).ok()?;
        let credential = Credential::from(passkey);
        // What the browser calls it must be what the authenticator calls it.
        (credential.cred_id == answer.raw_id && answer.type_ == KIND).then(|| Credential {
            // A hint for the browser and nothing more, so that it may come unsigned.
            transports: answer.response.transports.clone().map(known),
            // Attestation is not demanded; certificates would be dead weight.
            attestation: ParsedAttestation::default(),
            attestation_format: AttestationFormat::None,
            ..credential
        })
    }

    /// Writes a credential down, unless somebody has it already or the account has too many.
    async fn add_passkey(
        &self,
        db: &DatabaseTransaction,
        account: &account::Model,
        name: String,
        credential: Credential,
    ) -> Result<Result<passkey::Model, Error>, Error> {
        let of_account = passkey::Entity::find().filter(passkey::Column::AccountId.eq(account.id));
        if of_account.count(db).await? >= MOST {
            return Ok(Err(Error::LimitReached));
        }
        let now = self.sources.now();
        let row = passkey::Model {
            id: self.sources.id(),
            account_id: account.id,
            name,
            credential_id: credential.cred_id.clone(),
            credential: stored(credential)?,
            created_at: now,
            last_used_at: None,
            suspected_at: None,
        };
        let inserted = passkey::Entity::insert(row.clone().into_active_model().reset_all())
            .on_conflict(OnConflict::column(passkey::Column::CredentialId).do_nothing().to_owned())
            .exec_without_returning(db)
            .await?;
        Ok(if inserted == 1 { Ok(row) } else { Err(Error::PasskeyRefused) })
    }

    /// The caller's passkeys, oldest first.
    pub async fn passkeys(&self, caller: &Caller) -> Result<Vec<passkey::Model>, Error> {
        Ok(of_account(self.db.reader(), caller.state.account).await?)
    }

    pub async fn rename_passkey(
        &self,
        caller: &Caller,
        id: PasskeyId,
        name: String,
        origin: &Origin,
    ) -> Result<passkey::Model, Error> {
        let account = caller.state.account;
        let record = self.audit(
            Event::new(Action::PasskeyRenamed, Actor::Account(origin))
                .account(account)
                .session(caller.state.session, caller.claims.aal),
        );
        self.db
            .write(move |transaction| {
                Box::pin(async move {
                    let renamed = passkey::Entity::update_many()
                        .col_expr(passkey::Column::Name, Expr::value(name))
                        .filter(passkey::Column::Id.eq(id))
                        .filter(passkey::Column::AccountId.eq(account))
                        .exec_with_returning(transaction)
                        .await?;
                    let row = renamed.into_iter().next().ok_or(Error::NotFound)?;
                    record.write(transaction).await?;
                    Ok(row)
                })
            })
            .await
    }

    /// From now on it is good for nothing.
    pub async fn remove_passkey(&self, caller: &Caller, id: PasskeyId, origin: &Origin) -> Result<(), Error> {
        let record = self.audit(
            Event::new(Action::PasskeyRemoved, Actor::Account(origin))
                .account(caller.state.account)
                .session(caller.state.session, caller.claims.aal),
        );
        let (services, caller, origin) = (self.clone(), caller.clone(), origin.clone());
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let account = caller.lock(transaction).await?;
                    let removed = passkey::Entity::delete_many()
                        .filter(passkey::Column::Id.eq(id))
                        .filter(passkey::Column::AccountId.eq(account.id))
                        .exec_with_returning(transaction)
                        .await?;
                    let row = removed.into_iter().next().ok_or(Error::NotFound)?;
                    settle(transaction, account.id, services.sources.now()).await?;
                    record.write(transaction).await?;
                    let removed = NoticeEvent::PasskeyRemoved { name: row.name };
                    services.notice(&account, removed, &origin)?.write(transaction).await?;
                    Ok(())
                })
            })
            .await?;
        self.outbox.wake();
        Ok(())
    }
}
