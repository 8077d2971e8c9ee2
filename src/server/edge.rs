//! The outermost layer: what every request gets on its way in and every answer on its way out. All errors take their
//! shape here, whoever made them.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Instant, UNIX_EPOCH};

use entities::Timestamp;
use futures_util::FutureExt;
use ipnet::IpNet;
use opentelemetry::trace::SpanContext;
use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use poem::{Body, Endpoint, Request, Response, Result};
use poem_openapi::OperationId;
use poem_openapi::types::ToJSON;

use super::cors::Cors;
use crate::api::demands::Demands;
use crate::api::methods::Methods;
use crate::api::payload::{BodyLimits, Rejection};
use crate::api::problem::{Code, Fault, Problem};
use crate::locale::Locale;
use crate::services::{Error, Origin, Services};
use crate::telemetry::traces::{Exchange, Traces};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: &str = "x-forwarded-for";
/// Longer user agents are cut: they are for people to recognise a device by.
const USER_AGENT_MAX: usize = 256;

/// Wraps the routes.
pub struct Edge<E> {
    inner: E,
    services: Arc<Services>,
    body_limits: BodyLimits,
    methods: Methods,
    demands: Arc<Demands>,
    cors: Cors,
    https: bool,
    metrics: bool,
    traces: Option<Traces>,
}

impl<E: Endpoint> Edge<E> {
    pub fn new(inner: E, services: &Arc<Services>, demands: Demands, traces: Option<Traces>) -> Self {
        let config = &services.config;
        Self {
            inner,
            services: Arc::clone(services),
            body_limits: BodyLimits {
                bytes: config.http.max_body_bytes,
                timeout: std::time::Duration::from_secs(config.http.body_timeout_seconds),
            },
            methods: Methods::new(),
            demands: Arc::new(demands),
            cors: Cors::new(&config.cors_origins),
            https: config.public_url().starts_with("https://"),
            metrics: config.metrics_listen.is_some(),
            traces,
        }
    }
}

impl<E: Endpoint> Endpoint for Edge<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let started = Instant::now();
        let origin = self.origin(&request);
        let request_id = origin.request_id.clone();
        let method = request.method().clone();
        // The path only: a query may hold a token.
        let path = request.uri().path().to_owned();
        let caller = self.traces.as_ref().and_then(|traces| traces.caller(request.headers()));
        let cors = self.cors.answer(&request);
        let mut response = match cors.preflight() {
            Some(response) => response,
            None => {
                request.set_data(Arc::clone(&self.services));
                request.set_data(self.body_limits);
                request.set_data(Arc::clone(&self.demands));
                request.set_data(origin);
                let call = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
                match call.await {
                    Ok(Ok(response)) => poem::IntoResponse::into_response(response),
                    Ok(Err(error)) => {
                        let mut response = self.refuse(&error, &path, &request_id);
                        if let Some(operation) = error.data::<OperationId>() {
                            response.set_data(*operation);
                        }
                        response
                    }
                    Err(_panic) => {
                        tracing::error!(request_id, path, "a handler panicked");
                        problem(Code::InternalError, &request_id)
                    }
                }
            }
        };
        // An empty error of a library becomes a problem too.
        if response.status().is_client_error() && !response.headers().contains_key(header::CONTENT_TYPE) {
            response = problem(code_of(response.status()), &request_id);
        }
        cors.decorate(response.headers_mut());
        self.decorate(response.headers_mut(), &request_id);
        self.record(&method, &path, &response, &request_id, started, caller);
        Ok(response)
    }
}

impl<E> Edge<E> {
    fn origin(&self, request: &Request) -> Origin {
        let peer =
            request.remote_addr().as_socket_addr().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.ip());
        let given = request.headers().get(&REQUEST_ID).and_then(|id| id.to_str().ok()).filter(|id| sound(id));
        Origin {
            ip: client(peer, request.headers(), &self.services.config.trusted_proxies),
            user_agent: user_agent(request.headers()),
            request_id: given
                .map_or_else(|| self.services.sources.id::<uuid::Uuid>().to_string(), str::to_owned),
            locale: request.header(header::ACCEPT_LANGUAGE).and_then(Locale::negotiate),
        }
    }

    /// The one place where errors become answers.
    fn refuse(&self, error: &poem::Error, path: &str, request_id: &str) -> Response {
        if let Some(fault) = error.downcast_ref::<Fault>() {
            if let Fault::Service(Error::Internal(what) | Error::Unavailable(what)) = fault {
                tracing::error!(request_id, error = what, "{fault}");
            }
            if let Some(rejection) = fault.rejection() {
                return invalid(&rejection);
            }
            let mut response = answer(fault.code(), &fault.problem(request_id));
            if let Some(challenge) = fault.challenge().and_then(|text| HeaderValue::try_from(text).ok()) {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            }
            if let Some(seconds) = fault.retry_after() {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            return response;
        }
        if let Some(rejection) = error.downcast_ref::<Rejection>() {
            return match rejection {
                Rejection::Invalid(_) => invalid(rejection),
                Rejection::TooLarge { .. } => problem(Code::PayloadTooLarge, request_id),
                Rejection::UnsupportedMediaType => problem(Code::UnsupportedMediaType, request_id),
                Rejection::Timeout => problem(Code::RequestTimeout, request_id),
                Rejection::Incomplete => problem(Code::BadRequest, request_id),
            };
        }
        let code = code_of(error.status());
        if code == Code::InternalError {
            tracing::error!(request_id, %error, "unexpected error");
        }
        let mut response = problem(code, request_id);
        if code == Code::MethodNotAllowed
            && let Some(allow) = self.methods.of(path)
        {
            response.headers_mut().insert(header::ALLOW, allow.clone());
        }
        response
    }

    fn decorate(&self, headers: &mut HeaderMap, request_id: &str) {
        let fixed = HeaderValue::from_static;
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert(REQUEST_ID, id);
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
        headers.insert(header::REFERRER_POLICY, fixed("no-referrer"));
        headers.insert(header::X_FRAME_OPTIONS, fixed("DENY"));
        headers
            .entry(header::CONTENT_SECURITY_POLICY)
            .or_insert(fixed("default-src 'none'; frame-ancestors 'none'"));
        headers.entry(header::CACHE_CONTROL).or_insert(fixed("no-store"));
        if self.https {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, fixed("max-age=63072000; includeSubDomains"));
        }
    }

    fn record(
        &self,
        method: &Method,
        path: &str,
        response: &Response,
        request_id: &str,
        started: Instant,
        caller: Option<SpanContext>,
    ) {
        let status = response.status().as_u16();
        let id = response.data::<OperationId>().map(|id| id.0);
        let operation = id.unwrap_or("none");
        let error = response.data::<Code>().map(|code| code.name());
        let elapsed = started.elapsed();
        if self.metrics {
            if let Some(code) = &error {
                metrics::counter!("latchkey_http_problems_total", "code" => code.clone()).increment(1);
            }
            let labels = [("operation", operation.to_owned()), ("status", status.to_string())];
            metrics::histogram!("latchkey_http_request_seconds", &labels).record(elapsed.as_secs_f64());
        }
        tracing::info!(%method, path, operation, status, error, micros = elapsed.as_micros() as u64, request_id, "request");
        if let Some(traces) = &self.traces {
            let ended = UNIX_EPOCH + self.services.sources.now().since(Timestamp(0));
            let status = response.status();
            traces.record(Exchange {
                method,
                operation: id,
                status,
                error,
                request_id,
                caller,
                ended,
                elapsed,
            });
        }
    }
}

