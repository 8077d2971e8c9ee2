//! Veriff.
//! <https://devdocs.veriff.com/docs/webhooks-guide>

use entities::Timestamp;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use url::{Host, Url};
use uuid::Uuid;

use super::json::{answered, code, confirm, id, key_of, page, text, token};
use super::{
    About, Event, Failure, Finding, Link, Order, Provider, Session, Settings, Started, Status, Unreadable,
    Webhook, signature,
};
use crate::crypto::mac;
use crate::outbound::{Request, percent_encoded};
use crate::secret::Secret;

pub struct Veriff;

static ABOUT: About = About {
    name: "veriff",
    title: "Veriff",
    documentation: "https://devdocs.veriff.com/docs/webhooks-guide",
    needs: &["api_key", "api_secret", "webhook_secrets", "base_url"],
    signature: &["x-hmac-signature"],
    fetches: true,
    signs_time: false,
    starts: true,
};

const APPROVED: i64 = 9001;

impl Provider for Veriff {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn check(&self, settings: &Settings) -> Vec<String> {
        const HOST: &str = "base_url must be one of Veriff's, such as https://stationapi.veriff.com";
        let fits = settings.base_url.as_ref().is_none_or(is_veriffs);
        if fits { vec![] } else { vec![HOST.to_owned()] }
    }

    /// Each integration is told its own.
    fn base_url(&self, settings: &Settings) -> String {
        settings.base_url.as_ref().map_or_else(String::new, |url| url.origin().ascii_serialization())
    }

    /// Not `x-signature`, which is a hash that can be prolonged.
    fn verify(&self, webhook: &Webhook<'_>, secret: &Secret, settings: &Settings, _: Timestamp) -> bool {
        let (Some(client), Some(claimed)) =
            (webhook.header("x-auth-client"), webhook.header("x-hmac-signature"))
        else {
            return false;
        };
        mac::equal(client.as_bytes(), settings.api_key().as_bytes())
            && signature::is_hex_sha256(secret.expose().as_bytes(), webhook.body, claimed)
    }

    fn read(&self, webhook: &Webhook<'_>, _: &Settings) -> Result<Event, Unreadable> {
        let json = webhook.json()?;
        // Decisions are in an object of their own. Its neighbour `status` only says that there is one.
        let decision = &json["verification"];
        let (name, about) = if decision.is_object() {
            ("decision".to_owned(), decision)
        } else {
            (id(&json["action"]).or(id(&json["eventType"])).ok_or(Unreadable("action"))?, &json)
        };
        let reference = id(&about["id"]).or(id(&about["sessionId"])).ok_or(Unreadable("id"))?;
        let code = about["code"].as_i64();
        let code_text = code.map_or_else(String::new, |code| code.to_string());
        let finding = match (decision.is_object(), code) {
            (true, _) => finding(decision),
            (false, Some(7001)) => Some(Finding::new(Status::Pending, &name)),
            (false, Some(7002)) => Some(Finding::new(Status::InReview, &name)),
            (false, _) => None,
        };
        let tells_apart =
            [reference.as_str(), text(&about["attemptId"]), &code_text, text(&about["decisionTime"])];
        Ok(Event {
            // Events of other kinds have no code.
            dedupe_key: if code.is_some() {
                key_of(&tells_apart)
            } else {
                key_of(&[&name, &tells_apart.join("|")])
            },
            external_id: id(&about["vendorData"]),
            occurred_at: None,
            reference: Some(reference),
            finding,
            name,
        })
    }

    fn start<'a>(&'a self, link: &'a Link<'a>, order: &'a Order) -> BoxFuture<'a, Result<Started, Failure>> {
        Box::pin(async move {
            let mut verification = json!({ "vendorData": order.id });
            // Veriff takes UUIDs only.
            if Uuid::parse_str(&order.person).is_ok() {
                verification["endUserId"] = order.person.as_str().into();
            }
            if let Some(url) = &order.redirect_url {
                verification["callback"] = url.as_str().into();
            }
            let body = json!({ "verification": verification }).to_string();
            let request = Request::post("/v1/sessions").body(body);
            let answer = link.send(identified(request, link), code).await?.json();
            let made = &answer["verification"];
            let reference = answered(&made["id"], "the session")?;
            Ok(Started {
                session: Session { reference, handle: None, external_id: order.id.clone() },
                url: page(&made["url"]),
                token: token(&made["sessionToken"]),
            })
        })
    }

