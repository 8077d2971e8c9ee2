//! Any sender of Standard Webhooks: a vendor without a provider here, or the application itself. It tells results; where
//! they stand in the body is set by the operator.
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use std::str::FromStr as _;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use entities::Timestamp;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;
use zeroize::Zeroizing;

use super::json::{id, text};
use super::{
    About, Event, Failure, Finding, Link, Order, Provider, Session, Settings, Started, Status, Unreadable,
    Webhook, signature,
};
use crate::crypto::mac;
use crate::secret::Secret;

pub struct StandardWebhooks;

static ABOUT: About = About {
    name: "standard_webhooks",
    title: "Standard Webhooks",
    documentation: "https://www.standardwebhooks.com",
    needs: &["webhook_secrets"],
    signature: &["webhook-signature"],
    fetches: false,
    signs_time: true,
    starts: false,
};

/// Where things are in the body, unless the operator says otherwise (RFC 6901).
const POINTERS: &[(&str, &str)] = &[
    ("reference", "/data/reference"),
    ("external_id", "/data/external_id"),
    ("status", "/data/status"),
    ("reasons", "/data/reasons"),
];

/// Secrets are written with padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Provider for StandardWebhooks {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn check(&self, settings: &Settings) -> Vec<String> {
        const SECRET: &str =
            "webhook_secrets must each be whsec_ and 24 to 64 bytes in base64, or whpk_ and 32";
        let usable = settings.webhook_secrets.iter().all(|secret| Key::of(secret).is_some());
        let secrets = (!usable).then(|| SECRET.to_owned());
        secrets.into_iter().chain(settings.options.iter().filter_map(mistake)).collect()
    }

    // Never asked.
    fn base_url(&self, _: &Settings) -> String {
        "https://sender.invalid".into()
    }

    fn verify(&self, webhook: &Webhook<'_>, secret: &Secret, _: &Settings, now: Timestamp) -> bool {
        let header = |name| webhook.header(name);
        let (Some(id), Some(time), Some(claimed), Some(key)) =
            (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"), Key::of(secret))
        else {
            return false;
        };
        let message = [id.as_bytes(), b".", time.as_bytes(), b".", webhook.body].concat();
        // There may be one for each key of the sender's, and some of versions that are yet to come.
        let mut signatures = claimed.split(' ').filter_map(|one| one.split_once(','));
        signature::is_recent(time, now)
            && signatures.any(|(version, signature)| {
                BASE64.decode(signature).is_ok_and(|claimed| key.has_signed(version, &message, &claimed))
            })
    }

    fn read(&self, webhook: &Webhook<'_>, settings: &Settings) -> Result<Event, Unreadable> {
        let json = webhook.json()?;
        let dedupe_key = webhook.header("webhook-id").filter(|id| !id.is_empty());
        let (reference, external_id) =
            (id(at(&json, "reference", settings)), id(at(&json, "external_id", settings)));
        if reference.is_none() && external_id.is_none() {
            return Err(Unreadable("reference"));
        }
        let time = webhook.header("webhook-timestamp").and_then(|time| time.parse::<i64>().ok());
        let reasons = at(&json, "reasons", settings).as_array().into_iter().flatten();
        let raw = text(at(&json, "status", settings));
        Ok(Event {
            name: id(&json["type"]).unwrap_or_else(|| "webhook".to_owned()),
            dedupe_key: dedupe_key.ok_or(Unreadable("webhook-id"))?.to_owned(),
            reference,
            external_id,
            occurred_at: time.and_then(|seconds| seconds.checked_mul(1000)),
            finding: ours(raw, settings).map(|status| Finding::new(status, raw).because(reasons)),
        })
    }

    // There is nobody to ask: the application passes our id on, and its events name it.
    fn start<'a>(&'a self, _: &'a Link<'a>, order: &'a Order) -> BoxFuture<'a, Result<Started, Failure>> {
        let session = Session { reference: order.id.clone(), handle: None, external_id: order.id.clone() };
        async { Ok(Started { session, url: None, token: None }) }.boxed()
    }

    fn fetch<'a>(&'a self, _: &'a Link<'a>, _: &'a Session) -> BoxFuture<'a, Result<Finding, Failure>> {
        async { Err(Failure::Malformed("a way to ask")) }.boxed()
    }
}

