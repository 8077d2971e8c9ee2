//! Persona.
//! <https://docs.withpersona.com/webhooks>

use entities::Timestamp;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::json::{answered, code_at, confirm, id, instant, needed, page, text, token};
use super::{
    About, Check, Event, Failure, Finding, Link, Order, Provider, Session, Settings, Started, Status,
    Unreadable, Webhook, signature,
};
use crate::outbound::{Answer, Request, percent_encoded};
use crate::secret::Secret;

pub struct Persona;

static ABOUT: About = About {
    name: "persona",
    title: "Persona",
    documentation: "https://docs.withpersona.com/webhooks",
    needs: &["api_key", "webhook_secrets"],
    signature: &["persona-signature"],
    fetches: true,
    signs_time: true,
    starts: true,
};

/// What answers look like does not change beneath us.
const VERSION: &str = "2025-12-08";
/// Seconds from the first attempt at a delivery to the last: seven more after waits of up to 117,649 s each.
const RETRIES: i64 = 36 * 3600;

impl Provider for Persona {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn check(&self, settings: &Settings) -> Vec<String> {
        let fits = settings.sandbox || !settings.api_key().starts_with("persona_sandbox_");
        if fits {
            vec![]
        } else {
            vec!["api_key is one of the sandbox, whose results do not count".to_owned()]
        }
    }

    fn base_url(&self, _: &Settings) -> String {
        "https://api.withpersona.com".to_owned()
    }

    /// Along a rotation there are two sets of time and signature, with a space between them.
    fn verify(&self, webhook: &Webhook<'_>, secret: &Secret, _: &Settings, now: Timestamp) -> bool {
        let Some(header) = webhook.header("persona-signature") else { return false };
        header.split(' ').filter_map(|set| signature::timed(set, "v1")).any(|(time, claimed)| {
            let timely = signature::is_recent(time, now) || is_retried(webhook, time, now);
            let message = signature::dotted(time, webhook.body);
            let key = secret.expose().as_bytes();
            timely && claimed.iter().any(|hex| signature::is_hex_sha256(key, &message, hex))
        })
    }

    fn read(&self, webhook: &Webhook<'_>, _: &Settings) -> Result<Event, Unreadable> {
        let json = webhook.json()?;
        let event = &json["data"];
        let attributes = &event["attributes"];
        let name = needed(&attributes["name"], "name")?;
        let payload = &attributes["payload"];
        let inquiry = &payload["data"];
        // What is redacted keeps its status, which is no news.
        let tells =
            name.starts_with("inquiry.") && name != "inquiry.redacted" && inquiry["type"] == "inquiry";
        Ok(Event {
            dedupe_key: needed(&event["id"], "id")?,
            reference: id(&inquiry["id"]).filter(|_| inquiry["type"] == "inquiry"),
            external_id: id(spelled(&inquiry["attributes"], "referenceid")),
            occurred_at: instant(spelled(attributes, "createdat")),
            finding: if tells { finding(inquiry, &payload["included"]) } else { None },
            name,
        })
    }

    fn start<'a>(&'a self, link: &'a Link<'a>, order: &'a Order) -> BoxFuture<'a, Result<Started, Failure>> {
        Box::pin(async move {
            let mut attributes = json!({ "inquiry-template-id": order.level });
            if let Some(url) = &order.redirect_url {
                attributes["redirect-uri"] = url.as_str().into();
            }
            // The reference of the account is what webhooks give back, so there is an account for each verification.
            let body = json!({
                "data": { "attributes": attributes },
                "meta": {
                    "auto-create-account": true,
                    "auto-create-account-reference-id": order.id,
                    "auto-create-one-time-link": true,
                    "auto-create-inquiry-session": true,
                },
            });
            let request = Request::post("/api/v1/inquiries")
                .body(body.to_string())
                .header("Idempotency-Key", &order.id);
            let answer = link.send(bearing(request, link), code).await?.json();
            let reference = answered(&answer["data"]["id"], "the inquiry")?;
            Ok(Started {
                session: Session { reference, handle: None, external_id: order.id.clone() },
                url: page(&answer["meta"]["one-time-link"]),
                token: token(&answer["meta"]["session-token"]),
            })
        })
    }

