use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use mail_parser::MessageParser;

use super::eventually;

/// A mail as its receiver sees it.
#[derive(Debug, Clone)]
pub struct Mail {
    pub template: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    pub raw: String,
}

impl Mail {
    pub(super) fn parse(raw: &[u8]) -> (Self, Vec<String>) {
        let message = MessageParser::default().parse(raw).unwrap();
        let to = message.to().unwrap().iter().map(|to| to.address().unwrap().to_owned()).collect();
        let template = message.header("X-Latchkey-Template").and_then(|value| value.as_text());
        let mail = Self {
            template: template.unwrap_or_default().to_owned(),
            subject: message.subject().unwrap().to_owned(),
            text: message.body_text(0).unwrap().into_owned(),
            html: message.body_html(0).unwrap().into_owned(),
            raw: String::from_utf8_lossy(raw).into_owned(),
        };
        (mail, to)
    }

    /// The link, on a line of its own in the text.
    pub fn link(&self) -> String {
        self.text.lines().find(|line| line.starts_with("http")).expect("a line with a link").trim().to_owned()
    }

    /// The link without the server's name.
    pub fn path(&self) -> String {
        self.link().strip_prefix(super::PUBLIC_URL).expect("a link to the public URL").to_owned()
    }

    pub fn token(&self) -> String {
        self.link().split_once("token=").expect("a token in the link").1.to_owned()
    }
}

/// The mails that a server wrote into a directory.
pub struct Mailbox {
    directory: PathBuf,
    read: Mutex<HashSet<PathBuf>>,
}

impl Mailbox {
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), read: Mutex::default() }
    }

    /// The oldest mail to `address` that was not read yet; waits for it.
    pub async fn next(&self, address: &str) -> Mail {
        eventually(&format!("a mail to {address}"), async || {
            let mut found = self.to(address);
            found.retain(|(path, ..)| !self.read.lock().unwrap().contains(path));
            let (path, _, mail) = found.into_iter().min_by_key(|(_, at, _)| *at)?;
            self.read.lock().unwrap().insert(path);
            Some(mail)
        })
        .await
    }

    /// All mails to `address` so far, read or not.
    pub fn to(&self, address: &str) -> Vec<(PathBuf, SystemTime, Mail)> {
        let Ok(entries) = std::fs::read_dir(&self.directory) else { return vec![] };
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
            .filter(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.'))
            .filter_map(|path| {
                let (mail, to) = Mail::parse(&std::fs::read(&path).unwrap());
                let at = std::fs::metadata(&path).unwrap().modified().unwrap();
                to.iter().any(|to| to == address).then_some((path, at, mail))
            })
            .collect()
    }
}

/// The mails in a directory of a server that is not an [`App`](super::App).
pub fn mailbox(directory: &Path) -> Mailbox {
    Mailbox::new(directory)
}
