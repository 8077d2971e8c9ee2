//! Settings of a connector: an object of texts, numbers, and objects of texts.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::{Map, Value};

/// Members of the object, and of one in it.
const MOST: usize = 32;
/// Characters of a text.
const LONGEST: usize = 2048;

/// What a connector needs beside the secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(pub Map<String, Value>);

impl Type for Settings {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "object_settings".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            max_properties: Some(MOST),
            additional_properties: Some(Box::new(MetaSchemaRef::Inline(Box::new(MetaSchema::ANY)))),
            ..MetaSchema::new("object")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for Settings {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let plain = |value: &Value| match value {
            Value::String(text) => text.chars().count() <= LONGEST && !text.contains('\0'),
            Value::Number(_) | Value::Bool(_) => true,
            _ => false,
        };
        let fits = |value: &Value| match value {
            Value::Object(inner) => inner.len() <= MOST && inner.values().all(plain),
            other => plain(other),
        };
        match value {
            Some(Value::Object(members)) if members.len() <= MOST && members.values().all(fits) => {
                Ok(Self(members))
            }
            Some(Value::Object(_)) => Err(ParseError::custom(
                "Settings are texts of at most 2048 characters, numbers, and objects of at most 32 of these",
            )),
            _ => Err(ParseError::expected_input()),
        }
    }
}

impl ToJSON for Settings {
    fn to_json(&self) -> Option<Value> {
        Some(Value::Object(self.0.clone()))
    }
}
