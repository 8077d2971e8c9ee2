//! The page of the demo provider, on which one approves or declines oneself.

use poem::http::StatusCode;
use poem::web::Path;
use poem::{Response, handler};
use serde::Deserialize;

use super::super::caller::App;
use super::super::problem::Fault;
use super::{Bounded, page};
use crate::plugins::kyc::Status;
use crate::templates::pages::DemoKyc;

#[derive(Deserialize)]
pub struct Choice {
    #[serde(default)]
    decision: String,
}

#[handler]
pub async fn show(app: App<'_>, Path(id): Path<String>) -> poem::Result<Response> {
    let row = app.demo_verification(&id).await.map_err(Fault::from)?;
    let product = &app.config.product_name;
    page(StatusCode::OK, &DemoKyc { product, level: &row.level, decided: None, continue_to: None })
}

#[handler]
pub async fn decide(
    app: App<'_>,
    Path(id): Path<String>,
    Bounded(choice): Bounded<Choice>,
) -> poem::Result<Response> {
    let status = match choice.decision.as_str() {
        "approve" => Status::Approved,
        "review" => Status::InReview,
        "resubmit" => Status::Resubmission,
        _ => Status::Declined,
    };
    let row = app.decide_demo(&id, status).await.map_err(Fault::from)?;
    let (product, decided) = (&app.config.product_name, Some(<&str>::from(status)));
    let continue_to = row.redirect_url.as_deref();
    page(StatusCode::OK, &DemoKyc { product, level: &row.level, decided, continue_to })
}
