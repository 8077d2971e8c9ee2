//! One request and its answer.

use std::{
    convert::Infallible,
    io,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use futures_util::FutureExt;
use http_body_util::{BodyExt, combinators::BoxBody};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use poem::{
    Endpoint,
    http::{self, Version, header, uri::Scheme},
};
use poem_openapi::types::ToJSON;
use tokio::time::timeout;

use super::connection::{Connection, InFlight};
use crate::api::problem::Code;

/// The application's answer, or, where it has none in time, ours.
pub(super) async fn answer<E: Endpoint + 'static>(
    in_flight: InFlight<E>,
    request: http::Request<Incoming>,
) -> Result<http::Response<Answer<E>>, Infallible> {
    let connection = in_flight.connection();
    if in_flight.is_surplus() {
        metrics::counter!("latchkey_queue_refusals_total", "queue" => "request").increment(1);
        let body = http::Response::<BoxBody<Bytes, io::Error>>::from(later(Code::Overloaded));
        return Ok(body.map(|body| Answer { body, in_flight }));
    }
    let version = request.version();
    let (parts, body) = request.into_parts();
    let (body, starving) = Upload::track(body, connection);
    let parts = (parts, connection.local.clone(), connection.remote.clone(), Scheme::HTTP).into();
    let request = poem::Request::from_parts(parts, body);

    let app = &connection.server.app;
    let handler = AssertUnwindSafe(app.get_response(request)).catch_unwind();
    let response = match timeout(connection.server.limits.request_timeout, handler).await {
        Ok(Ok(response)) => response,
        Ok(Err(_panic)) => {
            tracing::error!("a handler panicked");
            problem(Code::InternalError)
        }
        Err(_elapsed) if starving.is_some_and(|starving| starving.load(Relaxed)) => {
            let mut response = problem(Code::RequestTimeout);
            // RFC 9110, section 15.5.9; HTTP/2 has no such field.
            if version < Version::HTTP_2 {
                response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
            }
            response
        }
        Err(_elapsed) => {
            tracing::error!("a request timed out");
            later(Code::Unavailable)
        }
    };
    connection.progressed();
    let response: http::Response<BoxBody<Bytes, io::Error>> = response.into();
    Ok(response.map(|body| Answer { body, in_flight }))
}

/// Problem details (RFC 9457) in the application's form, for where the application can't answer.
/// The last resort: whatever fails inside the application is answered there, under the request's id.
fn problem(code: Code) -> poem::Response {
    metrics::counter!("latchkey_http_problems_total", "code" => code.name()).increment(1);
    let body = code.problem("-").to_json_string();
    poem::Response::builder().status(code.status()).content_type("application/problem+json").body(body)
}

fn later(code: Code) -> poem::Response {
    let mut response = problem(code);
    response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
    response
}

/// A request's body that tells whether its reader is waiting for the client.
struct Upload<E> {
    body: Incoming,
    starving: Arc<AtomicBool>,
    connection: Arc<Connection<E>>,
}

impl<E: Endpoint + 'static> Upload<E> {
    fn track(body: Incoming, connection: &Arc<Connection<E>>) -> (poem::Body, Option<Arc<AtomicBool>>) {
        if body.is_end_stream() {
            return (poem::Body::empty(), None);
        }
        let starving = Arc::new(AtomicBool::new(false));
        let upload = Self { body, starving: Arc::clone(&starving), connection: Arc::clone(connection) };
        (upload.boxed().into(), Some(starving))
    }
}

impl<E> Drop for Upload<E> {
    fn drop(&mut self) {
        if !self.body.is_end_stream() {
            self.connection.abandoned();
        }
    }
}

impl<E> Body for Upload<E> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.starving.store(frame.is_pending(), Relaxed);
        frame.map_err(io::Error::other)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body; its request is in flight for as long as it lives.
pub(super) struct Answer<E> {
    body: BoxBody<Bytes, io::Error>,
    in_flight: InFlight<E>,
}

impl<E> Body for Answer<E> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_ready() {
            self.in_flight.connection().progressed();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
