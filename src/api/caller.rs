//! Who calls and from where: extractors for endpoints. Written by hand, because a derived security scheme answers with
//! the error of its last variant and turns invalid credentials into anonymous ones.

use std::ops::Deref;
use std::sync::Arc;

use entities::account::Role;
use poem::http::header::AUTHORIZATION;
use poem::{FromRequest, Request, RequestBody, Result};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::demands::Demands;
use super::problem::Fault;
use crate::crypto::access_key::AccessKey;
use crate::services::policy::Requirement;
use crate::services::sessions::Caller;
use crate::services::vault::Visitor;
use crate::services::{Origin, Services};

/// Name of the security scheme in the document.
pub(super) const SCHEME: &str = "HTTPBearer";

/// The services, as an endpoint's argument.
#[derive(Clone, Copy)]
pub struct App<'a>(&'a Arc<Services>);

impl Deref for App<'_> {
    type Target = Services;
    fn deref(&self) -> &Services {
        self.0
    }
}

impl<'a> FromRequest<'a> for App<'a> {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> Result<Self> {
        Ok(Self(services(request)?))
    }
}

/// Where the request comes from, as an endpoint's argument.
#[derive(Clone, Copy)]
pub struct Client<'a>(&'a Origin);

impl Deref for Client<'_> {
    type Target = Origin;
    fn deref(&self) -> &Origin {
        self.0
    }
}

impl<'a> FromRequest<'a> for Client<'a> {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> Result<Self> {
        let origin = request.data::<Origin>();
        Ok(Self(origin.ok_or_else(|| internal("no origin"))?))
    }
}

fn services(request: &Request) -> Result<&Arc<Services>> {
    Ok(request.data::<Arc<Services>>().ok_or_else(|| internal("no services"))?)
}

fn internal(what: &str) -> Fault {
    Fault::Service(crate::services::Error::Internal(what.to_owned()))
}

/// Somebody signed in; anybody else gets a 401. Comes before the body, so that strangers learn nothing about it.
pub struct Bearer(pub Caller);

/// Somebody who has signed in of late, at the account's best level: for what the account is protected by.
pub struct Recent(pub Caller);

/// Somebody who has signed in of late with two factors: for keys that act without anybody being there.
pub struct KeyMaker(pub Caller);

/// Somebody who may decide identity checks, signed in with two factors.
pub struct Reviewer(pub Caller);

/// Somebody who may look after accounts, signed in with two factors.
pub struct Operator(pub Caller);

/// The same, who has shown to be there of late: for what changes something.
pub struct RecentReviewer(pub Caller);

/// The same, who has shown to be there of late: for what changes something.
pub struct RecentOperator(pub Caller);

/// Somebody signed in, or a server with an access key of theirs.
pub struct Guest(pub Visitor);

/// The same for secrets: a person must have signed in of late, at the account's best level.
pub struct RevealingGuest(pub Visitor);

/// Somebody signed in, or nobody. A token that is sent must be valid all the same.
pub struct OptionalBearer(pub Option<Caller>);

macro_rules! signed_in {
    ($name:ident, $demand:expr) => {
        impl<'a> ApiExtractor<'a> for $name {
            const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
            type ParamType = ();
            type ParamRawType = ();

            fn register(registry: &mut Registry) {
                register(registry);
            }

            fn security_schemes() -> Vec<&'static str> {
                vec![SCHEME]
            }

            async fn from_request(
                request: &'a Request,
                _: &mut RequestBody,
                _: ExtractParamOptions<()>,
            ) -> Result<Self> {
                let caller = permitted(request, $demand).await?;
                Ok(Self(caller))
            }
        }
    };
}
signed_in!(Bearer, |_| Requirement::SIGNED_IN);
signed_in!(Recent, Services::recent);
signed_in!(KeyMaker, Services::key_maker);
signed_in!(Reviewer, |_| Requirement::of_role(Role::Reviewer));
signed_in!(Operator, |_| Requirement::of_role(Role::Operator));
signed_in!(RecentReviewer, |services| services.recent().and(Requirement::of_role(Role::Reviewer)));
signed_in!(RecentOperator, |services| services.recent().and(Requirement::of_role(Role::Operator)));

macro_rules! guests {
    ($name:ident, $demand:expr) => {
        impl<'a> ApiExtractor<'a> for $name {
            const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
            type ParamType = ();
            type ParamRawType = ();

            fn register(registry: &mut Registry) {
                register(registry);
            }

            fn security_schemes() -> Vec<&'static str> {
                vec![SCHEME]
            }

            async fn from_request(
                request: &'a Request,
                _: &mut RequestBody,
                _: ExtractParamOptions<()>,
            ) -> Result<Self> {
                let services = services(request)?;
                if let Some(key) = bearer(request)?.filter(|token| AccessKey::is_meant(token)) {
                    let caller = services.authenticate_key(key).await.map_err(Fault::Service)?;
                    // There is nobody to sign in; who the owner is counts all the same.
                    services.permit_key(&caller, &configured(request)).map_err(Fault::Service)?;
                    return Ok(Self(Visitor::Server(caller)));
                }
                Ok(Self(Visitor::Person(permitted(request, $demand).await?)))
            }
        }
    };
}
guests!(Guest, |_| Requirement::SIGNED_IN);
guests!(RevealingGuest, Services::recent);

impl<'a> ApiExtractor<'a> for OptionalBearer {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![SCHEME]
    }

    fn has_security_fallback() -> bool {
        true
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        Ok(Self(caller(request).await?))
    }
}

/// Whoever is signed in, if that is good enough for the operation.
async fn permitted(request: &Request, demand: fn(&Services) -> Requirement) -> Result<Caller> {
    let caller = caller(request).await?.ok_or(Fault::MissingToken)?;
    let services = services(request)?;
    let demand = demand(services).and(configured(request));
    services.permit(&caller, &demand).map_err(Fault::Service)?;
    Ok(caller)
}

/// What the operator's settings demand of this operation.
fn configured(request: &Request) -> Requirement {
    let demands = request.data::<Arc<Demands>>();
    demands.and_then(|demands| demands.of(request)).unwrap_or_default()
}

async fn caller(request: &Request) -> Result<Option<Caller>> {
    let Some(token) = bearer(request)? else { return Ok(None) };
    Ok(Some(services(request)?.authenticate(token).await.map_err(Fault::Service)?))
}

/// What the header holds, if it is there.
fn bearer(request: &Request) -> Result<Option<&str>> {
    let mut headers = request.headers().get_all(AUTHORIZATION).iter();
    let Some(header) = headers.next() else { return Ok(None) };
    let invalid = || Fault::Service(crate::services::Error::InvalidAccessToken);
    if headers.next().is_some() {
        return Err(invalid().into());
    }
    let token = header
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token)
        .ok_or_else(invalid)?;
    Ok(Some(token))
}

pub(super) fn register(registry: &mut Registry) {
    registry.create_security_scheme(
        SCHEME,
        MetaSecurityScheme {
            ty: "http",
            description: Some("An access token from `POST /auth/login` or `POST /auth/refresh`; for some operations on stored credentials also an access key, `lk_…`, from `POST /api/v1/access-keys`"),
            name: None,
            key_in: None,
            scheme: Some("bearer"),
            bearer_format: Some("JWT"),
            flows: None,
            openid_connect_url: None,
        },
    );
}