    fn fetch<'a>(
        &'a self,
        link: &'a Link<'a>,
        session: &'a Session,
    ) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let reference = &session.reference;
            let path = format!("/v1/sessions/{}/decision", percent_encoded(reference));
            let signature = sign(link.settings, reference);
            let request = identified(Request::get(path), link).header("X-HMAC-SIGNATURE", signature);
            let answer = link.send(request, code).await?.json();
            match answer.get("verification") {
                Some(Value::Null) if answer["status"] == "success" => {
                    Ok(Finding::new(Status::Pending, "undecided"))
                }
                Some(decision) => {
                    confirm(session, &decision["id"], &decision["vendorData"])?;
                    finding(decision).ok_or(Failure::Malformed("a status that is known"))
                }
                None => Err(Failure::Malformed("the decision")),
            }
        })
    }
}

/// Whether requests, and the keys in them, go to Veriff; or to this machine, for tests.
fn is_veriffs(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let theirs = name.ends_with(".veriff.com") || name.ends_with(".veriff.me");
            (theirs && url.scheme() == "https") || name == "localhost"
        }
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// By the status; an approval only where the code agrees. Of the code 9121 Veriff itself says both review and abandoned.
fn finding(decision: &Value) -> Option<Finding> {
    let (raw, code) = (text(&decision["status"]), decision["code"].as_i64());
    let ours = match (raw, code) {
        ("approved", Some(APPROVED)) => Status::Approved,
        ("approved", _) | ("", Some(APPROVED)) => Status::InReview,
        ("declined", _) | ("", Some(9102)) => Status::Declined,
        ("resubmission_requested", _) | ("", Some(9103)) => Status::Resubmission,
        ("expired" | "abandoned", _) | ("", Some(9104)) => Status::Expired,
        ("review", _) | ("", Some(9121)) => Status::InReview,
        _ => return None,
    };
    let raw = if raw.is_empty() { code?.to_string() } else { raw.to_owned() };
    Some(Finding::new(ours, raw).because([&decision["reasonCode"]]))
}

fn identified(request: Request, link: &Link<'_>) -> Request {
    request.content_type("application/json").header("X-AUTH-CLIENT", link.settings.api_key())
}

