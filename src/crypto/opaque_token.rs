//! Tokens that mean nothing by themselves, such as those in mailed links: 256 random bits, of which the database keeps only
//! a hash.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::ZeroizeOnDrop;

use crate::entropy::Entropy;

/// A token of ours. Its text is a credential.
#[derive(ZeroizeOnDrop)]
pub struct OpaqueToken([u8; 32]);

impl OpaqueToken {
    #[must_use]
    pub fn generate(entropy: Entropy) -> Self {
        Self(entropy.bytes())
    }

    /// Reads what a person or a mail program hands back; white space at the ends is theirs.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut token = [0; 32];
        let length = URL_SAFE_NO_PAD.decode_slice(text.trim(), &mut token).ok()?;
        (length == token.len()).then_some(Self(token))
    }

    /// The form for whoever is to hold it: 43 characters of base64url.
    #[must_use]
    pub fn expose(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The form for the database. With 256 random bits a plain hash can't be searched.
    #[must_use]
    pub fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.0).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_the_token() {
        let token = OpaqueToken::generate(Entropy);
        let text = token.expose();
        assert_eq!(OpaqueToken::parse(&format!(" {text}\n")).map(|read| read.hash()), Some(token.hash()));
        for altered in [&text[1..], &text[..42], &format!("{text}A"), &format!("{text}="), "", "é"] {
            assert!(OpaqueToken::parse(altered).is_none(), "{altered}");
        }
    }
}
