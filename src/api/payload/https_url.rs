//! Links to the web.

use ::url::{ParseError, Url};
use poem_openapi::registry::MetaSchema;

use super::{
    scalar::string_type,
    schema::{Format, Size, Text},
    violation::Mistake,
};

/// Code points of a link, at most.
const MAX_LENGTH: usize = 2048;
/// The documented beginning of every link that is accepted.
const HTTPS: &str = "^https://";

/// An absolute `https` URL of at most 2048 characters, kept as sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpsUrl(String);

impl HttpsUrl {
    /// The URL as sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: String) -> Result<Self, Mistake> {
        let size = Size { min: None, max: Some(MAX_LENGTH) };
        check(&text, &Text { size, pattern: None, format: Format::Uri })?;
        if text.starts_with("https://") { Ok(Self(text)) } else { Err(not_https()) }
    }
}

string_type!(
    HttpsUrl,
    "string_https_url",
    MetaSchema {
        max_length: Some(MAX_LENGTH),
        pattern: Some(HTTPS.to_owned()),
        example: Some("https://example.com/ada.png".into()),
        ..MetaSchema::new_with_format("string", "uri")
    }
);

/// What is wrong with a URL (format `uri`), with the reasons of the URL standard, as in Pydantic.
pub(super) fn check(text: &str, rules: &Text) -> Result<(), Mistake> {
    if let Some(max) = rules.size.max
        && text.chars().count() > max
    {
        let msg = format!("URL should have at most {max} characters");
        return Err(Mistake::new("url_too_long", msg).with("max_length", max));
    }
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(_) if text.is_empty() => return Err(unreadable("input is empty")),
        Err(ParseError::RelativeUrlWithoutBase) => return Err(unreadable("relative URL without a base")),
        Err(error) => return Err(unreadable(&error.to_string())),
    };
    let https = rules.pattern.as_ref().is_some_and(|pattern| pattern.as_str() == HTTPS);
    if https && url.scheme() != "https" { Err(not_https()) } else { Ok(()) }
}

fn unreadable(reason: &str) -> Mistake {
    Mistake::new("url_parsing", format!("Input should be a valid URL, {reason}")).with("error", reason)
}

fn not_https() -> Mistake {
    Mistake::new("url_scheme", "URL scheme should be 'https'").with("expected_schemes", "'https'")
}
