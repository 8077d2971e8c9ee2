//! Signing in, staying signed in, signing out.

use std::collections::HashMap;

use poem_openapi::{Enum, Object, OpenApi};

use super::Tag;
use super::auth::AuthResponse;
use super::caller::{App, Bearer, Client};
use super::payload::{Email, Json, Password, Token};
use super::problem::errors;
use crate::services::mfa::{Code, StepUp};

/// Operations on sessions.
pub struct SessionsApi;

/// An address and its password
#[derive(Object)]
struct LoginRequest {
    /// The address of the account
    email: Email,
    /// Its password
    #[oai(write_only)]
    password: Password,
    /// What a remembered device keeps, to skip the second factor
    #[oai(write_only, skip_serializing_if_is_none)]
    device_token: Option<Token>,
}

/// What is proved
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum StepUpMethod {
    /// The password; only while the account has no second factor
    Password,
    /// A code of an authenticator app
    Totp,
    /// One of the codes that were shown once
    RecoveryCode,
}

/// One more proof of somebody who is signed in
#[derive(Object)]
struct StepUpRequest {
    /// What is proved
    method: StepUpMethod,
    /// The password or the code
    #[oai(write_only)]
    secret: Password,
}

/// A refresh token
#[derive(Object)]
struct RefreshRequest {
    /// The refresh token of the last answer
    #[oai(write_only)]
    refresh_token: Token,
}

/// A session to end
#[derive(Object)]
struct LogoutRequest {
    /// An access token of the session, expired or not
    #[oai(write_only)]
    access_token: Token,
}

errors!(LoginErrors: 401, 403, 408, 413, 415, 422, 429);
errors!(RefreshErrors: 401, 408, 413, 415, 422, 429);
errors!(StepUpErrors: 401, 403, 408, 413, 415, 422, 429);
errors!(LogoutErrors: 401, 408, 413, 415, 422);

#[OpenApi(tag = "Tag::Auth")]
impl SessionsApi {
    /// Sign in
    ///
    /// Starts a session with an e-mail address and a password. A wrong password and an unknown address answer alike, in
    /// text and time. Where confirmed addresses are required, the right password for an unconfirmed one answers 403
    /// `email_not_verified`. An account with a second factor gets no session yet, but `next_step` `mfa` and a ticket for
    /// `POST /auth/mfa/verify`.
    #[oai(path = "/auth/login", method = "post", operation_id = "session_create")]
    async fn create(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Json(body): Json<LoginRequest>,
    ) -> Result<Json<AuthResponse>, LoginErrors> {
        let device = body.device_token.as_ref().map(Token::expose);
        let signing_in = app.sign_in(body.email.key(), body.password.into(), device, &client).await?;
        Ok(Json(signing_in.into()))
    }

    /// Refresh a session
    ///
    /// Exchanges a refresh token for new tokens. A client whose answer was lost may ask again within ten seconds and gets
    /// the same tokens; a token shown again later ends the session as stolen (401 `refresh_token_reused`).
    #[oai(path = "/auth/refresh", method = "post", operation_id = "session_refresh")]
    async fn refresh(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Json(body): Json<RefreshRequest>,
    ) -> Result<Json<AuthResponse>, RefreshErrors> {
        let signed_in = app.refresh(body.refresh_token.expose(), &client).await?;
        Ok(Json(signed_in.into()))
    }

    /// Prove more, or once more
    ///
    /// Raises the session to aal 2 with a second factor, or makes its proof fresh, and answers with new tokens in place of
    /// those that were sent. Tokens issued before keep what they say. Once there is a second factor, the password is not
    /// enough.
    #[oai(path = "/auth/step-up", method = "post", operation_id = "session_step_up")]
    async fn step_up(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Bearer(caller): Bearer,
        Json(body): Json<StepUpRequest>,
    ) -> Result<Json<AuthResponse>, StepUpErrors> {
        let proof = match body.method {
            StepUpMethod::Password => StepUp::Password(body.secret.into()),
            StepUpMethod::Totp => StepUp::Code(Code::totp(body.secret.expose())),
            StepUpMethod::RecoveryCode => StepUp::Code(Code::recovery(body.secret.expose())),
        };
        Ok(Json(app.step_up(&caller, proof, &client).await?.into()))
    }

    /// Sign out
    ///
    /// Ends the session of an access token, which may have expired. Its tokens stop working at the next request, on every
    /// node. Signing out twice is no mistake.
    #[oai(path = "/auth/logout", method = "post", operation_id = "session_end")]
    async fn end(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Json(body): Json<LogoutRequest>,
    ) -> Result<Json<HashMap<String, String>>, LogoutErrors> {
        app.sign_out(body.access_token.expose(), &client).await?;
        Ok(Json(HashMap::from([("message".to_owned(), "Signed out".to_owned())])))
    }
}
