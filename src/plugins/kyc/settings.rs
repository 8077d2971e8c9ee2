//! What an operator says of a provider.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::config::text::{flag, one_or_more};
use crate::secret::Secret;

/// How one provider is reached. Which settings it needs is in `docs/kyc.md`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What the vendor calls an API key, app token or client id.
    pub api_key: Option<Secret>,
    /// Its secret half, where there is one.
    pub api_secret: Option<Secret>,
    /// What webhooks are signed with: the current secret and, along a rotation, another one.
    #[serde(deserialize_with = "one_or_more")]
    pub webhook_secrets: Vec<Secret>,
    /// For a vendor that does not sign: what its webhooks carry as a bearer token, or as `token` in the query.
    #[serde(deserialize_with = "one_or_more")]
    pub webhook_tokens: Vec<Secret>,
    /// In place of the vendor's own host.
    pub base_url: Option<Url>,
    /// Levels that are offered, each with what the vendor calls it: `full = "id-and-liveness"`.
    pub levels: BTreeMap<String, String>,
    /// Whether results from the vendor's sandbox count.
    #[serde(deserialize_with = "flag")]
    pub sandbox: bool,
    /// What else this provider needs: `region = "eu"`.
    pub options: BTreeMap<String, String>,
}

impl Settings {
    #[must_use]
    pub fn api_key(&self) -> &str {
        self.api_key.as_ref().map_or("", Secret::expose)
    }

    #[must_use]
    pub fn api_secret(&self) -> &str {
        self.api_secret.as_ref().map_or("", Secret::expose)
    }

    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// Whether the setting of this name is given.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        match name.split_once('.') {
            Some(("options", option)) => self.option(option).is_some_and(|text| !text.is_empty()),
            _ => match name {
                "api_key" => !self.api_key().is_empty(),
                "api_secret" => !self.api_secret().is_empty(),
                "webhook_secrets" => !self.webhook_secrets.is_empty(),
                "webhook_tokens" => !self.webhook_tokens.is_empty(),
                "base_url" => self.base_url.is_some(),
                _ => false,
            },
        }
    }
}
