//! Connectors: what Latchkey knows of the services whose credentials people store. Each knows its fields, signs requests,
//! and finds out whether a credential works and what it may do.
//!
//! To add one, write a file beside these and name it in [`ALL`]; `docs/connectors.md` leads through it.

/// What `docs/connectors.md` shows, so that it compiles.
#[cfg(test)]
mod acme;
mod alpaca;
mod answers;
mod bearer;
mod binance;
mod bitget;
mod bybit;
mod coinbase;
mod fields;
mod gate;
mod generic;
mod generic_bearer;
mod generic_hmac;
mod github;
mod kraken;
mod kucoin;
mod link;
mod okx;
mod openai;
mod report;
#[cfg(test)]
mod samples;
mod signing;
mod stripe;
mod template;
#[cfg(test)]
mod vectors;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use url::Url;

use crate::secret::Secret;

pub use crate::outbound::{Answer, Guard, Request};
pub use link::{Link, NONCES, Network, Stamp, Tested};
pub use report::{IpRestriction, Outcome, Permissions, Report, Tri};

/// All connectors, in the order of the list that people choose from.
pub static ALL: &[&dyn Connector] = &[
    &binance::Binance,
    &coinbase::Coinbase,
    &kraken::Kraken,
    &bybit::Bybit,
    &okx::Okx,
    &kucoin::Kucoin,
    &bitget::Bitget,
    &gate::Gate,
    &alpaca::Alpaca,
    &stripe::Stripe,
    &openai::OpenAi,
    &github::GitHub,
    &generic_bearer::GenericBearer,
    &generic_hmac::GenericHmac,
];

/// The connector of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Connector> {
    ALL.iter().copied().find(|connector| connector.about().name == name)
}

/// One service. Everything but [`Connector::test`] is computed here, without asking anybody.
pub trait Connector: Send + Sync {
    fn about(&self) -> &'static About;

    /// What is wrong with a credential, as far as that can be told by looking at it. Lengths, white space around it and
    /// control characters have been looked after, and the fields that [`About`] demands are there.
    fn check(&self, credential: &Credential) -> Vec<Mistake>;

    /// Adds to a request what proves the credential: headers, and where the service wants it a query or a body.
    fn sign(&self, request: Request, credential: &Credential, stamp: &Stamp) -> Result<Request, Unsignable>;

    /// Asks the service for what it tells about the credential. Changes nothing there. Either side of the result is an answer.
    fn test<'a>(
        &'a self,
        link: &'a Link<'a>,
        credential: &'a Credential,
    ) -> BoxFuture<'a, Result<Report, Report>>;

    /// Whether a signed request proves the secret without holding it. Where the secret itself is sent, there is no using it
    /// without showing it.
    fn keeps_secret(&self) -> bool {
        true
    }

    /// Where requests go, for connectors to services of the owner's choice. The others have it in [`About::environments`].
    fn base_url(&self, _credential: &Credential) -> Option<Url> {
        None
    }
}

/// What a person, and a form, must know of a connector.
#[derive(Debug)]
pub struct About {
    /// Stable, lower case: `binance`.
    pub name: &'static str,
    /// As the service writes itself.
    pub title: &'static str,
    /// How to make a key there.
    pub documentation: &'static str,
    /// The first is the default.
    pub environments: &'static [Environment],
    pub fields: &'static [Field],
    pub tells: Tells,
    /// Where the service says what time it is, for signatures that hold a time.
    pub clock: Option<Clock>,
}

impl About {
    #[must_use]
    pub fn environment(&self, name: &str) -> Option<&'static Environment> {
        self.environments.iter().find(|environment| environment.name == name)
    }
}

#[derive(Debug)]
pub struct Environment {
    /// `live`, `sandbox`, `paper`, or with a region: `live_eea`.
    pub name: &'static str,
    pub title: &'static str,
    /// Scheme and host; empty where [`Connector::base_url`] says it. Paths of requests are whole.
    pub base_url: &'static str,
}

