//! Envelope encryption: every record has a random key of its own that encrypts it, and the root key only wraps that key. A
//! record key seals one message, so that no nonce can meet its like, and destroying it destroys the record.
//!
//! An envelope is `length of the wrapped key (2) | wrapped key | nonce (12) | ciphertext and tag`. The caller's context, which
//! names owner, record and field, is additional data of both layers.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use zeroize::Zeroizing;

use super::seal::{Sealer, Unopened};
use crate::entropy::Entropy;

const NONCE: usize = 12;

/// Encrypts records of one purpose.
#[derive(Clone)]
pub struct Envelopes {
    wrapper: Sealer,
    entropy: Entropy,
}

impl Envelopes {
    #[must_use]
    pub fn new(wrapper: Sealer, entropy: Entropy) -> Self {
        Self { wrapper, entropy }
    }

    #[must_use]
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let key = Zeroizing::new(self.entropy.bytes::<32>());
        let nonce: [u8; NONCE] = self.entropy.bytes();
        let wrapped = self.wrapper.seal(context, key.as_ref());
        let text = Aes256Gcm::new((&*key).into())
            .encrypt(&nonce.into(), Payload { msg: plain, aad: context })
            .expect("AES-GCM takes any message that fits in memory");
        join(&wrapped, &[&nonce[..], &text].concat())
    }

    pub fn open(&self, context: &[u8], envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let (wrapped, rest) = split(envelope)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE>().ok_or(Unopened)?;
        let key = self.wrapper.open(context, wrapped)?;
        let key: &[u8; 32] = key.as_slice().try_into().map_err(|_| Unopened)?;
        Aes256Gcm::new(key.into())
            .decrypt(&(*nonce).into(), Payload { msg: text, aad: context })
            .map(Zeroizing::new)
            .map_err(|_| Unopened)
    }

    /// The same record, its key wrapped by the current root key.
    pub fn rewrap(&self, context: &[u8], envelope: &[u8]) -> Result<Vec<u8>, Unopened> {
        let (wrapped, rest) = split(envelope)?;
        Ok(join(&self.wrapper.rewrap(context, wrapped)?, rest))
    }

    /// What wraps the keys.
    #[must_use]
    pub fn wrapper(&self) -> &Sealer {
        &self.wrapper
    }
}

fn join(wrapped: &[u8], rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(wrapped.len()).expect("a wrapped key is short");
    [&length.to_be_bytes()[..], wrapped, rest].concat()
}

fn split(envelope: &[u8]) -> Result<(&[u8], &[u8]), Unopened> {
    let (length, rest) = envelope.split_first_chunk::<2>().ok_or(Unopened)?;
    rest.split_at_checked(u16::from_be_bytes(*length).into()).ok_or(Unopened)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::root_ring::RootRing;

    fn envelopes() -> Envelopes {
        Envelopes::new(Sealer::new(&RootRing::random(), "test", Entropy), Entropy)
    }

    #[test]
    fn opens_only_where_it_was_sealed() {
        let (envelopes, others) = (envelopes(), envelopes());
        let sealed = envelopes.seal(b"ada/1", b"canary");
        assert_eq!(envelopes.open(b"ada/1", &sealed).as_deref().map(Vec::as_slice), Ok(b"canary".as_slice()));
        assert_eq!(envelopes.open(b"bob/1", &sealed), Err(Unopened));
        assert_eq!(others.open(b"ada/1", &sealed), Err(Unopened));
        assert_ne!(sealed, envelopes.seal(b"ada/1", b"canary"));
    }

    #[test]
    fn every_altered_bit_and_every_cut_is_noticed() {
        let envelopes = envelopes();
        let sealed = envelopes.seal(b"", b"canary");
        for bit in 0..sealed.len() * 8 {
            let mut altered = sealed.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(envelopes.open(b"", &altered), Err(Unopened), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(envelopes.open(b"", &sealed[..length]), Err(Unopened), "length {length}");
        }
    }

    #[test]
    fn a_new_root_key_wraps_the_key_and_leaves_the_record() {
        let old = RootRing::random();
        let new = old.rotated();
        let of = |ring: &RootRing| Envelopes::new(Sealer::new(ring, "test", Entropy), Entropy);
        let sealed = of(&old).seal(b"ada/1", b"canary");
        let rewrapped = of(&new).rewrap(b"ada/1", &sealed).unwrap();
        assert_eq!(rewrapped.len(), sealed.len());
        assert_eq!(rewrapped[rewrapped.len() - 34..], sealed[sealed.len() - 34..]);
        let retired = of(&new.retired());
        assert_eq!(
            retired.open(b"ada/1", &rewrapped).as_deref().map(Vec::as_slice),
            Ok(b"canary".as_slice())
        );
        assert_eq!(retired.open(b"ada/1", &sealed), Err(Unopened));
        assert_eq!(of(&new).rewrap(b"bob/1", &sealed), Err(Unopened));
    }

    #[test]
    fn parts_of_two_envelopes_do_not_fit() {
        let envelopes = envelopes();
        let (one, two) = (envelopes.seal(b"ada/1", b"canary"), envelopes.seal(b"ada/1", b"finch"));
        let key = 2 + usize::from(u16::from_be_bytes([one[0], one[1]]));
        assert_eq!(envelopes.open(b"ada/1", &[&one[..key], &two[key..]].concat()), Err(Unopened));
    }
}
