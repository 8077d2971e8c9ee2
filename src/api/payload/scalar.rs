//! String types with rules of their own.

use super::{email::Email, https_url::HttpsUrl, language::Language, violation::Mistake};

/// Makes a type with a `parse(String) -> Result<Self, Mistake>` a poem-openapi string.
macro_rules! string_type {
    ($ty:ident, $name:literal, $schema:expr) => {
        impl poem_openapi::types::Type for $ty {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn schema_ref() -> poem_openapi::registry::MetaSchemaRef {
                poem_openapi::registry::MetaSchemaRef::Inline(Box::new($schema))
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::once(self))
            }
        }

        impl poem_openapi::types::ParseFromJSON for $ty {
            // Never `ParseError::expected_type`: it repeats the value.
            fn parse_from_json(value: Option<serde_json::Value>) -> poem_openapi::types::ParseResult<Self> {
                match value {
                    Some(serde_json::Value::String(text)) => Self::parse(text)
                        .map_err(|mistake| poem_openapi::types::ParseError::custom(mistake.msg)),
                    _ => Err(poem_openapi::types::ParseError::expected_input()),
                }
            }
        }

        impl poem_openapi::types::ParseFromParameter for $ty {
            fn parse_from_parameter(value: &str) -> poem_openapi::types::ParseResult<Self> {
                Self::parse(value.to_owned())
                    .map_err(|mistake| poem_openapi::types::ParseError::custom(mistake.msg))
            }
        }
    };
}
pub(super) use string_type;

/// String types that may be shown: not for secrets.
macro_rules! shown {
    ($($ty:ident),*) => {$(
        impl poem_openapi::types::ToJSON for $ty {
            fn to_json(&self) -> Option<serde_json::Value> {
                Some(self.as_str().into())
            }
        }

        impl std::fmt::Display for $ty {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )*};
}
pub(super) use shown;
shown!(Email, HttpsUrl, Label, Language, Level, Name, Phone, Word);

/// A telephone number in E.164: `+`, then at most 15 digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Phone(String);

/// Written with `[0-9]`, because `\d` means other digits too in some dialects.
const E164: &str = r"^\+[1-9][0-9]{1,14}$";

impl Phone {
    /// The number as sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: String) -> Result<Self, Mistake> {
        let digits = text.strip_prefix('+').unwrap_or_default();
        let well_formed = (2..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit());
        if well_formed {
            Ok(Self(text))
        } else {
            let msg = format!("String should match pattern '{E164}'");
            Err(Mistake::new("string_pattern_mismatch", msg).with("pattern", E164))
        }
    }
}

string_type!(
    Phone,
    "string_phone",
    poem_openapi::registry::MetaSchema {
        pattern: Some(E164.to_owned()),
        example: Some("+4930123456".into()),
        ..poem_openapi::registry::MetaSchema::new("string")
    }
);

/// A word out of a list that others may make longer: 1 to 32 small letters, digits and hyphens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Word(String);

const WORD: &str = "^[a-z0-9-]{1,32}$";

impl Word {
    /// A word of ours.
    pub fn new(word: &'static str) -> Self {
        Self(word.to_owned())
    }

    /// The word as sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: String) -> Result<Self, Mistake> {
        let of_a_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=32).contains(&text.len()) && text.bytes().all(of_a_word) {
            Ok(Self(text))
        } else {
            let msg = format!("String should match pattern '{WORD}'");
            Err(Mistake::new("string_pattern_mismatch", msg).with("pattern", WORD))
        }
    }
}

string_type!(
    Word,
    "string_word",
    poem_openapi::registry::MetaSchema {
        pattern: Some(WORD.to_owned()),
        example: Some("internal".into()),
        ..poem_openapi::registry::MetaSchema::new("string")
    }
);

/// A name out of a list of ours, such as a connector's: 1 to 32 small letters, digits and underscores.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(String);

const NAME: &str = "^[a-z0-9_]{1,32}$";

