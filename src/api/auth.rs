//! Shapes that several operations of the Auth tag answer with.

use poem_openapi::Object;
use poem_openapi::types::Example;

use super::instant::Instant;
use super::mfa::MfaMethod;
use super::payload::Nullable;
use crate::services::sessions::{SignedIn, SigningIn, Tokens};

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
#[oai(example)]
pub struct AuthSession {
    /// A JWT (RFC 9068) for the `Authorization` header; verify it with `/.well-known/jwks.json`
    pub access_token: String,
    /// Good for one refresh
    pub refresh_token: String,
    /// When the access token expires: seconds since the epoch
    pub expires_at: i64,
}

/// A sign-in that waits for a second factor
#[derive(Debug, Object)]
#[oai(example)]
pub struct MfaChallenge {
    /// Stands for the right password, for a few minutes and a few codes; no access token
    pub ticket: String,
    /// When the ticket expires: seconds since the epoch
    pub expires_at: i64,
    /// Ways to prove a second factor, the best one first
    pub methods: Vec<MfaMethod>,
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
    /// What is left to do before there is a session: `verify_email` or `mfa`
    pub next_step: Nullable<String>,
    /// With `next_step` `mfa`: what `POST /auth/mfa/verify` needs
    pub mfa: Nullable<MfaChallenge>,
    /// For a remembered device: send it with `POST /auth/login`, and the second factor may be skipped
    pub device_token: Nullable<String>,
}

impl From<Tokens> for AuthSession {
    fn from(tokens: Tokens) -> Self {
        Self {
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
            expires_at: tokens.expires_at.seconds(),
        }
    }
}

impl From<SignedIn> for AuthResponse {
    fn from(signed_in: SignedIn) -> Self {
        let user = AuthUser {
            id: signed_in.account.to_string(),
            email: signed_in.email,
            email_confirmed_at: signed_in.email_verified_at.map(Instant).into(),
        };
        Self {
            session: Some(signed_in.tokens.into()).into(),
            device_token: signed_in.device_token.into(),
            ..Self::without_session(user)
        }
    }
}

impl From<SigningIn> for AuthResponse {
    fn from(signing_in: SigningIn) -> Self {
        let (account, challenge) = match signing_in {
            SigningIn::SignedIn(signed_in) => return signed_in.into(),
            SigningIn::SecondFactor { account, challenge } => (account, challenge),
        };
        let user = AuthUser {
            id: account.id.to_string(),
            email: account.email,
            email_confirmed_at: account.email_verified_at.map(Instant).into(),
        };
        let mfa = MfaChallenge {
            ticket: challenge.ticket,
            expires_at: challenge.expires_at.seconds(),
            methods: challenge.methods.into_iter().map(MfaMethod::from).collect(),
        };
        Self {
            next_step: Some("mfa".to_owned()).into(),
            mfa: Some(mfa).into(),
            ..Self::without_session(user)
        }
    }
}

impl AuthResponse {
    /// Who it is, and nothing else yet.
    pub fn without_session(user: AuthUser) -> Self {
        Self {
            success: true,
            user: Some(user).into(),
            session: None.into(),
            error: None.into(),
            next_step: None.into(),
            mfa: None.into(),
            device_token: None.into(),
        }
    }
}

/// The account of every example, and when it was made and confirmed.
pub const EXAMPLE_ID: &str = "01938f6e-2b7a-7c3d-9f10-5a4be1c2d3e4";
pub const EXAMPLE_INSTANT: Instant = Instant(entities::Timestamp(1_795_478_400_000));

impl Example for AuthSession {
    fn example() -> Self {
        Self {
            access_token: "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSIsImtpZCI6Ii4uLiJ9.e30.c2lnbmF0dXJl".into(),
            refresh_token: "AQGTj24renw9nxBaS-HC0-QAAAAAAAAAAC4uLg".into(),
            expires_at: 1_795_479_300,
        }
    }
}

impl Example for MfaChallenge {
    fn example() -> Self {
        Self {
            ticket: "5gCnXkq3lS7vR0tZ5gCnXkq3lS7vR0tZ5gCnXkq3lS7".into(),
            expires_at: 1_795_478_700,
            methods: vec![MfaMethod::Totp, MfaMethod::RecoveryCode],
        }
    }
}

impl Example for AuthResponse {
    fn example() -> Self {
        let user = AuthUser {
            id: EXAMPLE_ID.into(),
            email: "ada@example.com".into(),
            email_confirmed_at: Some(EXAMPLE_INSTANT).into(),
        };
        Self { session: Some(AuthSession::example()).into(), ..Self::without_session(user) }
    }
}
