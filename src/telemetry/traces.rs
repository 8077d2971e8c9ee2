//! Traces: a span for each request, sent to a collector over OTLP. No request waits for it: what finds the queue full, or
//! the collector away, is dropped and counted.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use hyper::body::Bytes;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanKind, Status, TraceContextExt, TraceState, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    Sampler, SdkTracer, SdkTracerProvider, Span, SpanData, SpanExporter as _, SpanProcessor,
};
use poem::http::{HeaderMap, Method, Request, Response, StatusCode};
use reqwest::Client;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::config;
use crate::outbound;

/// Spans that may wait.
const QUEUE: usize = 2048;
/// Spans that travel in one request at most, and how long the first waits for others.
const BATCH: usize = 512;
const LINGER: Duration = Duration::from_secs(1);
/// For a request to the collector and its whole answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of an answer, only its head matters.
const MAX_ANSWER: usize = 64 * 1024;

/// Makes spans of requests.
pub struct Traces {
    tracer: SdkTracer,
    /// Path templates by operation id.
    routes: HashMap<String, String>,
}

/// A request that has been answered. Holds nothing that a client chose but the id of the request and, as ids, its own trace.
pub struct Exchange<'a> {
    pub method: &'a Method,
    pub operation: Option<&'static str>,
    pub status: StatusCode,
    /// The code of the problem.
    pub error: Option<String>,
    pub request_id: &'a str,
    pub caller: Option<SpanContext>,
    pub ended: SystemTime,
    pub elapsed: Duration,
}

impl Traces {
    /// `None` when no collector is configured. The task ends once the traces are dropped and what waits is sent. The error
    /// is a line for the operator.
    pub fn start(settings: &config::Traces) -> Result<Option<(Self, JoinHandle<()>)>, String> {
        let Some(url) = &settings.otlp_url else { return Ok(None) };
        let failed = |error: &dyn std::fmt::Display| format!("traces.otlp_url: {error}");
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector(outbound::client().map_err(|error| failed(&error))?))
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(url.as_str())
            .with_timeout(PATIENCE)
            // Between attempts it would put a thread of the runtime to sleep.
            .with_retry_policy(RetryPolicy::default().with_max_retries(0))
            .build()
            .map_err(|error| failed(&error))?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource =
            Resource::builder_empty().with_service_name("latchkey").with_attributes([version]).build();
        exporter.set_resource(&resource);
        let (queue, waiting) = mpsc::channel(QUEUE);
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(Sampler::TraceIdRatioBased(settings.ratio))
            .with_span_processor(Queue(queue))
            .build();
        let traces = Self { tracer: provider.tracer("latchkey"), routes: crate::api::document::routes() };
        Ok(Some((traces, tokio::spawn(send(exporter, waiting)))))
    }

    /// The span of the client's own that a request names (W3C Trace Context).
    #[must_use]
    pub fn caller(&self, headers: &HeaderMap) -> Option<SpanContext> {
        let found =
            TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers));
        let span = found.span().span_context().clone();
        // Its state is any text.
        let bare =
            SpanContext::new(span.trace_id(), span.span_id(), span.trace_flags(), true, TraceState::NONE);
        bare.is_valid().then_some(bare)
    }

    /// Makes the span, if it is one of those to be sent. A client is no parent but a link: it may be anybody, and must
    /// neither have requests traced nor keep them from being traced.
    pub fn record(&self, exchange: Exchange<'_>) {
        let method = known(exchange.method);
        let mut attributes = vec![
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.response.status_code", i64::from(exchange.status.as_u16())),
            KeyValue::new("latchkey.request_id", exchange.request_id.to_owned()),
        ];
        if let Some(route) = exchange.operation.and_then(|operation| self.routes.get(operation)) {
            attributes.push(KeyValue::new("http.route", route.clone()));
        }
        attributes.extend(exchange.error.map(|code| KeyValue::new("error.type", code)));
        let mut span = self
            .tracer
            .span_builder(exchange.operation.unwrap_or(method))
            .with_kind(SpanKind::Server)
            .with_start_time(exchange.ended - exchange.elapsed)
            .with_attributes(attributes)
            .with_links(exchange.caller.map(Link::with_context).into_iter().collect())
            .start_with_context(&self.tracer, &Context::new());
        if exchange.status.is_server_error() {
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(exchange.ended);
    }
}

/// A client may send any word.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}

/// Takes spans that have ended.
#[derive(Debug)]
struct Queue(mpsc::Sender<SpanData>);

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.0.try_send(span).is_err() {
            count("dropped", 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Sends spans, many at a time, until nobody makes any more.
async fn send(exporter: SpanExporter, mut queue: mpsc::Receiver<SpanData>) {
    let mut healthy = true;
    metrics::gauge!("latchkey_queue_limit", "queue" => "span").set(QUEUE as f64);
    while let Some(first) = queue.recv().await {
        let mut batch = vec![first];
        let fill = async {
            while batch.len() < BATCH
                && let Some(next) = queue.recv().await
            {
                batch.push(next);
            }
        };
        // That the time is up is no failure: what has come travels.
        let _ = timeout(LINGER, fill).await;
        let size = batch.len() as u64;
        let sent = exporter.export(batch).await;
        metrics::gauge!("latchkey_queue_waiting", "queue" => "span").set(queue.len() as f64);
        count(if sent.is_ok() { "sent" } else { "failed" }, size);
        // Once for each outage.
        if let (Err(error), true) = (&sent, healthy) {
            tracing::warn!(%error, "traces can't be sent; they are dropped until the collector answers");
        }
        healthy = sent.is_ok();
    }
}

fn count(outcome: &'static str, spans: u64) {
    metrics::counter!("latchkey_trace_spans_total", "outcome" => outcome).increment(spans);
}

/// The way to the collector: bounded in time and size like every request to others.
#[derive(Debug)]
struct Collector(Client);

impl HttpClient for Collector {
    fn send_bytes<'s, 'f>(
        &'s self,
        request: Request<Bytes>,
    ) -> BoxFuture<'f, Result<Response<Bytes>, HttpError>>
    where
        's: 'f,
        Self: 'f,
    {
        let (head, body) = request.into_parts();
        let request = self.0.request(head.method, head.uri.to_string()).headers(head.headers).body(body);
        Box::pin(async move {
            let (status, _) = outbound::knock(request, PATIENCE, MAX_ANSWER).await?;
            Ok(Response::builder().status(status).body(Bytes::new())?)
        })
    }
}
