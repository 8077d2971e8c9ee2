//! Identity checks: what is on offer, the caller's own, and the webhooks of providers.

mod review;
pub mod shapes;
mod webhook;

use poem_openapi::OpenApi;
use url::Url;
use uuid::Uuid;

use super::Tag;
use super::caller::{App, Bearer, Client, OptionalBearer};
use super::instant::Instant;
use super::payload::{Bounded, Cursor, Header, IdempotencyKey, Json, Name, Nullable, Path, Query};
use super::problem::errors;
use crate::services::kyc::{self, Handover, Page, Place};
use crate::services::sessions::Caller;
use shapes::{
    KycHealth, KycOffer, KycOverview, KycProviderHealth, KycStanding, NewVerification, Verification,
    VerificationPage, VerificationSession,
};
use webhook::{Incoming, Null};

pub use review::ReviewApi;

/// Operations on identity checks.
pub struct KycApi;

errors!(HealthErrors: );
errors!(OverviewErrors: 401);
errors!(WebhookErrors: 401, 408, 413);
errors!(ProviderWebhookErrors: 401, 408, 413, 422);
errors!(CreateErrors: 401, 408, 409, 413, 415, 422, 429, 502);
errors!(ListErrors: 401, 422);
errors!(GetErrors: 401, 404, 422);
errors!(CancelErrors: 401, 404, 409, 422);

#[OpenApi(tag = "Tag::Kyc")]
impl KycApi {
    /// How identity checks are doing
    ///
    /// For monitors. Says which providers are set up, when each was last heard of, and how many webhooks wait.
    #[oai(path = "/api/kyc/health", method = "get", operation_id = "kyc_health")]
    async fn health(&self, app: App<'_>) -> Result<Json<KycHealth>, HealthErrors> {
        let health = app.kyc_health().await?;
        let providers = health.providers.into_iter().map(|provider| KycProviderHealth {
            name: provider.name.into(),
            last_contact_at: provider.last_contact_at.map(Instant).into(),
            last_webhook_at: provider.last_webhook_at.map(Instant).into(),
        });
        let providers: Vec<_> = providers.collect();
        Ok(Json(KycHealth {
            service: if providers.is_empty() { "off" } else { "ok" }.into(),
            providers,
            backlog: health.backlog,
            waiting_since: health.waiting_since.map(Instant).into(),
        }))
    }

    /// What is on offer, and how the caller stands
    ///
    /// Without an access token only what is on offer.
    #[oai(path = "/api/kyc/", method = "get", operation_id = "kyc_overview")]
    async fn overview(
        &self,
        app: App<'_>,
        OptionalBearer(caller): OptionalBearer,
    ) -> Result<Json<KycOverview>, OverviewErrors> {
        let offers = app.offers().into_iter().map(|offer| KycOffer {
            provider: offer.provider.into(),
            title: offer.title.into(),
            level: offer.level,
            ial: offer.ial,
        });
        let standing = match &caller {
            None => None,
            Some(caller) => Some(standing(caller, &app.kyc_standing(caller).await?)),
        };
        Ok(Json(KycOverview {
            offers: offers.collect(),
            countries: app.config.kyc.countries.clone(),
            standing: standing.into(),
        }))
    }

    /// Take in a webhook
    ///
    /// For providers of identity checks. Whose it is, is told by the header with its signature; a provider that can't sign
    /// shows the secret that was set up for it as a bearer token. It is answered once it is stored; the same one again is
    /// answered the same.
    #[oai(path = "/api/kyc/webhook", method = "post", operation_id = "kyc_webhook")]
    async fn webhook(&self, app: App<'_>, incoming: Incoming) -> Result<Null, WebhookErrors> {
        app.receive_webhook(&incoming.delivery(None)).await?;
        Ok(Null)
    }

    /// Take in a webhook of a provider
    ///
    /// The same, with the provider's name in the path. A provider that can't sign may show its secret as `token` in the
    /// query.
    #[oai(path = "/api/kyc/webhook/:provider", method = "post", operation_id = "kyc_provider_webhook")]
    async fn provider_webhook(
        &self,
        app: App<'_>,
        /// Name of the provider
        provider: Path<Name>,
        incoming: Incoming,
    ) -> Result<Null, ProviderWebhookErrors> {
        app.receive_webhook(&incoming.delivery(Some(provider.0.as_str()))).await?;
        Ok(Null)
    }

