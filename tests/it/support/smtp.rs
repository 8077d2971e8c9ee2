//! The SMTP server of `tests/support`, as a process that does what a test asks of it.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::{Mail, eventually};

/// A mail that the server took.
#[derive(Debug, Clone)]
pub struct Letter {
    pub to: String,
    pub mail: Mail,
    pub message_id: String,
    /// Whether it came over TLS.
    pub tls: bool,
    /// Who signed in to hand it over.
    pub user: Option<String>,
}

/// The mail server. It ends when dropped.
pub struct SmtpServer {
    pub port: u16,
    /// The certificate authority to trust, with TLS.
    pub ca: Option<String>,
    commands: ChildStdin,
    events: Arc<Mutex<Vec<Value>>>,
    _process: Child,
}

impl SmtpServer {
    /// Starts it with the arguments that its documentation lists.
    pub async fn start(arguments: &[&str]) -> Self {
        let python = std::env::var("LATCHKEY_TEST_PYTHON")
            .expect("LATCHKEY_TEST_PYTHON names no interpreter: use scripts/test, which makes one ready");
        let mut process = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/smtp_server.py"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = lines.next_line().await.unwrap().expect("the mail server starts");
        let first: Value = serde_json::from_str(&first).unwrap();
        let events = Arc::<Mutex<Vec<Value>>>::default();
        let heard = Arc::clone(&events);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                heard.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Self {
            port: u16::try_from(first["port"].as_u64().unwrap()).unwrap(),
            ca: first["ca"].as_str().map(str::to_owned),
            commands: process.stdin.take().unwrap(),
            events,
            _process: process,
        }
    }

    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// `accept`, `refuse`, `temp-fail`, `perm-fail` or `drop`.
    pub async fn mode(&mut self, mode: &str) {
        self.command(json!({ "mode": mode })).await;
    }

    /// Lets every message wait before it is answered.
    pub async fn slow(&mut self, seconds: u32) {
        self.command(json!({ "mode": "slow", "seconds": seconds })).await;
    }

    async fn command(&mut self, command: Value) {
        let before = self.count("mode");
        self.commands.write_all(format!("{command}\n").as_bytes()).await.unwrap();
        eventually("the mail server to obey", async || (self.count("mode") > before).then_some(())).await;
    }

    fn count(&self, event: &str) -> usize {
        self.events.lock().unwrap().iter().filter(|one| one["event"] == event).count()
    }

    /// What was taken so far, in order.
    pub fn letters(&self) -> Vec<Letter> {
        let events = self.events.lock().unwrap();
        events.iter().filter(|event| event["event"] == "message").map(letter).collect()
    }

    /// Waits for this many.
    pub async fn received(&self, count: usize) -> Vec<Letter> {
        eventually(&format!("{count} mails"), async || {
            let letters = self.letters();
            (letters.len() >= count).then_some(letters)
        })
        .await
    }
}

fn letter(event: &Value) -> Letter {
    let data = event["data"].as_str().unwrap();
    let (mail, to) = Mail::parse(data.as_bytes());
    let message_id = data.lines().find_map(|line| line.strip_prefix("Message-ID: ")).expect("a Message-ID");
    assert_eq!(event["to"].as_array().unwrap().len(), 1, "one receiver each");
    assert_eq!(event["to"][0], to[0].as_str());
    Letter {
        to: to[0].clone(),
        mail,
        message_id: message_id.trim().to_owned(),
        tls: event["tls"].as_bool().unwrap(),
        user: event["user"].as_str().map(str::to_owned),
    }
}
