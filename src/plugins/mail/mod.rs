//! Mail: how a rendered mail becomes a message, and the transports that carry it.
//!
//! A transport is chosen by the scheme of one URL. To add one, write a file beside these and name its scheme in
//! [`from_url`].

mod compose;
mod file;
mod smtp;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use lettre::Message;
use url::Url;

pub use compose::{ComposeError, TEMPLATE_HEADER, compose};

pub use crate::templates::mail::{Mail, NoticeEvent, Rendered};

/// Carries messages out of the process.
pub trait Transport: Send + Sync {
    /// Hands `message` over; when it returns `Ok`, somebody else is responsible for it. It ends within
    /// [`SEND_TIMEOUT`], and may be given the same message again.
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), SendError>>;

    /// Tries everything that comes before sending, for `doctor`: connection, TLS, credentials; or the directory.
    fn check(&self) -> BoxFuture<'_, Result<(), SendError>>;

    /// Where mail goes, in words for the operator, without credentials.
    fn describe(&self) -> String;
}

/// The longest that one [`Transport::send`] takes.
pub const SEND_TIMEOUT: std::time::Duration = smtp::Timeouts::DEFAULT.total();

/// Why a message was not handed over. The message is for the operator and holds no credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SendError {
    /// The server refused this message for good: sending it again is pointless. Everything else, our own
    /// misconfiguration included, is worth another attempt.
    pub permanent: bool,
    /// What happened.
    pub message: String,
}

impl SendError {
    fn temporary(message: impl Into<String>) -> Self {
        Self { permanent: false, message: message.into() }
    }
}

/// The transport that `url` names. The error is a line for the operator, without the URL's credentials.
///
/// - `smtp://user:password@host:587`: STARTTLS is required; on a loopback host it is used where offered.
///   `?tls=none` does without, `?tls=required` insists.
/// - `smtps://user:password@host:465`: TLS from the first byte.
/// - Both take `?ca=/path.pem`, a certificate authority to trust beside the public ones.
/// - `file:///directory`: one .eml file per message.
pub fn from_url(url: &str) -> Result<Arc<dyn Transport>, String> {
    let url = Url::parse(url).map_err(|error| format!("the mail URL is not a URL: {error}"))?;
    match url.scheme() {
        "smtp" | "smtps" => Ok(Arc::new(smtp::Smtp::from_url(&url)?)),
        "file" => Ok(Arc::new(file::Directory::from_url(&url)?)),
        other => Err(format!("the mail URL has the scheme {other}; known are smtp, smtps and file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_chooses_the_transport() {
        for (url, description) in [
            ("smtp://mail.example.com", "SMTP to mail.example.com:587 with STARTTLS"),
            ("smtp://user:canary@mail.example.com:2525", "SMTP to mail.example.com:2525 with STARTTLS"),
            ("smtps://user:canary@mail.example.com", "SMTP to mail.example.com:465 over TLS"),
            ("smtp://localhost", "SMTP to localhost:25 with STARTTLS if offered"),
            ("smtp://user:canary@[::1]:1025", "SMTP to [::1]:1025 with STARTTLS if offered"),
            ("smtp://127.0.0.1?tls=required", "SMTP to 127.0.0.1:587 with STARTTLS"),
            ("smtp://relay.internal?tls=none", "SMTP to relay.internal:25 in clear text"),
            ("file:///var/lib/latchkey/mail", "files in /var/lib/latchkey/mail"),
        ] {
            assert_eq!(from_url(url).ok().unwrap().describe(), description);
        }
    }

    #[test]
    fn a_wrong_url_is_one_clear_line_without_credentials() {
        for (url, part) in [
            ("mail.example.com", "not a URL"),
            ("http://user:canary@mail.example.com", "scheme http"),
            ("smtp://", "no host"),
            ("smtp://user:canary@mail.example.com?tls=maybe", "tls"),
            ("smtp://user:canary@mail.example.com?starttls=1", "starttls"),
            ("smtps://user:canary@mail.example.com?tls=none", "tls"),
            ("smtp://user:canary@mail.example.com?tls=none", "clear"),
            ("smtp://user@mail.example.com", "password"),
            ("smtps://user:canary@mail.example.com?ca=/no/such/file", "/no/such/file"),
            ("smtps://user:canary@mail.example.com/path", "path"),
            ("file://host/var/mail", "file"),
        ] {
            let error = from_url(url).err().unwrap();
            assert!(error.contains(part), "{url}: {error}");
            assert!(!error.contains("canary") && !error.contains('\n'), "{error}");
        }
    }
}
