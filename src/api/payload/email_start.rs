//! The beginning of an e-mail address, to search for.

use poem_openapi::registry::MetaSchema;
use unicode_normalization::UnicodeNormalization;

use super::{Email, scalar::string_type, violation::Mistake};

/// The beginning of an e-mail address, or a whole one, in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailStart(String);

const FORM: &str = r"^[^\x00-\x20\x7F]{1,254}$";

impl EmailStart {
    /// As addresses are compared. A domain in other letters than ASCII is recognised when the address is whole.
    #[must_use]
    pub fn key(&self) -> String {
        let start = || self.0.to_lowercase().nfc().collect();
        self.0.parse::<Email>().map_or_else(|_| start(), |email| email.key().to_owned())
    }

    fn parse(text: String) -> Result<Self, Mistake> {
        let well_formed = (1..=254).contains(&text.chars().count())
            && text.chars().all(|c| !c.is_ascii_control() && c != ' ');
        if well_formed {
            Ok(Self(text))
        } else {
            let msg = format!("String should match pattern '{FORM}'");
            Err(Mistake::new("string_pattern_mismatch", msg).with("pattern", FORM))
        }
    }
}

string_type!(
    EmailStart,
    "string_email_start",
    MetaSchema { pattern: Some(FORM.to_owned()), example: Some("ada@".into()), ..MetaSchema::new("string") }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_written_as_keys_are() {
        for (text, key) in [
            ("ADA", "ada"),
            ("Ada@Exam", "ada@exam"),
            ("ada@M\u{fc}nchen.de", "ada@xn--mnchen-3ya.de"),
            ("A\u{30a}da", "\u{e5}da"),
            ("%_", "%_"),
        ] {
            assert_eq!(EmailStart::parse(text.into()).unwrap().key(), key);
        }
        for wrong in ["", "a b", "a\0", "a\u{7f}", &"a".repeat(255)] {
            assert!(EmailStart::parse(wrong.to_owned()).is_err(), "{wrong:?}");
        }
    }
}
