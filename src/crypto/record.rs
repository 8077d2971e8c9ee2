//! Records of the vault. Each version of a record has a random key of its own; the root key wraps that key, and the key
//! encrypts the fields (AES-256-GCM, NIST SP 800-38D). Both are bound to owner, record and version, a field to its name too:
//! what is moved elsewhere, or put back after a change, does not open.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::seal::Unopened;
use crate::entropy::Entropy;

const FORMAT: u8 = 1;
const NONCE: usize = 12;

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub owner: Uuid,
    pub record: Uuid,
    /// Grows with each new content.
    pub version: i32,
}

impl Place {
    /// What the wrapped key is bound to.
    #[must_use]
    pub fn context(&self) -> Vec<u8> {
        [
            b"latchkey record 1".as_slice(),
            self.owner.as_bytes(),
            self.record.as_bytes(),
            &self.version.to_be_bytes(),
        ]
        .concat()
    }

    /// What a field is bound to. All before the name has a fixed length, so no two places read the same.
    fn field(&self, name: &str) -> Vec<u8> {
        [&[FORMAT][..], &self.context(), name.as_bytes()].concat()
    }
}

/// The key of one version of one record. It seals a few fields and then no more, so that no nonce meets its like.
pub struct RecordKey(Zeroizing<[u8; 32]>);

impl RecordKey {
    #[must_use]
    pub fn generate(entropy: Entropy) -> Self {
        Self(Zeroizing::new(entropy.bytes()))
    }

    /// What the root key gives back.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unopened> {
        bytes.try_into().map(|key| Self(Zeroizing::new(key))).map_err(|_| Unopened)
    }

    /// For the root key to wrap.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// `format (1) | nonce (12) | ciphertext and tag`
    #[must_use]
    pub fn seal(&self, place: &Place, field: &str, plain: &[u8], entropy: Entropy) -> Vec<u8> {
        let nonce: [u8; NONCE] = entropy.bytes();
        let text = Aes256Gcm::new((&*self.0).into())
            .encrypt(&nonce.into(), Payload { msg: plain, aad: &place.field(field) })
            .expect("AES-GCM takes any message that fits in memory");
        [&[FORMAT][..], &nonce, &text].concat()
    }

    pub fn open(&self, place: &Place, field: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let (&format, rest) = sealed.split_first().ok_or(Unopened)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE>().ok_or(Unopened)?;
        if format != FORMAT {
            return Err(Unopened);
        }
        Aes256Gcm::new((&*self.0).into())
            .decrypt(&(*nonce).into(), Payload { msg: text, aad: &place.field(field) })
            .map(Zeroizing::new)
            .map_err(|_| Unopened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { owner: Uuid::from_u128(1), record: Uuid::from_u128(2), version: 3 };

    #[test]
    fn a_field_opens_in_its_place_only() {
        let (key, other) = (RecordKey::generate(Entropy), RecordKey::generate(Entropy));
        let sealed = key.seal(&PLACE, "secret", b"canary", Entropy);
        assert_eq!(
            key.open(&PLACE, "secret", &sealed).as_deref().map(Vec::as_slice),
            Ok(b"canary".as_slice())
        );
        for place in [
            Place { owner: Uuid::from_u128(9), ..PLACE },
            Place { record: Uuid::from_u128(9), ..PLACE },
            Place { version: 2, ..PLACE },
        ] {
            assert_eq!(key.open(&place, "secret", &sealed), Err(Unopened));
        }
        assert_eq!(key.open(&PLACE, "api_key", &sealed), Err(Unopened));
        assert_eq!(other.open(&PLACE, "secret", &sealed), Err(Unopened));
    }

    #[test]
    fn every_altered_bit_and_every_cut_is_noticed() {
        let key = RecordKey::generate(Entropy);
        let sealed = key.seal(&PLACE, "secret", b"canary", Entropy);
        for bit in 0..sealed.len() * 8 {
            let mut altered = sealed.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.open(&PLACE, "secret", &altered), Err(Unopened), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(key.open(&PLACE, "secret", &sealed[..length]), Err(Unopened), "length {length}");
        }
    }
}
