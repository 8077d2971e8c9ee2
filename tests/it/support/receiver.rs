//! A receiver of webhooks: keeps what it gets, and answers as it is told to.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::CertifiedKey;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::eventually;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub first_line: String,
    headers: HashMap<String, String>,
    pub body: String,
}

impl Delivery {
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// How to answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    /// A whole line, such as `Location: …`.
    pub header: String,
    pub after: Duration,
    /// Bytes of text.
    pub length: usize,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self { status, header: "X-Test: 1".into(), after: Duration::ZERO, length: 2 }
    }
}

struct State {
    reply: Reply,
    received: Vec<Delivery>,
}

/// Answers 204 until told otherwise. It ends when dropped.
pub struct Receiver {
    pub address: SocketAddr,
    scheme: &'static str,
    state: Arc<Mutex<State>>,
    task: AbortHandle,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap()).await
    }

    /// At the address of one that has ended.
    pub async fn start_at(address: SocketAddr) -> Self {
        Self::listen(address, None).await
    }

    /// The same over TLS; with the authority that vouches for it, in PEM.
    pub async fn start_tls() -> (Self, String) {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![cert.der().clone()], key).unwrap();
        let tls = TlsAcceptor::from(Arc::new(config));
        (Self::listen("127.0.0.1:0".parse().unwrap(), Some(tls)).await, cert.pem())
    }

    async fn listen(address: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { reply: Reply::status(204), received: vec![] }));
        let shared = Arc::clone(&state);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(tcp, state).await,
                        // A client that does not trust us goes away.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(tcp).await {
                                serve(stream, state).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, scheme, state, task: task.abort_handle() }
    }

    pub fn url(&self) -> String {
        format!("{}://{}/hooks?tenant=7", self.scheme, self.address)
    }

    pub fn answer(&self, reply: Reply) {
        self.state.lock().unwrap().reply = reply;
    }

    /// What has come so far.
    pub fn received(&self) -> Vec<Delivery> {
        self.state.lock().unwrap().received.clone()
    }

    /// Waits for so many.
    pub async fn expect(&self, count: usize) -> Vec<Delivery> {
        let what = format!("{count} webhooks");
        eventually(&what, async || Some(self.received()).filter(|received| received.len() >= count)).await
    }
}

async fn serve(mut tcp: impl AsyncRead + AsyncWrite + Unpin, state: Arc<Mutex<State>>) {
    let mut received = vec![];
    let mut buffer = [0; 4096];
    let (head, body) = loop {
        match tcp.read(&mut buffer).await {
            Ok(count) if count > 0 => received.extend_from_slice(&buffer[..count]),
            _ => return,
        }
        let text = std::str::from_utf8(&received).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0_usize) {
            break (head.to_owned(), body.to_owned());
        }
    };
    let mut lines = head.lines();
    let first_line = lines.next().unwrap().to_owned();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let reply = {
        let mut state = state.lock().unwrap();
        state.received.push(Delivery { first_line, headers, body });
        state.reply.clone()
    };
    tokio::time::sleep(reply.after).await;
    let Reply { status, header, length, .. } = reply;
    let length = if status == 204 { 0 } else { length };
    let head = format!(
        "HTTP/1.1 {status} Any\r\nConnection: close\r\n{header}\r\nContent-Length: {length}\r\n\r\n{}",
        "x".repeat(length)
    );
    let _ = tcp.write_all(head.as_bytes()).await;
    let _ = tcp.shutdown().await;
}
