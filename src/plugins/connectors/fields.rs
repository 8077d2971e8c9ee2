//! The fields that most connectors have, and what can be told of them by looking.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Credential, Field, Kind, Mistake};
use crate::secret::Secret;

pub const API_KEY: Field =
    Field { name: "api_key", title: "API key", required: true, kind: Kind::Text, help: "" };
pub const SECRET: Field =
    Field { name: "secret", title: "API secret", required: true, kind: Kind::Secret, help: "" };
pub const PASSPHRASE: Field = Field {
    name: "passphrase",
    title: "Passphrase",
    required: true,
    kind: Kind::Secret,
    help: "The one chosen when the key was made.",
};

impl Mistake {
    /// Unless the field is as it must be.
    #[must_use]
    pub fn unless(right: bool, field: &'static str, message: &'static str) -> Option<Self> {
        (!right).then_some(Self { field, message })
    }
}

impl Credential {
    /// Key and passphrase go into headers, and secrets are plain as well: other letters come from copying.
    #[must_use]
    pub fn strange_letters(&self) -> Vec<Mistake> {
        const KEY: &str = "The API key has letters that no API key has. Copy it again";
        const SECRET: &str = "The secret has letters that no secret has. Copy it again";
        const PASSPHRASE: &str =
            "The passphrase has letters that can't be sent to the service. Choose another one there";
        let plain = |secret: Option<&Secret>, spaces: &[u8]| {
            let plain = |byte: u8| byte.is_ascii_graphic() || spaces.contains(&byte);
            secret.is_none_or(|secret| secret.expose().bytes().all(plain))
        };
        [
            Mistake::unless(plain(Some(&self.api_key), b""), "api_key", KEY),
            Mistake::unless(plain(self.secret.as_ref(), b" \r\n"), "secret", SECRET),
            Mistake::unless(plain(self.passphrase.as_ref(), b" "), "passphrase", PASSPHRASE),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// The bytes of a secret in base64, whatever white space has come into it.
#[must_use]
pub fn base64_bytes(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text: Zeroizing<String> = Zeroizing::new(text.split_ascii_whitespace().collect());
    STANDARD.decode(text.as_bytes()).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_come_from_copying_are_found() {
        let credential = |key: &str, secret: &str, passphrase: &str| Credential {
            environment: "live".into(),
            api_key: Secret::new(key.into()),
            secret: Some(Secret::new(secret.into())),
            passphrase: Some(Secret::new(passphrase.into())),
            settings: serde_json::Map::new(),
        };
        assert!(credential("a-key", "-----BEGIN\nabc", "two words!").strange_letters().is_empty());
        for (key, passphrase) in [("a key", "p\u{e4}ss"), ("a\rkey", "two\r\nlines"), ("a\nkey", "bell\u{7}")]
        {
            let found = credential(key, "s\u{2026}", passphrase).strange_letters();
            let fields: Vec<_> = found.iter().map(|mistake| mistake.field).collect();
            assert_eq!(fields, ["api_key", "secret", "passphrase"]);
        }
    }

    #[test]
    fn base64_may_be_broken_into_lines() {
        assert_eq!(base64_bytes("AQID\n BA==").as_deref(), Some(&vec![1, 2, 3, 4]));
        assert!(base64_bytes("no!").is_none());
    }
}
