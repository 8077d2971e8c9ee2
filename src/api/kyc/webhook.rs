//! Webhooks of providers as they arrive: the bytes before anybody reads them, and what may prove whose they are.

use poem::http::HeaderMap;
use poem::http::header::AUTHORIZATION;
use poem::{IntoResponse, Request, RequestBody, Response, Result};
use poem_openapi::registry::{
    MetaMediaType, MetaRequest, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use poem_openapi::{ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::super::caller;
use super::super::payload::read_at_most;
use crate::plugins::kyc::Webhook;
use crate::services::kyc::Delivery;

/// Bytes of a webhook. Vendors send a few KiB.
const MOST: usize = 1024 * 1024;

/// A webhook, whoever has sent it.
pub struct Incoming {
    headers: HeaderMap,
    body: Zeroizing<Vec<u8>>,
    tokens: Vec<Zeroizing<String>>,
}

impl Incoming {
    pub fn delivery<'a>(&'a self, provider: Option<&'a str>) -> Delivery<'a> {
        Delivery {
            provider,
            webhook: Webhook { headers: &self.headers, body: &self.body },
            tokens: self.tokens.iter().map(|token| token.as_str()).collect(),
        }
    }
}

impl<'a> ApiExtractor<'a> for Incoming {
    const TYPES: &'static [ApiExtractorType] =
        &[ApiExtractorType::SecurityScheme, ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        caller::register(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![caller::SCHEME]
    }

    fn request_meta() -> Option<MetaRequest> {
        let schema = MetaSchema {
            description: Some("The provider's own; signed as it is, byte for byte"),
            ..MetaSchema::new("object")
        };
        let schema = MetaSchemaRef::Inline(Box::new(schema));
        let content = vec![MetaMediaType { content_type: "application/json", schema }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let bearer = request.headers().get(AUTHORIZATION).and_then(|header| header.to_str().ok());
        let bearer = bearer
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim().to_owned());
        let query = request.uri().query().unwrap_or_default();
        let query = form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "token")
            .map(|(_, token)| token.into_owned());
        Ok(Self {
            headers: request.headers().clone(),
            body: read_at_most(request, body, MOST).await?,
            tokens: bearer.into_iter().chain(query).map(Zeroizing::new).collect(),
        })
    }
}

/// The published answer: `null`.
pub struct Null;

impl IntoResponse for Null {
    fn into_response(self) -> Response {
        Response::builder().content_type("application/json").body("null")
    }
}

impl ApiResponse for Null {
    fn meta() -> MetaResponses {
        let schema =
            MetaSchema { description: Some("Always null"), nullable: true, ..MetaSchema::new("object") };
        let schema = MetaSchemaRef::Inline(Box::new(schema));
        let content = vec![MetaMediaType { content_type: "application/json", schema }];
        let description = "Taken in, now or before";
        let response =
            MetaResponse { description, status: Some(200), status_range: None, content, headers: vec![] };
        MetaResponses { responses: vec![response] }
    }

    fn register(_: &mut Registry) {}
}
