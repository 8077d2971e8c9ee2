//! Passwords: the secret type, the policy that admits them and the pool that hashes them.
//!
//! Argon2id (RFC 9106) with NFC-normalised input (NIST SP 800-63B-4 §3.1.1.2), never truncated, trimmed or
//! case-folded. Hashes of other programs verify until they are replaced.

mod breach;
mod foreign;
mod hasher;
mod params;
mod policy;
mod priority;
mod stored;

pub use breach::RangeQuery;
pub use hasher::{Hasher, Overloaded, Verdict};
pub use params::HashingParams;
pub use policy::{MAX_LENGTH, MIN_LENGTH, Refusal, check};
pub use stored::{UnusableHash, check_imported};

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A password as a person typed it, in Unicode normalisation form C, so that the same characters entered on two
/// keyboards are the same password. Wiped when dropped, never printed, compared only by [`Hasher::verify`].
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Password(String);

impl Password {
    /// Normalises `typed`. Wiping `typed` itself is the caller's business.
    pub fn new(typed: &str) -> Self {
        // NFC grows UTF-8 to at most three times its length (UAX #15): a string that never reallocates leaves
        // no copies behind.
        let mut normalised = String::with_capacity(typed.len() * 3);
        normalised.extend(typed.nfc());
        Self(normalised)
    }

    fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let password = Password::new("canary-7f3a");
        assert_eq!(
            format!("{password:?} {:?}", Some(&password)),
            "Password(redacted) Some(Password(redacted))"
        );
    }

    #[test]
    fn equivalent_spellings_are_one_password_and_compatible_ones_are_not() {
        assert_eq!(
            Password::new("cafe\u{301} \u{212b}").as_str(),
            Password::new("caf\u{e9} \u{c5}").as_str()
        );
        assert_ne!(Password::new("\u{fb01}ne").as_str(), Password::new("fine").as_str());
        assert_ne!(Password::new("\u{2460}").as_str(), Password::new("1").as_str());
    }

    #[test]
    fn normalising_never_reallocates() {
        // U+1D160 grows the most under NFC: from four bytes to twelve.
        let typed = "\u{1d160}".repeat(128);
        let password = Password::new(&typed);
        assert_eq!(password.as_str().len(), typed.len() * 3);
        assert_eq!(password.0.capacity(), typed.len() * 3);
    }

    #[test]
    fn wiping_leaves_nothing() {
        let mut password = Password::new("canary-7f3a");
        password.zeroize();
        assert!(password.as_str().is_empty());
    }
}
