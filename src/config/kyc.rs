//! Identity checks, and what an approval is worth.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::plugins::kyc::{Check, Settings};

/// Identity checks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Kyc {
    /// True adds a provider inside the server, where people approve or decline themselves. Never for production. Default
    /// false.
    pub demo: bool,
    /// Vendors by name, each with what it needs (`docs/kyc.md`). Default none.
    pub providers: BTreeMap<String, Settings>,
    /// What an approval is worth: the best of those that fit counts. Default none; then any approval gives `ial` 1 for 365
    /// days.
    pub grants: Vec<Grant>,
    /// Countries (ISO 3166-1 alpha-2) in which verifications are offered, for clients to show. Default none named.
    pub countries: Vec<String>,
    /// Seconds until a verification that is not decided is given up. Default 604800 (7 days).
    pub verification_seconds: u64,
    /// First wait, in seconds, until a vendor is asked about a verification that went quiet; it doubles up to a day. Default
    /// 3600.
    pub poll_seconds: u64,
    /// Days that webhooks are kept, sealed. Default 30.
    pub events_days: u32,
    /// True demands that a second reviewer agrees before a decision counts. Default false.
    pub two_reviewers: bool,
}

impl Default for Kyc {
    fn default() -> Self {
        Self {
            demo: false,
            providers: BTreeMap::new(),
            grants: vec![],
            countries: vec![],
            verification_seconds: 604_800,
            poll_seconds: 3600,
            events_days: 30,
            two_reviewers: false,
        }
    }
}

/// What an approval is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Name of the provider, or `*`.
    #[serde(default = "any")]
    pub provider: String,
    /// The level that was offered, or `*`.
    #[serde(default = "any")]
    pub level: String,
    /// What the vendor must have found in order, such as `document` and `face`.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// 0, 1 or 2.
    pub ial: i16,
    /// Days from the approval on.
    pub valid_days: u32,
}

fn any() -> String {
    "*".into()
}
