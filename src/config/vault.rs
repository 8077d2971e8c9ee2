//! Credentials of third parties, and who wraps their keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{Secret, text};

/// Credentials of third parties.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Vault {
    /// Credentials that an account may store. Default 100.
    pub keys_per_account: u64,
    /// True refuses credentials that may withdraw. They are tested before they are stored then. Default false.
    pub refuse_withdrawal_keys: bool,
    /// Where the requests of a connector go in place of its own host, by connector and environment:
    /// `"binance.live" = "http://127.0.0.1:9000"`. Default none.
    pub base_urls: BTreeMap<String, Url>,
    /// Networks (CIDR) that the generic connectors may reach although they are not public, on any port and without TLS.
    /// Default none.
    pub private_networks: Vec<ipnet::IpNet>,
    /// Ports beside 443 that the generic connectors may use. Default none.
    #[serde(deserialize_with = "text::numbers")]
    pub ports: Vec<u16>,
    /// The Transit engine of OpenBao or HashiCorp Vault that wraps the keys of credentials, such as
    /// `https://bao.example.com:8200/v1/transit`. Default off: the root key does.
    pub transit_url: Option<Url>,
    /// Its token. Default none.
    pub transit_token: Option<Secret>,
    /// Name of its key. Default `latchkey`.
    pub transit_key: String,
}

impl Default for Vault {
    fn default() -> Self {
        Self {
            keys_per_account: 100,
            refuse_withdrawal_keys: false,
            base_urls: BTreeMap::new(),
            private_networks: vec![],
            ports: vec![],
            transit_url: None,
            transit_token: None,
            transit_key: "latchkey".into(),
        }
    }
}
