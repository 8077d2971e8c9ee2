//! Stripe Identity.
//! <https://docs.stripe.com/identity/handle-verification-outcomes>

use entities::Timestamp;
use futures_util::future::BoxFuture;
use serde_json::Value;
use url::form_urlencoded::Serializer;

use super::json::{answered, code_at, confirm, id, needed, page, seconds, text, token};
use super::{
    About, Check, Event, Failure, Finding, Link, Order, Provider, Session, Settings, Started, Status,
    Unreadable, Webhook, signature,
};
use crate::outbound::{Answer, Request, percent_encoded};
use crate::secret::Secret;

pub struct StripeIdentity;

static ABOUT: About = About {
    name: "stripe_identity",
    title: "Stripe Identity",
    documentation: "https://docs.stripe.com/identity/handle-verification-outcomes",
    needs: &["api_key", "webhook_secrets"],
    signature: &["stripe-signature"],
    fetches: true,
    signs_time: true,
    starts: true,
};

const SESSIONS: &str = "/v1/identity/verification_sessions";

impl Provider for StripeIdentity {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn check(&self, settings: &Settings) -> Vec<String> {
        let key = settings.api_key();
        let of_sandbox = key.starts_with("sk_test_") || key.starts_with("rk_test_");
        let fits = settings.sandbox || !of_sandbox;
        if fits {
            vec![]
        } else {
            vec!["api_key is one of the sandbox, whose results do not count".to_owned()]
        }
    }

    fn base_url(&self, _: &Settings) -> String {
        "https://api.stripe.com".to_owned()
    }

    /// The secret is taken as it is, with its `whsec_`.
    fn verify(&self, webhook: &Webhook<'_>, secret: &Secret, _: &Settings, now: Timestamp) -> bool {
        let header = webhook.header("stripe-signature");
        header.and_then(|header| signature::timed(header, "v1")).is_some_and(|(time, claimed)| {
            let message = signature::dotted(time, webhook.body);
            let key = secret.expose().as_bytes();
            signature::is_recent(time, now)
                && claimed.iter().any(|hex| signature::is_hex_sha256(key, &message, hex))
        })
    }

    fn read(&self, webhook: &Webhook<'_>, settings: &Settings) -> Result<Event, Unreadable> {
        let json = webhook.json()?;
        let name = needed(&json["type"], "type")?;
        let session = &json["data"]["object"];
        let about_session = name.starts_with("identity.verification_session.");
        // What is redacted keeps its status, which is no news.
        let tells = about_session && !name.ends_with(".redacted");
        let counts = settings.sandbox || json["livemode"] == true;
        Ok(Event {
            dedupe_key: needed(&json["id"], "id")?,
            reference: id(&session["id"]).filter(|_| about_session),
            external_id: id(&session["client_reference_id"]),
            occurred_at: seconds(&json["created"]),
            finding: finding(session).filter(|_| tells && counts),
            name,
        })
    }

    fn start<'a>(&'a self, link: &'a Link<'a>, order: &'a Order) -> BoxFuture<'a, Result<Started, Failure>> {
        Box::pin(async move {
            let request = Request::post(SESSIONS).body(form(order)).header("Idempotency-Key", &order.id);
            let answer = link.send(bearing(request, link), code).await?.json();
            let reference = answered(&answer["id"], "the session")?;
            Ok(Started {
                session: Session { reference, handle: None, external_id: order.id.clone() },
                url: page(&answer["url"]),
                token: token(&answer["client_secret"]),
            })
        })
    }

    fn fetch<'a>(
        &'a self,
        link: &'a Link<'a>,
        session: &'a Session,
    ) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let path = format!("{SESSIONS}/{}", percent_encoded(&session.reference));
            let answer = link.send(bearing(Request::get(path), link), code).await?.json();
            confirm(session, &answer["id"], &answer["client_reference_id"])?;
            if !link.settings.sandbox && answer["livemode"] != true {
                return Err(Failure::Malformed("a verification that is not of the sandbox"));
            }
            finding(&answer).ok_or(Failure::Malformed("a status that is known"))
        })
    }
}

/// The level is a flow (`vf_…`), or the type of a verification: `document`, `id_number`.
fn form(order: &Order) -> String {
    let mut form = Serializer::new(String::new());
    if order.level.starts_with("vf_") {
        form.append_pair("verification_flow", &order.level);
    } else {
        form.append_pair("type", &order.level);
    }
    if order.level == "document" {
        form.append_pair("options[document][require_matching_selfie]", "true");
    }
    form.append_pair("client_reference_id", &order.id).append_pair("metadata[user_id]", &order.person);
    if let Some(url) = &order.redirect_url {
        form.append_pair("return_url", url.as_str());
    }
    form.finish()
}

