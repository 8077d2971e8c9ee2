//! The Transit engine, as far as the server uses it: a key with versions, and ciphertexts that open with their associated data only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

pub const TOKEN: &str = "hvs.canary-of-transit";

#[derive(Default)]
struct State {
    version: u32,
    least_version: u32,
    sealed: bool,
    /// Ciphertexts with what they are made of.
    kept: HashMap<String, (String, String)>,
}

/// The service. It ends when dropped.
pub struct Transit {
    pub url: String,
    state: Arc<Mutex<State>>,
    task: AbortHandle,
}

impl Drop for Transit {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Transit {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/transit", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { version: 1, least_version: 1, ..State::default() }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(tcp, Arc::clone(&shared)));
            }
        });
        Self { url, state, task: task.abort_handle() }
    }

    /// `transit/keys/latchkey/rotate`
    pub fn rotate(&self) {
        self.state.lock().unwrap().version += 1;
    }

    /// Decrypts nothing any more that is older than the newest version.
    pub fn retire(&self) {
        let mut state = self.state.lock().unwrap();
        state.least_version = state.version;
    }

    /// Answers 503, as after a restart until somebody unseals it.
    pub fn seal(&self, sealed: bool) {
        self.state.lock().unwrap().sealed = sealed;
    }
}

impl State {
    fn answer(&mut self, head: &str, body: &str) -> (&'static str, Value) {
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        let authorised =
            head.lines().any(|line| line.eq_ignore_ascii_case(&format!("x-vault-token: {TOKEN}")));
        match head.lines().next().unwrap() {
            _ if self.sealed => ("503 Service Unavailable", json!({ "errors": ["Vault is sealed"] })),
            _ if !authorised => ("403 Forbidden", json!({ "errors": ["permission denied"] })),
            "GET /v1/transit/keys/latchkey HTTP/1.1" => {
                let data =
                    json!({ "latest_version": self.version, "min_decryption_version": self.least_version });
                ("200 OK", json!({ "data": data }))
            }
            "POST /v1/transit/encrypt/latchkey HTTP/1.1" => {
                let ciphertext = format!("vault:v{}:{:08}", self.version, self.kept.len());
                self.kept.insert(ciphertext.clone(), (text("plaintext"), text("associated_data")));
                ("200 OK", json!({ "data": { "ciphertext": ciphertext, "key_version": self.version } }))
            }
            "POST /v1/transit/decrypt/latchkey HTTP/1.1" => {
                let ciphertext = text("ciphertext");
                let version =
                    ciphertext.split(':').nth(1).and_then(|part| part.strip_prefix('v')?.parse().ok());
                let version: u32 = version.unwrap_or(0);
                match self.kept.get(&ciphertext) {
                    Some((plaintext, data))
                        if *data == text("associated_data") && version >= self.least_version =>
                    {
                        ("200 OK", json!({ "data": { "plaintext": plaintext } }))
                    }
                    _ => ("400 Bad Request", json!({ "errors": ["cipher: message authentication failed"] })),
                }
            }
            _ => ("404 Not Found", json!({ "errors": [] })),
        }
    }
}

async fn serve(mut tcp: TcpStream, state: Arc<Mutex<State>>) {
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
    let (status, answer) = state.lock().unwrap().answer(&head, &body);
    let answer = answer.to_string();
    let length = answer.len();
    let text = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{answer}");
    let _ = tcp.write_all(text.as_bytes()).await;
}
