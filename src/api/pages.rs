//! The pages behind mailed links. A GET shows a button and changes nothing, because mail scanners follow links; the button
//! POSTs.

use askama::Template;
use poem::http::{StatusCode, header};
use poem::web::{Form, Query};
use poem::{FromRequest, Request, RequestBody, Response, Route, get, handler};
use serde::Deserialize;

use super::caller::{App, Client};
use super::payload::read_body;
use crate::crypto::opaque_token::OpaqueToken;
use crate::services::Error;
use crate::templates::pages::{CONTENT_SECURITY_POLICY, Outcome, VerifyEmail, VerifyEmailDone};

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
    routes.at("/verify-email", get(show_verify_email).post(verify_email))
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
        Err(other) => return Err(super::problem::Fault::from(other).into()),
    };
    let continue_to = app.config.verified_redirect_url.as_ref().map(url::Url::as_str);
    page(status, &VerifyEmailDone { product: &app.config.product_name, outcome, continue_to })
}

fn page(status: StatusCode, page: &impl Template) -> poem::Result<Response> {
    let html = page.render().map_err(poem::error::InternalServerError)?;
    Ok(Response::builder()
        .status(status)
        .header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY.as_str())
        .content_type("text/html; charset=utf-8")
        .body(html))
}