fn finding(session: &Value) -> Option<Finding> {
    let raw = text(&session["status"]);
    let error = &session["last_error"]["code"];
    let ours = match (raw, text(error)) {
        ("requires_input", "") => Status::Pending,
        // Another attempt would end like this one.
        ("requires_input", "consent_declined" | "under_supported_age") => Status::Declined,
        ("requires_input", _) => Status::Resubmission,
        ("processing", _) => Status::InReview,
        ("verified", _) => Status::Approved,
        ("canceled", _) => Status::Expired,
        _ => return None,
    };
    let finding = Finding::new(ours, raw);
    Some(if ours == Status::Approved { finding.checked(checks(session)) } else { finding.because([error]) })
}

/// What had to be in order for it to be verified.
fn checks(session: &Value) -> impl Iterator<Item = Check> {
    let (kind, options) = (text(&session["type"]), &session["options"]);
    let document = &options["document"];
    [
        (kind == "document" || document.is_object(), Check::Document),
        (document["require_matching_selfie"] == true, Check::Face),
        (kind == "id_number" || document["require_id_number"] == true, Check::IdNumber),
        (options["email"]["require_verification"] == true, Check::Email),
        (options["phone"]["require_verification"] == true, Check::Phone),
    ]
    .into_iter()
    .filter_map(|(required, check)| required.then_some(check))
}

fn bearing(request: Request, link: &Link<'_>) -> Request {
    request
        .content_type("application/x-www-form-urlencoded")
        .header("Authorization", format!("Bearer {}", link.settings.api_key()))
}