fn problem(code: Code, request_id: &str) -> Response {
    answer(code, &code.problem(request_id))
}

/// The schema's own answer to what breaks it.
fn invalid(rejection: &Rejection) -> Response {
    let mut response = poem::error::ResponseError::as_response(rejection);
    response.set_data(Code::ValidationFailed);
    response
}

/// A problem document on its way.
fn answer(code: Code, problem: &Problem) -> Response {
    let body = problem.to_json_string();
    let mut response = Response::builder()
        .status(code.status())
        .content_type("application/problem+json")
        .body(Body::from_string(body));
    // For the log and the metrics.
    response.set_data(code);
    if code.status() == StatusCode::UNAUTHORIZED {
        // RFC 6750, 3.1: a request without credentials is told the scheme only.
        let challenge = match code {
            Code::InvalidToken => "Bearer error=\"invalid_token\"",
            _ => "Bearer",
        };
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

fn code_of(status: StatusCode) -> Code {
    match status {
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => Code::PayloadTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::UnsupportedMediaType,
        StatusCode::REQUEST_TIMEOUT => Code::RequestTimeout,
        status if status.is_client_error() => Code::BadRequest,
        _ => Code::InternalError,
    }
}

/// A request id from outside ends up in logs and headers.
fn sound(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// The user agent as it is shown and kept: text of one line, cut where it is too long.
#[must_use]
pub fn user_agent(headers: &HeaderMap) -> Option<String> {
    let agent = headers.get(header::USER_AGENT)?;
    let text = String::from_utf8_lossy(agent.as_bytes());
    Some(text.chars().filter(|c| !c.is_control()).take(USER_AGENT_MAX).collect())
}

/// The address that a request comes from: the peer's, unless that is a trusted proxy; then the last one in
/// `X-Forwarded-For` that is not. A value that can't be read ends the search where it stands.
#[must_use]
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let trusts = |ip: IpAddr| trusted.iter().any(|network| network.contains(&ip));
    let mut client = peer.to_canonical();
    if !trusts(client) {
        return client;
    }
    let lines: Vec<&HeaderValue> = headers.get_all(FORWARDED_FOR).iter().collect();
    for entry in lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')) {
        let Some(ip) = std::str::from_utf8(entry).ok().and_then(|text| text.trim().parse::<IpAddr>().ok())
        else {
            return client;
        };
        client = ip.to_canonical();
        if !trusts(client) {
            return client;
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(line).expect("a header value"));
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().expect("a network")).collect();
        client(peer.parse().expect("an address"), &headers, &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_say_who_the_client_is() {
        assert_eq!(seen("203.0.113.9", &["1.2.3.4"], &[]), "203.0.113.9");
        assert_eq!(seen("203.0.113.9", &["1.2.3.4"], &["10.0.0.0/8"]), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["1.2.3.4"], &["10.0.0.0/8"]), "1.2.3.4");
        assert_eq!(seen("::ffff:10.0.0.1", &["1.2.3.4"], &["10.0.0.0/8"]), "1.2.3.4");
    }

    #[test]
    fn what_a_client_adds_in_front_does_not_count() {
        assert_eq!(seen("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.2"], &["10.0.0.0/8"]), "1.2.3.4");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6", "1.2.3.4"], &["10.0.0.0/8"]), "1.2.3.4");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6, garbage"], &["10.0.0.0/8"]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &[], &["10.0.0.0/8"]), "10.0.0.1");
    }

    #[test]
    fn a_request_id_can_not_break_a_log_line() {
        assert!(sound("01938f6e-2b7a-7c3d"));
        for bad in ["", "a b", "a\"b", "a\nb", &"a".repeat(65), "é"] {
            assert!(!sound(bad), "{bad}");
        }
    }
}
