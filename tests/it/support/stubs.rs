//! Stubs in Python: they stand in for services that the server talks to, and check what they get by code of their own.

use std::net::SocketAddr;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::Client;

/// The stubs of one folder. They end when dropped.
pub struct Stubs {
    /// What one of them is called: `provider`, of those in `tests/providers`.
    noun: &'static str,
    described: Value,
    control: Client,
    _process: Child,
    _stdin: ChildStdin,
}

impl Stubs {
    pub async fn start(noun: &'static str) -> Self {
        let python = std::env::var("LATCHKEY_TEST_PYTHON")
            .expect("LATCHKEY_TEST_PYTHON names no interpreter: use scripts/test, which makes one ready");
        let script = format!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/{}s/stub.py"), noun);
        let mut process = Command::new(python)
            .args([&script, "--stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = lines.next_line().await.unwrap().expect("the stubs start");
        let described: Value = serde_json::from_str(&first).unwrap();
        let control = Client::new(address(&described["control"]));
        Self { noun, described, control, _stdin: process.stdin.take().unwrap(), _process: process }
    }

    /// What a stub says of itself.
    pub fn of(&self, name: &str) -> &Value {
        &self.described[name]
    }

    /// All of them, as they describe themselves, with the control and the trap among them.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.described.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Gives an order to one stub.
    pub async fn tell(&self, path: &str, name: &str, mut order: Value) -> Value {
        order[self.noun] = name.into();
        self.control.post(path, &order).await.assert_status(200).json()
    }

    /// What the control knows of one stub.
    pub async fn ask(&self, path: &str, name: &str) -> Value {
        self.control.get(&format!("{path}?{}={name}", self.noun)).await.assert_status(200).json()
    }

    /// The requests that a stub has seen.
    pub async fn calls(&self, name: &str) -> Vec<Value> {
        self.ask("/calls", name).await.as_array().unwrap().clone()
    }

    /// Ends all scenarios and forgets the calls.
    pub async fn reset(&self) {
        self.control.post("/reset", &json!({})).await.assert_status(200);
    }
}

fn address(stub: &Value) -> SocketAddr {
    stub["url"].as_str().unwrap().strip_prefix("http://").unwrap().parse().unwrap()
}
