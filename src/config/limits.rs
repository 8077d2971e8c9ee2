//! How often things may be done.

use serde::{Deserialize, Serialize};

/// How often a thing may be done. A rate is `count/seconds`: so many at once, given back evenly over that time.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// False switches all of them off: for load tests, never for production. Default true.
    pub enabled: bool,
    /// Sign-ups per client address. Default `20/3600`.
    pub signup_per_address: Rate,
    /// Sign-ups with one address. Default `10/3600`.
    pub signup_per_account: Rate,
    /// Sign-in attempts per client address. Default `60/600`.
    pub login_per_address: Rate,
    /// Sign-in attempts per account. Default `10/600`.
    pub login_per_account: Rate,
    /// Refreshes per session. Default `30/900`.
    pub refresh_per_session: Rate,
    /// Requests for another verification mail per client address. Default `20/3600`.
    pub resend_per_address: Rate,
    /// First wait, in seconds, between verification mails to one address; it doubles each time. Default 60.
    pub resend_wait_seconds: u64,
    /// The longest such wait, in seconds. Default 3600.
    pub resend_wait_max_seconds: u64,
    /// Attempts to confirm an address per client address, and as many with other mailed links. Default `60/600`.
    pub verify_per_address: Rate,
    /// Questions about a verification's status per client address. Default `120/600`.
    pub status_per_address: Rate,
    /// Password changes and proofs of the password while signed in per account. Default `10/3600`.
    pub password_per_account: Rate,
    /// Answers with a second factor per account, right or wrong. Default `10/600`.
    pub mfa_per_account: Rate,
    /// Challenges for passkeys per client address. Default `60/600`.
    pub passkey_per_address: Rate,
    /// Requests for a link that replaces a forgotten password per client address. Default `20/3600`.
    pub reset_per_address: Rate,
    /// Requests to change the address per account. Default `5/86400`.
    pub email_change_per_account: Rate,
    /// Credentials stored or changed per account. Default `60/3600`.
    pub api_key_per_account: Rate,
    /// Tests of one credential. Default `6/60`.
    pub connection_test_per_key: Rate,
    /// Tests of credentials per account. Default `60/3600`.
    pub connection_test_per_account: Rate,
    /// Tests of credentials per host of a service, from all nodes. Default `120/60`.
    pub connection_test_per_host: Rate,
    /// Secrets revealed per account. Default `30/3600`.
    pub reveal_per_account: Rate,
    /// Requests signed per credential. Default `600/60`.
    pub sign_per_key: Rate,
    /// Verifications begun per account. Default `10/86400`.
    pub verification_per_account: Rate,
    /// Exports per account. Default `5/3600`.
    pub export_per_account: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        let rate = |count, seconds| Rate { count, seconds };
        Self {
            enabled: true,
            signup_per_address: rate(20, 3600),
            signup_per_account: rate(10, 3600),
            login_per_address: rate(60, 600),
            login_per_account: rate(10, 600),
            refresh_per_session: rate(30, 900),
            resend_per_address: rate(20, 3600),
            resend_wait_seconds: 60,
            resend_wait_max_seconds: 3600,
            verify_per_address: rate(60, 600),
            status_per_address: rate(120, 600),
            password_per_account: rate(10, 3600),
            mfa_per_account: rate(10, 600),
            passkey_per_address: rate(60, 600),
            reset_per_address: rate(20, 3600),
            email_change_per_account: rate(5, 86_400),
            api_key_per_account: rate(60, 3600),
            connection_test_per_key: rate(6, 60),
            connection_test_per_account: rate(60, 3600),
            connection_test_per_host: rate(120, 60),
            reveal_per_account: rate(30, 3600),
            sign_per_key: rate(600, 60),
            verification_per_account: rate(10, 86_400),
            export_per_account: rate(5, 3600),
        }
    }
}

/// `count` at once, given back evenly over `seconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub seconds: u32,
}

impl Serialize for Rate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}/{}", self.count, self.seconds))
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.split_once('/')
            .and_then(|(count, seconds)| Some((count.trim().parse().ok()?, seconds.trim().parse().ok()?)))
            .filter(|(count, seconds)| *count > 0 && *seconds > 0)
            .map(|(count, seconds)| Self { count, seconds })
            .ok_or_else(|| {
                serde::de::Error::custom(format!("`{text}` is not a rate such as `10/600` (count/seconds)"))
            })
    }
}
