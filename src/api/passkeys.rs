//! Passkeys: kept with the account, good for a sign-in by themselves, for a second factor and for a step-up.

use entities::passkey;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use super::Tag;
use super::auth::{AuthResponse, AuthSession, EXAMPLE_ID, EXAMPLE_INSTANT};
use super::caller::{App, Bearer, Client, Recent};
use super::instant::Instant;
use super::mfa::{Named, Success};
use super::payload::{Json, Line, Nullable, Path, Token};
use super::problem::errors;
use super::webauthn::{
    AuthenticationCredential, PublicKeyCredentialCreationOptions, PublicKeyCredentialRequestOptions,
    RegistrationCredential,
};
use crate::services::mfa::{Assertion, Offer};

/// Operations on passkeys.
pub struct PasskeysApi;

/// A passkey
#[derive(Debug, Object)]
#[oai(example)]
struct Passkey {
    /// Its id
    id: String,
    /// What its owner calls it
    name: String,
    /// When it was added
    created_at: Instant,
    /// When it was last used
    last_used_at: Nullable<Instant>,
    /// Since when there may be a copy of it: its signature counter went backwards. It no longer signs in by itself, only
    /// after the password; remove it and add another
    suspected_at: Nullable<Instant>,
}

impl From<passkey::Model> for Passkey {
    fn from(row: passkey::Model) -> Self {
        Self {
            id: row.id.to_string(),
            name: row.name,
            created_at: Instant(row.created_at),
            last_used_at: row.last_used_at.map(Instant).into(),
            suspected_at: row.suspected_at.map(Instant).into(),
        }
    }
}

impl Example for Passkey {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID.into(),
            name: "Laptop".into(),
            created_at: EXAMPLE_INSTANT,
            last_used_at: Some(EXAMPLE_INSTANT).into(),
            suspected_at: None.into(),
        }
    }
}

/// Passkeys, in order of their addition
#[derive(Debug, Object)]
#[oai(example)]
struct Passkeys {
    /// At most 20
    passkeys: Vec<Passkey>,
}

impl Example for Passkeys {
    fn example() -> Self {
        Self { passkeys: vec![Passkey::example()] }
    }
}

/// How to make a passkey
#[derive(Debug, Object)]
#[oai(example)]
struct PasskeyCreation {
    /// Goes back with the answer; good for one
    challenge_id: String,
    /// When the challenge is forgotten
    expires_at: Instant,
    /// For `PublicKeyCredential.parseCreationOptionsFromJSON()`
    options: PublicKeyCredentialCreationOptions,
}

impl Example for PasskeyCreation {
    fn example() -> Self {
        Self {
            challenge_id: EXAMPLE_ID.into(),
            expires_at: EXAMPLE_INSTANT,
            options: PublicKeyCredentialCreationOptions::example(),
        }
    }
}

/// How to use a passkey
#[derive(Debug, Object)]
#[oai(example)]
struct PasskeyRequest {
    /// Goes back with the answer; good for one
    challenge_id: String,
    /// When the challenge is forgotten
    expires_at: Instant,
    /// For `PublicKeyCredential.parseRequestOptionsFromJSON()`
    options: PublicKeyCredentialRequestOptions,
}

impl<T: Into<PublicKeyCredentialRequestOptions>> From<Offer<T>> for PasskeyRequest {
    fn from(offer: Offer<T>) -> Self {
        Self {
            challenge_id: offer.challenge.to_string(),
            expires_at: Instant(offer.expires_at),
            options: offer.options.into(),
        }
    }
}

impl Example for PasskeyRequest {
    fn example() -> Self {
        Self {
            challenge_id: EXAMPLE_ID.into(),
            expires_at: EXAMPLE_INSTANT,
            options: PublicKeyCredentialRequestOptions::example(),
        }
    }
}

/// A new passkey
#[derive(Object)]
#[oai(example)]
struct PasskeyRegistration {
    /// What its owner calls it
    #[oai(validator(min_length = 1, max_length = 64))]
    name: Line,
    /// Of the options that were asked for
    challenge_id: Uuid,
    /// What the browser gave
    credential: RegistrationCredential,
}

impl Example for PasskeyRegistration {
    fn example() -> Self {
        Self {
            name: "Laptop".into(),
            challenge_id: EXAMPLE_ID.parse().unwrap_or_default(),
            credential: RegistrationCredential::example(),
        }
    }
}

