//! What the tests of providers are made of.

use entities::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    Event, Failure, Finding, Network, Order, Provider, Session, Settings, Started, Status, Unreadable,
    Webhook,
};
use crate::clock::Sources;
use crate::outbound::stub::answering;
use crate::secret::Secret;

pub type Headers<'a> = [(&'static str, &'a str)];

/// Settings as an operator writes them, with a key and a secret.
pub fn settings(more: &Value) -> Settings {
    let mut all = json!({
        "api_key": "key",
        "api_secret": "secret",
        "webhook_tokens": ["token-1", "token-2"],
    });
    all.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    serde_json::from_value(all).expect("settings")
}

pub fn order(level: &str) -> Order {
    Order {
        id: "order-1".into(),
        person: "0191e7a0-0000-7000-8000-000000000001".into(),
        level: level.into(),
        redirect_url: Some("https://app.example/done?a=1&b=2".parse().expect("a URL")),
        webhook_url: "https://keys.example/kyc/webhooks".parse().expect("a URL"),
    }
}

pub fn session(reference: &str, handle: Option<&str>) -> Session {
    let handle = handle.map(ToOwned::to_owned);
    Session { reference: reference.into(), handle, external_id: "order-1".into() }
}

fn headers(pairs: &[(&'static str, Vec<u8>)]) -> HeaderMap {
    let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).expect("a value");
    pairs.iter().map(|(name, bytes)| (HeaderName::from_static(name), value(bytes))).collect()
}

fn bytes(pairs: &Headers<'_>) -> Vec<(&'static str, Vec<u8>)> {
    pairs.iter().map(|(name, text)| (*name, text.as_bytes().to_vec())).collect()
}

/// A genuine webhook, for [`assert_proves`].
pub struct Signed<'a> {
    pub headers: &'a Headers<'a>,
    pub body: &'a str,
    pub secret: &'a str,
    pub settings: &'a Settings,
    /// When it is looked at.
    pub seconds: i64,
}

