//! A service that knows breached passwords, by the protocol of Have I Been Pwned; it behaves or misbehaves as a test asks.

use std::sync::{Arc, Mutex};

use sha1::{Digest, Sha1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// What it answers.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A list with this beside others.
    List(String),
    /// A status line, headers and a body.
    Raw(String),
    /// 200, and as many bytes as are read.
    Endless,
    /// This much, and nothing more for as long as anybody waits.
    Stall(&'static str),
}

/// The service. It ends when dropped.
pub struct RangeServer {
    pub url: String,
    answer: Arc<Mutex<Answer>>,
    requests: Arc<Mutex<Vec<String>>>,
    task: AbortHandle,
}

impl Drop for RangeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The five digits that may be known, and those that must not.
pub fn digits(password: &str) -> (String, String) {
    let hash: String = Sha1::digest(password).iter().map(|byte| format!("{byte:02X}")).collect();
    (hash[..5].to_owned(), hash[5..].to_owned())
}

impl RangeServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/range", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new(Answer::List(String::new())));
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (answers, heard) = (Arc::clone(&answer), Arc::clone(&requests));
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(tcp, Arc::clone(&answers), Arc::clone(&heard)));
            }
        });
        Self { url, answer, requests, task: task.abort_handle() }
    }

    pub fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// Lists `password` as seen this many times.
    pub fn list(&self, password: &str, count: u32) {
        self.answer(Answer::List(format!("{}:{count}", digits(password).1)));
    }

    /// The requests since the last time, as they came over the wire.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

async fn serve(mut tcp: TcpStream, answers: Arc<Mutex<Answer>>, heard: Arc<Mutex<Vec<String>>>) {
    let mut request = String::new();
    let mut buffer = [0; 4096];
    while !request.ends_with("\r\n\r\n") {
        match tcp.read(&mut buffer).await {
            Ok(count) if count > 0 => request.push_str(std::str::from_utf8(&buffer[..count]).unwrap()),
            _ => return,
        }
    }
    heard.lock().unwrap().push(request);
    let answer = answers.lock().unwrap().clone();
    let text = match answer {
        Answer::List(line) => {
            let others = "003D68EB55068C33ACE09247EE4C639306B:3\r\nFFF983A91443AE72BD98E59ADAB93B31974:2";
            let body = if line.is_empty() { others.to_owned() } else { format!("{others}\r\n{line}") };
            format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        }
        Answer::Raw(text) => text,
        Answer::Endless => {
            let _ = tcp.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").await;
            let line = "003D68EB55068C33ACE09247EE4C639306B:3\r\n".repeat(1000);
            while tcp.write_all(line.as_bytes()).await.is_ok() {}
            return;
        }
        Answer::Stall(text) => {
            let _ = tcp.write_all(text.as_bytes()).await;
            return std::future::pending().await;
        }
    };
    let _ = tcp.write_all(text.as_bytes()).await;
}
