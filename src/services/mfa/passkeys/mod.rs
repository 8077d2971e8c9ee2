//! Passkeys (WebAuthn): registered with the account, good for a sign-in by themselves, for a second factor and for a
//! step-up. The server challenges, the authenticator signs; what was challenged is kept sealed and used once.

mod challenges;
mod manage;
mod redeem;
mod sign_in;

use entities::{AccountId, Timestamp, WebauthnChallengeId, passkey};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use webauthn_rs::prelude::{Credential, Passkey, Webauthn, WebauthnBuilder};
use webauthn_rs_proto::{
    AllowCredentials, AuthenticatorTransport, PublicKeyCredential, PublicKeyCredentialRequestOptions,
};

use super::super::limits::Limit;
use super::super::{Error, Origin, Services};
use crate::config::Config;

pub use challenges::LIFETIME;
pub use manage::Registered;

/// How many an account may have.
const MOST: u64 = 20;

/// What WebAuthn calls such credentials.
const KIND: &str = "public-key";

/// A challenge, and what the browser is to be told with it.
#[derive(Debug, Clone)]
pub struct Offer<T> {
    pub challenge: WebauthnChallengeId,
    pub expires_at: Timestamp,
    pub options: T,
}

/// What an authenticator says to a challenge.
#[derive(Debug, Clone)]
pub struct Assertion {
    pub challenge: WebauthnChallengeId,
    pub credential: PublicKeyCredential,
}

/// Whom passkeys are registered with, as the settings say; nobody while there is no domain to bind them to.
pub fn relying_party(config: &Config) -> Result<Option<Webauthn>, String> {
    let Some(id) = config.rp_id() else { return Ok(None) };
    let failed = |error| format!("passkeys: {error}");
    let origins = config.passkey_origins(&id);
    // The builder starts from a page of the domain; apps have none.
    let Some(page) = origins.iter().find(|origin| origin.has_host()) else { return Ok(None) };
    let builder = WebauthnBuilder::new(&id, page).map_err(failed)?.rp_name(&config.product_name);
    let builder = origins.iter().fold(builder.timeout(LIFETIME), WebauthnBuilder::append_allowed_origin);
    builder.build().map(Some).map_err(failed)
}

impl Services {
    fn relying_party(&self) -> Result<&Webauthn, Error> {
        self.relying_party.as_deref().ok_or(Error::PasskeysUnavailable)
    }

    /// Counts a challenge against the address that asks for it.
    async fn admit_challenge(&self, origin: &Origin) -> Result<(), Error> {
        let rate = self.config.limits.passkey_per_address;
        self.admit(vec![Limit::address("passkey", origin.ip, rate)]).await
    }
}

/// The account's passkeys, oldest first.
async fn of_account(db: &impl ConnectionTrait, account: AccountId) -> Result<Vec<passkey::Model>, DbErr> {
    passkey::Entity::find()
        .filter(passkey::Column::AccountId.eq(account))
        .order_by_asc(passkey::Column::Id)
        .limit(MOST)
        .all(db)
        .await
}

/// The credential of a row.
fn credential(row: &passkey::Model) -> Result<Credential, Error> {
    serde_json::from_str::<Passkey>(&row.credential)
        .map(Credential::from)
        .map_err(|error| Error::Internal(format!("passkey {}: {error}", row.id)))
}

fn stored(credential: Credential) -> Result<String, Error> {
    serde_json::to_string(&Passkey::from(credential)).map_err(|error| Error::Internal(error.to_string()))
}

/// Names the passkeys that may answer.
fn allow(
    options: PublicKeyCredentialRequestOptions,
    rows: &[passkey::Model],
) -> Result<PublicKeyCredentialRequestOptions, Error> {
    let allowed = rows.iter().map(|row| {
        let Credential { cred_id, transports, .. } = credential(row)?;
        Ok(AllowCredentials { type_: KIND.to_owned(), id: cred_id, transports: transports.map(known) })
    });
    Ok(PublicKeyCredentialRequestOptions {
        allow_credentials: allowed.collect::<Result<_, Error>>()?,
        ..options
    })
}

/// Ways to reach an authenticator that have a name.
fn known(transports: Vec<AuthenticatorTransport>) -> Vec<AuthenticatorTransport> {
    let mut known: Vec<_> =
        transports.into_iter().filter(|transport| *transport != AuthenticatorTransport::Unknown).collect();
    known.dedup();
    known
}
