//! `root.key`: the root keys of this machine, one in each line, the current one first.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use zeroize::Zeroizing;

use super::root_key::{RootKey, RootKeyError};
use crate::config::Config;
use crate::entropy::Entropy;
use crate::files;

#[derive(Debug, Clone)]
pub struct RootKeyFile(PathBuf);

impl RootKeyFile {
    /// Where keys live that are not configured; none when they are.
    #[must_use]
    pub fn of(config: &Config) -> Option<Self> {
        config.root_key.is_none().then(|| Self(config.data_dir.join("root.key")))
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The keys in the file. Makes it, with one key, when there is none.
    pub fn obtain(&self, entropy: Entropy) -> Result<Vec<RootKey>, RootKeyError> {
        match self.read() {
            Err(RootKeyError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.create(entropy)
            }
            found => found,
        }
    }

    pub fn read(&self) -> Result<Vec<RootKey>, RootKeyError> {
        let text = Zeroizing::new(fs::read_to_string(&self.0).map_err(|source| self.failed(source))?);
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let keys = lines
            .map(|(number, line)| {
                RootKey::from_base64(line, &format!("{}, line {}", self.name(), number + 1))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            Err(RootKeyError::Malformed(self.name()))
        } else {
            RootKey::distinct(keys, &self.name())
        }
    }

    fn create(&self, entropy: Entropy) -> Result<Vec<RootKey>, RootKeyError> {
        let key = RootKey::generate(entropy);
        let written = match self.0.parent() {
            Some(directory) => files::private_directory(directory),
            None => Ok(()),
        }
        .and_then(|()| files::create_private(&self.0, key.to_base64().as_bytes()));
        match written {
            Ok(()) => Ok(vec![key]),
            // Another process was faster: its key is the key.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.read(),
            Err(source) => Err(self.failed(source)),
        }
    }

    /// Puts a new key in front of the only one. Where several are there, a rotation is under way, and that key is the one to
    /// go on with. Answers whether it made one.
    pub fn add(&self, entropy: Entropy) -> Result<bool, RootKeyError> {
        let _lock = self.lock()?;
        let mut keys = self.read()?;
        if keys.len() > 1 {
            return Ok(false);
        }
        keys.insert(0, RootKey::generate(entropy));
        self.write(&keys).map(|()| true)
    }

    /// Leaves nothing but the current key, if it still is `current`. Answers how many are gone.
    pub fn retire(&self, current: [u8; 4]) -> Result<usize, RootKeyError> {
        let _lock = self.lock()?;
        let keys = self.read()?;
        if keys[0].id() != current {
            return Err(RootKeyError::Changed(self.0.clone()));
        }
        if keys.len() > 1 {
            self.write(&keys[..1])?;
        }
        Ok(keys.len() - 1)
    }

    /// When a key came or went.
    pub fn changed_at(&self) -> Result<SystemTime, RootKeyError> {
        fs::metadata(&self.0).and_then(|found| found.modified()).map_err(|source| self.failed(source))
    }

    fn write(&self, keys: &[RootKey]) -> Result<(), RootKeyError> {
        let mut text = Zeroizing::new(String::with_capacity(keys.len() * 48));
        for key in keys {
            text.push_str(&key.to_base64());
            text.push('\n');
        }
        files::replace_private(&self.0, text.as_bytes()).map_err(|source| self.failed(source))
    }

    /// Of two commands that change the file, one waits: a key that got lost could have sealed something. Held on the
    /// directory, because the file itself is replaced.
    fn lock(&self) -> Result<File, RootKeyError> {
        let directory = self.0.parent().filter(|path| !path.as_os_str().is_empty());
        let lock =
            File::open(directory.unwrap_or(Path::new("."))).and_then(|file| file.lock().map(|()| file));
        lock.map_err(|source| self.failed(source))
    }

    fn name(&self) -> String {
        format!("root_key: {}", self.0.display())
    }

    fn failed(&self, source: io::Error) -> RootKeyError {
        RootKeyError::File { path: self.0.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_added_once_and_the_old_one_goes_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = RootKeyFile(directory.path().join("root.key"));
        let old = file.obtain(Entropy).unwrap()[0].id();
        let added = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..8).map(|_| scope.spawn(|| file.add(Entropy).unwrap())).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).filter(|added| *added).count()
        });
        assert_eq!(added, 1);
        let keys = file.read().unwrap();
        let new = keys[0].id();
        assert_eq!((keys.len(), keys[1].id()), (2, old));
        assert_ne!(new, old);
        assert!(matches!(file.retire(old), Err(RootKeyError::Changed(_))));
        assert_eq!((file.retire(new).unwrap(), file.retire(new).unwrap()), (1, 0));
        assert_eq!(file.read().unwrap().iter().map(RootKey::id).collect::<Vec<_>>(), [new]);
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left over");
    }

    #[test]
    fn a_mistake_is_named_by_its_line_and_not_repeated() {
        let directory = tempfile::tempdir().unwrap();
        let file = RootKeyFile(directory.path().join("root.key"));
        let key = RootKey::generate(Entropy).to_base64();
        fs::write(file.path(), format!("{}\n\ncanary\n", *key)).unwrap();
        let error = file.read().unwrap_err().to_string();
        assert!(error.contains("line 3") && !error.contains("canary") && !error.contains(&*key), "{error}");
        fs::write(file.path(), "\n").unwrap();
        assert!(file.read().is_err());
    }
}