/// A passkey that counts from now on
#[derive(Debug, Object)]
#[oai(example)]
struct PasskeyCreated {
    /// Always true
    success: bool,
    /// The passkey
    passkey: Passkey,
    /// Codes that stand in for a lost second factor, each once; shown this once, and null when the account has some
    recovery_codes: Nullable<Vec<String>>,
    /// The session at its new level, in place of the one that was sent
    session: AuthSession,
}

impl Example for PasskeyCreated {
    fn example() -> Self {
        Self {
            success: true,
            passkey: Passkey::example(),
            recovery_codes: Some(vec!["k7m2qx-9f3wtr-b8hd4n-v6zpye".to_owned()]).into(),
            session: AuthSession::example(),
        }
    }
}

/// A passkey that was used
#[derive(Object)]
#[oai(example)]
struct PasskeyAssertion {
    /// Of the options that were asked for
    challenge_id: Uuid,
    /// What the browser gave
    credential: AuthenticationCredential,
}

impl From<PasskeyAssertion> for Assertion {
    fn from(sent: PasskeyAssertion) -> Self {
        Self { challenge: sent.challenge_id.into(), credential: sent.credential.into() }
    }
}

impl Example for PasskeyAssertion {
    fn example() -> Self {
        Self {
            challenge_id: EXAMPLE_ID.parse().unwrap_or_default(),
            credential: AuthenticationCredential::example(),
        }
    }
}

/// A sign-in that waits for a second factor
#[derive(Object)]
struct TicketHolder {
    /// The ticket that the password gave
    #[oai(write_only)]
    ticket: Token,
}

/// A passkey for a sign-in that waits for a second factor
#[derive(Object)]
struct PasskeyVerification {
    /// The ticket that the password gave
    #[oai(write_only)]
    ticket: Token,
    /// Of the options that were asked for
    challenge_id: Uuid,
    /// What the browser gave
    credential: AuthenticationCredential,
    /// Whether this device may skip the second factor for a while
    #[oai(default)]
    remember_device: bool,
}

errors!(PasskeyOptionsErrors: 401, 409, 429);
errors!(PasskeyCreateErrors: 401, 403, 408, 409, 413, 415, 422);
errors!(PasskeyListErrors: 401);
errors!(PasskeyRenameErrors: 401, 404, 408, 413, 415, 422);
errors!(PasskeyRemoveErrors: 401, 404, 422);
errors!(LoginOptionsErrors: 409, 429);
errors!(LoginErrors: 403, 408, 409, 413, 415, 422, 429);
errors!(MfaOptionsErrors: 401, 404, 408, 409, 413, 415, 422, 429);
errors!(AnswerErrors: 401, 403, 408, 409, 413, 415, 422, 429);
errors!(StepUpOptionsErrors: 401, 404, 409, 429);

#[OpenApi(tag = "Tag::Mfa")]
impl PasskeysApi {
    /// List the passkeys
    ///
    /// Those of the account, in order of their addition.
    #[oai(path = "/auth/passkeys", method = "get", operation_id = "passkey_list")]
    async fn list(&self, app: App<'_>, Bearer(caller): Bearer) -> Result<Json<Passkeys>, PasskeyListErrors> {
        let rows = app.passkeys(&caller).await?;
        Ok(Json(Passkeys { passkeys: rows.into_iter().map(Passkey::from).collect() }))
    }

    /// Start adding a passkey
    ///
    /// Answers with what the browser needs to make a passkey: a challenge, good for five minutes and one answer. The passkey
    /// must be kept by the authenticator and verify its owner, so that it can sign in by itself.
    #[oai(path = "/auth/passkeys/options", method = "post", operation_id = "passkey_options")]
    async fn options(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Recent(caller): Recent,
    ) -> Result<Json<PasskeyCreation>, PasskeyOptionsErrors> {
        let offer = app.offer_registration(&caller, &client).await?;
        Ok(Json(PasskeyCreation {
            challenge_id: offer.challenge.to_string(),
            expires_at: Instant(offer.expires_at),
            options: offer.options.into(),
        }))
    }

    /// Add a passkey
    ///
    /// Takes what the authenticator made. From then on a sign-in with the password needs a second factor, and the passkey signs
    /// in by itself. Answers with the recovery codes, if the account had none, and with the session at aal 2.
    #[oai(path = "/auth/passkeys", method = "post", operation_id = "passkey_create")]
    async fn create(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Recent(caller): Recent,
        Json(body): Json<PasskeyRegistration>,
    ) -> Result<Json<PasskeyCreated>, PasskeyCreateErrors> {
        let challenge = body.challenge_id.into();
        let registered = app
            .register_passkey(&caller, body.name.into(), challenge, body.credential.into(), &client)
            .await?;
        Ok(Json(PasskeyCreated {
            success: true,
            passkey: registered.row.into(),
            recovery_codes: registered.recovery_codes.into(),
            session: registered.signed_in.tokens.into(),
        }))
    }

