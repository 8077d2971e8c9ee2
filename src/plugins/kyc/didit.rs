//! Didit.
//! <https://docs.didit.me/integration/webhooks>

use entities::Timestamp;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::json::{answered, code, confirm, id, needed, page, seconds, text, token};
use super::{
    About, Check, Event, Failure, Finding, Link, Order, Provider, Session, Settings, Started, Status,
    Unreadable, Webhook, signature,
};
use crate::outbound::{Request, percent_encoded};
use crate::secret::Secret;

pub struct Didit;

static ABOUT: About = About {
    name: "didit",
    title: "Didit",
    documentation: "https://docs.didit.me/integration/webhooks",
    needs: &["api_key", "webhook_secrets"],
    signature: &[RAW, CANONICAL],
    fetches: true,
    signs_time: true,
    starts: true,
};

const RAW: &str = "x-signature";
/// For bodies that something on the way has written anew.
const CANONICAL: &str = "x-signature-v2";

impl Provider for Didit {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn base_url(&self, _: &Settings) -> String {
        "https://verification.didit.me".to_owned()
    }

    /// Not `x-signature-simple`, which leaves out most of the body.
    fn verify(&self, webhook: &Webhook<'_>, secret: &Secret, _: &Settings, now: Timestamp) -> bool {
        let Ok(json) = webhook.json() else { return false };
        // The header alone is not signed, so it must be the time in the body, which is.
        let timely = webhook.header("x-timestamp").is_some_and(|time| {
            signature::is_recent(time, now) && json["timestamp"].as_i64() == time.parse().ok()
        });
        let key = secret.expose().as_bytes();
        let is_signed = if webhook.headers.contains_key(RAW) {
            let claimed = webhook.header(RAW);
            claimed.is_some_and(|hex| signature::is_hex_sha256(key, webhook.body, hex))
        } else {
            let claimed = webhook.header(CANONICAL);
            claimed.is_some_and(|hex| signature::is_hex_sha256(key, canonical(json).as_bytes(), hex))
        };
        timely && is_signed
    }

    fn read(&self, webhook: &Webhook<'_>, settings: &Settings) -> Result<Event, Unreadable> {
        let json = webhook.json()?;
        let name = needed(&json["webhook_type"], "webhook_type")?;
        let reference = id(&json["session_id"]);
        let unnumbered =
            || format!("{}|{name}|{}", reference.as_deref().unwrap_or_default(), json["timestamp"]);
        let live = json["environment"].as_str().is_none_or(|name| name == "live")
            && !webhook.headers.contains_key("x-didit-test-webhook");
        let tells = name == "status.updated" && (live || settings.sandbox);
        Ok(Event {
            dedupe_key: id(&json["event_id"]).unwrap_or_else(unnumbered),
            external_id: id(&json["vendor_data"]),
            occurred_at: seconds(&json["timestamp"]),
            finding: finding(text(&json["status"]), &json["decision"]).filter(|_| tells),
            reference,
            name,
        })
    }

    /// Asked again for the same workflow and `vendor_data`, Didit gives the same session.
    fn start<'a>(&'a self, link: &'a Link<'a>, order: &'a Order) -> BoxFuture<'a, Result<Started, Failure>> {
        Box::pin(async move {
            let mut body = json!({ "workflow_id": order.level, "vendor_data": order.id });
            if let Some(url) = &order.redirect_url {
                body["callback"] = url.as_str().into();
            }
            let request = Request::post("/v3/session/").body(body.to_string());
            let answer = link.send(identified(request, link), code).await?.json();
            let reference = answered(&answer["session_id"], "the session")?;
            Ok(Started {
                session: Session { reference, handle: None, external_id: order.id.clone() },
                url: page(&answer["url"]),
                token: token(&answer["session_token"]),
            })
        })
    }

