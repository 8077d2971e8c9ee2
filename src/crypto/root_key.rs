//! The root key: the one secret that is not in the database, and without which the database is worthless.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::entropy::Entropy;

/// 256 bits from which every sealing key is derived.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RootKey {
    bytes: [u8; 32],
    id: [u8; 4],
}

impl std::fmt::Debug for RootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootKey(redacted)")
    }
}

/// Why there is no root key to work with: a line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    #[error("{0}: expected 32 random bytes in base64, such as `openssl rand -base64 32` prints")]
    Malformed(String),
    #[error("{0}: this is not a random key")]
    Weak(String),
    #[error("{0}: the same root key is there twice")]
    Twice(String),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{}: another root key has become the current one meanwhile; start again", .0.display())]
    Changed(PathBuf),
}

impl RootKey {
    /// `place` is where the text comes from, for the operator.
    pub fn from_base64(text: &str, place: &str) -> Result<Self, RootKeyError> {
        let malformed = || RootKeyError::Malformed(place.to_owned());
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| malformed())?);
        let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| malformed())?;
        let mut distinct = key;
        distinct.sort_unstable();
        // 32 random bytes have fewer than 16 different values about once in 10^14 times; typed ones always do.
        if distinct.chunk_by(|a, b| a == b).count() < 16 {
            return Err(RootKeyError::Weak(place.to_owned()));
        }
        Ok(Self::new(key))
    }

    #[must_use]
    pub fn generate(entropy: Entropy) -> Self {
        Self::new(entropy.bytes())
    }

    fn new(bytes: [u8; 32]) -> Self {
        let mut id = [0; 4];
        Hkdf::<Sha256>::new(None, &bytes)
            .expand(b"key id", &mut id)
            .expect("4 bytes are within HKDF's reach");
        Self { bytes, id }
    }

    pub(super) fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.bytes))
    }

    /// Refuses a key that is there twice: it would look like a rotation.
    pub(super) fn distinct(keys: Vec<Self>, place: &str) -> Result<Vec<Self>, RootKeyError> {
        let mut ids: Vec<_> = keys.iter().map(Self::id).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() == keys.len() { Ok(keys) } else { Err(RootKeyError::Twice(place.to_owned())) }
    }

    /// What tells it from other root keys, and tells nothing about it.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// A key derived for one purpose.
    pub(super) fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, &self.bytes)
            .expand(format!("seal/{purpose}").as_bytes(), key.as_mut())
            .expect("32 bytes are within HKDF's reach");
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_thirty_two_random_bytes_are_a_key() {
        assert!(RootKey::from_base64(&STANDARD.encode(Entropy.bytes::<32>()), "root_key").is_ok());
        for bad in
            ["", "secret", &STANDARD.encode([0; 32]), &STANDARD.encode([7; 31]), &STANDARD.encode([1; 33])]
        {
            assert!(RootKey::from_base64(bad, "root_key").is_err(), "{bad}");
        }
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", RootKey::generate(Entropy)), "RootKey(redacted)");
    }
}
