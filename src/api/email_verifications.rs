//! Confirming an address.

use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};

use super::Tag;
use super::auth::{EXAMPLE_ID, EXAMPLE_INSTANT};
use super::caller::{App, Client, OptionalBearer};
use super::instant::Instant;
use super::payload::{Email, Json, Nullable, Query, Token};
use super::problem::{RESEND_URL, errors, whole_seconds};
use crate::services::email_verifications::Status;

/// Operations on verifications of addresses.
pub struct EmailVerificationsApi;

/// A token from a mail
#[derive(Object)]
struct VerifyEmailRequest {
    /// The token in the mailed link
    #[oai(write_only)]
    token: Token,
}

/// The address is confirmed
#[derive(Debug, Object)]
#[oai(example)]
struct VerifyEmailResponse {
    /// Always true
    success: bool,
    /// What happened, for a person
    message: String,
    /// Where to go on, if the operator has set it
    redirect_url: Nullable<String>,
    /// Where to ask for another mail
    resend_url: Nullable<String>,
    /// Id of the account
    user_id: Nullable<String>,
    /// The address that is confirmed now
    email: Nullable<String>,
}

/// An address that waits for a mail
#[derive(Object)]
struct ResendVerificationRequest {
    /// The address that signed up
    email: Email,
}

/// A mail is on its way, if there is anything to confirm
#[derive(Debug, Object)]
#[oai(example)]
struct ResendVerificationResponse {
    /// Always true
    success: bool,
    /// What happened, for a person
    message: String,
    /// Seconds before asking again makes sense; grows each time
    retry_after: Nullable<u64>,
}

/// How far the verification of an address is
#[derive(Debug, Object)]
#[oai(example)]
struct VerificationStatus {
    /// The address that was asked about
    email: String,
    /// Whether it is confirmed; false when that is not for the caller to know
    is_verified: bool,
    /// Where it stands
    status: VerificationState,
    /// When it was confirmed
    verified_at: Nullable<Instant>,
    /// When the mailed link stops working
    token_expires_at: Nullable<Instant>,
    /// Seconds until then
    time_remaining_seconds: Nullable<u64>,
}

/// Where a verification stands
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum VerificationState {
    /// A mail is under way
    Pending,
    /// The address is confirmed
    Verified,
    /// The link of the last mail has expired
    Expired,
    /// No account, or not for the caller to know
    Unknown,
}

const CONFIRMED: &str = "The address is confirmed. You can sign in now.";
const ON_ITS_WAY: &str = "If this address has an account that waits for confirmation, a mail is on its way";

impl Example for VerifyEmailResponse {
    fn example() -> Self {
        Self {
            success: true,
            message: CONFIRMED.into(),
            redirect_url: Some("https://app.example.com/welcome".to_owned()).into(),
            resend_url: Some(RESEND_URL.to_owned()).into(),
            user_id: Some(EXAMPLE_ID.to_owned()).into(),
            email: Some("ada@example.com".to_owned()).into(),
        }
    }
}

impl Example for ResendVerificationResponse {
    fn example() -> Self {
        Self { success: true, message: ON_ITS_WAY.into(), retry_after: Some(60).into() }
    }
}

impl Example for VerificationStatus {
    fn example() -> Self {
        Self {
            email: "ada@example.com".into(),
            is_verified: false,
            status: VerificationState::Pending,
            verified_at: None.into(),
            token_expires_at: Some(EXAMPLE_INSTANT).into(),
            time_remaining_seconds: Some(86_340).into(),
        }
    }
}

errors!(VerifyErrors: 400, 408, 413, 415, 422, 429);
errors!(ResendErrors: 408, 413, 415, 422, 429);
errors!(StatusErrors: 401, 422, 429);

#[OpenApi(tag = "Tag::Auth")]
impl EmailVerificationsApi {
    /// Confirm an address
    ///
    /// Uses up the token of a mailed link. The link itself opens a page whose button does the same, so that programs which
    /// follow links confirm nothing. `error` tells an expired or used token apart from one that is not ours.
    #[oai(path = "/auth/verify-email", method = "post", operation_id = "email_verify")]
    async fn verify(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Json(body): Json<VerifyEmailRequest>,
    ) -> Result<Json<VerifyEmailResponse>, VerifyErrors> {
        let verified = app.verify_email(body.token.expose(), &client).await?;
        Ok(Json(VerifyEmailResponse {
            success: true,
            message: CONFIRMED.into(),
            redirect_url: app.config.verified_redirect_url.as_ref().map(|url| url.to_string()).into(),
            resend_url: Some(RESEND_URL.to_owned()).into(),
            user_id: Some(verified.account.to_string()).into(),
            email: Some(verified.email).into(),
        }))
    }

    /// Ask for another mail
    ///
    /// Sends another verification mail if the address has an account that waits for one; the links of older mails stop
    /// working. The answer is the same for any address. The wait until the next one doubles each time.
    #[oai(path = "/auth/resend-verification", method = "post", operation_id = "email_verification_resend")]
    async fn resend(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Json(body): Json<ResendVerificationRequest>,
    ) -> Result<Json<ResendVerificationResponse>, ResendErrors> {
        let wait = app.resend_verification(body.email.key(), &client).await?;
        Ok(Json(ResendVerificationResponse {
            success: true,
            message: ON_ITS_WAY.into(),
            retry_after: Some(whole_seconds(wait)).into(),
        }))
    }

    /// Ask how far a verification is
    ///
    /// Tells `pending`, `expired` or `verified` while a sign-up with this address is under way or was completed within the
    /// last hour, or to the owner of the address; `unknown` otherwise, so that nobody learns who has an account.
    #[oai(path = "/auth/verification-status", method = "get", operation_id = "email_verification_get")]
    async fn status(
        &self,
        app: App<'_>,
        client: Client<'_>,
        OptionalBearer(caller): OptionalBearer,
        /// The address that signed up
        email: Query<Email>,
    ) -> Result<Json<VerificationStatus>, StatusErrors> {
        let status = app.verification_status(email.0.key(), caller.as_ref(), &client).await?;
        let mut answer = VerificationStatus {
            email: email.0.as_str().to_owned(),
            is_verified: false,
            status: VerificationState::Unknown,
            verified_at: None.into(),
            token_expires_at: None.into(),
            time_remaining_seconds: None.into(),
        };
        match status {
            Status::Unknown => {}
            Status::Verified { at } => {
                answer.is_verified = true;
                answer.status = VerificationState::Verified;
                answer.verified_at = Some(Instant(at)).into();
            }
            Status::Pending { expires_at } => {
                answer.status = VerificationState::Pending;
                answer.token_expires_at = Some(Instant(expires_at)).into();
                let left = expires_at.since(app.sources.now());
                answer.time_remaining_seconds = Some(whole_seconds(left)).into();
            }
            Status::Expired { expired_at } => {
                answer.status = VerificationState::Expired;
                answer.token_expires_at = Some(Instant(expired_at)).into();
                answer.time_remaining_seconds = Some(0).into();
            }
        }
        Ok(Json(answer))
    }
}
