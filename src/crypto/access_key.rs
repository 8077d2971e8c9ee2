//! Access keys: what a server shows in place of a signed-in person. `lk_`, 256 random bits and a checksum, so that a scanner
//! of leaked secrets knows one when it sees it and a typing error is told from a wrong key. The database keeps a hash.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::entropy::Entropy;

const PREFIX: &str = "lk_";
/// Bytes of the checksum: of SHA-256 of what stands before it.
const CHECK: usize = 4;

/// A key of ours. Its text is a credential.
pub struct AccessKey(Zeroizing<[u8; 32]>);

impl AccessKey {
    #[must_use]
    pub fn generate(entropy: Entropy) -> Self {
        Self(Zeroizing::new(entropy.bytes()))
    }

    /// Whether a text means to be one.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        let mut bytes = Zeroizing::new([0; 32 + CHECK]);
        hex::decode_to_slice(digits, bytes.as_mut()).ok()?;
        let (key, check) = bytes.split_first_chunk::<32>()?;
        let key = Self(Zeroizing::new(*key));
        // One spelling: digits in capitals are not the key.
        (key.check() == check && key.expose() == text).then_some(key)
    }

    /// The form for whoever is to hold it: `lk_` and 72 hexadecimal digits.
    #[must_use]
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}{}", hex::encode(*self.0), hex::encode(self.check()))
    }

    /// The form for the database. With 256 random bits a plain hash can't be searched.
    #[must_use]
    pub fn hash(&self) -> Vec<u8> {
        Sha256::digest(*self.0).to_vec()
    }

    fn check(&self) -> [u8; CHECK] {
        let digest = Sha256::new().chain_update(PREFIX).chain_update(*self.0).finalize();
        [digest[0], digest[1], digest[2], digest[3]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_key_is_the_key() {
        let key = AccessKey::generate(Entropy);
        let text = key.expose();
        assert_eq!(text.len(), 3 + 72);
        assert_eq!(AccessKey::parse(&text).map(|read| read.hash()), Some(key.hash()));
        let last = if text.ends_with('0') { '1' } else { '0' };
        for altered in [
            &text[3..],
            &text[..74],
            &format!("{text}0"),
            &format!("{}{last}", &text[..74]),
            &text.to_uppercase(),
            &format!("lk_{}", text[3..].to_uppercase()),
            "lk_",
            "",
        ] {
            assert!(AccessKey::parse(altered).is_none(), "{altered}");
        }
    }
}
