//! Requests as plugins build and sign them, and the answers.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use url::Url;

/// For a part of a path, or a value in a query or a form. All but the letters that RFC 3986 leaves as they are.
#[must_use]
pub fn percent_encoded(text: &str) -> String {
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A request below the base URL. What is signed is what is sent, so path and query are kept as they go over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    /// From the root of the host, percent-encoded.
    pub path: String,
    /// Percent-encoded, without `?`; may be empty.
    pub query: String,
    pub body: String,
    /// Added to the request, in this order.
    pub headers: Vec<(String, String)>,
}

impl Request {
    #[must_use]
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: String::new(), body: String::new(), headers: vec![] }
    }

    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    #[must_use]
    pub fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    #[must_use]
    pub fn query(mut self, query: impl Into<String>) -> Self {
        self.query = query.into();
        self
    }

    #[must_use]
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Says of what type the body is, unless there is none or it has been said.
    #[must_use]
    pub fn content_type(self, value: &str) -> Self {
        let said = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if self.body.is_empty() || said { self } else { self.header("Content-Type", value) }
    }

    /// Whether a parameter of this name is in the query.
    #[must_use]
    pub fn has_parameter(&self, name: &str) -> bool {
        self.query.split('&').any(|pair| pair.split('=').next() == Some(name))
    }

    /// Where it goes. What was signed must be what is sent, so a path or query that would be written otherwise is nothing.
    pub(super) fn url(&self, base: &Url) -> Option<Url> {
        let url = Url::parse(&format!("{}{}", base.origin().ascii_serialization(), self.target())).ok()?;
        let kept = url.path() == self.path && url.query().unwrap_or_default() == self.query;
        kept.then_some(url)
    }

    /// Path and query as in the first line of the request.
    #[must_use]
    pub fn target(&self) -> String {
        if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) }
    }
}

/// An answer of any status.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Null when it is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// `Retry-After` in seconds. Its other form, a date, is not used by the services here.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        self.header("retry-after")?.trim().parse().ok()
    }
}