/// What is signed is the body, or the id of the session where there is none.
fn sign(settings: &Settings, message: &str) -> String {
    hex::encode(mac::hmac_sha256(settings.api_secret().as_bytes(), message.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, Signed, assert_calm, assert_proves, assert_robust, header};
    use super::super::vectors::{input, vector};
    use super::*;

    fn decision(status: &Value, code: &Value) -> Value {
        json!({ "status": "success", "verification": {
            "id": "s-1", "attemptId": "t-1", "vendorData": "order-1", "status": status, "code": code,
            "reason": "Somebody else", "reasonCode": 106, "decisionTime": "2024-04-04T09:21:21.000Z",
            "person": { "firstName": "Ada" },
        } })
    }

    fn read(body: &Value) -> Event {
        samples::read(&Veriff, &[], body.to_string().as_bytes(), &samples::settings(&json!({})))
            .expect("an event")
    }

    #[test]
    fn webhooks_are_proven_by_key_and_signature() {
        let vector = vector("veriff_body_1");
        let settings = samples::settings(&json!({ "api_key": "client-1" }));
        let signature = vector["expected"].as_str().expect("a signature");
        let headers = [("x-hmac-signature", signature), ("x-auth-client", "client-1")];
        let (body, secret) = (input(&vector, "raw_body"), input(&vector, "shared_secret"));
        assert_proves(&Veriff, &Signed { headers: &headers, body, secret, settings: &settings, seconds: 0 });
    }

    #[test]
    fn an_approval_is_one_in_status_and_code() {
        use Status::{Approved, Declined, Expired, InReview, Resubmission};
        for (status, code, expected) in [
            (json!("approved"), json!(9001), Some(Approved)),
            (json!("approved"), json!(9102), Some(InReview)),
            (json!("approved"), json!(null), Some(InReview)),
            (json!(null), json!(9001), Some(InReview)),
            (json!("declined"), json!(9102), Some(Declined)),
            (json!("declined"), json!(9001), Some(Declined)),
            (json!(null), json!(9102), Some(Declined)),
            (json!("resubmission_requested"), json!(9103), Some(Resubmission)),
            (json!(null), json!(9103), Some(Resubmission)),
            (json!("expired"), json!(9104), Some(Expired)),
            (json!("abandoned"), json!(9121), Some(Expired)),
            (json!(null), json!(9104), Some(Expired)),
            (json!("review"), json!(9121), Some(InReview)),
            (json!(null), json!(9121), Some(InReview)),
            (json!("unheard_of"), json!(9001), None),
            (json!(null), json!(1), None),
        ] {
            let found = read(&decision(&status, &code));
            assert_eq!(samples::told(&found), expected.map(|ours| (ours, false)), "{status} {code}");
            assert_eq!(found.reference.as_deref(), Some("s-1"));
            assert_eq!(found.external_id.as_deref(), Some("order-1"));
            assert_eq!(found.occurred_at, None);
        }
        let found = read(&decision(&json!("declined"), &json!(9102)));
        assert_eq!(found.dedupe_key, key_of(&["s-1", "t-1", "9102", "2024-04-04T09:21:21.000Z"]));
        assert_eq!(found.finding.expect("a finding").reasons, ["106"]);
    }

    #[test]
    fn events_tell_of_progress() {
        let event = |code: i64, action: &str| {
            json!({ "id": "s-1", "attemptId": "t-1", "feature": "selfid", "code": code, "action": action,
                "vendorData": "order-1", "endUserId": null })
        };
        let found = |code, action| samples::told(&read(&event(code, action)));
        assert_eq!(found(7001, "started"), Some((Status::Pending, false)));
        assert_eq!(found(7002, "submitted"), Some((Status::InReview, false)));
        assert_eq!(found(9001, "approved"), None);
        let other = read(&json!({ "status": "success", "eventType": "fullauto", "sessionId": "s-1" }));
        assert_eq!((other.finding, other.reference.as_deref()), (None, Some("s-1")));
    }

    #[test]
    fn what_is_no_event_is_unreadable() {
        let settings = samples::settings(&json!({}));
        let body = decision(&json!("approved"), &json!(9001));
        assert_robust(&Veriff, &[], &body.to_string(), &settings);
        assert_calm(&Veriff, &[], &body, &settings);
    }

    #[test]
    fn keys_go_to_veriff_only() {
        for (url, fits) in [
            ("https://stationapi.veriff.com", true),
            ("https://api.veriff.me", true),
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:8080", true),
            ("http://stationapi.veriff.com", false),
            ("https://veriff.com.evil.example", false),
            ("https://evilveriff.com", false),
            ("https://10.0.0.1", false),
        ] {
            let settings = samples::settings(&json!({ "base_url": url }));
            assert_eq!(Veriff.check(&settings).is_empty(), fits, "{url}");
        }
    }

    #[tokio::test]
    async fn a_session_is_made() {
        let answers = [(
            201,
            r#"{"status":"success","verification":{"id":"s-1","url":"https://v.example/1","sessionToken":"t"}}"#,
        )];
        let settings = samples::settings(&json!({}));
        let (started, asked) = samples::started(&Veriff, settings, &samples::order("full"), &answers).await;
        let started = started.expect("started");
        assert_eq!(started.session, samples::session("s-1", None));
        assert_eq!(started.url.expect("a page").as_str(), "https://v.example/1");
        assert_eq!(started.token.expect("a token").expose(), "t");
        assert!(asked[0].starts_with("POST /v1/sessions HTTP"));
        assert_eq!(header(&asked[0], "x-auth-client"), "key");
        let expected = json!({ "verification": {
            "vendorData": "order-1",
            "endUserId": "0191e7a0-0000-7000-8000-000000000001",
            "callback": "https://app.example/done?a=1&b=2",
        } });
        assert_eq!(samples::json_body(&asked[0]), expected);
    }

    #[tokio::test]
    async fn a_decision_is_looked_at() {
        let vector = vector("veriff_session_id");
        let reference = input(&vector, "session_id");
        let settings = samples::settings(&json!({ "api_secret": input(&vector, "shared_secret") }));
        let session = samples::session(reference, None);
        let mut approved = decision(&json!("approved"), &json!(9001));
        approved["verification"]["id"] = json!(reference);
        let mut others = approved.clone();
        others["verification"]["vendorData"] = json!("other");
        for (answer, expected) in [
            (approved, Some(Status::Approved)),
            (others, None),
            (json!({ "status": "success", "verification": null }), Some(Status::Pending)),
            (json!({ "status": "fail" }), None),
        ] {
            let answers = [(200, &*answer.to_string())];
            let (finding, asked) = samples::fetched(&Veriff, settings.clone(), &session, &answers).await;
            assert_eq!(finding.ok().map(|found| found.status), expected, "{answer}");
            assert!(asked[0].starts_with(&format!("GET /v1/sessions/{reference}/decision HTTP")));
            assert_eq!(header(&asked[0], "x-hmac-signature"), vector["expected"]);
        }
    }
}