    fn fetch<'a>(
        &'a self,
        link: &'a Link<'a>,
        session: &'a Session,
    ) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let path = format!("/api/v1/inquiries/{}", percent_encoded(&session.reference));
            let answer = link.send(bearing(Request::get(path), link), code).await?.json();
            let inquiry = &answer["data"];
            confirm(session, &inquiry["id"], &inquiry["attributes"]["reference-id"])?;
            finding(inquiry, &answer["included"]).ok_or(Failure::Malformed("a status that is known"))
        })
    }
}

/// Whether a late webhook may be one that is delivered again. It is not documented whether a retry is signed anew. The
/// header that counts attempts is not signed, but what it lets in is harmless: the id of the event has not been seen, an
/// older event changes nothing, and an approval is asked for at Persona before it counts.
fn is_retried(webhook: &Webhook<'_>, time: &str, now: Timestamp) -> bool {
    let attempts = webhook.header("persona-webhook-attempts-made").and_then(|text| text.parse::<u32>().ok());
    let age = time.parse::<i64>().ok().and_then(|time| now.seconds().checked_sub(time));
    attempts.is_some_and(|made| made > 1) && age.is_some_and(|age| (0..=RETRIES).contains(&age))
}

/// A member in any of the spellings that an operator can choose at Persona: `reference-id`, `reference_id`, `referenceId`.
fn spelled<'a>(object: &'a Value, name: &str) -> &'a Value {
    let mut members = object.as_object().into_iter().flatten();
    let found = members.find(|(known, _)| known.replace(['-', '_'], "").eq_ignore_ascii_case(name));
    found.map_or(&Value::Null, |(_, value)| value)
}

fn finding(inquiry: &Value, included: &Value) -> Option<Finding> {
    let raw = text(&inquiry["attributes"]["status"]);
    let finding = |status| Finding::new(status, raw);
    let verifications = || included.as_array().into_iter().flatten();
    Some(match raw {
        "created" | "pending" => finding(Status::Pending),
        // All is handed in, which is no approval.
        "completed" => finding(Status::InReview),
        // A decision may have come before.
        "needs_review" => finding(Status::InReview).explicitly(),
        "approved" => finding(Status::Approved).checked(verifications().filter_map(passed)),
        "declined" | "failed" => finding(Status::Declined).because(verifications().flat_map(failed)),
        "expired" => finding(Status::Expired),
        _ => return None,
    })
}

fn passed(verification: &Value) -> Option<Check> {
    let check = match text(&verification["type"]) {
        "verification/government-id" | "verification/government-id-nfc" => Check::Document,
        "verification/selfie" => Check::Face,
        "verification/database" => Check::Database,
        "verification/email-address" => Check::Email,
        "verification/phone-number" => Check::Phone,
        _ => return None,
    };
    (verification["attributes"]["status"] == "passed").then_some(check)
}

/// The names of what went wrong in a verification.
fn failed(verification: &Value) -> impl Iterator<Item = &Value> {
    let attributes = &verification["attributes"];
    let checks = attributes["checks"].as_array().filter(|_| attributes["status"] == "failed");
    checks.into_iter().flatten().filter(|check| check["status"] == "failed").map(|check| &check["name"])
}

fn bearing(request: Request, link: &Link<'_>) -> Request {
    request
        .content_type("application/json")
        .header("Authorization", format!("Bearer {}", link.settings.api_key()))
        .header("Persona-Version", VERSION)
        .header("Key-Inflection", "kebab")
}

fn code(answer: &Answer) -> Option<String> {
    code_at(answer, "/errors/0/title")
}