fn code(answer: &Answer) -> Option<String> {
    code_at(answer, "/error/code").or_else(|| code_at(answer, "/error/type"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples::{
        self, Signed, assert_calm, assert_proves, assert_robust, assert_timely, header,
    };
    use super::super::vectors::{input, vector};
    use super::*;
    use crate::crypto::mac::hmac_sha256;

    fn event(kind: &str, status: &str, error: Option<&str>) -> Value {
        json!({
            "id": "evt_1", "type": format!("identity.{kind}"), "created": 1_700_000_000, "livemode": true,
            "data": { "object": {
                "id": "vs_1", "status": status, "client_reference_id": "order-1", "livemode": true,
                "last_error": error.map(|code| json!({ "code": code, "reason": "…" })),
                "type": "document", "options": { "document": { "require_matching_selfie": true } },
            } },
        })
    }

    fn read(body: &Value, settings: &Settings) -> Event {
        samples::read(&StripeIdentity, &[], body.to_string().as_bytes(), settings).expect("an event")
    }

    #[test]
    fn webhooks_are_proven() {
        for id in ["stripe_hmac_empty", "stripe_hmac_json"] {
            let vector = vector(id);
            let mac = hmac_sha256(input(&vector, "secret").as_bytes(), input(&vector, "payload").as_bytes());
            assert_eq!(hex::encode(mac), vector["expected"], "{id}");
        }
        let vector = vector("stripe_signature_header");
        let settings = samples::settings(&json!({}));
        let (body, secret) = (input(&vector, "raw_body"), input(&vector, "secret"));
        let headers = [("stripe-signature", input(&vector, "header"))];
        let signed = Signed { headers: &headers, body, secret, settings: &settings, seconds: 1_700_000_000 };
        assert_proves(&StripeIdentity, &signed);
        assert_timely(&StripeIdentity, &signed);
        let (expected, zeros) = (vector["expected"].as_str().expect("a signature"), "0".repeat(64));
        for (text, proven) in [
            (format!("t=1700000000,v1={zeros},v1={expected},v0={zeros}"), true),
            (format!("t=1700000000,v0={expected}"), false),
            (format!("v1={expected}"), false),
        ] {
            let headers = [("stripe-signature", text.as_str())];
            assert_eq!(Signed { headers: &headers, ..signed }.verified_by(&StripeIdentity), proven, "{text}");
        }
    }

    #[test]
    fn each_status_is_put_into_ours() {
        use Status::{Approved, Declined, Expired, InReview, Pending, Resubmission};
        let settings = samples::settings(&json!({}));
        for (kind, status, error, expected) in [
            ("created", "requires_input", None, Some(Pending)),
            ("processing", "processing", None, Some(InReview)),
            ("verified", "verified", None, Some(Approved)),
            ("requires_input", "requires_input", Some("document_expired"), Some(Resubmission)),
            ("requires_input", "requires_input", Some("consent_declined"), Some(Declined)),
            ("requires_input", "requires_input", Some("under_supported_age"), Some(Declined)),
            ("canceled", "canceled", None, Some(Expired)),
            ("redacted", "verified", None, None),
            ("verified", "unheard_of", None, None),
        ] {
            let found = read(&event(&format!("verification_session.{kind}"), status, error), &settings);
            assert_eq!(samples::told(&found), expected.map(|ours| (ours, false)), "{kind} {status}");
            assert_eq!(found.dedupe_key, "evt_1");
            assert_eq!(found.reference.as_deref(), Some("vs_1"));
            assert_eq!(found.external_id.as_deref(), Some("order-1"));
            assert_eq!(found.occurred_at, Some(1_700_000_000_000));
            let reasons = found.finding.map(|finding| finding.reasons).unwrap_or_default();
            assert_eq!(reasons, Vec::from_iter(error), "{kind} {status}");
        }
        let other = read(&event("verification_report.verified", "verified", None), &settings);
        assert_eq!((other.finding, other.reference), (None, None));
        let found = read(&event("verification_session.verified", "verified", None), &settings);
        assert_eq!(found.finding.expect("a finding").checks, [Check::Document, Check::Face]);
    }

    #[test]
    fn the_sandbox_counts_where_it_shall() {
        let mut body = event("verification_session.verified", "verified", None);
        body["livemode"] = json!(false);
        assert_eq!(read(&body, &samples::settings(&json!({}))).finding, None);
        assert!(read(&body, &samples::settings(&json!({ "sandbox": true }))).finding.is_some());
        let key = json!({ "api_key": "rk_test_1" });
        assert_eq!(StripeIdentity.check(&samples::settings(&key)).len(), 1);
    }

    #[test]
    fn what_is_no_event_is_unreadable() {
        let settings = samples::settings(&json!({}));
        let body = event("verification_session.requires_input", "requires_input", Some("abandoned"));
        assert_robust(&StripeIdentity, &[], &body.to_string(), &settings);
        assert_calm(&StripeIdentity, &[], &body, &settings);
    }

    #[tokio::test]
    async fn a_session_is_made() {
        let answers = [(200, r#"{"id":"vs_1","client_secret":"t","url":"https://verify.stripe.com/x"}"#)];
        for (level, expected) in [
            ("document", "type=document&options%5Bdocument%5D%5Brequire_matching_selfie%5D=true&"),
            ("id_number", "type=id_number&"),
            ("vf_1", "verification_flow=vf_1&"),
        ] {
            let settings = samples::settings(&json!({}));
            let order = samples::order(level);
            let (started, asked) = samples::started(&StripeIdentity, settings, &order, &answers).await;
            let started = started.expect("started");
            assert_eq!(started.session, samples::session("vs_1", None));
            assert_eq!(started.url.expect("a page").as_str(), "https://verify.stripe.com/x");
            assert_eq!(started.token.expect("a token").expose(), "t");
            assert!(asked[0].starts_with("POST /v1/identity/verification_sessions HTTP"));
            assert_eq!(header(&asked[0], "idempotency-key"), "order-1");
            assert_eq!(header(&asked[0], "authorization"), "Bearer key");
            let rest = "client_reference_id=order-1&metadata%5Buser_id%5D=0191e7a0-0000-7000-8000-000000000001\
                &return_url=https%3A%2F%2Fapp.example%2Fdone%3Fa%3D1%26b%3D2";
            assert_eq!(samples::body(&asked[0]), format!("{expected}{rest}"));
        }
    }

    #[tokio::test]
    async fn a_session_is_looked_at() {
        let session = samples::session("vs_1", None);
        let verified = event("", "verified", None)["data"]["object"].clone();
        let (mut test, mut others) = (verified.clone(), verified.clone());
        test["livemode"] = json!(false);
        others["client_reference_id"] = json!("other");
        for (answer, sandbox, expected) in [
            (&verified, false, true),
            (&test, false, false),
            (&test, true, true),
            (&others, false, false),
            (&json!({ "id": "vs_1", "livemode": true }), false, false),
        ] {
            let settings = samples::settings(&json!({ "sandbox": sandbox }));
            let answers = [(200, &*answer.to_string())];
            let (finding, asked) = samples::fetched(&StripeIdentity, settings, &session, &answers).await;
            assert_eq!(finding.is_ok_and(|found| found.status == Status::Approved), expected, "{answer}");
            assert!(asked[0].starts_with("GET /v1/identity/verification_sessions/vs_1 HTTP"));
        }
    }
}