    /// Rename a passkey
    ///
    /// Gives it another name.
    #[oai(path = "/auth/passkeys/:id", method = "patch", operation_id = "passkey_update")]
    async fn rename(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Recent(caller): Recent,
        /// Id of the passkey
        id: Path<Uuid>,
        Json(body): Json<Named>,
    ) -> Result<Json<Passkey>, PasskeyRenameErrors> {
        let row = app.rename_passkey(&caller, id.0.into(), body.name.into(), &client).await?;
        Ok(Json(row.into()))
    }

    /// Remove a passkey
    ///
    /// It is good for nothing from then on. With the last second factor go the recovery codes and remembered devices.
    #[oai(path = "/auth/passkeys/:id", method = "delete", operation_id = "passkey_delete")]
    async fn remove(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Recent(caller): Recent,
        /// Id of the passkey
        id: Path<Uuid>,
    ) -> Result<Json<Success>, PasskeyRemoveErrors> {
        app.remove_passkey(&caller, id.0.into(), &client).await?;
        Ok(Json(Success { success: true }))
    }

    /// Start a sign-in with a passkey
    ///
    /// Answers with what the browser needs to find a passkey: a challenge, good for five minutes and one answer. Nobody is named,
    /// so what is answered tells nothing of any account.
    #[oai(path = "/auth/login/passkey/options", method = "post", operation_id = "passkey_login_options")]
    async fn login_options(
        &self,
        app: App<'_>,
        client: Client<'_>,
    ) -> Result<Json<PasskeyRequest>, LoginOptionsErrors> {
        Ok(Json(app.offer_passkey_sign_in(&client).await?.into()))
    }

    /// Sign in with a passkey
    ///
    /// Starts a session at aal 2 without a password. A passkey that is unknown, and an answer that is wrong, old, used or made
    /// elsewhere, are refused alike: 403 `passkey_refused`.
    #[oai(path = "/auth/login/passkey", method = "post", operation_id = "passkey_login")]
    async fn login(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Json(body): Json<PasskeyAssertion>,
    ) -> Result<Json<AuthResponse>, LoginErrors> {
        Ok(Json(app.sign_in_with_passkey(body.into(), &client).await?.into()))
    }

    /// Start giving a passkey as the second factor
    ///
    /// For a sign-in whose `next_step` is `mfa`. Answers with a challenge for the passkeys of the account.
    #[oai(path = "/auth/mfa/passkey/options", method = "post", operation_id = "passkey_verify_options")]
    async fn verify_options(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Json(body): Json<TicketHolder>,
    ) -> Result<Json<PasskeyRequest>, MfaOptionsErrors> {
        Ok(Json(app.offer_second_factor(body.ticket.expose(), &client).await?.into()))
    }

    /// Give a passkey as the second factor
    ///
    /// Completes a sign-in whose `next_step` is `mfa`. Five wrong answers end the ticket.
    #[oai(path = "/auth/mfa/passkey", method = "post", operation_id = "passkey_verify")]
    async fn verify(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Json(body): Json<PasskeyVerification>,
    ) -> Result<Json<AuthResponse>, AnswerErrors> {
        let answer = Assertion { challenge: body.challenge_id.into(), credential: body.credential.into() };
        let signed_in =
            app.complete_with_passkey(body.ticket.expose(), answer, body.remember_device, &client).await?;
        Ok(Json(signed_in.into()))
    }

    /// Start a step-up with a passkey
    ///
    /// Answers with a challenge for the passkeys of the account.
    #[oai(path = "/auth/step-up/passkey/options", method = "post", operation_id = "passkey_step_up_options")]
    async fn step_up_options(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Bearer(caller): Bearer,
    ) -> Result<Json<PasskeyRequest>, StepUpOptionsErrors> {
        Ok(Json(app.offer_step_up(&caller, &client).await?.into()))
    }

    /// Prove more with a passkey
    ///
    /// Raises the session to aal 2, or makes its proof fresh, and answers with new tokens in place of those that were sent.
    /// Tokens issued before keep what they say.
    #[oai(path = "/auth/step-up/passkey", method = "post", operation_id = "passkey_step_up")]
    async fn step_up(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Bearer(caller): Bearer,
        Json(body): Json<PasskeyAssertion>,
    ) -> Result<Json<AuthResponse>, AnswerErrors> {
        Ok(Json(app.step_up_with_passkey(&caller, body.into(), &client).await?.into()))
    }
}
