//! Where to go on in a list that is read in pages.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entities::Timestamp;
use poem_openapi::registry::MetaSchema;
use uuid::Uuid;

use super::{scalar::string_type, violation::Mistake};

/// A place in a list that is ordered by time: behind this row. Whoever makes one up gets a place in the same list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub at: Timestamp,
    pub id: Uuid,
}

/// 24 bytes in base64url.
const FORM: &str = "^[A-Za-z0-9_-]{32}$";

impl Cursor {
    /// The text for an answer, to be sent back.
    #[must_use]
    pub fn encode(self) -> String {
        URL_SAFE_NO_PAD.encode([&self.at.0.to_be_bytes()[..], self.id.as_bytes()].concat())
    }

    fn parse(text: String) -> Result<Self, Mistake> {
        let malformed = || {
            Mistake::new("string_pattern_mismatch", format!("String should match pattern '{FORM}'"))
                .with("pattern", FORM)
        };
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed())?;
        let (at, id) = bytes.split_first_chunk().ok_or_else(malformed)?;
        let id = Uuid::from_slice(id).map_err(|_| malformed())?;
        Ok(Self { at: Timestamp(i64::from_be_bytes(*at)), id })
    }
}

string_type!(
    Cursor,
    "string_cursor",
    MetaSchema {
        pattern: Some(FORM.to_owned()),
        example: Some("AAABog6Bg4ABk49uK3p8PZ8QWkvhwtPk".into()),
        ..MetaSchema::new("string")
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        for (at, id) in [(0, 0), (1_795_478_400_000, 7), (-1, u128::MAX), (i64::MIN, 1)] {
            let cursor = Cursor { at: Timestamp(at), id: Uuid::from_u128(id) };
            let text = cursor.encode();
            assert_eq!(text.len(), 32);
            assert_eq!(Cursor::parse(text).ok(), Some(cursor));
        }
        for wrong in ["", "AAAA", &"A".repeat(31), &"A".repeat(36), &"=".repeat(32), &"é".repeat(16)] {
            assert!(Cursor::parse(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
