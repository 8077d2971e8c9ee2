//! Providers of identity checks (KYC): the vendors that look at documents and faces. Each starts a verification at its
//! vendor, proves that a webhook comes from it, and puts what it says into words of ours.
//!
//! To add one, write a file beside these and name it in [`ALL`]; `docs/kyc.md` leads through it.

mod demo;
mod didit;
mod event;
mod json;
mod jumio;
mod link;
mod onfido;
mod persona;
mod region;
#[cfg(test)]
mod samples;
mod settings;
mod signature;
mod standard_webhooks;
mod stripe_identity;
mod sumsub;
#[cfg(test)]
mod vectors;
mod veriff;

use futures_util::future::BoxFuture;

use crate::secret::Secret;

pub use event::{Check, Event, Finding, Status, Unreadable, Webhook};
pub use link::{Failure, Link, Network};
pub use settings::Settings;

use entities::Timestamp;
use url::Url;

/// Name of the provider inside the server.
pub const DEMO: &str = "demo";

/// All providers, in the order in which they are offered.
pub static ALL: &[&dyn Provider] = &[
    &sumsub::Sumsub,
    &persona::Persona,
    &onfido::Onfido,
    &veriff::Veriff,
    &stripe_identity::StripeIdentity,
    &didit::Didit,
    &jumio::Jumio,
    &standard_webhooks::StandardWebhooks,
    &demo::Demo,
];

/// The provider of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Provider> {
    ALL.iter().copied().find(|provider| provider.about().name == name)
}

/// One vendor.
pub trait Provider: Send + Sync {
    fn about(&self) -> &'static About;

    /// What is wrong with the operator's settings for this provider, as far as that can be told by looking at them: lines
    /// that begin with the name of the setting. What [`About::needs`] names is there.
    fn check(&self, _settings: &Settings) -> Vec<String> {
        vec![]
    }

    /// Where requests go, unless the operator says otherwise. Scheme and host; paths of requests are whole.
    fn base_url(&self, settings: &Settings) -> String;

    /// Whether a webhook was signed with this secret, lately. Looks at the bytes as they came. Never called where
    /// [`About::signature`] is empty.
    fn verify(&self, webhook: &Webhook<'_>, secret: &Secret, settings: &Settings, now: Timestamp) -> bool;

    /// What a webhook says, once it is known to be genuine.
    fn read(&self, webhook: &Webhook<'_>, settings: &Settings) -> Result<Event, Unreadable>;

    /// Makes a verification at the vendor. Asked again with the same [`Order::id`], after an answer that was lost, it gives
    /// the same one where the vendor can.
    fn start<'a>(&'a self, link: &'a Link<'a>, order: &'a Order) -> BoxFuture<'a, Result<Started, Failure>>;

    /// What the vendor says now. Only called where [`About::fetches`].
    fn fetch<'a>(
        &'a self,
        link: &'a Link<'a>,
        session: &'a Session,
    ) -> BoxFuture<'a, Result<Finding, Failure>>;
}

/// What a person, and an operator, must know of a provider.
#[derive(Debug)]
pub struct About {
    /// Stable, lower case: `sumsub`.
    pub name: &'static str,
    /// As the vendor writes itself.
    pub title: &'static str,
    /// Where its webhooks are described.
    pub documentation: &'static str,
    /// The settings without which nothing works: `api_key`, `api_secret`, `webhook_secrets`, `webhook_tokens`, `base_url`,
    /// `options.region`.
    pub needs: &'static [&'static str],
    /// Headers with a signature, in lower case; the first one that is there is the one that counts. Empty where webhooks are
    /// not signed: they need the configured bearer secret.
    pub signature: &'static [&'static str],
    /// Whether the vendor can be asked for the state of a verification. An approval counts once it is confirmed so.
    pub fetches: bool,
    /// Whether the time of an event is signed. Otherwise the vendor is asked at every event.
    pub signs_time: bool,
    /// Whether verifications are begun here. Otherwise the application begins them elsewhere and tells only the result.
    pub starts: bool,
}

/// A verification to be made.
#[derive(Debug, Clone)]
pub struct Order {
    /// Ours, for this verification; unguessable, the same at each attempt. What the vendor gives back as its external id.
    pub id: String,
    /// Ours, for the person; says nothing of them.
    pub person: String,
    /// As the vendor calls it: a level, a workflow, a template.
    pub level: String,
    /// Where the person goes afterwards.
    pub redirect_url: Option<Url>,
    /// Where webhooks are to be sent, for vendors that are told with each verification.
    pub webhook_url: Url,
}

/// A verification that the vendor has made.
#[derive(Debug, Clone)]
pub struct Started {
    pub session: Session,
    /// A page of the vendor's for the person.
    pub url: Option<Url>,
    /// What the vendor's SDK is begun with.
    pub token: Option<Secret>,
}

/// How a verification is found at the vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The vendor's id, which its webhooks name.
    pub reference: String,
    /// What else it takes to ask for it; the provider's own.
    pub handle: Option<String>,
    /// [`Order::id`].
    pub external_id: String,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn what_providers_say_of_themselves_is_usable() {
        let (mut names, mut headers) = (HashSet::new(), HashSet::new());
        for about in ALL.iter().map(|provider| provider.about()) {
            let name = about.name;
            assert!(names.insert(name), "{name} is there twice");
            assert!(find(name).is_some_and(|found| found.about().title == about.title));
            for header in about.signature {
                assert!(headers.insert(*header), "{header} would not tell whose it is");
                assert_eq!(header.to_lowercase(), *header);
            }
            for need in about.needs {
                let known = ["api_key", "api_secret", "webhook_secrets", "webhook_tokens", "base_url"];
                assert!(known.contains(need) || need.starts_with("options."), "{name} needs {need}");
            }
            assert!(about.fetches || about.signs_time, "{name} would never know what is newer");
        }
    }
    #[test]
    fn the_document_lists_every_provider() {
        let document = include_str!("../../../docs/kyc.md");
        let mut headings = document.lines().filter(|line| line.starts_with("### `"));
        for about in ALL.iter().map(|provider| provider.about()) {
            let heading = format!("### `{}`: {}", about.name, about.title);
            assert_eq!(headings.next(), Some(heading.as_str()));
            let (_, section) = document.split_once(&heading).expect("a section");
            let section = section.split("\n### ").next().unwrap_or_default();
            for need in about.needs {
                assert!(section.contains(&format!("`{need}`")), "{}: {need}", about.name);
            }
            for header in about.signature {
                assert!(section.contains(&format!("`{header}`")), "{}: {header}", about.name);
            }
        }
        assert_eq!(headings.next(), None);
    }
}
