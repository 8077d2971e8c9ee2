//! The pages behind mailed links, and the one of the demo provider of identity checks. A GET shows a button and changes nothing, because mail scanners follow links; the button
//! POSTs.

mod demo_kyc;
mod email_changes;
mod password_resets;

use askama::Template;
use poem::http::{StatusCode, header};
use poem::web::{Form, Query};
use poem::{FromRequest, Request, RequestBody, Response, Route, get, handler};
use serde::Deserialize;

use super::caller::{App, Client};
use super::payload::read_body;
use super::problem::Fault;
use crate::crypto::opaque_token::OpaqueToken;
use crate::services::Error;
use crate::templates::pages::{
    CONTENT_SECURITY_POLICY, LinkDone, LinkOutcome, Outcome, VerifyEmail, VerifyEmailDone,
};

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    token: String,
}

/// A page's form, read within the limits of every body; poem's own reads whatever comes.
struct Bounded<T>(T);

impl<'a, T: serde::de::DeserializeOwned> FromRequest<'a> for Bounded<T> {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        let mut read = RequestBody::new(read_body(request, body).await?.to_vec().into());
        let Form(form) = Form::from_request(request, &mut read).await?;
        Ok(Self(form))
    }
}

/// Adds the pages to the routes.
pub fn add(routes: Route) -> Route {
    routes
        .at("/verify-email", get(show_verify_email).post(verify_email))
        .at("/forgot-password", get(password_resets::show_request).post(password_resets::request))
        .at("/reset-password", get(password_resets::show_reset).post(password_resets::reset))
        .at("/kyc/demo/:id", get(demo_kyc::show).post(demo_kyc::decide))
        .at("/confirm-email", get(email_changes::show_confirm).post(email_changes::confirm))
        .at("/restore-email", get(email_changes::show_restore).post(email_changes::restore))
}

#[handler]
fn show_verify_email(app: App<'_>, Query(link): Query<Link>) -> poem::Result<Response> {
    let product = &app.config.product_name;
    if OpaqueToken::parse(&link.token).is_none() {
        // Cut off by a mail program, say: there is nothing to press a button for.
        let outcome = Outcome::Invalid;
        return page(StatusCode::BAD_REQUEST, &VerifyEmailDone { product, outcome, continue_to: None });
    }
    page(StatusCode::OK, &VerifyEmail { product, token: &link.token })
}

#[handler]
async fn verify_email(
    app: App<'_>,
    client: Client<'_>,
    Bounded(link): Bounded<Link>,
) -> poem::Result<Response> {
    let (status, outcome) = match app.verify_email(&link.token, &client).await {
        Ok(_) => (StatusCode::OK, Outcome::Verified),
        Err(Error::ExpiredVerificationToken) => (StatusCode::BAD_REQUEST, Outcome::Expired),
        Err(Error::UsedVerificationToken) => (StatusCode::BAD_REQUEST, Outcome::Used),
        Err(Error::InvalidVerificationToken) => (StatusCode::BAD_REQUEST, Outcome::Invalid),
        Err(other) => return Err(Fault::from(other).into()),
    };
    let continue_to = app.config.verified_redirect_url.as_ref().map(url::Url::as_str);
    page(status, &VerifyEmailDone { product: &app.config.product_name, outcome, continue_to })
}

/// Says what became of a link; `done` is what it was for.
fn link_done(app: &App<'_>, result: Result<(), Error>, done: LinkOutcome) -> poem::Result<Response> {
    let (status, outcome) = match result {
        Ok(()) => (StatusCode::OK, done),
        Err(Error::ExpiredLink) => (StatusCode::BAD_REQUEST, LinkOutcome::Expired),
        Err(Error::UsedLink) => (StatusCode::BAD_REQUEST, LinkOutcome::Used),
        Err(Error::InvalidLink) => (StatusCode::BAD_REQUEST, LinkOutcome::Invalid),
        Err(other) => return Err(Fault::from(other).into()),
    };
    page(status, &LinkDone { product: &app.config.product_name, outcome })
}

/// What a link opens, unless it was cut off.
fn show(app: &App<'_>, token: &str, opened: &impl Template) -> poem::Result<Response> {
    match OpaqueToken::parse(token) {
        Some(_) => page(StatusCode::OK, opened),
        None => link_done(app, Err(Error::InvalidLink), LinkOutcome::Invalid),
    }
}

fn page(status: StatusCode, page: &impl Template) -> poem::Result<Response> {
    let html = page.render().map_err(poem::error::InternalServerError)?;
    Ok(Response::builder()
        .status(status)
        .header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY.as_str())
        .content_type("text/html; charset=utf-8")
        .body(html))
}