    fn fetch<'a>(
        &'a self,
        link: &'a Link<'a>,
        session: &'a Session,
    ) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let path = format!("/v3/session/{}/decision/", percent_encoded(&session.reference));
            let answer = link.send(identified(Request::get(path), link), code).await?.json();
            confirm(session, &answer["session_id"], &answer["vendor_data"])?;
            let live = answer["environment"].as_str().is_none_or(|name| name == "live");
            if !live && !link.settings.sandbox {
                return Err(Failure::Malformed("a verification that is not of the sandbox"));
            }
            finding(text(&answer["status"]), &answer).ok_or(Failure::Malformed("a status that is known"))
        })
    }
}

/// With the keys of all objects in order, without white space, and whole numbers without a fraction.
fn canonical(mut json: Value) -> String {
    json.sort_all_objects();
    whole_numbers(&mut json);
    json.to_string()
}

fn whole_numbers(value: &mut Value) {
    /// Up to here, each whole number has a floating-point number of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => {
            let float = number.as_f64().filter(|float| number.is_f64() && float.abs() < EXACT);
            if let Some(float) = float.filter(|float| float.fract() == 0.0) {
                #[expect(clippy::cast_possible_truncation, reason = "it is whole and small enough")]
                let whole = float as i64;
                *value = whole.into();
            }
        }
        Value::Array(array) => array.iter_mut().for_each(whole_numbers),
        Value::Object(object) => object.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

fn finding(raw: &str, decision: &Value) -> Option<Finding> {
    let finding = |status| Finding::new(status, raw);
    Some(match raw {
        "Not Started" | "In Progress" | "Awaiting User" => finding(Status::Pending),
        // A decision may have come before.
        "In Review" => finding(Status::InReview).explicitly().because(risks(decision)),
        "Approved" => finding(Status::Approved).checked(checks(decision)),
        "Declined" => finding(Status::Declined).because(risks(decision)),
        "Resubmitted" => finding(Status::Resubmission),
        "Expired" | "Abandoned" | "Kyc Expired" => finding(Status::Expired),
        _ => return None,
    })
}

/// The steps of these, each of which may have been taken several times.
fn steps<'a>(decision: &'a Value, kind: &str) -> impl Iterator<Item = &'a Value> {
    decision[kind].as_array().into_iter().flatten()
}

fn checks(decision: &Value) -> impl Iterator<Item = Check> {
    let passed = |kind: &str| steps(decision, kind).any(|step| step["status"] == "Approved");
    [
        (passed("id_verifications"), Check::Document),
        (passed("face_matches") && passed("liveness_checks"), Check::Face),
        (passed("poa_verifications"), Check::Address),
        (passed("email_verifications"), Check::Email),
        (passed("phone_verifications"), Check::Phone),
        (passed("aml_screenings"), Check::Watchlist),
        (passed("database_validations"), Check::Database),
    ]
    .into_iter()
    .filter_map(|(passed, check)| passed.then_some(check))
}

fn risks(decision: &Value) -> impl Iterator<Item = &Value> {
    let kinds =
        ["id_verifications", "liveness_checks", "face_matches", "poa_verifications", "aml_screenings"];
    let steps = kinds.into_iter().flat_map(|kind| steps(decision, kind));
    steps.flat_map(warnings)
}

fn warnings(step: &Value) -> impl Iterator<Item = &Value> {
    steps(step, "warnings").map(|warning| &warning["risk"])
}

fn identified(request: Request, link: &Link<'_>) -> Request {
    request.content_type("application/json").header("x-api-key", link.settings.api_key())
}

#[cfg(test)]
mod tests {
    use super::super::samples::{
        self, Signed, assert_calm, assert_proves, assert_robust, assert_timely, header,
    };
    use super::super::vectors::{input, vector};
    use super::*;
    use crate::crypto::mac::hmac_sha256;

    const AT: i64 = 1_700_000_000;
    const TIME: (&str, &str) = ("x-timestamp", "1700000000");

