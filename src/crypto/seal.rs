//! Sealing: AES-256-GCM under a key derived from the root key for one purpose (HKDF-SHA-256, RFC 5869).
//!
//! A sealed value is `format (1) | key id (4) | nonce (12) | ciphertext and tag`. The head and the caller's context are
//! additional data, so that a value moved to another row, column or purpose does not open.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::root_key::RootKey;
use crate::entropy::Entropy;

const FORMAT: u8 = 1;
const HEAD: usize = 1 + 4;
const NONCE: usize = 12;

/// Seals and opens values of one purpose.
#[derive(Clone)]
pub struct Sealer {
    cipher: Aes256Gcm,
    /// Tells which root key sealed a value: a key is chosen by name, never by trying.
    key_id: [u8; 4],
    entropy: Entropy,
}

/// The value does not open. One error for every reason, so that it teaches nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed with another key, or altered")]
pub struct Unopened;

impl Sealer {
    #[must_use]
    pub fn new(root: &RootKey, purpose: &str, entropy: Entropy) -> Self {
        let derived = Hkdf::<Sha256>::new(None, root.bytes());
        let mut key = Zeroizing::new([0; 32]);
        let mut key_id = [0; 4];
        derived
            .expand(format!("seal/{purpose}").as_bytes(), key.as_mut())
            .expect("32 bytes are within HKDF's reach");
        derived.expand(b"key id", &mut key_id).expect("4 bytes are within HKDF's reach");
        Self { cipher: Aes256Gcm::new((&*key).into()), key_id, entropy }
    }

    #[must_use]
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE] = self.entropy.bytes();
        let mut sealed = vec![FORMAT];
        sealed.extend_from_slice(&self.key_id);
        let data = [&sealed, context].concat();
        let text = self
            .cipher
            .encrypt(&nonce.into(), Payload { msg: plain, aad: &data })
            .expect("AES-GCM takes any message that fits in memory");
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&text);
        sealed
    }

    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let (head, rest) = sealed.split_at_checked(HEAD).ok_or(Unopened)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE>().ok_or(Unopened)?;
        if head[0] != FORMAT || head[1..] != self.key_id {
            return Err(Unopened);
        }
        let data = [head, context].concat();
        self.cipher
            .decrypt(&(*nonce).into(), Payload { msg: text, aad: &data })
            .map(Zeroizing::new)
            .map_err(|_| Unopened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;

    fn root() -> RootKey {
        let text = base64::engine::general_purpose::STANDARD.encode(Entropy.bytes::<32>());
        RootKey::from_base64(&text).expect("random bytes are a key")
    }

    #[test]
    fn opens_only_where_it_was_sealed() {
        let (root, other) = (root(), root());
        let sealer = Sealer::new(&root, "mail", Entropy);
        let sealed = sealer.seal(b"row 1", b"canary");
        assert_eq!(sealer.open(b"row 1", &sealed).as_deref().map(Vec::as_slice), Ok(b"canary".as_slice()));
        assert_eq!(sealer.open(b"row 2", &sealed), Err(Unopened));
        assert_eq!(Sealer::new(&root, "keys", Entropy).open(b"row 1", &sealed), Err(Unopened));
        assert_eq!(Sealer::new(&other, "mail", Entropy).open(b"row 1", &sealed), Err(Unopened));
    }

    #[test]
    fn every_altered_bit_and_every_cut_is_noticed() {
        let sealer = Sealer::new(&root(), "mail", Entropy);
        let sealed = sealer.seal(b"", b"canary");
        for bit in 0..sealed.len() * 8 {
            let mut altered = sealed.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(sealer.open(b"", &altered), Err(Unopened), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(sealer.open(b"", &sealed[..length]), Err(Unopened), "length {length}");
        }
    }

    #[test]
    fn the_same_text_never_looks_the_same() {
        let sealer = Sealer::new(&root(), "mail", Entropy);
        assert_ne!(sealer.seal(b"", b"canary"), sealer.seal(b"", b"canary"));
    }
}
