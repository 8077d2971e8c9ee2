//! Shapes that several operations of the Auth tag answer with.

use poem_openapi::Object;
use poem_openapi::types::Example;

use super::instant::Instant;
use super::payload::Nullable;
use crate::services::sessions::SignedIn;

/// The account that signs up or in
#[derive(Debug, Object)]
pub struct AuthUser {
    /// Id of the account
    pub id: String,
    /// The address as it was typed
    pub email: String,
    /// When the address was confirmed
    pub email_confirmed_at: Nullable<Instant>,
}

/// The tokens of a session
#[derive(Debug, Object)]
pub struct AuthSession {
    /// A JWT (RFC 9068) for the `Authorization` header; verify it with `/.well-known/jwks.json`
    pub access_token: String,
    /// Good for one refresh
    pub refresh_token: String,
    /// When the access token expires: seconds since the epoch
    pub expires_at: i64,
}

/// The outcome of a sign-up, sign-in or refresh
#[derive(Debug, Object)]
#[oai(example)]
pub struct AuthResponse {
    /// Always true
    pub success: bool,
    /// Who it is
    pub user: Nullable<AuthUser>,
    /// The session; null while something is left to do
    pub session: Nullable<AuthSession>,
    /// Always null; errors are problem documents
    pub error: Nullable<String>,
    /// What is left to do before there is a session, such as `verify_email`
    pub next_step: Nullable<String>,
}

impl From<SignedIn> for AuthResponse {
    fn from(signed_in: SignedIn) -> Self {
        let user = AuthUser {
            id: signed_in.account.to_string(),
            email: signed_in.email,
            email_confirmed_at: signed_in.email_verified_at.map(Instant).into(),
        };
        let session = AuthSession {
            access_token: signed_in.tokens.access_token,
            refresh_token: signed_in.tokens.refresh_token,
            expires_at: signed_in.tokens.expires_at.seconds(),
        };
        Self {
            success: true,
            user: Some(user).into(),
            session: Some(session).into(),
            error: None.into(),
            next_step: None.into(),
        }
    }
}

/// The account of every example, and when it was made and confirmed.
pub const EXAMPLE_ID: &str = "01938f6e-2b7a-7c3d-9f10-5a4be1c2d3e4";
pub const EXAMPLE_INSTANT: Instant = Instant(entities::Timestamp(1_795_478_400_000));

impl Example for AuthResponse {
    fn example() -> Self {
        Self {
            success: true,
            user: Some(AuthUser {
                id: EXAMPLE_ID.into(),
                email: "ada@example.com".into(),
                email_confirmed_at: Some(EXAMPLE_INSTANT).into(),
            })
            .into(),
            session: Some(AuthSession {
                access_token: "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSIsImtpZCI6Ii4uLiJ9.e30.c2lnbmF0dXJl"
                    .into(),
                refresh_token: "AQGTj24renw9nxBaS-HC0-QAAAAAAAAAAC4uLg".into(),
                expires_at: 1_795_479_300,
            })
            .into(),
            error: None.into(),
            next_step: None.into(),
        }
    }
}
