//! Tokens, links and sessions, and how long they live.

use serde::{Deserialize, Serialize};

/// Lifetimes, in seconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// Access tokens. Default 900 (15 minutes), at most 3600.
    pub access_seconds: u64,
    /// A session that is not refreshed ends after this. Default 604800 (7 days).
    pub session_idle_seconds: u64,
    /// A session ends after this, however busy. Default 2592000 (30 days).
    pub session_seconds: u64,
    /// A refresh token shown again within this time gets the same successor; later it ends the session as stolen.
    /// Default 10, at most 60.
    pub refresh_grace_seconds: u64,
    /// True ends sessions at aal 2 as NIST SP 800-63B-4 advises: after 24 hours, or an hour without a refresh. Default
    /// false.
    pub nist_lifetimes: bool,
    /// Sessions that an account may have; a further one ends the one that was refreshed longest ago. Default 50.
    pub sessions_per_account: u64,
    /// The wait for a second factor after the right password. Default 300 (5 minutes).
    pub ticket_seconds: u64,
    /// A remembered device may skip the second factor. Default 2592000 (30 days).
    pub remembered_device_seconds: u64,
    /// Links that confirm an address. Default 86400 (24 hours).
    pub verification_seconds: u64,
    /// Links that replace a forgotten password. Default 3600 (1 hour).
    pub reset_seconds: u64,
    /// Links by which the old address takes back a change of address. Default 259200 (72 hours).
    pub email_revert_seconds: u64,
    /// Audience (`aud`) of access tokens. Default: the public URL.
    pub audience: Option<String>,
    /// How keys made from now on sign access tokens: `EdDSA` or `ES256`. Default `EdDSA`.
    pub algorithm: SigningAlgorithm,
    /// A new signing key is published for this long before it signs. Default 600 (10 minutes). Other services should not
    /// keep the key set for longer than half of it, and clocks not differ by more than a quarter.
    pub publish_ahead_seconds: u64,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            access_seconds: 900,
            session_idle_seconds: 7 * 86_400,
            session_seconds: 30 * 86_400,
            refresh_grace_seconds: 10,
            nist_lifetimes: false,
            sessions_per_account: 50,
            ticket_seconds: 300,
            remembered_device_seconds: 30 * 86_400,
            verification_seconds: 86_400,
            reset_seconds: 3600,
            email_revert_seconds: 72 * 3600,
            audience: None,
            algorithm: SigningAlgorithm::EdDSA,
            publish_ahead_seconds: 600,
        }
    }
}

impl Tokens {
    /// The most that `access_seconds` may be: no access token of ours lives longer.
    pub const MOST_ACCESS_SECONDS: u64 = 3600;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SigningAlgorithm {
    EdDSA,
    ES256,
}
