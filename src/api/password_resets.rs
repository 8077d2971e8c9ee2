//! A forgotten password.

use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use super::Tag;
use super::accounts::Done;
use super::caller::{App, Client};
use super::payload::{Email, Json, NewPassword, Nullable, Token};
use super::problem::{Fault, errors, whole_seconds};

/// Operations on forgotten passwords.
pub struct PasswordResetsApi;

/// An account whose password is forgotten
#[derive(Object)]
#[oai(example)]
struct PasswordResetRequest {
    /// The address of the account
    email: Email,
}

/// A mail is on its way, if there is an account
#[derive(Debug, Object)]
#[oai(example)]
struct PasswordResetRequested {
    /// Always true
    success: bool,
    /// What happened, for a person
    message: String,
    /// Seconds before asking again makes sense; grows each time
    retry_after: Nullable<u64>,
}

/// A token from a mail, and the password to come
#[derive(Object)]
struct PasswordReset {
    /// The token in the mailed link
    #[oai(write_only)]
    token: Token,
    /// 8 to 128 characters of any kind. Refused are common and breached passwords, the e-mail address, the part before
    /// its `@`, and the name of this software
    #[oai(write_only)]
    new_password: NewPassword,
}

const ON_ITS_WAY: &str = "If this address has an account, a mail with a link is on its way";
const RESET: &str = "The password is set and all sessions have been ended. You can sign in now.";

impl Example for PasswordResetRequest {
    fn example() -> Self {
        Self { email: "ada@example.com".parse().expect("an address") }
    }
}

impl Example for PasswordResetRequested {
    fn example() -> Self {
        Self { success: true, message: ON_ITS_WAY.into(), retry_after: Some(60).into() }
    }
}

errors!(RequestErrors: 408, 413, 415, 422, 429);
errors!(ResetErrors: 400, 408, 413, 415, 422, 429);

#[OpenApi(tag = "Tag::Account")]
impl PasswordResetsApi {
    /// Ask for a new password
    ///
    /// Mails a link by which a new password is set, if the address has an account; the links of older mails stop working.
    /// The answer is the same for any address. The wait until the next one doubles each time.
    #[oai(path = "/auth/forgot-password", method = "post", operation_id = "password_reset_request")]
    async fn request(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Json(body): Json<PasswordResetRequest>,
    ) -> Result<Json<PasswordResetRequested>, RequestErrors> {
        let wait = app.request_password_reset(body.email.key(), &client).await?;
        Ok(Json(PasswordResetRequested {
            success: true,
            message: ON_ITS_WAY.into(),
            retry_after: Some(whole_seconds(wait)).into(),
        }))
    }

    /// Set a new password
    ///
    /// Uses up the token of a mailed link; a password that is refused does not. Signs nobody in: a second factor is asked
    /// for at the next sign-in as ever. Ends all sessions, forgets remembered devices, and for a day (as the server is set)
    /// the account counts as aal 1. `error` tells an expired or used token apart from one that is not ours.
    #[oai(path = "/auth/reset-password", method = "post", operation_id = "password_reset")]
    async fn reset(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Json(body): Json<PasswordReset>,
    ) -> Result<Json<Done>, ResetErrors> {
        app.reset_password(body.token.expose(), body.new_password.into(), &client)
            .await
            .map_err(Fault::in_member("new_password"))?;
        Ok(Json(Done::saying(RESET)))
    }
}
