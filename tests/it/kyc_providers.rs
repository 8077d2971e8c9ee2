//! Providers of identity checks against the stubs of their vendors: what they ask for is right, webhooks are proved and
//! understood, and bad answers do no harm.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use latchkey::plugins::kyc::{self, Network, Order, Provider, Session, Settings, Status, Webhook};
use latchkey::secret::Secret;
use serde_json::json;

use crate::support::{ManualClock, Vendors};

/// Vendors that know an order which comes again.
pub const REPEATING: [&str; 4] = ["sumsub", "persona", "stripe_identity", "didit"];

/// A provider, as the server would use it.
struct Client {
    name: String,
    provider: &'static dyn Provider,
    settings: Settings,
    network: Network,
    clock: ManualClock,
}

impl Client {
    fn new(vendors: &Vendors, name: &str) -> Self {
        let provider = kyc::find(name).unwrap_or_else(|| panic!("there is no provider {name}"));
        let clock = ManualClock::new();
        let network = Network::new(clock.sources()).unwrap();
        Self { name: name.to_owned(), provider, settings: vendors.settings(name), network, clock }
    }

    fn order(&self) -> Order {
        Order {
            id: "0196b4a2-7a1e-4cc3-98c4-dc0c0c07398f".into(),
            person: "0196b4a2-7a1e-4cc3-98c4-dc0c0c073990".into(),
            level: self.settings.levels["full"].clone(),
            redirect_url: Some("https://app.example.com/done".parse().unwrap()),
            webhook_url: "https://id.example.com/api/v1/kyc/webhooks".parse().unwrap(),
        }
    }

    fn link(&self) -> kyc::Link<'_> {
        self.network.link(&self.settings, &self.provider.base_url(&self.settings)).unwrap()
    }

    async fn start(&self) -> Result<kyc::Started, kyc::Failure> {
        self.provider.start(&self.link(), &self.order()).await
    }

    async fn fetch(&self, session: &Session) -> Result<kyc::Finding, kyc::Failure> {
        self.provider.fetch(&self.link(), session).await
    }

    fn now(&self) -> i64 {
        self.clock.sources().now().0 / 1000
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8], secret: &Secret) -> bool {
        self.provider.verify(&Webhook { headers, body }, secret, &self.settings, self.clock.sources().now())
    }

    /// Nothing of the person who was looked at, and no secret.
    fn assert_silent(&self, text: &str) {
        let secrets = [self.settings.api_key(), self.settings.api_secret()];
        let told = ["Canary", "CANARY", "Zden", "1990-01-31"].into_iter().chain(secrets);
        let told: Vec<_> = told.filter(|word| !word.is_empty() && text.contains(word)).collect();
        assert!(told.is_empty(), "{}: {text} tells {told:?}", self.name);
    }
}

fn headers(pairs: &[(String, String)]) -> HeaderMap {
    let pairs = pairs
        .iter()
        .map(|(name, value)| (HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap()));
    pairs.collect()
}

#[tokio::test]
async fn verifications_are_begun_and_followed() {
    let vendors = Vendors::start().await;
    for name in vendors.names() {
        let client = Client::new(&vendors, name);
        if !client.provider.about().starts {
            continue;
        }
        let started = client.start().await.unwrap_or_else(|failure| panic!("{name}: {failure}"));
        let session = started.session;
        assert_eq!(session.external_id, client.order().id, "{name}");
        assert!(started.url.is_some() || started.token.is_some(), "{name}");
        if REPEATING.contains(&name) {
            let again = client.start().await.unwrap_or_else(|failure| panic!("{name} again: {failure}"));
            assert_eq!(again.session, session, "{name}");
        }
        for status in vendors.statuses(name) {
            vendors.state(name, json!({ "reference": session.reference, "status": status })).await;
            let finding = client.fetch(&session).await;
            let finding = finding.unwrap_or_else(|failure| panic!("{name} {status:?}: {failure}"));
            assert_eq!(finding.status, status, "{name}: {finding:?}");
            client.assert_silent(&format!("{finding:?}"));
        }
        let calls = vendors.calls(name).await;
        assert!(calls.iter().all(|call| call["verified"] == true), "{name}: {calls:?}");
    }
}

#[tokio::test]
async fn webhooks_are_proved_and_understood() {
    let vendors = Vendors::start().await;
    for name in vendors.names() {
        let client = Client::new(&vendors, name);
        let about = client.provider.about();
        let (reference, id) = match about.starts {
            true => (client.start().await.unwrap().session.reference, client.order().id),
            false => (client.order().id, client.order().id),
        };
        for status in vendors.statuses(name) {
            let order =
                json!({ "reference": reference, "external_id": id, "status": status, "at": client.now() });
            let (pairs, body) = vendors.webhook(name, order).await;
            let headers = headers(&pairs);
            let other = Secret::new("whsec_b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVyb3RoZXI=".into());
            if let Some(secret) = client.settings.webhook_secrets.first() {
                assert!(client.verify(&headers, &body, secret), "{name} {status:?}");
                assert!(!client.verify(&headers, &body, &other), "{name} {status:?}");
                let spoilt = [&body[..], b" "].concat();
                assert!(!client.verify(&headers, &spoilt, secret), "{name} {status:?}");
            }
            let event = client.provider.read(&Webhook { headers: &headers, body: &body }, &client.settings);
            let event = event.unwrap_or_else(|unreadable| panic!("{name} {status:?}: {unreadable}"));
            assert_eq!(event.reference.as_deref(), Some(reference.as_str()), "{name} {status:?}: {event:?}");
            assert!(event.external_id.as_ref().is_none_or(|given| *given == id), "{name}: {event:?}");
            client.assert_silent(&format!("{event:?}"));
            // Jumio's say only that there is something to be asked for; a task of a run of Onfido's says nothing of it.
            let silent = name == "jumio" || (name, status) == ("onfido", Status::Pending);
            assert!(
                silent || event.finding.is_some_and(|finding| finding.status == status),
                "{name} {status:?}"
            );
            if about.signs_time {
                let seconds = event.occurred_at.map(|at| at / 1000);
                assert_eq!(seconds, Some(client.now()), "{name} {status:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_none_begins_nothing() {
    let vendors = Vendors::start().await;
    for name in vendors.names() {
        let client = Client::new(&vendors, name);
        if !client.provider.about().starts {
            continue;
        }
        let session = client.start().await.unwrap().session;
        for scenario in [
            json!({ "scenario": "garbage" }),
            json!({ "scenario": "empty" }),
            json!({ "scenario": "huge" }),
            json!({ "scenario": "redirect" }),
            json!({ "scenario": "close" }),
            json!({ "scenario": "answer", "body": {} }),
            json!({ "scenario": "answer", "body": [null] }),
            json!({ "scenario": "status", "status": 401 }),
            json!({ "scenario": "status", "status": 429, "headers": { "Retry-After": "7" } }),
            json!({ "scenario": "status", "status": 500 }),
        ] {
            vendors.scenario(name, scenario.clone()).await;
            let failure = client.start().await.err();
            client.assert_silent(&failure.unwrap_or_else(|| panic!("{name} begun: {scenario}")).to_string());
            let failure = client.fetch(&session).await.err();
            client.assert_silent(&failure.unwrap_or_else(|| panic!("{name} found: {scenario}")).to_string());
            vendors.reset().await;
        }
        // Nobody followed the redirect.
        assert_eq!(vendors.calls("trap").await, [json!(null); 0], "{name}");
    }
}