    fn event(status: &str) -> Value {
        json!({
            "event_id": "e-1", "webhook_type": "status.updated", "timestamp": AT, "environment": "live",
            "session_id": "s-1", "status": status, "vendor_data": "order-1",
            "decision": {
                "id_verifications": [
                    { "status": "Declined", "warnings": [{ "risk": "DOCUMENT_EXPIRED" }] },
                    { "status": "Approved", "warnings": [] },
                ],
                "face_matches": [{ "status": "Approved" }],
                "liveness_checks": [{ "status": "Declined", "warnings": [{ "risk": "LOW_LIVENESS_SCORE" }] }],
            },
        })
    }

    fn read(body: &Value, headers: &samples::Headers<'_>, settings: &Settings) -> Event {
        samples::read(&Didit, headers, body.to_string().as_bytes(), settings).expect("an event")
    }

    #[test]
    fn webhooks_are_proven_by_their_bytes_first() {
        let settings = samples::settings(&json!({}));
        let (raw, canonical) = (vector("didit_v1"), vector("didit_v2"));
        let (body, secret) = (input(&raw, "raw_body"), input(&raw, "secret"));
        let text = |vector: &Value| vector["expected"].as_str().expect("a signature").to_owned();
        let (of_raw, of_canonical) = (text(&raw), text(&canonical));
        for proof in [(RAW, of_raw.as_str()), (CANONICAL, of_canonical.as_str())] {
            let headers = [proof, TIME];
            let signed = Signed { headers: &headers, body, secret, settings: &settings, seconds: AT };
            assert_proves(&Didit, &signed);
            assert_timely(&Didit, &signed);
        }
        let simple = hex::encode(hmac_sha256(
            secret.as_bytes(),
            b"1700000000:11111111-2222-3333-4444-555555555555:Approved:status.updated",
        ));
        let both = [(RAW, of_canonical.as_str()), (CANONICAL, of_canonical.as_str()), TIME];
        let twice =
            [(RAW, of_raw.as_str()), (RAW, of_raw.as_str()), (CANONICAL, of_canonical.as_str()), TIME];
        let simple = [("x-signature-simple", simple.as_str()), TIME];
        for headers in [&both[..], &twice, &simple] {
            let signed = Signed { headers, body, secret, settings: &settings, seconds: AT };
            assert!(!signed.verified_by(&Didit), "{headers:?}");
        }
        let again = body.replace(',', ",  ");
        let headers = [(CANONICAL, of_canonical.as_str()), TIME];
        let signed = Signed { headers: &headers, body: &again, secret, settings: &settings, seconds: AT };
        assert!(signed.verified_by(&Didit), "the same, written otherwise");
    }

