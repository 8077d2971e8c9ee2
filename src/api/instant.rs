//! Instants as the API writes them: RFC 3339, UTC, milliseconds.

use std::borrow::Cow;

use entities::Timestamp;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// An instant in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instant(pub Timestamp);

impl Type for Instant {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_date-time".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "date-time")))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ToJSON for Instant {
    fn to_json(&self) -> Option<Value> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0.0) * 1_000_000)
            .ok()
            .and_then(|at| at.format(&Rfc3339).ok())
            .map(Value::String)
    }
}

impl ParseFromJSON for Instant {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let text = value.unwrap_or_default();
        let at = text.as_str().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
        let at = at.ok_or_else(|| ParseError::custom("not an RFC 3339 date-time"))?;
        let millis = i64::try_from(at.unix_timestamp_nanos() / 1_000_000);
        millis.map(|millis| Self(Timestamp(millis))).map_err(ParseError::custom)
    }
}
