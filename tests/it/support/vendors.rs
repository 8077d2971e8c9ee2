//! The stubs of `tests/vendors`: every vendor of identity checks, which checks requests by code of its own and makes
//! webhooks to order.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use latchkey::config::Config;
use latchkey::plugins::kyc::{Settings, Status};
use serde_json::Value;

use super::stubs::Stubs;

/// The vendors. They end when dropped.
pub struct Vendors(Stubs);

impl Vendors {
    pub async fn start() -> Self {
        Self(Stubs::start("vendor").await)
    }

    /// Has a server be the client of all vendors.
    pub fn configure(&self, config: &mut Config) {
        for name in self.names() {
            config.kyc.providers.insert(name.to_owned(), self.settings(name));
        }
    }

    pub fn names(&self) -> Vec<&str> {
        self.0.all().filter(|(_, stub)| stub["settings"].is_object()).map(|(name, _)| name).collect()
    }

    /// Those of a server that is the vendor's client.
    pub fn settings(&self, vendor: &str) -> Settings {
        serde_json::from_value(self.0.of(vendor)["settings"].clone()).unwrap()
    }

    /// Our words for a status, as far as the vendor has them.
    pub fn statuses(&self, vendor: &str) -> Vec<Status> {
        serde_json::from_value(self.0.of(vendor)["statuses"].clone()).unwrap()
    }

    /// A delivery with its proper signature, to be sent or spoilt: `{"reference", "status", "at"}` and what else
    /// `tests/vendors/stub.py` names.
    pub async fn webhook(&self, vendor: &str, order: Value) -> (Vec<(String, String)>, Vec<u8>) {
        let made = self.0.tell("/webhook", vendor, order).await;
        let headers = made["headers"].as_object().unwrap().iter();
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap().to_owned()));
        (headers.collect(), BASE64_STANDARD.decode(made["body_base64"].as_str().unwrap()).unwrap())
    }

    /// What the vendor's API says of a verification from now on: `{"reference", "status", "reasons"}`.
    pub async fn state(&self, vendor: &str, state: Value) {
        self.0.tell("/state", vendor, state).await;
    }

    /// What requests get, once it is known who asks.
    pub async fn scenario(&self, vendor: &str, scenario: Value) {
        self.0.tell("/scenario", vendor, scenario).await;
    }

    /// The requests that a stub has seen.
    pub async fn calls(&self, vendor: &str) -> Vec<Value> {
        self.0.calls(vendor).await
    }

    /// Ends all scenarios and forgets the calls; verifications stay.
    pub async fn reset(&self) {
        self.0.reset().await;
    }
}
