//! Recovery codes: 120 random bits in 24 characters of Crockford's base32, so many that a plain hash at rest can't be searched
//! (OWASP ASVS 6.5.2).

use entities::AccountId;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::entropy::Entropy;

/// How many a set has.
pub const SET: usize = 10;
/// No I, L, O and U, which people take for others.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const BYTES: usize = 15;
const CHARACTERS: usize = 24;
const GROUP: usize = 6;

/// A code in its one canonical spelling.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode(Zeroizing<String>);

impl RecoveryCode {
    #[must_use]
    pub fn generate(entropy: Entropy) -> Self {
        let random = Zeroizing::new(entropy.bytes::<BYTES>());
        let bits = random.iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
        let character = |at: usize| char::from(ALPHABET[(bits >> (5 * at)) as usize & 31]);
        Self(Zeroizing::new((0..CHARACTERS).map(character).collect()))
    }

    /// Reads what a person types: white space, hyphens and case don't count, and look-alikes are forgiven.
    #[must_use]
    pub fn parse(typed: &str) -> Option<Self> {
        let mut code = Zeroizing::new(String::with_capacity(CHARACTERS));
        for character in typed.chars().filter(|c| !c.is_whitespace() && *c != '-') {
            let character = match character.to_ascii_lowercase() {
                'o' => '0',
                'i' | 'l' => '1',
                other => other,
            };
            if code.len() == CHARACTERS || !u8::try_from(character).is_ok_and(|byte| ALPHABET.contains(&byte))
            {
                return None;
            }
            code.push(character);
        }
        (code.len() == CHARACTERS).then_some(Self(code))
    }

    /// In groups, for a person.
    #[must_use]
    pub fn expose(&self) -> String {
        let groups: Vec<&str> = (0..CHARACTERS).step_by(GROUP).map(|at| &self.0[at..at + GROUP]).collect();
        groups.join("-")
    }

    /// The form for the database, different for each account.
    #[must_use]
    pub fn hash(&self, account: AccountId) -> Vec<u8> {
        Sha256::new().chain_update(account.0).chain_update(self.0.as_bytes()).finalize().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        let code = RecoveryCode::generate(Entropy);
        let text = code.expose();
        assert_eq!(text.len(), 27);
        for typed in [
            text.clone(),
            text.to_uppercase(),
            text.replace('-', " "),
            format!("\n{}", text.replace('-', "")),
        ] {
            assert!(RecoveryCode::parse(&typed) == Some(code.clone()), "{typed}");
        }
        let canonical = RecoveryCode::parse(&"0".repeat(24));
        assert!(canonical.is_some() && RecoveryCode::parse(&"O".repeat(24)) == canonical);
        let ones = RecoveryCode::parse(&"1".repeat(24));
        assert!(RecoveryCode::parse("IiLl11-1iIlLi-11iiII-llLL11") == ones);
        for bad in
            ["", &text[1..], &format!("{text}0"), &text.replace('-', "_"), &"u".repeat(24), &"é".repeat(24)]
        {
            assert!(RecoveryCode::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn each_character_is_drawn_by_itself() {
        // Bits that two neighbours shared would be the high ones of the first and the low ones of the second.
        let shared = |code: RecoveryCode| {
            let letters = code.expose().replace('-', "").into_bytes();
            let value = |letter| ALPHABET.iter().position(|of_ours| *of_ours == letter).unwrap_or_default();
            letters.windows(2).all(|pair| value(pair[0]) >> 1 == value(pair[1]) & 15)
        };
        assert!((0..10).all(|_| !shared(RecoveryCode::generate(Entropy))));
    }

    #[test]
    fn every_bit_of_randomness_is_used() {
        let codes: std::collections::HashSet<String> =
            (0..1000).map(|_| RecoveryCode::generate(Entropy).expose()).collect();
        assert_eq!(codes.len(), 1000);
        for at in (0..27).filter(|at| at % 7 != 6) {
            let seen: std::collections::HashSet<u8> = codes.iter().map(|code| code.as_bytes()[at]).collect();
            assert_eq!(seen.len(), 32, "at {at}");
        }
    }

    #[test]
    fn the_same_code_of_another_account_is_another_hash() {
        let code = RecoveryCode::generate(Entropy);
        let [ada, bob] = [1, 2].map(|id| code.hash(AccountId(uuid::Uuid::from_u128(id))));
        assert_ne!(ada, bob);
    }
}