#[cfg(test)]
mod tests {
    use super::super::samples::{
        self, Signed, assert_calm, assert_proves, assert_robust, assert_timely, header,
    };
    use super::super::vectors::{input, vector};
    use super::*;

    const AT: i64 = 1_700_000_000;

    fn event(name: &str, status: &str) -> Value {
        json!({ "data": { "type": "event", "id": "evt_1", "attributes": {
            "name": name,
            "created-at": "2019-09-09T22:46:27.598Z",
            "payload": {
                "data": { "type": "inquiry", "id": "inq_1",
                    "attributes": { "status": status, "reference-id": "order-1" } },
                "included": [
                    { "type": "verification/government-id", "attributes": { "status": "passed" } },
                    { "type": "verification/selfie", "attributes": { "status": "failed", "checks": [
                        { "name": "selfie_liveness", "status": "failed" },
                        { "name": "selfie_glasses", "status": "passed" },
                    ] } },
                ],
            },
        } } })
    }

    fn read(body: &Value) -> Event {
        samples::read(&Persona, &[], body.to_string().as_bytes(), &samples::settings(&json!({})))
            .expect("an event")
    }

    #[test]
    fn webhooks_are_proven() {
        let vector = vector("persona_signature");
        let (body, secret) = (input(&vector, "raw_body"), input(&vector, "secret"));
        let settings = samples::settings(&json!({}));
        let headers = [("persona-signature", input(&vector, "header"))];
        let signed = Signed { headers: &headers, body, secret, settings: &settings, seconds: AT };
        assert_proves(&Persona, &signed);
        assert_timely(&Persona, &signed);
        let rotated = [("persona-signature", input(&vector, "header_during_rotation"))];
        assert!(Signed { headers: &rotated, ..signed }.verified_by(&Persona));
    }

    #[test]
    fn a_retry_may_be_late() {
        let vector = vector("persona_signature");
        let settings = samples::settings(&json!({}));
        for (attempts, seconds, expected) in [
            ("2", AT + 3600, true),
            ("8", AT + RETRIES, true),
            ("8", AT + RETRIES + 1, false),
            ("1", AT + 3600, false),
            ("0", AT + 3600, false),
            ("many", AT + 3600, false),
            ("2", AT - 3600, false),
        ] {
            let headers = [
                ("persona-signature", input(&vector, "header")),
                ("persona-webhook-attempts-made", attempts),
            ];
            let (body, secret) = (input(&vector, "raw_body"), input(&vector, "secret"));
            let signed = Signed { headers: &headers, body, secret, settings: &settings, seconds };
            assert_eq!(signed.verified_by(&Persona), expected, "{attempts} {seconds}");
        }
    }

    #[test]
    fn each_status_is_put_into_ours() {
        use Status::{Approved, Declined, Expired, InReview, Pending};
        for (name, status, expected) in [
            ("inquiry.created", "created", Some((Pending, false))),
            ("inquiry.started", "pending", Some((Pending, false))),
            ("inquiry.completed", "completed", Some((InReview, false))),
            ("inquiry.marked-for-review", "needs_review", Some((InReview, true))),
            ("inquiry.approved", "approved", Some((Approved, false))),
            ("inquiry.transitioned", "approved", Some((Approved, false))),
            ("inquiry.declined", "declined", Some((Declined, false))),
            ("inquiry.failed", "failed", Some((Declined, false))),
            ("inquiry.expired", "expired", Some((Expired, false))),
            ("inquiry.redacted", "approved", None),
            ("inquiry.approved", "blessed", None),
            ("account.created", "approved", None),
        ] {
            let found = read(&event(name, status));
            assert_eq!(samples::told(&found), expected, "{name} {status}");
            assert_eq!(found.dedupe_key, "evt_1");
            assert_eq!(found.reference.as_deref(), Some("inq_1"));
            assert_eq!(found.external_id.as_deref(), Some("order-1"));
            assert_eq!(found.occurred_at, Some(1_568_069_187_598));
        }
        let of = |name, status| read(&event(name, status)).finding.expect("a finding");
        assert_eq!(of("inquiry.approved", "approved").checks, [Check::Document]);
        assert_eq!(of("inquiry.declined", "declined").reasons, ["selfie_liveness"]);
    }