#[derive(Debug)]
pub struct Field {
    /// `api_key`, `secret`, `passphrase`, or `settings.` and a name.
    pub name: &'static str,
    pub title: &'static str,
    pub required: bool,
    pub kind: Kind,
    /// A hint below the field; may be empty.
    pub help: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Shown as it is typed.
    Text,
    /// Hidden as it is typed.
    Secret,
    /// Hidden, of several lines: a key in PEM.
    Pem,
    /// One of these.
    Choice(&'static [&'static str]),
    /// An object of texts, such as headers.
    Texts,
}

/// What a test can find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tells {
    /// Whether the key's own permissions are told.
    pub permissions: bool,
    pub ip_restriction: bool,
    pub expiry: bool,
}

/// A public operation that tells the time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// With its query, if any.
    pub path: &'static str,
    /// Milliseconds since the Unix epoch.
    pub read: fn(&Value) -> Option<i64>,
}

/// What an owner has stored. Prints nothing of it.
#[derive(Debug, Clone)]
pub struct Credential {
    pub environment: String,
    pub api_key: Secret,
    pub secret: Option<Secret>,
    pub passphrase: Option<Secret>,
    /// What is not secret: the version of a key, the URL of a generic connector.
    pub settings: Map<String, Value>,
}

impl Credential {
    /// The secret, or nothing as a text where the connector has none.
    #[must_use]
    pub fn secret(&self) -> &str {
        self.secret.as_ref().map_or("", Secret::expose)
    }

    #[must_use]
    pub fn passphrase(&self) -> &str {
        self.passphrase.as_ref().map_or("", Secret::expose)
    }

    /// A setting that is a text.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).and_then(Value::as_str)
    }
}

/// What is wrong with a field, for the person who filled it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// As in [`Field::name`].
    pub field: &'static str,
    /// A sentence without the full stop. Says nothing of what was entered.
    pub message: &'static str,
}

/// A key that can't be used, although it passed the check; or a request that this connector can't sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsignable(pub &'static str);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn what_connectors_say_of_themselves_is_usable() {
        let mut names = HashSet::new();
        for connector in ALL {
            let about = connector.about();
            let name = about.name;
            assert!(names.insert(name), "{name} is there twice");
            assert!(find(name).is_some_and(|found| found.about().title == about.title));
            assert!(Url::parse(about.documentation).is_ok_and(|url| url.scheme() == "https"), "{name}");
            let mut environments = HashSet::new();
            for environment in about.environments {
                assert!(environments.insert(environment.name), "{name} {}", environment.name);
                let url = environment.base_url;
                // Paths are whole, so there is none here.
                let host = Url::parse(url).is_ok_and(|parsed| parsed.origin().ascii_serialization() == url);
                assert!(host || url.is_empty(), "{name} {url}");
            }
            assert!(!environments.is_empty(), "{name}");
            let mut fields = HashSet::new();
            for field in about.fields {
                let known = ["api_key", "secret", "passphrase"].contains(&field.name);
                assert!(known || field.name.starts_with("settings."), "{name} {}", field.name);
                assert!(fields.insert(field.name), "{name} {}", field.name);
                assert!(field.help.is_empty() || field.help.ends_with('.'), "{name} {}", field.name);
            }
            assert!(about.clock.is_none_or(|clock| clock.path.starts_with('/')), "{name}");
        }
    }

    #[test]
    fn the_document_shows_a_connector_that_compiles() {
        let document = include_str!("../../../docs/connectors.md");
        let shown = document.split_once("```rust\n").and_then(|(_, rest)| rest.split_once("```"));
        assert_eq!(shown.map(|(code, _)| code), Some(include_str!("acme.rs")));
        assert_eq!(acme::Acme.about().name, "acme");
    }

    #[test]
    fn the_document_lists_every_connector() {
        let document = include_str!("../../../docs/connectors.md");
        let mut rows = document.lines().filter(|line| line.starts_with("| `"));
        for about in ALL.iter().map(|connector| connector.about()) {
            let environments: Vec<_> = about.environments.iter().map(|known| known.name).collect();
            let row = format!("| `{}` | {} |", about.name, environments.join(", "));
            assert!(rows.next().is_some_and(|found| found.starts_with(&row)), "{row}");
        }
    }
}