enum Key {
    /// `whsec_`, for version 1.
    Shared(Zeroizing<Vec<u8>>),
    /// `whpk_`, for version 1a.
    Public(Vec<u8>),
}

impl Key {
    fn of(secret: &Secret) -> Option<Self> {
        let bytes = |text: &str| BASE64.decode(text).ok();
        if let Some(text) = secret.expose().strip_prefix("whpk_") {
            return bytes(text).filter(|key| key.len() == 32).map(Self::Public);
        }
        let text = secret.expose().strip_prefix("whsec_")?;
        bytes(text).map(Zeroizing::new).filter(|key| (24..=64).contains(&key.len())).map(Self::Shared)
    }

    fn has_signed(&self, version: &str, message: &[u8], claimed: &[u8]) -> bool {
        match (self, version) {
            (Self::Shared(key), "v1") => mac::equal(claimed, &mac::hmac_sha256(key, message)),
            (Self::Public(key), "v1a") => {
                UnparsedPublicKey::new(&ED25519, key).verify(message, claimed).is_ok()
            }
            _ => false,
        }
    }
}

fn at<'a>(json: &'a Value, name: &str, settings: &Settings) -> &'a Value {
    let usual = POINTERS.iter().find(|(known, _)| *known == name).map(|(_, pointer)| *pointer);
    settings.option(name).or(usual).and_then(|pointer| json.pointer(pointer)).unwrap_or(&Value::Null)
}

/// Our word for a status of theirs. Nobody else can cancel.
fn ours(theirs: &str, settings: &Settings) -> Option<Status> {
    let word = settings.option(&format!("status.{theirs}")).unwrap_or(theirs);
    Status::from_str(word).ok().filter(|status| *status != Status::Cancelled)
}

