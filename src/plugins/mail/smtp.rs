use std::{
    fs,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::future::BoxFuture;
use lettre::{
    Address, Message,
    transport::smtp::{
        self,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        commands::Noop,
        extension::ClientId,
    },
};
use percent_encoding::percent_decode_str;
use tokio::time::timeout;
use url::Url;
use zeroize::Zeroizing;

use super::{SendError, Transport};

const IDLE_CONNECTIONS: usize = 4;
const IDLE_FOR: Duration = Duration::from_secs(30);

/// Submits messages to a mail server (RFC 6409).
///
/// It drives lettre's connections itself: lettre's own pool bounds nothing but the connecting, returns a
/// connection to the pool in the middle of a cancelled message, and does not tell a refusal of the message from
/// a refusal of us.
pub(super) struct Smtp {
    host: String,
    port: u16,
    security: Security,
    credentials: Option<Credentials>,
    /// What a reply must not bring into our logs: the password, as it is and as it travels.
    secrets: Vec<Zeroizing<String>>,
    timeouts: Timeouts,
    idle: Mutex<Vec<(Instant, AsyncSmtpConnection)>>,
}

enum Security {
    Clear,
    StartTlsIfOffered(TlsParameters),
    StartTls(TlsParameters),
    Tls(TlsParameters),
}

pub(super) struct Timeouts {
    /// For each step before a message: connecting, STARTTLS, AUTH, NOOP.
    command: Duration,
    /// For one message, from MAIL FROM to the answer to its last line.
    message: Duration,
}

impl Timeouts {
    pub(super) const DEFAULT: Self =
        Self { command: Duration::from_secs(15), message: Duration::from_secs(60) };

    pub(super) const fn total(&self) -> Duration {
        self.command.saturating_mul(4).saturating_add(self.message)
    }
}

impl Smtp {
    pub(super) fn from_url(url: &Url) -> Result<Self, String> {
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("the mail URL has no host")?;
        let host = host.trim_matches(['[', ']']).to_owned();
        if !matches!(url.path(), "" | "/") {
            return Err("the mail URL has a path, which means nothing to SMTP".to_owned());
        }
        let loopback =
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let (mut tls, mut ca) = (None, None);
        for (key, value) in url.query_pairs() {
            match &*key {
                "tls" => tls = Some(value.into_owned()),
                "ca" => ca = Some(value.into_owned()),
                other => return Err(format!("the mail URL has the parameter {other}; known are tls and ca")),
            }
        }
        let parameters = || tls_parameters(&host, ca.as_deref());
        let (security, port) = match (url.scheme(), tls.as_deref()) {
            ("smtps", None) => (Security::Tls(parameters()?), 465),
            ("smtp", Some("required")) => (Security::StartTls(parameters()?), 587),
            ("smtp", Some("none")) => (Security::Clear, 25),
            ("smtp", None) if loopback => (Security::StartTlsIfOffered(parameters()?), 25),
            ("smtp", None) => (Security::StartTls(parameters()?), 587),
            _ => {
                return Err("in a mail URL, tls is none or required, and only smtp:// has it".to_owned());
            }
        };
        let credentials = credentials(url)?;
        if credentials.is_some() && matches!(security, Security::Clear) && !loopback {
            return Err("with tls=none the password of the mail URL would travel in clear text".to_owned());
        }
        let secrets = credentials.as_ref().map(|(user, password)| spellings(user, password));
        Ok(Self {
            port: url.port().unwrap_or(port),
            host,
            security,
            credentials: credentials.map(Credentials::from),
            secrets: secrets.unwrap_or_default(),
            timeouts: Timeouts::DEFAULT,
            idle: Mutex::default(),
        })
    }

    async fn deliver(&self, message: &Message) -> Result<(), SendError> {
        let content = message.formatted();
        let mut connection = match self.idle_connection().await {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        match timeout(self.timeouts.message, connection.send(message.envelope(), &content)).await {
            Ok(Ok(_)) => {
                self.park(connection);
                Ok(())
            }
            Ok(Err(error)) => Err(self.refused(&error, message.envelope().to())),
            Err(_) => Err(self.too_slow("the message")),
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        let name = ClientId::default();
        let tls = match &self.security {
            Security::Tls(parameters) => Some(parameters.clone()),
            _ => None,
        };
        let address = (self.host.as_str(), self.port);
        let limit = self.timeouts.command;
        let connecting = AsyncSmtpConnection::connect_tokio1(address, Some(limit), &name, tls, None);
        let mut connection = self.step("connecting", connecting).await?;
        match &self.security {
            Security::StartTlsIfOffered(parameters) if connection.can_starttls() => {
                self.step("STARTTLS", connection.starttls(parameters.clone(), &name)).await?;
            }
            // Fails when it is not offered: somebody may have removed the offer.
            Security::StartTls(parameters) => {
                self.step("STARTTLS", connection.starttls(parameters.clone(), &name)).await?;
            }
            _ => {}
        }
        if let Some(credentials) = &self.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            self.step("AUTH", connection.auth(&mechanisms, credentials)).await?;
        }
        Ok(connection)
    }

    /// A step before a message. Whatever fails here is about the server or about us, not about the message.
    async fn step<T>(
        &self,
        name: &str,
        step: impl Future<Output = Result<T, smtp::Error>>,
    ) -> Result<T, SendError> {
        match timeout(self.timeouts.command, step).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(SendError { permanent: false, ..self.refused(&error, &[]) }),
            Err(_) => Err(self.too_slow(name)),
        }
    }

    /// A connection that was used before and still answers.
    async fn idle_connection(&self) -> Option<AsyncSmtpConnection> {
        let (since, mut connection) = self.idle().pop()?;
        if since.elapsed() < IDLE_FOR && self.step("NOOP", connection.command(Noop)).await.is_ok() {
            return Some(connection);
        }
        // It was the one that was used last: the others are no better.
        self.idle().clear();
        None
    }

    fn park(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle();
        if idle.len() < IDLE_CONNECTIONS {
            idle.push((Instant::now(), connection));
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(Instant, AsyncSmtpConnection)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Servers like to repeat what they were told: it stays out of the error, and with that out of logs and database.
    fn refused(&self, error: &smtp::Error, recipients: &[Address]) -> SendError {
        // 530 asks for credentials (RFC 4954 §6): ours to mend, and no reason to lose a mail.
        let permanent = error.is_permanent() && error.status().is_some_and(|code| u16::from(code) != 530);
        let mut message = error.to_string();
        for secret in &self.secrets {
            message = message.replace(secret.as_str(), "(redacted)");
        }
        for recipient in recipients {
            for part in [recipient.to_string(), format!("{}@", recipient.user())] {
                message = replace_in_any_case(&message, &part, "(recipient)");
            }
        }
        let message = message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(400).collect();
        SendError { permanent, message }
    }

    fn too_slow(&self, step: &str) -> SendError {
        SendError::temporary(format!("{step}: no answer from {}:{} in time", self.host, self.port))
    }
}

impl Transport for Smtp {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(self.deliver(message))
    }

    fn check(&self) -> BoxFuture<'_, Result<(), SendError>> {
        Box::pin(async {
            let mut connection = self.connect().await?;
            self.step("QUIT", connection.quit()).await.map(drop)
        })
    }

    fn describe(&self) -> String {
        let security = match self.security {
            Security::Clear => "in clear text",
            Security::StartTlsIfOffered(_) => "with STARTTLS if offered",
            Security::StartTls(_) => "with STARTTLS",
            Security::Tls(_) => "over TLS",
        };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("SMTP to {host}:{} {security}", self.port)
    }
}

/// Letters beyond ASCII are taken as they are, so that positions stay what they are.
fn replace_in_any_case(text: &str, part: &str, by: &str) -> String {
    let (folded, part) = (text.to_ascii_lowercase(), part.to_ascii_lowercase());
    let mut replaced = String::with_capacity(text.len());
    let mut rest = 0;
    for (at, found) in folded.match_indices(&part) {
        replaced.push_str(&text[rest..at]);
        replaced.push_str(by);
        rest = at + found.len();
    }
    replaced.push_str(&text[rest..]);
    replaced
}

/// Certificates are verified against the public authorities and `ca`, and against the host's name.
fn tls_parameters(host: &str, ca: Option<&str>) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = ca {
        let pem =
            fs::read(path).map_err(|error| format!("cannot read the mail URL's ca, {path}: {error}"))?;
        let certificate =
            Certificate::from_pem(&pem).map_err(|error| format!("{path} is not a certificate: {error}"))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().map_err(|error| format!("TLS for {host}: {error}"))
}

fn credentials(url: &Url) -> Result<Option<(String, String)>, String> {
    let decode = |text| percent_decode_str(text).decode_utf8().map(String::from);
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        (user, Some(password)) if !user.is_empty() && !password.is_empty() => {
            let (Ok(user), Ok(password)) = (decode(user), decode(password)) else {
                return Err("the credentials of the mail URL are not UTF-8".to_owned());
            };
            Ok(Some((user, password)))
        }
        _ => Err("the mail URL has a user without a password, or the reverse".to_owned()),
    }
}

/// The password, and the forms in which AUTH PLAIN and AUTH LOGIN send it.
fn spellings(user: &str, password: &str) -> Vec<Zeroizing<String>> {
    let plain = Zeroizing::new(format!("\0{user}\0{password}"));
    vec![
        Zeroizing::new(BASE64_STANDARD.encode(plain.as_bytes())),
        Zeroizing::new(BASE64_STANDARD.encode(password)),
        Zeroizing::new(password.to_owned()),
    ]
}

#[cfg(test)]
#[path = "smtp_tests.rs"]
mod tests;
