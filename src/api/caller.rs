//! Who calls and from where: extractors for endpoints. Written by hand, because a derived security scheme answers with
//! the error of its last variant and turns invalid credentials into anonymous ones.

use std::ops::Deref;
use std::sync::Arc;

use poem::http::header::AUTHORIZATION;
use poem::{FromRequest, Request, RequestBody, Result};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::demands::Demands;
use super::problem::Fault;
use crate::services::policy::Requirement;
use crate::services::sessions::Caller;
use crate::services::{Origin, Services};

/// Name of the security scheme in the document.
const SCHEME: &str = "HTTPBearer";

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
                let caller = caller(request).await?.ok_or(Fault::MissingToken)?;
                let services = services(request)?;
                let demand: fn(&Services) -> Requirement = $demand;
                let configured = request.data::<Arc<Demands>>().and_then(|demands| demands.of(request));
                services
                    .permit(&caller, &demand(services).and(configured.unwrap_or_default()))
                    .map_err(Fault::Service)?;
                Ok(Self(caller))
            }
        }
    };
}
signed_in!(Bearer, |_| Requirement::SIGNED_IN);
signed_in!(Recent, Services::recent);

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

async fn caller(request: &Request) -> Result<Option<Caller>> {
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
    Ok(Some(services(request)?.authenticate(token).await.map_err(Fault::Service)?))
}

fn register(registry: &mut Registry) {
    registry.create_security_scheme(
        SCHEME,
        MetaSecurityScheme {
            ty: "http",
            description: Some("An access token from `POST /auth/login` or `POST /auth/refresh`"),
            name: None,
            key_in: None,
            scheme: Some("bearer"),
            bearer_format: Some("JWT"),
            flows: None,
            openid_connect_url: None,
        },
    );
}
