//! Another address for an account, and the way back.

use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use super::Tag;
use super::accounts::Done;
use super::caller::{App, Client, Recent};
use super::payload::{Email, Json, Token};
use super::problem::errors;

/// Operations on changes of addresses.
pub struct EmailChangesApi;

/// The address to come
#[derive(Object)]
#[oai(example)]
struct EmailChangeRequest {
    /// Where the link is sent; a domain reserved for tests or local use (`.test`, `.localhost`, `.local`, `.invalid`,
    /// `.onion`, `.arpa`) is refused
    email: Email,
}

/// A token from a mail about a change of address
#[derive(Object)]
struct EmailChangeToken {
    /// The token in the mailed link
    #[oai(write_only)]
    token: Token,
}

const ON_ITS_WAY: &str =
    "A mail with a link is on its way to the new address. Until it is used, nothing changes.";
const CHANGED: &str = "The address is changed. Sign in with the new one from now on.";
const RESTORED: &str = "The change is taken back and all sessions have been ended. A mail with a link to a new password is on its way.";

impl Example for EmailChangeRequest {
    fn example() -> Self {
        Self { email: "ada@example.org".parse().expect("an address") }
    }
}

errors!(RequestErrors: 401, 408, 413, 415, 422, 429);
errors!(TokenErrors: 400, 408, 413, 415, 422, 429);

#[OpenApi(tag = "Tag::Account")]
impl EmailChangesApi {
    /// Ask for another address
    ///
    /// Needs a recent sign-in at the account's best level. Mails a link to the new address; the links of older requests
    /// stop working. An address that has an account gets a mail that says so, and the answer is the same.
    #[oai(path = "/auth/email-change", method = "post", operation_id = "email_change_request")]
    async fn request(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Recent(caller): Recent,
        Json(body): Json<EmailChangeRequest>,
    ) -> Result<Json<Done>, RequestErrors> {
        app.request_email_change(&caller, body.email.as_str(), body.email.key(), &client).await?;
        Ok(Json(Done::saying(ON_ITS_WAY)))
    }

    /// Confirm the new address
    ///
    /// Uses up the token that was mailed to the new address, and changes the address. The old one, if it had been
    /// confirmed, gets a mail with a way back, which is open for three days (as the server is set).
    #[oai(path = "/auth/email-change/confirm", method = "post", operation_id = "email_change_confirm")]
    async fn confirm(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Json(body): Json<EmailChangeToken>,
    ) -> Result<Json<Done>, TokenErrors> {
        app.confirm_email_change(body.token.expose(), &client).await?;
        Ok(Json(Done::saying(CHANGED)))
    }

    /// Take the change back
    ///
    /// Uses up the token that was mailed to the old address: the account has that address again. Whoever made the change may
    /// know the password and be signed in, so both end; a mail brings a link to a new password. Ways back to addresses that
    /// the account had later close. For a day (as the server is set) the account counts as aal 1.
    #[oai(path = "/auth/email-change/revert", method = "post", operation_id = "email_change_revert")]
    async fn revert(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Json(body): Json<EmailChangeToken>,
    ) -> Result<Json<Done>, TokenErrors> {
        app.revert_email_change(body.token.expose(), &client).await?;
        Ok(Json(Done::saying(RESTORED)))
    }
}
