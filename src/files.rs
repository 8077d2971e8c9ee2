//! Files that only the server's own user may read.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::entropy::Entropy;

/// Makes the directory (0700) if it isn't there.
pub fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes a file (0600) that must not exist yet, and returns once it is on the disk. It is there whole or not at all,
/// whoever looks and whenever the process dies.
pub fn create_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = Draft::beside(path)?;
    fs::write(draft.path(), content)?;
    draft.publish()
}

/// A file (0600) that gets its name once it is whole. Until then it is beside it; dropped, it is gone.
pub struct Draft {
    draft: PathBuf,
    name: PathBuf,
}

impl Draft {
    /// An empty one.
    pub fn beside(name: &Path) -> io::Result<Self> {
        let draft = draft_of(name);
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        Ok(Self { draft, name: name.to_owned() })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.draft
    }

    /// Gives it its name, which must be free, and returns once that is on the disk.
    pub fn publish(self) -> io::Result<()> {
        File::open(&self.draft)?.sync_all()?;
        // Unlike a rename, a link fails when the name is taken.
        fs::hard_link(&self.draft, &self.name)?;
        fs::remove_file(&self.draft)?;
        sync_directory_of(&self.name)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.draft);
    }
}

/// Puts a file (0600) in the place of another, and returns once it is on the disk. Whoever looks finds one of them whole.
pub fn replace_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = draft_of(path);
    let written = write_draft(&draft, content).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written?;
    sync_directory_of(path)
}

fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}", u64::from_le_bytes(Entropy.bytes())));
    path.with_file_name(name)
}

fn write_draft(draft: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(content)?;
    file.sync_all()
}

/// The directory that a file is in.
#[must_use]
pub fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn of_many_who_make_a_file_one_does_and_all_find_it_whole() {
        let directory =
            std::env::temp_dir().join(format!("latchkey-{:016x}", u64::from_le_bytes(Entropy.bytes())));
        private_directory(&directory).unwrap();
        let path = directory.join("root.key");
        let start = Barrier::new(16);
        let made: Vec<bool> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..16u8)
                .map(|number| {
                    let (path, start) = (&path, &start);
                    scope.spawn(move || {
                        start.wait();
                        let made = create_private(path, &[number; 4096]).is_ok();
                        assert_eq!(fs::read(path).unwrap().len(), 4096);
                        made
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        assert_eq!(made.iter().filter(|made| **made).count(), 1);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing is left over");
        fs::remove_dir_all(&directory).unwrap();
    }
}
