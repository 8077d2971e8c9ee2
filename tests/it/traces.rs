//! Traces: what a collector gets, and that nobody depends on it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::process::{Site, credentials};
use crate::support::{Engine, PASSWORD, eventually};

const ADA: &str = "ada@example.com";
/// Of a client that does not want to be traced.
const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// Takes traces over HTTP.
struct Collector {
    url: String,
    received: Arc<Mutex<Vec<Bytes>>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let received = Arc::<Mutex<Vec<Bytes>>>::default();
        let shared = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                let take = service_fn(move |request: Request<Incoming>| {
                    let shared = Arc::clone(&shared);
                    async move {
                        assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/v1/traces"));
                        assert_eq!(request.headers()["content-type"], "application/x-protobuf");
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        shared.lock().unwrap().push(body);
                        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tcp), take),
                );
            }
        });
        Self { url, received }
    }

    fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let received = self.received.lock().unwrap();
        received.iter().map(|body| ExportTraceServiceRequest::decode(body.clone()).unwrap()).collect()
    }

    fn spans(&self) -> Vec<Span> {
        let resources = self.requests().into_iter().flat_map(|request| request.resource_spans);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }
}

fn attributes(pairs: &[KeyValue]) -> BTreeMap<&str, String> {
    let text = |pair: &KeyValue| match pair.value.clone().unwrap().value.unwrap() {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    pairs.iter().map(|pair| (pair.key.as_str(), text(pair))).collect()
}

#[tokio::test]
async fn each_request_is_a_span_that_says_nothing_of_the_person() {
    let collector = Collector::start().await;
    let site = Site::new(Engine::Sqlite).await.with("TRACES__OTLP_URL", &collector.url);
    let server = site.start().await;
    site.verified(&server, ADA, PASSWORD).await;
    let session = server.login(ADA, PASSWORD).await;
    let wrong = credentials(ADA, "nine loud red trumpets");
    let client = server.anonymous().with("traceparent", CALLER).with("tracestate", "vendor=canary");
    client.with("x-request-id", "request-17").post("/auth/login", &wrong).await.assert_status(401);
    let unknown = "/api/v1/api-keys/01938f6e-2b7a-7c3d-9f10-5a4be1c2d3e4";
    server.anonymous().bearer(&session.access).get(unknown).await.assert_status(404);
    server.anonymous().get("/nowhere?token=canary").await.assert_status(404);
    let strange = server.anonymous().request("CANARY", "/nowhere");
    server.anonymous().send(strange, Full::<Bytes>::default()).await;
    // What waits is sent before the end.
    assert_eq!(server.node.terminate().await, Some(0));

    let spans = collector.spans();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    for operation in ["account_create", "email_verify"] {
        assert_eq!(named(operation).len(), 1, "{spans:?}");
    }
    let logins = named("session_create");
    let [good, bad] = logins[..] else { panic!("{logins:?}") };
    let seen = attributes(&good.attributes);
    assert_eq!(seen["http.request.method"], "POST");
    assert_eq!(
        (seen["http.route"].as_str(), seen["http.response.status_code"].as_str()),
        ("/auth/login", "200")
    );
    assert!(!seen.contains_key("error.type") && good.links.is_empty() && good.parent_span_id.is_empty());
    assert!(good.kind == 2 && good.end_time_unix_nano > good.start_time_unix_nano);
    let seen = attributes(&bad.attributes);
    assert_eq!(
        (seen["error.type"].as_str(), seen["http.response.status_code"].as_str()),
        ("invalid_credentials", "401")
    );
    assert_eq!(seen["latchkey.request_id"], "request-17");
    // The client's own trace is a link, not the parent, and does not decide.
    let link = bad.links.iter().map(|link| hex::encode(&link.trace_id)).collect::<Vec<_>>();
    assert_eq!(link, ["4bf92f3577b34da6a3ce929d0e0e4736"]);
    assert!(bad.parent_span_id.is_empty() && hex::encode(&bad.trace_id) != link[0]);
    assert_eq!(attributes(&named("api_key_get")[0].attributes)["http.route"], "/api/v1/api-keys/{id}");
    assert_eq!((named("GET").len(), named("_OTHER").len()), (1, 1), "{spans:?}");

    let requests = collector.requests();
    let resource = requests[0].resource_spans[0].resource.clone().unwrap();
    let about = attributes(&resource.attributes);
    assert_eq!(
        (about["service.name"].as_str(), about["service.version"].as_str()),
        ("latchkey", env!("CARGO_PKG_VERSION"))
    );
    let all = format!("{requests:?}").to_lowercase();
    for personal in
        ["ada", PASSWORD, "trumpets", &session.access, "canary", "nowhere", "127.0.0.1", "01938f6e"]
    {
        assert!(!all.contains(&personal.to_lowercase()), "{personal}");
    }
}

#[tokio::test]
async fn nothing_is_sent_when_it_is_off_or_chance_says_no() {
    let collector = Collector::start().await;
    let wants = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let site = Site::new(Engine::Sqlite).await;
    let none = [("LATCHKEY_TRACES__OTLP_URL", collector.url.as_str()), ("LATCHKEY_TRACES__RATIO", "0")];
    let off = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector.url.as_str())];
    for settings in [&none[..], &off[..]] {
        let server = site.start_with(settings).await;
        let client = server.anonymous().with("traceparent", wants);
        client.post("/auth/login", &credentials(ADA, PASSWORD)).await.assert_status(401);
        assert_eq!(server.node.terminate().await, Some(0));
        assert!(collector.requests().is_empty(), "{settings:?}");
    }
    for (name, value, words) in [
        ("LATCHKEY_TRACES__RATIO", "2", "traces.ratio: expected 0 to 1"),
        ("LATCHKEY_TRACES__OTLP_URL", "ftp://example.com", "traces.otlp_url: expected an http or https URL"),
    ] {
        site.run_with(&["serve"], &[(name, value)]).await.assert_failure(words);
    }
}

#[tokio::test]
async fn no_request_waits_for_a_collector() {
    // One takes connections and says nothing, the other is not there.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (silent_url, closed_url) =
        (format!("http://{}/", silent.local_addr().unwrap()), format!("http://{closed}/"));
    let site = Site::new(Engine::Sqlite).await;
    let server = site.start_with(&[("LATCHKEY_TRACES__OTLP_URL", &silent_url)]).await;
    server.anonymous().get("/livez").await.assert_status(200);
    let (_waiting, _) = silent.accept().await.unwrap();
    // It is being waited for, and requests are answered all the same.
    server.anonymous().post("/auth/signup", &credentials(ADA, PASSWORD)).await.assert_status(200);
    server.anonymous().post("/auth/login", &json!({})).await.assert_status(422);
    assert_eq!(server.metric("latchkey_trace_spans_total{outcome=\"failed\"}").await, 0.0);
    eventually("it is given up", async || {
        (server.metric("latchkey_trace_spans_total{outcome=\"failed\"}").await > 0.0).then_some(())
    })
    .await;
    assert_eq!(server.node.terminate().await, Some(0));

    let server = site.start_with(&[("LATCHKEY_TRACES__OTLP_URL", &closed_url)]).await;
    eventually("spans that were dropped", async || {
        server.anonymous().get("/livez").await.assert_status(200);
        (server.metric("latchkey_trace_spans_total{outcome=\"failed\"}").await > 1.0).then_some(())
    })
    .await;
    assert_eq!(server.log().matches("traces can't be sent").count(), 1, "{}", server.log());
    assert_eq!(server.node.terminate().await, Some(0));
}