    #[test]
    fn members_are_spelled_in_three_ways() {
        for (reference, created) in
            [("reference-id", "created-at"), ("reference_id", "created_at"), ("referenceId", "createdAt")]
        {
            let text = event("inquiry.approved", "approved").to_string();
            let text = text.replace("reference-id", reference).replace("created-at", created);
            let found = read(&serde_json::from_str(&text).expect("JSON"));
            assert_eq!(found.external_id.as_deref(), Some("order-1"), "{reference}");
            assert!(found.occurred_at.is_some(), "{created}");
        }
    }

    #[test]
    fn what_is_no_event_is_unreadable() {
        let settings = samples::settings(&json!({}));
        let body = event("inquiry.declined", "declined");
        assert_robust(&Persona, &[], &body.to_string(), &settings);
        assert_calm(&Persona, &[], &body, &settings);
    }

    #[tokio::test]
    async fn an_inquiry_is_made() {
        let answers = [(
            201,
            r#"{"data":{"id":"inq_1"},"meta":{"session-token":"t","one-time-link":"https://p.example/x"}}"#,
        )];
        let settings = samples::settings(&json!({}));
        let (started, asked) =
            samples::started(&Persona, settings, &samples::order("itmpl_1"), &answers).await;
        let started = started.expect("started");
        assert_eq!(started.session, samples::session("inq_1", None));
        assert_eq!(started.url.expect("a page").as_str(), "https://p.example/x");
        assert_eq!(started.token.expect("a token").expose(), "t");
        assert!(asked[0].starts_with("POST /api/v1/inquiries HTTP"));
        assert_eq!(header(&asked[0], "idempotency-key"), "order-1");
        assert_eq!(header(&asked[0], "authorization"), "Bearer key");
        assert_eq!(header(&asked[0], "persona-version"), VERSION);
        let body = samples::json_body(&asked[0]);
        assert_eq!(body["data"]["attributes"]["inquiry-template-id"], "itmpl_1");
        assert_eq!(body["data"]["attributes"]["redirect-uri"], "https://app.example/done?a=1&b=2");
        assert_eq!(body["meta"]["auto-create-account-reference-id"], "order-1");
    }

    #[tokio::test]
    async fn an_inquiry_is_looked_at() {
        let session = samples::session("inq_1", None);
        for (answer, expected) in [
            (r#"{"data":{"id":"inq_1","attributes":{"status":"approved","reference-id":"order-1"}}}"#, true),
            (r#"{"data":{"id":"inq_2","attributes":{"status":"approved","reference-id":"order-1"}}}"#, false),
            (r#"{"data":{"id":"inq_1","attributes":{"status":"approved","reference-id":"other"}}}"#, false),
            (r#"{"data":{"id":"inq_1","attributes":{"status":"new"}}}"#, false),
            ("<html>", false),
        ] {
            let settings = samples::settings(&json!({}));
            let (finding, asked) = samples::fetched(&Persona, settings, &session, &[(200, answer)]).await;
            assert_eq!(finding.is_ok_and(|found| found.status == Status::Approved), expected, "{answer}");
            assert!(asked[0].starts_with("GET /api/v1/inquiries/inq_1 HTTP"));
        }
    }

    #[test]
    fn a_key_of_the_sandbox_is_told() {
        let key = json!({ "api_key": "persona_sandbox_1" });
        assert_eq!(Persona.check(&samples::settings(&key)).len(), 1);
        let key = json!({ "api_key": "persona_sandbox_1", "sandbox": true });
        assert!(Persona.check(&samples::settings(&key)).is_empty());
    }
}