impl Name {
    /// The name as sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: String) -> Result<Self, Mistake> {
        let of_a_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if (1..=32).contains(&text.len()) && text.bytes().all(of_a_name) {
            Ok(Self(text))
        } else {
            let msg = format!("String should match pattern '{NAME}'");
            Err(Mistake::new("string_pattern_mismatch", msg).with("pattern", NAME))
        }
    }
}

string_type!(
    Name,
    "string_name",
    poem_openapi::registry::MetaSchema {
        pattern: Some(NAME.to_owned()),
        example: Some("kraken".into()),
        ..poem_openapi::registry::MetaSchema::new("string")
    }
);

/// A level of identity checks, as the operator calls it: 1 to 64 small letters, digits, hyphens and underscores.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Level(String);

const LEVEL: &str = "^[a-z0-9_-]{1,64}$";

impl Level {
    /// A level of ours.
    pub fn new(level: &str) -> Self {
        Self(level.to_owned())
    }

    /// The level as sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: String) -> Result<Self, Mistake> {
        let of_a_level =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        matching(text, (1..=64, of_a_level), LEVEL).map(Self)
    }
}

string_type!(
    Level,
    "string_level",
    poem_openapi::registry::MetaSchema {
        pattern: Some(LEVEL.to_owned()),
        example: Some("full".into()),
        ..poem_openapi::registry::MetaSchema::new("string")
    }
);

/// A client's name for one request, the same at each attempt: 1 to 128 letters, digits and `._:-`, such as a UUID.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

const IDEMPOTENCY_KEY: &str = "^[A-Za-z0-9._:-]{1,128}$";

impl IdempotencyKey {
    /// The key as sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: String) -> Result<Self, Mistake> {
        let of_a_key = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
        matching(text, (1..=128, of_a_key), IDEMPOTENCY_KEY).map(Self)
    }
}

string_type!(
    IdempotencyKey,
    "string_idempotency_key",
    poem_openapi::registry::MetaSchema {
        pattern: Some(IDEMPOTENCY_KEY.to_owned()),
        example: Some("4f0d1c9e-6b1f-4c7a-9a53-2d8c0b7e6f10".into()),
        ..poem_openapi::registry::MetaSchema::new("string")
    }
);

/// The text, if it has this many bytes and all of them are such; `pattern` says the same.
fn matching(
    text: String,
    (lengths, of_it): (std::ops::RangeInclusive<usize>, impl Fn(u8) -> bool),
    pattern: &'static str,
) -> Result<String, Mistake> {
    if lengths.contains(&text.len()) && text.bytes().all(of_it) {
        return Ok(text);
    }
    let msg = format!("String should match pattern '{pattern}'");
    Err(Mistake::new("string_pattern_mismatch", msg).with("pattern", pattern))
}

/// A label that somebody gives: 1 to 50 letters, digits, spaces and `._:/-`, from a letter or digit to one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label(String);

const LABEL: &str = "^[A-Za-z0-9]([A-Za-z0-9 ._:/-]{0,48}[A-Za-z0-9])?$";

impl Label {
    /// The label as sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: String) -> Result<Self, Mistake> {
        let bytes = text.as_bytes();
        let inside = |byte: &u8| byte.is_ascii_alphanumeric() || b" ._:/-".contains(byte);
        let ends = [bytes.first(), bytes.last()];
        let well_formed = bytes.len() <= 50
            && bytes.iter().all(inside)
            && ends.iter().all(|byte| byte.is_some_and(u8::is_ascii_alphanumeric));
        if well_formed {
            Ok(Self(text))
        } else {
            let msg = format!("String should match pattern '{LABEL}'");
            Err(Mistake::new("string_pattern_mismatch", msg).with("pattern", LABEL))
        }
    }
}

string_type!(
    Label,
    "string_label",
    poem_openapi::registry::MetaSchema {
        pattern: Some(LABEL.to_owned()),
        example: Some("team: research".into()),
        ..poem_openapi::registry::MetaSchema::new("string")
    }
);
