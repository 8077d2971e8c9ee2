//! The stubs of `tests/providers`: every service that connectors talk to, which checks signatures by code of its own.

use std::net::SocketAddr;
use std::process::Stdio;

use latchkey::config::Config;
use latchkey::plugins::connectors::ALL;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::Client;

/// The services. They end when dropped.
pub struct Providers {
    stubs: Value,
    control: Client,
    _process: Child,
    _stdin: ChildStdin,
}

impl Providers {
    pub async fn start() -> Self {
        let python = std::env::var("LATCHKEY_TEST_PYTHON")
            .expect("LATCHKEY_TEST_PYTHON names no interpreter: use scripts/test, which makes one ready");
        let mut process = Command::new(python)
            .args([concat!(env!("CARGO_MANIFEST_DIR"), "/tests/providers/stub.py"), "--stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = lines.next_line().await.unwrap().expect("the stubs start");
        let stubs: Value = serde_json::from_str(&first).unwrap();
        let control = Client::new(address(&stubs["control"]));
        Self { stubs, control, _stdin: process.stdin.take().unwrap(), _process: process }
    }

    /// Has a server talk to the stubs in place of the services.
    pub fn configure(&self, config: &mut Config) {
        config.vault.private_networks = vec!["127.0.0.0/8".parse().unwrap()];
        for about in ALL.iter().map(|connector| connector.about()) {
            let generic = about.name.starts_with("generic_");
            for environment in about.environments.iter().filter(|_| !generic) {
                let url = self.stubs[about.name]["url"].as_str().unwrap().parse().unwrap();
                config.vault.base_urls.insert(format!("{}.{}", about.name, environment.name), url);
            }
        }
    }

    /// A body that stores a credential which the stub knows.
    pub fn credential(&self, provider: &str, name: &str) -> Value {
        let mut body = self.stubs[provider]["credentials"][name].clone();
        assert!(body.is_object(), "{provider} has no {name}: {}", self.stubs[provider]);
        body["provider"] = provider.into();
        body["name"] = format!("{provider} {name}").into();
        if provider.starts_with("generic_") {
            body["settings"]["base_url"] = self.stubs[provider]["url"].clone();
        }
        body
    }

    /// Names of the credentials that a stub knows.
    pub fn names(&self, provider: &str) -> Vec<String> {
        self.stubs[provider]["credentials"].as_object().unwrap().keys().cloned().collect()
    }

    /// What properly signed requests get from now on.
    pub async fn scenario(&self, provider: &str, mut scenario: Value) {
        scenario["provider"] = provider.into();
        self.control.post("/scenario", &scenario).await.assert_status(200);
    }

    pub async fn reset(&self) {
        self.control.post("/reset", &json!({})).await.assert_status(200);
    }

    /// The requests that a stub has seen.
    pub async fn calls(&self, provider: &str) -> Vec<Value> {
        let calls = self.control.get(&format!("/calls?provider={provider}")).await.assert_status(200).json();
        let calls = calls.get("calls").unwrap_or(&calls);
        calls.as_array().unwrap().clone()
    }

    /// The codes of a service's errors.
    pub async fn errors(&self, provider: &str) -> Vec<String> {
        let errors =
            self.control.get(&format!("/errors?provider={provider}")).await.assert_status(200).json();
        let errors = errors.get("errors").unwrap_or(&errors);
        errors.as_object().unwrap().keys().cloned().collect()
    }
}

fn address(stub: &Value) -> SocketAddr {
    stub["url"].as_str().unwrap().strip_prefix("http://").unwrap().parse().unwrap()
}