    #[test]
    fn the_canonical_form_is_as_documented() {
        let vector = vector("didit_v2");
        let json = serde_json::from_str(input(&vector, "raw_body")).expect("JSON");
        assert_eq!(canonical(json), input(&vector, "canonical"));
        let json = json!({ "b": [{ "z": -0.0, "a": 1e15 }], "a": 1e300, "é": "\u{1f600}" });
        assert_eq!(canonical(json), r#"{"a":1e+300,"b":[{"a":1000000000000000,"z":0}],"é":"😀"}"#);
    }

    #[test]
    fn each_status_is_put_into_ours() {
        use Status::{Approved, Declined, Expired, InReview, Pending, Resubmission};
        let settings = samples::settings(&json!({}));
        for (status, expected) in [
            ("Not Started", Some((Pending, false))),
            ("In Progress", Some((Pending, false))),
            ("Awaiting User", Some((Pending, false))),
            ("In Review", Some((InReview, true))),
            ("Approved", Some((Approved, false))),
            ("Declined", Some((Declined, false))),
            ("Resubmitted", Some((Resubmission, false))),
            ("Expired", Some((Expired, false))),
            ("Abandoned", Some((Expired, false))),
            ("Kyc Expired", Some((Expired, false))),
            ("Unheard Of", None),
        ] {
            let found = read(&event(status), &[], &settings);
            assert_eq!(samples::told(&found), expected, "{status}");
            assert_eq!(found.dedupe_key, "e-1");
            assert_eq!(found.reference.as_deref(), Some("s-1"));
            assert_eq!(found.external_id.as_deref(), Some("order-1"));
            assert_eq!(found.occurred_at, Some(AT * 1000));
        }
        let of = |status| read(&event(status), &[], &settings).finding.expect("a finding");
        assert_eq!(of("Approved").checks, [Check::Document]);
        assert_eq!(of("Declined").reasons, ["DOCUMENT_EXPIRED", "LOW_LIVENESS_SCORE"]);
        let mut other = event("Approved");
        other["webhook_type"] = json!("data.updated");
        other["event_id"] = json!(null);
        let found = read(&other, &[], &settings);
        assert_eq!((found.finding, found.dedupe_key.as_str()), (None, "s-1|data.updated|1700000000"));
    }

    #[test]
    fn tests_count_where_they_shall() {
        let mut body = event("Approved");
        let (strict, lax) = (samples::settings(&json!({})), samples::settings(&json!({ "sandbox": true })));
        let test = [("x-didit-test-webhook", "true")];
        assert_eq!(read(&body, &test, &strict).finding, None);
        assert!(read(&body, &test, &lax).finding.is_some());
        body["environment"] = json!("sandbox");
        assert_eq!(read(&body, &[], &strict).finding, None);
        assert!(read(&body, &[], &lax).finding.is_some());
    }

    #[test]
    fn what_is_no_event_is_unreadable() {
        let settings = samples::settings(&json!({}));
        assert_robust(&Didit, &[], &event("Declined").to_string(), &settings);
        assert_calm(&Didit, &[], &event("Declined"), &settings);
        assert_calm(&Didit, &[], &event("Approved"), &settings);
        let body = "[".repeat(100_000);
        let headers = [(CANONICAL, "00"), TIME];
        let signed = Signed { headers: &headers, body: &body, secret: "s", settings: &settings, seconds: AT };
        assert!(!signed.verified_by(&Didit));
    }

    #[tokio::test]
    async fn a_session_is_made() {
        let answers =
            [(201, r#"{"session_id":"s-1","session_token":"t","url":"https://verify.didit.me/session/x"}"#)];
        let settings = samples::settings(&json!({}));
        let (started, asked) = samples::started(&Didit, settings, &samples::order("flow-1"), &answers).await;
        let started = started.expect("started");
        assert_eq!(started.session, samples::session("s-1", None));
        assert_eq!(started.url.expect("a page").as_str(), "https://verify.didit.me/session/x");
        assert_eq!(started.token.expect("a token").expose(), "t");
        assert!(asked[0].starts_with("POST /v3/session/ HTTP"));
        assert_eq!(header(&asked[0], "x-api-key"), "key");
        let expected = json!({
            "workflow_id": "flow-1", "vendor_data": "order-1", "callback": "https://app.example/done?a=1&b=2",
        });
        assert_eq!(samples::json_body(&asked[0]), expected);
    }

    #[tokio::test]
    async fn a_session_is_looked_at() {
        let session = samples::session("s-1", None);
        for (answer, expected) in [
            (r#"{"session_id":"s-1","status":"Approved","vendor_data":"order-1"}"#, true),
            (r#"{"session_id":"s-1","status":"Approved","environment":"sandbox"}"#, false),
            (r#"{"session_id":"s-2","status":"Approved","vendor_data":"order-1"}"#, false),
            (r#"{"session_id":"s-1","status":"Approved","vendor_data":"other"}"#, false),
            (r#"{"session_id":"s-1","status":"approved"}"#, false),
        ] {
            let settings = samples::settings(&json!({}));
            let (finding, asked) = samples::fetched(&Didit, settings, &session, &[(200, answer)]).await;
            assert_eq!(finding.is_ok_and(|found| found.status == Status::Approved), expected, "{answer}");
            assert!(asked[0].starts_with("GET /v3/session/s-1/decision/ HTTP"));
        }
    }
}
