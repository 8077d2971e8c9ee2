//! What is wrong with a request, and the answers that say so.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use poem::{IntoResponse, Response, error::ResponseError, http::StatusCode};
use poem_openapi::{
    Object,
    registry::{MetaSchema, MetaSchemaRef},
    types::{Any, ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde_json::Value;

use super::Json;

/// One step of the way to a value: a member's name or a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `body`, `query`, or the name of a member or parameter
    Name(String),
    /// The index in a list, or the character where JSON stops being JSON
    Position(usize),
}

impl Type for Location {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_or_integer".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        // Of `anyOf` the Rust generator makes a type that holds nothing.
        let one_of = vec![String::schema_ref(), MetaSchemaRef::Inline(Box::new(MetaSchema::new("integer")))];
        MetaSchemaRef::Inline(Box::new(MetaSchema { one_of, ..MetaSchema::ANY }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for Location {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value.unwrap_or_default() {
            Value::String(name) => Ok(Self::Name(name)),
            Value::Number(n) => {
                let position = n.as_u64().and_then(|n| usize::try_from(n).ok());
                position.map(Self::Position).ok_or_else(|| ParseError::custom("not a position"))
            }
            other => Err(ParseError::expected_type(other)),
        }
    }
}

impl ToJSON for Location {
    fn to_json(&self) -> Option<Value> {
        Some(match self {
            Self::Name(name) => Value::from(name.as_str()),
            Self::Position(n) => Value::from(*n),
        })
    }
}

/// One mistake in a request
#[derive(Debug, Clone, PartialEq, Object)]
#[oai(rename = "ValidationError")]
pub struct Violation {
    /// Where the mistake is: `body` or `query`, then the names of members and the positions in lists
    pub loc: Vec<Location>,
    /// What is wrong, for a person
    pub msg: String,
    /// What is wrong, for a program, such as `missing` or `string_too_short`
    #[oai(rename = "type")]
    pub kind: String,
    /// The value that was refused, shortened if long; null where it is, or is sent beside, a secret
    pub input: Any<Value>,
    /// The limits or reasons that the message names
    #[oai(skip_serializing_if_is_none)]
    pub ctx: Option<BTreeMap<String, Any<Value>>>,
}

/// What is wrong with a value, one of Pydantic's error types, before it is known where the value stands.
#[derive(Debug)]
pub(super) struct Mistake {
    kind: &'static str,
    pub msg: String,
    ctx: BTreeMap<String, Any<Value>>,
}

impl Mistake {
    pub fn new(kind: &'static str, msg: impl Into<String>) -> Self {
        Self { kind, msg: msg.into(), ctx: BTreeMap::new() }
    }

    /// Adds what the message names to the `ctx`.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.ctx.insert(name.into(), Any(value.into()));
        self
    }

    pub fn at(self, loc: Vec<Location>, input: Value) -> Violation {
        let ctx = Some(self.ctx).filter(|ctx| !ctx.is_empty());
        Violation { loc, msg: self.msg, kind: self.kind.into(), input: Any(input), ctx }
    }
}

/// The request is not what the document asks for
#[derive(Debug, Clone, PartialEq, Object)]
#[oai(rename = "HTTPValidationError")]
pub struct HttpValidationError {
    /// Every mistake that was found
    pub detail: Vec<Violation>,
}

/// Why a request was not read. `Invalid` is a finished answer; the others carry a status and a sentence, which an outer
/// layer turns into a problem document (RFC 9457).
#[derive(Debug, Clone, PartialEq)]
pub enum Rejection {
    /// 422: the content breaks the schema.
    Invalid(Vec<Violation>),
    /// 413: the body is longer than `limit` bytes.
    TooLarge {
        /// The most that is read, in bytes
        limit: usize,
    },
    /// 415: the body is not declared as JSON.
    UnsupportedMediaType,
    /// 408: the body did not arrive in time.
    Timeout,
    /// 400: the connection failed before the body was complete.
    Incomplete,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(_) => f.write_str("The request does not match the schema."),
            Self::TooLarge { limit } => write!(f, "The request body is longer than {limit} bytes."),
            Self::UnsupportedMediaType => f.write_str("Send the request body as application/json."),
            Self::Timeout => f.write_str("The request body did not arrive in time."),
            Self::Incomplete => f.write_str("The request body ended too early."),
        }
    }
}

impl std::error::Error for Rejection {}

impl ResponseError for Rejection {
    fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Incomplete => StatusCode::BAD_REQUEST,
        }
    }

    fn as_response(&self) -> Response {
        match self {
            Self::Invalid(detail) => Json(HttpValidationError { detail: detail.clone() })
                .with_status(self.status())
                .into_response(),
            _ => self.to_string().with_status(self.status()).into_response(),
        }
    }
}
