//! Request bodies and answers in JSON.

use std::{ops::Deref, time::Duration};

use futures_util::TryStreamExt;
use poem::{Body, IntoResponse, Request, RequestBody, Response, Result, http::header::CONTENT_LENGTH};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions,
    payload::Payload,
    registry::{MetaMediaType, MetaRequest, MetaResponse, MetaResponses, MetaSchemaRef, Registry},
    types::{ParseFromJSON, ToJSON, Type},
};
use serde_json::{Value, json};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{
    Location, Rejection,
    check::{check, missing},
    schema::Shape,
    syntax,
    violation::Mistake,
};

/// A body in JSON (RFC 8259), sent and accepted as `application/json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Json<T>(pub T);

/// How much of a body is read, and how long; the server puts them into the request's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimits {
    /// The longest body, in bytes
    pub bytes: usize,
    /// The time in which the whole body must arrive
    pub timeout: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self { bytes: 64 * 1024, timeout: Duration::from_secs(30) }
    }
}

impl<T> Deref for Json<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Type> Payload for Json<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn check_content_type(content_type: &str) -> bool {
        is_json(content_type)
    }

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<'a, T: ParseFromJSON + 'static> ApiExtractor<'a> for Json<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: Self::CONTENT_TYPE, schema: T::schema_ref() }];
        Some(MetaRequest { description: None, content, required: T::IS_REQUIRED })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        if !request.content_type().is_some_and(is_json) {
            return Err(Rejection::UnsupportedMediaType.into());
        }
        Ok(Self(parse(&read_body(request, body).await?)?))
    }
}

impl<T: ToJSON> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let body = self.0.to_json().unwrap_or_default().to_string();
        Response::builder().content_type(Self::CONTENT_TYPE).body(body)
    }
}

impl<T: ToJSON> ApiResponse for Json<T> {
    fn meta() -> MetaResponses {
        let content = vec![MetaMediaType { content_type: Self::CONTENT_TYPE, schema: T::schema_ref() }];
        let response =
            MetaResponse { description: "", status: Some(200), status_range: None, content, headers: vec![] };
        MetaResponses { responses: vec![response] }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// `application/json` or `application/*+json` (RFC 6839), whatever the parameters.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.strip_prefix("application/").is_some_and(|subtype| {
        subtype == "json" || subtype.strip_suffix("+json").is_some_and(|name| !name.is_empty())
    })
}

/// What is set aside for a body before any of it has come, in bytes. A body within it is never moved, so that wiping it
/// wipes its only copy.
const RESERVED: usize = 4096;

/// Reads the whole body of a request within the limits set for it.
pub async fn read_body(request: &Request, body: &mut RequestBody) -> Result<Zeroizing<Vec<u8>>> {
    let limits = request.data::<BodyLimits>().copied().unwrap_or_default();
    Ok(read(request, body.take()?, limits).await?)
}

/// The same, with a limit of the operation's own, in bytes.
pub async fn read_at_most(
    request: &Request,
    body: &mut RequestBody,
    bytes: usize,
) -> Result<Zeroizing<Vec<u8>>> {
    let limits = request.data::<BodyLimits>().copied().unwrap_or_default();
    Ok(read(request, body.take()?, BodyLimits { bytes, ..limits }).await?)
}

/// Reads the whole body within the limits. A declared length only refuses early; the bytes that come are counted.
async fn read(request: &Request, body: Body, limits: BodyLimits) -> Result<Zeroizing<Vec<u8>>, Rejection> {
    let too_large = Rejection::TooLarge { limit: limits.bytes };
    let declared =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: usize| length > limits.bytes) {
        return Err(too_large);
    }
    let mut stream = std::pin::pin!(body.into_bytes_stream());
    let read = async {
        let mut bytes = Zeroizing::new(Vec::with_capacity(declared.unwrap_or_default().min(RESERVED)));
        while let Some(chunk) = stream.try_next().await.map_err(|_| Rejection::Incomplete)? {
            if chunk.len() > limits.bytes - bytes.len() {
                return Err(too_large);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    };
    timeout(limits.timeout, read).await.unwrap_or(Err(Rejection::Timeout))
}

fn parse<T: ParseFromJSON + 'static>(bytes: &[u8]) -> Result<T, Rejection> {
    let body = |steps: Option<usize>| {
        std::iter::once(Location::Name("body".into())).chain(steps.map(Location::Position)).collect()
    };
    if bytes.is_empty() {
        return if T::IS_REQUIRED {
            Err(Rejection::Invalid(vec![missing().at(body(None), Value::Null)]))
        } else {
            T::parse_from_json(None).map_err(|_| unexplained(body(None)))
        };
    }
    let mut value = syntax::parse(bytes).map_err(|(at, reason)| {
        let mistake = Mistake::new("json_invalid", "JSON decode error").with("error", reason);
        Rejection::Invalid(vec![mistake.at(body(Some(at)), json!({}))])
    })?;
    let found = check(&Shape::of::<T>(), &mut value, "body", false);
    if !found.is_empty() {
        return Err(Rejection::Invalid(found));
    }
    // poem-openapi's own message repeats values; it is dropped.
    T::parse_from_json(Some(value)).map_err(|_| unexplained(body(None)))
}

/// A value that keeps to the schema and is refused by its type all the same: a rule that the document cannot state.
pub(super) fn unexplained(loc: Vec<Location>) -> Rejection {
    let mistake = Mistake::new("value_error", "Value error, the input is not acceptable");
    Rejection::Invalid(vec![mistake.at(loc, Value::Null)])
}
