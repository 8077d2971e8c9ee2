//! The root keys at hand: the current one seals, and those before it open what they sealed.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::root_key::{RootKey, RootKeyError};
use super::root_key_file::RootKeyFile;
use crate::config::Config;
use crate::entropy::Entropy;

/// How long a server may go on with what it read of the file.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Cheap to clone. Those that come from the file are read again, so that a rotation needs no restart.
#[derive(Clone)]
pub struct RootRing(Arc<Ring>);

struct Ring {
    /// The current one first; there is always one.
    keys: RwLock<Arc<[RootKey]>>,
    file: Option<RootKeyFile>,
    looked_at: Mutex<Instant>,
}

impl RootRing {
    /// The configured keys, else those in the data directory, else a new one that is kept there.
    pub fn obtain(config: &Config, entropy: Entropy) -> Result<Self, RootKeyError> {
        let file = RootKeyFile::of(config);
        let keys = match (&config.root_key, &file) {
            (Some(current), _) => {
                let previous = config.previous_root_keys.iter();
                let previous = previous.map(|key| RootKey::from_base64(key.expose(), "previous_root_keys"));
                let keys =
                    std::iter::once(RootKey::from_base64(current.expose(), "root_key")).chain(previous);
                RootKey::distinct(keys.collect::<Result<_, _>>()?, "previous_root_keys")?
            }
            (None, Some(file)) => file.obtain(entropy)?,
            (None, None) => unreachable!("keys that are not configured are in a file"),
        };
        Ok(Self::new(keys, file))
    }

    fn new(keys: Vec<RootKey>, file: Option<RootKeyFile>) -> Self {
        Self(Arc::new(Ring { keys: RwLock::new(keys.into()), file, looked_at: Mutex::new(Instant::now()) }))
    }

    /// The key that seals from now on.
    #[must_use]
    pub fn current(&self) -> RootKey {
        self.look_if_due();
        self.keys()[0].clone()
    }

    /// The key of this id. One that is not at hand may have come into the file just now; who asks for such a key has read
    /// its id in the database, so nobody can make the server look without end.
    #[must_use]
    pub fn find(&self, id: [u8; 4]) -> Option<RootKey> {
        self.look_if_due();
        let find = || self.keys().iter().find(|key| key.id() == id).cloned();
        find().or_else(|| {
            self.look();
            find()
        })
    }

    /// Whether there are keys beside the current one.
    #[must_use]
    pub fn has_previous(&self) -> bool {
        self.keys().len() > 1
    }

    /// The file that the keys are in; none when they are configured.
    #[must_use]
    pub fn file(&self) -> Option<&RootKeyFile> {
        self.0.file.as_ref()
    }

    fn keys(&self) -> Arc<[RootKey]> {
        Arc::clone(&self.0.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn look_if_due(&self) {
        if self.0.file.is_none() {
            return;
        }
        let due = {
            let mut looked_at = self.0.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
            let due = looked_at.elapsed() >= LOOK_EVERY;
            if due {
                *looked_at = Instant::now();
            }
            due
        };
        if due {
            self.look();
        }
    }

    /// Reads the file again. Keeps what it has when that fails.
    pub fn look(&self) {
        let Some(file) = &self.0.file else { return };
        let found = match file.read() {
            Ok(found) => found,
            Err(error) => return tracing::warn!(%error, "the root keys can't be read again"),
        };
        let ids = |keys: &[RootKey]| keys.iter().map(RootKey::id).collect::<Vec<_>>();
        let mut keys = self.0.keys.write().unwrap_or_else(PoisonError::into_inner);
        if ids(&keys) != ids(&found) {
            *keys = found.into();
            tracing::info!(count = keys.len(), "root keys changed");
        }
    }
}

#[cfg(test)]
impl RootRing {
    /// One with a key made up.
    pub(super) fn random() -> Self {
        Self::new(vec![RootKey::generate(Entropy)], None)
    }

    /// The same with a new key in front.
    pub(super) fn rotated(&self) -> Self {
        let keys = self.keys();
        Self::new(std::iter::once(RootKey::generate(Entropy)).chain(keys.iter().cloned()).collect(), None)
    }

    /// The same with its current key alone.
    pub(super) fn retired(&self) -> Self {
        Self::new(vec![self.current()], None)
    }
}
