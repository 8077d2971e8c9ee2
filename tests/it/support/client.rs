use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::http::request::Builder;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Somebody who talks to a server; without credentials unless given some.
#[derive(Clone)]
pub struct Client {
    pub address: SocketAddr,
    headers: HeaderMap,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, headers: HeaderMap::new() }
    }

    /// The same client that sends one more header with every request. A name given twice is sent twice.
    pub fn with(&self, name: &'static str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        client
    }

    pub fn bearer(&self, token: &str) -> Self {
        let mut client = self.clone();
        client.headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
        client
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path), Full::<Bytes>::default()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.json("POST", path, body).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.json("PATCH", path, body).await
    }

    /// What the button of a page does.
    pub async fn submit(&self, path: &str, form: &str) -> Answer {
        let form = Full::<Bytes>::from(form.to_owned());
        self.send(self.request("POST", path).header(CONTENT_TYPE, "application/x-www-form-urlencoded"), form)
            .await
    }

    pub async fn json(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send_text(method, path, Some("application/json"), body.to_string()).await
    }

    /// Any text under any media type.
    pub async fn send_text(
        &self,
        method: &str,
        path: &str,
        content_type: Option<&str>,
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = self.request(method, path);
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        self.send(request, Full::new(body.into())).await
    }

    pub fn request(&self, method: &str, path: &str) -> Builder {
        Request::builder().method(method).uri(path)
    }

    /// Sends a request of any kind, with the client's headers where it has none of its own.
    pub async fn send<B>(&self, request: Builder, body: B) -> Answer
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut request = request.body(body).unwrap();
        for (name, value) in &self.headers {
            request.headers_mut().append(name, value.clone());
        }
        if !request.headers().contains_key(HOST) {
            request.headers_mut().insert(HOST, HeaderValue::from_static("id.example.com"));
        }
        send(self.address, request).await
    }
}

/// Sends one request on a connection of its own.
pub async fn send<B>(address: SocketAddr, request: Request<B>) -> Answer
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let what = format!("{} {}", request.method(), request.uri());
    let tcp = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.unwrap();
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap_or_else(|error| panic!("{what}: {error}")).to_bytes();
    connection.abort();
    Answer { what, status: parts.status.as_u16(), headers: parts.headers, body }
}

/// What a server said.
#[derive(Debug, Clone)]
pub struct Answer {
    pub(super) what: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    #[track_caller]
    pub fn assert_status(self, expected: u16) -> Self {
        assert_eq!(self.status, expected, "{}: {:?} {}", self.what, self.headers, self.text());
        self
    }

    /// Demands a problem document with this code, and its status with it.
    #[track_caller]
    pub fn assert_error(self, status: u16, code: &str) -> Self {
        let answer = self.assert_status(status);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{}", answer.what);
        assert_eq!(answer.json()["error"], code, "{}", answer.what);
        answer
    }

    /// Demands a 422 that finds fault with this one place.
    #[track_caller]
    pub fn assert_violation(self, kind: &str, loc: &[&str]) -> Self {
        let answer = self.assert_status(422);
        let detail = &answer.json()["detail"];
        assert_eq!(detail.as_array().map(Vec::len), Some(1), "{detail}");
        assert_eq!((&detail[0]["type"], &detail[0]["loc"]), (&kind.into(), &loc.into()), "{detail}");
        answer
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{}: no JSON: {}", self.what, self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Seconds to wait, as a 429 or 503 says.
    #[track_caller]
    pub fn retry_after(&self) -> u64 {
        self.header("retry-after").expect("Retry-After").parse().unwrap()
    }
}