/// What is wrong with an option.
fn mistake((name, value): (&String, &String)) -> Option<String> {
    const WORDS: &str = "pending, in_review, approved, declined, resubmission, expired";
    if name.starts_with("status.") {
        let known = WORDS.split(", ").any(|word| word == value);
        return (!known).then(|| format!("options.{name} must be one of {WORDS}"));
    }
    if !POINTERS.iter().any(|(known, _)| known == name) {
        return Some(format!("options.{name} is unknown"));
    }
    (!value.starts_with('/')).then(|| format!("options.{name} must be a JSON pointer, such as /data/{name}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples::{self, Signed, assert_calm, assert_proves, assert_robust, assert_timely};
    use super::super::vectors::{input, vector};
    use super::*;

    const AT: i64 = 1_614_265_330;
    const HEADERS: [(&str, &str); 2] = [("webhook-id", "msg_1"), ("webhook-timestamp", "1614265330")];

    fn read(body: &Value, settings: &Settings) -> Event {
        samples::read(&StandardWebhooks, &HEADERS, body.to_string().as_bytes(), settings).expect("an event")
    }

    fn event(status: &str) -> Value {
        json!({ "type": "kyc.updated", "data": {
            "reference": "r-1", "external_id": "order-1", "status": status, "reasons": ["blurred", 7, {}],
        } })
    }

    fn headers<'a>(vector: &'a Value, signature: &'a str) -> [(&'static str, &'a str); 3] {
        [
            ("webhook-id", input(vector, "webhook_id")),
            ("webhook-timestamp", input(vector, "webhook_timestamp")),
            ("webhook-signature", signature),
        ]
    }

    #[test]
    fn webhooks_are_proven_in_both_versions() {
        let settings = samples::settings(&json!({}));
        for (id, name) in [("stdwebhooks_v1", "secret"), ("stdwebhooks_v1a", "public_key")] {
            let vector = vector(id);
            let expected = vector["expected"].as_str().expect("a signature");
            let (body, secret) = (input(&vector, "raw_body"), input(&vector, name));
            let right = headers(&vector, expected);
            let signed = Signed { headers: &right, body, secret, settings: &settings, seconds: AT };
            assert_proves(&StandardWebhooks, &signed);
            assert_timely(&StandardWebhooks, &signed);
            let (_, bytes) = expected.split_once(',').expect("a version");
            for (list, proven) in [
                (format!("v2,AAAA v1,AAAA {expected}"), true),
                (format!("v9,{bytes}"), false),
                (format!("v1,{}", &bytes[..40]), false),
                (bytes.to_owned(), false),
            ] {
                let headers = headers(&vector, &list);
                let verified = Signed { headers: &headers, ..signed }.verified_by(&StandardWebhooks);
                assert_eq!(verified, proven, "{list}");
            }
            let unpadded = secret.trim_end_matches('=');
            assert!(Signed { secret: unpadded, ..signed }.verified_by(&StandardWebhooks));
        }
    }

    #[test]
    fn each_status_is_one_of_ours_or_said_to_be() {
        use Status::{Approved, Declined, Expired, InReview, Pending, Resubmission};
        let settings = samples::settings(&json!({ "options": { "status.passed": "approved" } }));
        for (status, expected) in [
            ("pending", Some(Pending)),
            ("in_review", Some(InReview)),
            ("approved", Some(Approved)),
            ("passed", Some(Approved)),
            ("declined", Some(Declined)),
            ("resubmission", Some(Resubmission)),
            ("expired", Some(Expired)),
            ("cancelled", None),
            ("Approved", None),
            ("", None),
        ] {
            let found = read(&event(status), &settings);
            assert_eq!(samples::told(&found), expected.map(|ours| (ours, false)), "{status}");
            assert_eq!((found.name.as_str(), found.dedupe_key.as_str()), ("kyc.updated", "msg_1"));
            assert_eq!(found.reference.as_deref(), Some("r-1"));
            assert_eq!(found.external_id.as_deref(), Some("order-1"));
            assert_eq!(found.occurred_at, Some(AT * 1000));
        }
        let found = read(&event("declined"), &settings);
        assert_eq!(found.finding.expect("a finding").reasons, ["blurred", "7"]);
    }

    #[test]
    fn things_are_where_the_operator_says() {
        let settings = samples::settings(&json!({ "options": {
            "reference": "/check/id", "external_id": "/check/tags/0", "status": "/check/result", "reasons": "/why",
        } }));
        let body = json!({
            "check": { "id": "c-1", "tags": ["order-1"], "result": "declined" }, "why": ["forged"],
        });
        let found = read(&body, &settings);
        assert_eq!(found.reference.as_deref(), Some("c-1"));
        assert_eq!(found.external_id.as_deref(), Some("order-1"));
        assert_eq!(
            found.finding,
            Some(Finding::new(Status::Declined, "declined").because(&[json!("forged")]))
        );
        assert_eq!(found.name, "webhook");
    }

    #[test]
    fn settings_are_looked_at() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        for (more, mistakes) in [
            (json!({ "webhook_secrets": [secret] }), 0),
            (json!({ "webhook_secrets": ["whpk_1SiA4o9hyqTCpIqC5V9HUakiieaACeqfZTInDBbOir4="] }), 0),
            (json!({ "webhook_secrets": [secret, "whsec_"] }), 1),
            (json!({ "webhook_secrets": ["whsec_c2hvcnQ="] }), 1),
            (json!({ "webhook_secrets": ["whpk_c2hvcnQ="] }), 1),
            (json!({ "webhook_secrets": ["secret"] }), 1),
            (json!({ "options": { "reference": "/id", "status.ok": "approved" } }), 0),
            (json!({ "options": { "reference": "id", "status.ok": "cancelled", "colour": "red" } }), 3),
        ] {
            let found = StandardWebhooks.check(&samples::settings(&more));
            assert_eq!(found.len(), mistakes, "{more} {found:?}");
            assert!(!found.iter().any(|line| line.contains("c2hv")), "{found:?}");
        }
    }

    #[test]
    fn what_is_no_event_is_unreadable() {
        let settings = samples::settings(&json!({}));
        assert_robust(&StandardWebhooks, &HEADERS, &event("approved").to_string(), &settings);
        assert_calm(&StandardWebhooks, &HEADERS, &event("approved"), &settings);
        let unnumbered =
            samples::read(&StandardWebhooks, &[], event("approved").to_string().as_bytes(), &settings);
        assert_eq!(unnumbered, Err(Unreadable("webhook-id")));
    }
}
