//! Sealing: AES-256-GCM under a key derived from a root key for one purpose (HKDF-SHA-256, RFC 5869).
//!
//! A sealed value is `format (1) | key id (4) | nonce (12) | ciphertext and tag`. The head and the caller's context are
//! additional data, so that a value moved to another row, column or purpose does not open.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use zeroize::Zeroizing;

use super::root_key::RootKey;
use super::root_ring::RootRing;
use crate::entropy::Entropy;

const FORMAT: u8 = 1;
const NONCE: usize = 12;

/// How a sealed value begins: format and id of the root key.
pub const HEAD: usize = 1 + 4;
pub type Head = [u8; HEAD];

/// Seals and opens values of one purpose.
#[derive(Clone)]
pub struct Sealer {
    roots: RootRing,
    purpose: &'static str,
    entropy: Entropy,
}

/// The value does not open. One error for every reason, so that it teaches nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed with another key, or altered")]
pub struct Unopened;

impl Sealer {
    #[must_use]
    pub fn new(roots: &RootRing, purpose: &'static str, entropy: Entropy) -> Self {
        Self { roots: roots.clone(), purpose, entropy }
    }

    /// Seals under the current root key.
    #[must_use]
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let root = self.roots.current();
        let nonce: [u8; NONCE] = self.entropy.bytes();
        let mut sealed = head_of(&root).to_vec();
        let data = [&sealed, context].concat();
        let text = self
            .cipher(&root)
            .encrypt(&nonce.into(), Payload { msg: plain, aad: &data })
            .expect("AES-GCM takes any message that fits in memory");
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&text);
        sealed
    }

    /// Opens with the root key that the value names: a key is chosen by name, never by trying.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let (head, rest) = sealed.split_first_chunk::<HEAD>().ok_or(Unopened)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE>().ok_or(Unopened)?;
        let root = self.root_of(head).ok_or(Unopened)?;
        let data = [head, context].concat();
        self.cipher(&root)
            .decrypt(&(*nonce).into(), Payload { msg: text, aad: &data })
            .map(Zeroizing::new)
            .map_err(|_| Unopened)
    }

    /// Opens and seals again, under the current root key.
    pub fn rewrap(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Unopened> {
        self.open(context, sealed).map(|plain| self.seal(context, &plain))
    }

    /// How values begin that are sealed from now on.
    #[must_use]
    pub fn head(&self) -> Head {
        head_of(&self.roots.current())
    }

    /// Whether the root key is at hand that sealed what begins like this.
    #[must_use]
    pub fn knows(&self, head: &[u8]) -> bool {
        head.first_chunk().is_some_and(|head| self.root_of(head).is_some())
    }

    fn root_of(&self, head: &Head) -> Option<RootKey> {
        let [format, id @ ..] = *head;
        (format == FORMAT).then(|| self.roots.find(id)).flatten()
    }

    fn cipher(&self, root: &RootKey) -> Aes256Gcm {
        Aes256Gcm::new((&*root.derive(self.purpose)).into())
    }
}

fn head_of(root: &RootKey) -> Head {
    let [a, b, c, d] = root.id();
    [FORMAT, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> RootRing {
        RootRing::random()
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
    fn an_old_root_key_opens_until_it_is_retired() {
        let old = root();
        let new = old.rotated();
        let (before, after) = (Sealer::new(&old, "mail", Entropy), Sealer::new(&new, "mail", Entropy));
        let sealed = before.seal(b"row 1", b"canary");
        assert!(after.knows(&sealed) && after.head() != before.head());
        assert_eq!(after.open(b"row 1", &sealed).as_deref().map(Vec::as_slice), Ok(b"canary".as_slice()));
        assert_eq!(after.rewrap(b"row 2", &sealed), Err(Unopened));
        let rewrapped = after.rewrap(b"row 1", &sealed).unwrap();
        assert!(rewrapped.starts_with(&after.head()));

        let retired = Sealer::new(&new.retired(), "mail", Entropy);
        assert_eq!(
            retired.open(b"row 1", &rewrapped).as_deref().map(Vec::as_slice),
            Ok(b"canary".as_slice())
        );
        assert_eq!(retired.open(b"row 1", &sealed), Err(Unopened));
        assert_eq!(before.open(b"row 1", &rewrapped), Err(Unopened));
        assert!(!retired.knows(&sealed) && !before.knows(&rewrapped));
    }

    #[test]
    fn the_same_text_never_looks_the_same() {
        let sealer = Sealer::new(&root(), "mail", Entropy);
        assert_ne!(sealer.seal(b"", b"canary"), sealer.seal(b"", b"canary"));
    }
}
