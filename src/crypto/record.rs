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
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

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

    fn place() -> impl Strategy<Value = Place> {
        any::<(u128, u128, i32)>().prop_map(|(owner, record, version)| Place {
            owner: Uuid::from_u128(owner),
            record: Uuid::from_u128(record),
            version,
        })
    }

    /// The place that differs in one bit.
    fn beside(place: Place, bit: u32) -> Place {
        let turned = |id: Uuid, bit: u32| Uuid::from_u128(id.as_u128() ^ (1 << bit));
        match bit {
            0..128 => Place { owner: turned(place.owner, bit), ..place },
            128..256 => Place { record: turned(place.record, bit - 128), ..place },
            _ => Place { version: place.version ^ (1 << (bit - 256)), ..place },
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn any_field_opens_in_its_place_only(
            place in place(),
            bit in 0..288u32,
            // Alike, as names are that begin with one another.
            (field, other) in ("[ab]{0,3}", "[ab]{0,3}"),
            plain in vec(any::<u8>(), 0..300),
        ) {
            let key = RecordKey::generate(Entropy);
            let sealed = key.seal(&place, &field, &plain, Entropy);
            let opened = key.open(&place, &field, &sealed);
            prop_assert_eq!(opened.as_deref().map(Vec::as_slice), Ok(plain.as_slice()));
            prop_assert_eq!(key.open(&beside(place, bit), &field, &sealed), Err(Unopened));
            prop_assert_eq!(key.open(&place, &other, &sealed).is_ok(), field == other);
            let stranger = RecordKey::generate(Entropy);
            prop_assert_eq!(stranger.open(&place, &field, &sealed), Err(Unopened));
        }

        #[test]
        fn any_alteration_of_any_field_is_noticed(
            place in place(),
            plain in vec(any::<u8>(), 0..300),
            (bit, cut) in any::<(Index, Index)>(),
            more in vec(any::<u8>(), 1..40),
        ) {
            let key = RecordKey::generate(Entropy);
            let sealed = key.seal(&place, "secret", &plain, Entropy);
            let mut flipped = sealed.clone();
            let bit = bit.index(flipped.len() * 8);
            flipped[bit / 8] ^= 1 << (bit % 8);
            let cut = &sealed[..cut.index(sealed.len())];
            for altered in [&flipped[..], cut, &[cut, &more].concat(), &[&sealed[..], &more].concat()] {
                prop_assume!(altered != sealed.as_slice());
                prop_assert_eq!(key.open(&place, "secret", altered), Err(Unopened));
            }
        }
    }
}
