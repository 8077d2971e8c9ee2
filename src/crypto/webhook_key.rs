//! Signatures of outgoing webhooks, as Standard Webhooks has them (version `v1`, HMAC-SHA-256).

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use zeroize::Zeroizing;

use super::mac;

/// A secret that an endpoint shares with this server.
pub struct WebhookKey(Zeroizing<Vec<u8>>);

impl WebhookKey {
    /// Of `whsec_` and 24 to 64 bytes in base64, padded or not.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let encoded = text.strip_prefix("whsec_")?.trim_end_matches('=');
        let bytes = Zeroizing::new(BASE64_STANDARD_NO_PAD.decode(encoded).ok()?);
        (24..=64).contains(&bytes.len()).then_some(Self(bytes))
    }

    /// The signature of a message that is sent at `seconds`, as its header has it.
    #[must_use]
    pub fn sign(&self, id: &str, seconds: i64, body: &str) -> String {
        let signed = format!("{id}.{seconds}.{body}");
        format!("v1,{}", BASE64_STANDARD.encode(mac::hmac_sha256(&self.0, signed.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the tests of the reference libraries.
    #[test]
    fn signs_as_the_reference_libraries_do() {
        for secret in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw="] {
            let key = WebhookKey::parse(secret).expect("a secret");
            assert_eq!(
                key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#),
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
            );
        }
    }

    #[test]
    fn a_secret_is_long_enough_and_not_too_long() {
        let secret = |length| format!("whsec_{}", BASE64_STANDARD.encode(vec![7; length]));
        for (text, taken) in [
            (secret(23), false),
            (secret(24), true),
            (secret(25), true),
            (secret(64), true),
            (secret(65), false),
            (secret(32).replace("whsec_", ""), false),
            (secret(32).replace("whsec_", "whsk_"), false),
            ("whsec_".into(), false),
            ("whsec_not base64, though it is long enough".into(), false),
        ] {
            assert_eq!(WebhookKey::parse(&text).is_some(), taken, "{text}");
        }
    }
}
