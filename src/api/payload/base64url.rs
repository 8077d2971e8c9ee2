//! Bytes in JSON, as WebAuthn writes them.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde_json::Value;

/// Every length that there is; a character by itself is no byte.
const PATTERN: &str = "^([A-Za-z0-9_-]{4})*([A-Za-z0-9_-]{2,3})?$";
/// Reads what fits the pattern: no schema can say that the last bits, which stand for nothing, are zero.
const READER: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// Bytes in base64url without padding (RFC 4648, 5): 1 to `MAX` characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base64Url<const MAX: usize>(pub Vec<u8>);

impl<const MAX: usize> Type for Base64Url<MAX> {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        format!("string_base64url_{MAX}").into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            min_length: Some(1),
            max_length: Some(MAX),
            pattern: Some(PATTERN.to_owned()),
            example: Some("aGVsbG8gd29ybGQ".into()),
            ..MetaSchema::new("string")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl<const MAX: usize> ParseFromJSON for Base64Url<MAX> {
    // Never `ParseError::expected_type`: it repeats the value.
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let text = value.as_ref().and_then(Value::as_str).filter(|text| (1..=MAX).contains(&text.len()));
        let bytes = text.and_then(|text| READER.decode(text).ok());
        bytes.map(Self).ok_or_else(|| ParseError::custom("not base64url"))
    }
}

impl<const MAX: usize> ToJSON for Base64Url<MAX> {
    fn to_json(&self) -> Option<Value> {
        Some(BASE64_URL_SAFE_NO_PAD.encode(&self.0).into())
    }
}
