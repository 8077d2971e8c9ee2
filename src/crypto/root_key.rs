//! The root key: the one secret that is not in the database, and without which the database is worthless.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::config::Config;
use crate::entropy::Entropy;
use crate::files;

/// 256 bits from which every sealing key is derived.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RootKey([u8; 32]);

impl std::fmt::Debug for RootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootKey(redacted)")
    }
}

/// Why there is no root key to work with: a line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    #[error("root_key: expected 32 random bytes in base64, such as `openssl rand -base64 32` prints")]
    Malformed,
    #[error("root_key: this is not a random key")]
    Weak,
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
}

impl RootKey {
    pub fn from_base64(text: &str) -> Result<Self, RootKeyError> {
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| RootKeyError::Malformed)?);
        let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| RootKeyError::Malformed)?;
        let mut distinct = key;
        distinct.sort_unstable();
        // 32 random bytes have fewer than 16 different values about once in 10^14 times; typed ones always do.
        if distinct.chunk_by(|a, b| a == b).count() < 16 {
            return Err(RootKeyError::Weak);
        }
        Ok(Self(key))
    }

    /// The configured key, else the one in the data directory, else a new one that is kept there.
    pub fn obtain(config: &Config, entropy: Entropy) -> Result<Self, RootKeyError> {
        if let Some(configured) = &config.root_key {
            return Self::from_base64(configured.expose());
        }
        let path = Self::path(config);
        match Self::read(&path) {
            Err(RootKeyError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Self::create(&path, entropy)
            }
            found => found,
        }
    }

    /// Where the key lives when it is not configured.
    #[must_use]
    pub fn path(config: &Config) -> PathBuf {
        config.data_dir.join("root.key")
    }

    fn read(path: &Path) -> Result<Self, RootKeyError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| RootKeyError::File { path: path.to_owned(), source })?;
        Self::from_base64(&Zeroizing::new(text))
    }

    fn create(path: &Path, entropy: Entropy) -> Result<Self, RootKeyError> {
        let key = Self(entropy.bytes());
        let text = Zeroizing::new(STANDARD.encode(key.0));
        let written = match path.parent() {
            Some(directory) => files::private_directory(directory),
            None => Ok(()),
        }
        .and_then(|()| files::create_private(path, text.as_bytes()));
        match written {
            Ok(()) => Ok(key),
            // Another process was faster: its key is the key.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Self::read(path),
            Err(source) => Err(RootKeyError::File { path: path.to_owned(), source }),
        }
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_thirty_two_random_bytes_are_a_key() {
        assert!(RootKey::from_base64(&STANDARD.encode(Entropy.bytes::<32>())).is_ok());
        for bad in
            ["", "secret", &STANDARD.encode([0; 32]), &STANDARD.encode([7; 31]), &STANDARD.encode([1; 33])]
        {
            assert!(RootKey::from_base64(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", RootKey([42; 32])), "RootKey(redacted)");
    }
}
