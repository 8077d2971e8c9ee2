//! Who is told what happens.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strum::VariantNames;
use url::Url;

use super::text::{numbers, one_or_more};
use super::validate::is_word;
use super::{Config, Secret};
use crate::crypto::webhook_key::WebhookKey;
use crate::outbound::Guard;
use crate::services::webhooks::EventType;

const MOST_ENDPOINTS: usize = 20;

/// Outgoing webhooks (Standard Webhooks).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Webhooks {
    /// Who is told, by names of the operator's choice; at most 20. Default nobody.
    pub endpoints: BTreeMap<String, WebhookEndpoint>,
    /// Networks (CIDR) that endpoints may be in although they are not public, on any port and without TLS. Default none.
    pub private_networks: Vec<ipnet::IpNet>,
    /// Ports beside 443 that endpoints may use. Default none.
    #[serde(deserialize_with = "numbers")]
    pub ports: Vec<u16>,
}

/// Where events go, and which.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookEndpoint {
    pub url: Url,
    /// What they are signed with (`whsec_…`): the secret and, along a rotation, the one before. Each signs.
    #[serde(deserialize_with = "one_or_more")]
    pub secrets: Vec<Secret>,
    /// Events to send, such as `user.created`. Default all.
    #[serde(default, deserialize_with = "one_or_more")]
    pub events: Vec<String>,
}

impl Config {
    pub(super) fn validate_webhooks(&self, demand: &mut impl FnMut(bool, &str)) {
        let Webhooks { endpoints, private_networks, ports } = &self.webhooks;
        demand(endpoints.len() <= MOST_ENDPOINTS, "webhooks.endpoints: expected 20 at most");
        let guard = Guard::new(private_networks, ports);
        for (name, endpoint) in endpoints {
            demand(
                is_word(name),
                "webhooks.endpoints: names are of 64 lower-case letters, digits, - and _ at most",
            );
            if let Err(refused) = guard.admit(&endpoint.url) {
                demand(false, &format!("webhooks.endpoints.{name}.url: {refused}"));
            }
            let keys = endpoint.secrets.iter().map(|secret| WebhookKey::parse(secret.expose()));
            demand(
                (1..=2).contains(&endpoint.secrets.len()) && keys.into_iter().all(|key| key.is_some()),
                &format!(
                    "webhooks.endpoints.{name}.secrets: expected one or two of whsec_ and 24 to 64 bytes in base64"
                ),
            );
            demand(
                endpoint.events.iter().all(|event| event.parse::<EventType>().is_ok()),
                &format!(
                    "webhooks.endpoints.{name}.events: expected some of {}",
                    EventType::VARIANTS.join(", ")
                ),
            );
        }
    }
}
