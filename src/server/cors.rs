//! Which origins browsers may call from (Fetch standard). By name, never a wildcard, and never with cookies: tokens travel
//! in headers that a script sets itself.

use std::collections::HashSet;

use poem::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poem::{Request, Response};

/// The configured origins.
pub struct Cors(HashSet<String>);

/// What to say to one request.
pub struct Answer {
    origin: Option<HeaderValue>,
    preflight: bool,
    configured: bool,
}

impl Cors {
    pub fn new(origins: &[String]) -> Self {
        Self(origins.iter().cloned().collect())
    }

    pub fn answer(&self, request: &Request) -> Answer {
        let headers = request.headers();
        let origin = headers
            .get(header::ORIGIN)
            .filter(|origin| origin.to_str().is_ok_and(|origin| self.0.contains(origin)))
            .cloned();
        let preflight = request.method() == Method::OPTIONS
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        Answer { preflight: preflight && origin.is_some(), origin, configured: !self.0.is_empty() }
    }
}

impl Answer {
    /// The whole answer, where the browser only asks for permission.
    pub fn preflight(&self) -> Option<Response> {
        if !self.preflight {
            return None;
        }
        let response = Response::builder()
            .status(StatusCode::NO_CONTENT)
            .header(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PATCH, DELETE")
            .header(header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, x-request-id")
            .header(header::ACCESS_CONTROL_MAX_AGE, "600");
        Some(response.finish())
    }

    pub fn decorate(&self, headers: &mut HeaderMap) {
        if self.configured {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = &self.origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            let exposed = HeaderValue::from_static("retry-after, www-authenticate, x-request-id");
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }
}
