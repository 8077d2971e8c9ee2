use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use futures_util::future::BoxFuture;
use lettre::{Message, message::header};
use time::{OffsetDateTime, macros::format_description};
use url::Url;

use super::{SendError, TEMPLATE_HEADER, Transport};

/// Writes each message to a file of its own, for development and for mail programs that watch a directory.
///
/// Files are named by date, template and message id, so that they sort by time and a message that is sent twice
/// is there once. A reader never sees half a file, and nobody but the owner reads any.
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn from_url(url: &Url) -> Result<Self, String> {
        url.to_file_path()
            .map(Self)
            .map_err(|()| "a file URL for mail looks like this: file:///absolute/directory".to_owned())
    }

    fn run(
        &self,
        job: impl FnOnce(&Path) -> io::Result<()> + Send + 'static,
    ) -> BoxFuture<'_, Result<(), SendError>> {
        let directory = self.0.clone();
        Box::pin(async move {
            let written = tokio::task::spawn_blocking(move || {
                DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
                job(&directory)
            });
            match written.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => {
                    Err(SendError::temporary(format!("cannot write to {}: {error}", self.0.display())))
                }
                Err(error) => Err(SendError::temporary(format!("writing a mail was interrupted: {error}"))),
            }
        })
    }
}

impl Transport for Directory {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), SendError>> {
        let (name, content) = (file_name(message), message.formatted());
        self.run(move |directory| write(directory, &name, &content))
    }

    fn check(&self) -> BoxFuture<'_, Result<(), SendError>> {
        self.run(|directory| {
            write(directory, ".check", b"")?;
            fs::remove_file(directory.join(".check"))
        })
    }

    fn describe(&self) -> String {
        format!("files in {}", self.0.display())
    }
}

/// Writes a file that is either there, whole and durable, or not there.
fn write(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let temporary = directory.join(format!(".{name}.partial"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, directory.join(name))?;
    File::open(directory)?.sync_all()
}

/// `20261124T000000Z-verify_email-0199….eml`
fn file_name(message: &Message) -> String {
    let headers = message.headers();
    let date = headers.get::<header::Date>().map_or(SystemTime::UNIX_EPOCH, SystemTime::from);
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let date = OffsetDateTime::from(date).format(format).unwrap_or_default();
    let template = headers.get_raw(TEMPLATE_HEADER).unwrap_or("mail");
    let id = headers.get_raw("Message-ID").unwrap_or_default().trim_start_matches('<');
    let id = id.split('@').next().unwrap_or_default();
    let safe = |text: &str| -> String {
        let safe = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        text.chars().take(64).map(safe).collect()
    };
    format!("{date}-{}-{}.eml", safe(template), safe(id))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::{entropy::Entropy, plugins::mail::compose::tests::sample};

    /// A directory that does not exist yet, and is removed with all it holds.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            let unique = u64::from_le_bytes(Entropy.bytes());
            Self(std::env::temp_dir().join(format!("latchkey-mail-{unique:016x}")))
        }

        fn transport(&self) -> Directory {
            Directory::from_url(&Url::from_directory_path(self.0.join("a/b")).unwrap()).unwrap()
        }

        fn files(&self) -> Vec<String> {
            let entries = fs::read_dir(self.0.join("a/b")).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test]
    async fn a_message_is_one_whole_private_file() {
        let scratch = Scratch::new();
        let message = sample("0199-aa@id.example.com");
        let transport = scratch.transport();
        transport.send(&message).await.unwrap();
        transport.send(&message).await.unwrap();

        assert_eq!(scratch.files(), ["20261124T000000Z-verify_email-0199-aa.eml"]);
        let path = scratch.0.join("a/b").join(&scratch.files()[0]);
        assert_eq!(fs::read(&path).unwrap(), message.formatted());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&scratch.0.join("a/b"))), (0o600, 0o700));
    }

    #[tokio::test]
    async fn a_message_id_cannot_leave_the_directory() {
        let scratch = Scratch::new();
        scratch.transport().send(&sample("../../evil/x@id.example.com")).await.unwrap();
        assert_eq!(scratch.files(), ["20261124T000000Z-verify_email-------evil-x.eml"]);
    }

    #[tokio::test]
    async fn the_check_leaves_nothing_and_a_directory_that_cannot_be_is_temporary() {
        let scratch = Scratch::new();
        scratch.transport().check().await.unwrap();
        assert!(scratch.files().is_empty());

        fs::write(scratch.0.join("file"), "").unwrap();
        let blocked = Directory(scratch.0.join("file/below"));
        for result in [blocked.check().await, blocked.send(&sample("0199@id.example.com")).await] {
            let error = result.unwrap_err();
            assert!(!error.permanent && error.message.contains("file/below"), "{error}");
        }
    }
}