impl Signed<'_> {
    pub fn verified_by(&self, provider: &dyn Provider) -> bool {
        self.verified(provider, &bytes(self.headers), self.body.as_bytes(), self.secret)
    }

    fn verified(
        &self,
        provider: &dyn Provider,
        pairs: &[(&'static str, Vec<u8>)],
        body: &[u8],
        secret: &str,
    ) -> bool {
        let headers = headers(pairs);
        let webhook = Webhook { headers: &headers, body };
        let now = Timestamp(self.seconds * 1000);
        provider.verify(&webhook, &Secret::new(secret.to_owned()), self.settings, now)
    }
}

/// Whether a webhook is proven as it is, and in no way otherwise: with one bit of its body, a header or the secret changed,
/// or without a header.
pub fn assert_proves(provider: &dyn Provider, signed: &Signed<'_>) {
    let pairs = bytes(signed.headers);
    let (body, secret) = (signed.body.as_bytes(), signed.secret);
    assert!(signed.verified_by(provider));
    for at in 0..body.len() {
        let mut changed = body.to_vec();
        changed[at] ^= 1;
        assert!(!signed.verified(provider, &pairs, &changed, secret), "byte {at} of the body");
    }
    for at in 0..secret.len() {
        let mut changed = secret.as_bytes().to_vec();
        changed[at] ^= 1;
        let changed = String::from_utf8(changed).expect("text");
        assert!(!signed.verified(provider, &pairs, body, &changed), "letter {at} of the secret");
    }
    for which in 0..pairs.len() {
        for at in 0..pairs[which].1.len() {
            let mut changed = pairs.clone();
            changed[which].1[at] ^= 1;
            assert!(!signed.verified(provider, &changed, body, secret), "letter {at} of {}", pairs[which].0);
        }
        let mut fewer = pairs.clone();
        let (name, _) = fewer.remove(which);
        assert!(!signed.verified(provider, &fewer, body, secret), "without {name}");
    }
    assert!(!signed.verified(provider, &pairs, body, ""), "without a secret");
}

/// Whether the time of a webhook may be five minutes off, in both directions, and not a second more.
pub fn assert_timely(provider: &dyn Provider, signed: &Signed<'_>) {
    for (off, expected) in [(-301, false), (-300, true), (300, true), (301, false)] {
        let moved = Signed { seconds: signed.seconds + off, ..*signed };
        assert_eq!(moved.verified_by(provider), expected, "{off}");
    }
}

pub fn read(
    provider: &dyn Provider,
    pairs: &Headers<'_>,
    body: &[u8],
    settings: &Settings,
) -> Result<Event, Unreadable> {
    let headers = headers(&bytes(pairs));
    provider.read(&Webhook { headers: &headers, body }, settings)
}

/// Status, and whether it is explicit.
pub fn told(event: &Event) -> Option<(Status, bool)> {
    event.finding.as_ref().map(|finding| (finding.status, finding.explicit))
}

/// Whether whatever is no webhook is unreadable: each beginning of one, other JSON, and what is nested too deep.
pub fn assert_robust(provider: &dyn Provider, pairs: &Headers<'_>, body: &str, settings: &Settings) {
    assert!(read(provider, pairs, body.as_bytes(), settings).is_ok());
    let body = body.trim_end().as_bytes();
    for length in 0..body.len() {
        assert!(read(provider, pairs, &body[..length], settings).is_err(), "{length} bytes");
    }
    for nested in ["[", "{\"a\":", "{\"data\":", "{\"payload\":"] {
        assert!(read(provider, pairs, nested.repeat(100_000).as_bytes(), settings).is_err(), "{nested}");
    }
    for other in ["null", "1", "\"text\"", "[]", "{}", "[[[]]]", "{\"data\":[]}", "{\"payload\":1}"] {
        assert!(read(provider, pairs, other.as_bytes(), settings).is_err(), "{other}");
    }
}

/// Whether reading stays calm when any one part of a webhook is of another kind.
pub fn assert_calm(provider: &dyn Provider, pairs: &Headers<'_>, body: &Value, settings: &Settings) {
    let mut pointers = vec![];
    gather(body, "", &mut pointers);
    for pointer in pointers {
        for other in [json!(null), json!(-1), json!(1e300), json!("\u{0}"), json!([[]]), json!({"a": {}})] {
            let mut changed = body.clone();
            *changed.pointer_mut(&pointer).expect("a part") = other;
            let _whichever = read(provider, pairs, changed.to_string().as_bytes(), settings);
        }
    }
}

fn gather(value: &Value, pointer: &str, found: &mut Vec<String>) {
    found.push(pointer.to_owned());
    if let Value::Object(object) = value {
        object.iter().for_each(|(name, value)| gather(value, &format!("{pointer}/{name}"), found));
    }
    if let Value::Array(array) = value {
        array.iter().enumerate().for_each(|(at, value)| gather(value, &format!("{pointer}/{at}"), found));
    }
}

/// Starts at a service of one's own, which gives these answers in turn; what it was asked.
pub async fn started(
    provider: &dyn Provider,
    settings: Settings,
    order: &Order,
    answers: &[(u16, &str)],
) -> (Result<Started, Failure>, Vec<String>) {
    let (service, settings) = service(settings).await;
    let network = Network::new(Sources::system()).expect("a network");
    let link = network.link(&settings, "").expect("a link");
    tokio::join!(provider.start(&link, order), answering(&service, answers))
}

/// Asks a service of one's own for the state of a verification.
pub async fn fetched(
    provider: &dyn Provider,
    settings: Settings,
    session: &Session,
    answers: &[(u16, &str)],
) -> (Result<Finding, Failure>, Vec<String>) {
    let (service, settings) = service(settings).await;
    let network = Network::new(Sources::system()).expect("a network");
    let link = network.link(&settings, "").expect("a link");
    tokio::join!(provider.fetch(&link, session), answering(&service, answers))
}

async fn service(settings: Settings) -> (TcpListener, Settings) {
    let service = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", service.local_addr().expect("an address")).parse().expect("a URL");
    (service, Settings { base_url: Some(url), ..settings })
}

/// A header of a request that was asked.
pub fn header<'a>(request: &'a str, name: &str) -> &'a str {
    let lines = request.lines().take_while(|line| !line.is_empty());
    let mut pairs = lines.filter_map(|line| line.split_once(": "));
    let found = pairs.find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.unwrap_or_else(|| panic!("there is no header {name}")).1
}

/// The body of a request that was asked.
pub fn body(request: &str) -> &str {
    request.split_once("\r\n\r\n").expect("a request").1
}

pub fn json_body(request: &str) -> Value {
    serde_json::from_str(body(request)).expect("JSON")
}
