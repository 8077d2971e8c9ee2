//! The pages by which a person gets a new password: one to ask for the link, one behind it.

use poem::http::{StatusCode, header};
use poem::web::Query;
use poem::{Response, handler};
use serde::Deserialize;

use super::super::caller::{App, Client};
use super::super::payload::Email;
use super::super::problem::{Fault, whole_seconds};
use super::{Bounded, Link, link_done, page, show};
use crate::crypto::password::Password;
use crate::secret::Secret;
use crate::services::Error;
use crate::templates::pages::{ForgotPassword, LinkOutcome, ResetPassword};

#[derive(Deserialize)]
pub struct Address {
    #[serde(default)]
    email: String,
}

#[derive(Deserialize)]
pub struct Choice {
    #[serde(default)]
    token: String,
    new_password: Secret,
}

#[handler]
pub fn show_request(app: App<'_>) -> poem::Result<Response> {
    page(StatusCode::OK, &ForgotPassword { product: &app.config.product_name, refusal: None })
}

#[handler]
pub async fn request(
    app: App<'_>,
    client: Client<'_>,
    Bounded(form): Bounded<Address>,
) -> poem::Result<Response> {
    let again = |status, refusal: &str| {
        page(status, &ForgotPassword { product: &app.config.product_name, refusal: Some(refusal) })
    };
    let email = match form.email.parse::<Email>() {
        Ok(email) => email,
        Err(reason) => return again(StatusCode::UNPROCESSABLE_ENTITY, &reason.to_string()),
    };
    match app.request_password_reset(email.key(), &client).await {
        Ok(_) => link_done(&app, Ok(()), LinkOutcome::ResetMailed),
        Err(Error::RateLimited(wait)) => {
            let wait = whole_seconds(wait);
            let refusal = format!("That was too often. Ask again in {wait} seconds.");
            let mut response = again(StatusCode::TOO_MANY_REQUESTS, &refusal)?;
            response.headers_mut().insert(header::RETRY_AFTER, wait.into());
            Ok(response)
        }
        Err(other) => Err(Fault::from(other).into()),
    }
}

#[handler]
pub fn show_reset(app: App<'_>, Query(link): Query<Link>) -> poem::Result<Response> {
    let opened = ResetPassword { product: &app.config.product_name, token: &link.token, refusal: None };
    show(&app, &link.token, &opened)
}

#[handler]
pub async fn reset(
    app: App<'_>,
    client: Client<'_>,
    Bounded(form): Bounded<Choice>,
) -> poem::Result<Response> {
    let new = Password::new(form.new_password.expose());
    match app.reset_password(&form.token, new, &client).await {
        Err(Error::PasswordRefused(refusal)) => {
            let refusal = Some(refusal.to_string());
            let product = &app.config.product_name;
            let again = ResetPassword { product, token: &form.token, refusal: refusal.as_deref() };
            page(StatusCode::UNPROCESSABLE_ENTITY, &again)
        }
        result => link_done(&app, result, LinkOutcome::PasswordSet),
    }
}