    /// Begin a verification
    ///
    /// Has the provider make a session for the caller, who goes on at `url`, or in the provider's SDK with `token`. Send an
    /// `Idempotency-Key`, and repeat the request with it when no answer came: it gives the same verification. What becomes of
    /// it is in the verification, and in the `ial` of access tokens from the next refresh on.
    #[oai(path = "/api/kyc/verifications", method = "post", operation_id = "verification_create")]
    async fn create(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Bearer(caller): Bearer,
        /// The client's name for this request, the same at each attempt
        #[oai(name = "Idempotency-Key")]
        idempotency_key: Header<Option<IdempotencyKey>>,
        body: Json<NewVerification>,
    ) -> Result<Json<VerificationSession>, CreateErrors> {
        let NewVerification { level, provider, redirect_url } = body.0;
        let redirect_url = redirect_url.and_then(|sent| sent.0);
        let new = kyc::NewVerification {
            level: level.as_str().to_owned(),
            provider: provider.and_then(|sent| sent.0).map(|name| name.as_str().to_owned()),
            redirect_url: redirect_url.and_then(|url| Url::parse(url.as_str()).ok()),
            idempotency_key: idempotency_key.0.map(|key| key.as_str().to_owned()),
        };
        let (row, handover) = app.start_verification(&caller, new, &client).await?;
        Ok(Json(VerificationSession::new(&row, caller.claims.ial, handover)))
    }

    /// List the verifications
    ///
    /// The caller's, the newest first.
    #[oai(path = "/api/kyc/verifications", method = "get", operation_id = "verification_list")]
    async fn list(
        &self,
        app: App<'_>,
        Bearer(caller): Bearer,
        /// Where to read on: `before` of the answer before
        before: Query<Option<Cursor>>,
        /// At most so many
        #[oai(default = "page")]
        limit: Query<Bounded<1, 100>>,
    ) -> Result<Json<VerificationPage>, ListErrors> {
        let before = before.0.map(|cursor| Place { at: cursor.at, id: cursor.id.into() });
        let limit = u64::try_from(limit.get()).unwrap_or(1);
        let Page { verifications, before } =
            app.list_verifications(caller.state.account, before, limit).await?;
        Ok(Json(VerificationPage {
            verifications: verifications
                .iter()
                .map(|row| Verification::new(row, caller.claims.ial))
                .collect(),
            before: before.map(|place| Cursor { at: place.at, id: place.id.0 }.encode()).into(),
        }))
    }

    /// Show a verification
    ///
    /// One of the caller's, with what the caller goes on with while it is open.
    #[oai(path = "/api/kyc/verifications/:id", method = "get", operation_id = "verification_get")]
    async fn get(
        &self,
        app: App<'_>,
        Bearer(caller): Bearer,
        /// Id of the verification
        id: Path<Uuid>,
    ) -> Result<Json<VerificationSession>, GetErrors> {
        let row = app.get_verification(caller.state.account, id.0.into()).await?;
        let handover = app.handover(&row)?;
        Ok(Json(VerificationSession::new(&row, caller.claims.ial, handover)))
    }

    /// Take a verification back
    ///
    /// What the provider says of it afterwards counts no more.
    #[oai(path = "/api/kyc/verifications/:id/cancel", method = "post", operation_id = "verification_cancel")]
    async fn cancel(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Bearer(caller): Bearer,
        /// Id of the verification
        id: Path<Uuid>,
    ) -> Result<Json<VerificationSession>, CancelErrors> {
        let row = app.cancel_verification(&caller, id.0.into(), &client).await?;
        Ok(Json(VerificationSession::new(&row, caller.claims.ial, Handover::default())))
    }
}

fn standing(caller: &Caller, standing: &kyc::Standing) -> KycStanding {
    let latest = standing.latest.as_ref().map(|row| Verification::new(row, caller.claims.ial));
    KycStanding {
        ial: standing.ial,
        ial_until: standing.until.map(Instant).into(),
        next: standing.next.into(),
        verification: Nullable(latest),
    }
}

/// How many are on a page, unless the request says so.
fn page() -> Bounded<1, 100> {
    Bounded::new(20).expect("within its limits")
}
