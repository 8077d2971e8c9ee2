//! The stubs of `tests/providers`: every service that connectors talk to, which checks signatures by code of its own.

use latchkey::config::Config;
use latchkey::plugins::connectors::ALL;
use serde_json::Value;

use super::stubs::Stubs;

/// The services. They end when dropped.
pub struct Providers(Stubs);

impl Providers {
    pub async fn start() -> Self {
        Self(Stubs::start("provider").await)
    }

    /// Has a server talk to the stubs in place of the services.
    pub fn configure(&self, config: &mut Config) {
        config.vault.private_networks = vec!["127.0.0.0/8".parse().unwrap()];
        for about in ALL.iter().map(|connector| connector.about()) {
            let generic = about.name.starts_with("generic_");
            for environment in about.environments.iter().filter(|_| !generic) {
                let url = self.0.of(about.name)["url"].as_str().unwrap().parse().unwrap();
                config.vault.base_urls.insert(format!("{}.{}", about.name, environment.name), url);
            }
        }
    }

    /// A body that stores a credential which the stub knows.
    pub fn credential(&self, provider: &str, name: &str) -> Value {
        let stub = self.0.of(provider);
        let mut body = stub["credentials"][name].clone();
        assert!(body.is_object(), "{provider} has no {name}: {stub}");
        body["provider"] = provider.into();
        body["name"] = format!("{provider} {name}").into();
        if provider.starts_with("generic_") {
            body["settings"]["base_url"] = stub["url"].clone();
        }
        body
    }

    /// Names of the credentials that a stub knows.
    pub fn names(&self, provider: &str) -> Vec<String> {
        self.0.of(provider)["credentials"].as_object().unwrap().keys().cloned().collect()
    }

    /// What properly signed requests get from now on.
    pub async fn scenario(&self, provider: &str, scenario: Value) {
        self.0.tell("/scenario", provider, scenario).await;
    }

    pub async fn reset(&self) {
        self.0.reset().await;
    }

    /// The requests that a stub has seen.
    pub async fn calls(&self, provider: &str) -> Vec<Value> {
        self.0.calls(provider).await
    }

    /// The codes of a service's errors.
    pub async fn errors(&self, provider: &str) -> Vec<String> {
        self.0.ask("/errors", provider).await.as_object().unwrap().keys().cloned().collect()
    }
}
