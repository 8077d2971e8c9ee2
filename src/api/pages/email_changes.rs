//! The pages behind the two links of a change of address.

use poem::web::Query;
use poem::{Response, handler};

use super::super::caller::{App, Client};
use super::{Bounded, Link, link_done, show};
use crate::templates::pages::{ConfirmEmail, LinkOutcome, RestoreEmail};

#[handler]
pub fn show_confirm(app: App<'_>, Query(link): Query<Link>) -> poem::Result<Response> {
    let opened = ConfirmEmail { product: &app.config.product_name, token: &link.token };
    show(&app, &link.token, &opened)
}

#[handler]
pub async fn confirm(
    app: App<'_>,
    client: Client<'_>,
    Bounded(link): Bounded<Link>,
) -> poem::Result<Response> {
    link_done(&app, app.confirm_email_change(&link.token, &client).await, LinkOutcome::EmailChanged)
}

#[handler]
pub fn show_restore(app: App<'_>, Query(link): Query<Link>) -> poem::Result<Response> {
    let opened = RestoreEmail { product: &app.config.product_name, token: &link.token };
    show(&app, &link.token, &opened)
}

#[handler]
pub async fn restore(
    app: App<'_>,
    client: Client<'_>,
    Bounded(link): Bounded<Link>,
) -> poem::Result<Response> {
    link_done(&app, app.revert_email_change(&link.token, &client).await, LinkOutcome::EmailRestored)
}
