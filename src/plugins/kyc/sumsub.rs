//! Sumsub.
//! <https://docs.sumsub.com/docs/user-verification-webhooks>

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use time::PrimitiveDateTime;
use time::macros::format_description;

use super::json::{answered, code_at, confirm, id, key_of, millis, needed, text, token, written};
use super::{
    About, Check, Event, Failure, Finding, Link, Order, Provider, Session, Settings, Started, Status,
    Unreadable, Webhook, signature,
};
use crate::crypto::mac::hmac_sha256;
use crate::outbound::{Answer, Request, percent_encoded};
use crate::secret::Secret;
use entities::Timestamp;

pub struct Sumsub;

static ABOUT: About = About {
    name: "sumsub",
    title: "Sumsub",
    documentation: "https://docs.sumsub.com/docs/user-verification-webhooks",
    needs: &["api_key", "api_secret", "webhook_secrets"],
    signature: &["x-payload-digest"],
    fetches: true,
    signs_time: true,
    starts: true,
};

impl Provider for Sumsub {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn check(&self, settings: &Settings) -> Vec<String> {
        let known = settings.option("digest").is_none_or(|name| ["sha256", "sha512"].contains(&name));
        if known { vec![] } else { vec!["options.digest must be sha256 or sha512".to_owned()] }
    }

    fn base_url(&self, _: &Settings) -> String {
        "https://api.sumsub.com".to_owned()
    }

    /// SHA-1, which Sumsub still offers, is never taken; nor is one that is not the operator's choice.
    fn verify(&self, webhook: &Webhook<'_>, secret: &Secret, settings: &Settings, _: Timestamp) -> bool {
        let Some(claimed) = webhook.header("x-payload-digest") else { return false };
        let digest = match webhook.header("x-payload-digest-alg") {
            Some("HMAC_SHA256_HEX") => "sha256",
            Some("HMAC_SHA512_HEX") => "sha512",
            _ => return false,
        };
        if settings.option("digest").is_some_and(|chosen| chosen != digest) {
            return false;
        }
        let is_hex = if digest == "sha512" { signature::is_hex_sha512 } else { signature::is_hex_sha256 };
        is_hex(secret.expose().as_bytes(), webhook.body, claimed)
    }

    fn read(&self, webhook: &Webhook<'_>, settings: &Settings) -> Result<Event, Unreadable> {
        let json = webhook.json()?;
        let name = needed(&json["type"], "type")?;
        let reference = needed(&json["applicantId"], "applicantId")?;
        // One correlation id may stand for several events.
        let dedupe_key =
            key_of(&[text(&json["correlationId"]), &name, &reference, text(&json["createdAtMs"])]);
        let counts = settings.sandbox || json["sandboxMode"] != true;
        Ok(Event {
            dedupe_key,
            reference: Some(reference),
            external_id: id(&json["externalUserId"]),
            occurred_at: created_at(text(&json["createdAtMs"])),
            finding: told(&name, &json).filter(|_| counts),
            name,
        })
    }

    fn start<'a>(&'a self, link: &'a Link<'a>, order: &'a Order) -> BoxFuture<'a, Result<Started, Failure>> {
        Box::pin(async move {
            let reference = applicant(link, order).await?;
            let body = json!({ "userId": order.id, "levelName": order.level, "ttlInSecs": 600 });
            let request = Request::post("/resources/accessTokens/sdk").body(body.to_string());
            let answer = link.send(signed(request, link), code).await?.json();
            let token = token(&answer["token"]).ok_or(Failure::Malformed("a token"))?;
            let session = Session {
                reference,
                // Which level an approval must be of: an applicant can be moved to another one.
                handle: Some(order.level.clone()),
                external_id: order.id.clone(),
            };
            Ok(Started { session, url: None, token: Some(token) })
        })
    }

    fn fetch<'a>(
        &'a self,
        link: &'a Link<'a>,
        session: &'a Session,
    ) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let path = format!("/resources/applicants/{}/one", percent_encoded(&session.reference));
            let answer = link.send(signed(Request::get(path), link), code).await?.json();
            judge(&answer, session)
        })
    }
}

/// `2020-02-21 13:23:19.321`, which is UTC.
fn created_at(text: &str) -> Option<i64> {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3]");
    millis(PrimitiveDateTime::parse(text, format).ok()?.assume_utc())
}

/// What an event says of the applicant. Those of actions are about something else.
fn told(name: &str, json: &Value) -> Option<Finding> {
    let finding = finding(text(&json["reviewStatus"]), &json["reviewResult"]);
    match name {
        "applicantReset" => Some(Finding::new(Status::Pending, text(&json["reviewStatus"])).explicitly()),
        // At another level, what was decided no longer stands.
        "applicantLevelChanged" => finding.map(Finding::explicitly),
        "applicantCreated"
        | "applicantPending"
        | "applicantPrechecked"
        | "applicantOnHold"
        | "applicantAwaitingUser"
        | "applicantAwaitingService"
        | "applicantReviewed"
        | "applicantWorkflowCompleted" => finding,
        _ => None,
    }
}

fn finding(status: &str, result: &Value) -> Option<Finding> {
    let plain = |ours| Some(Finding::new(ours, status));
    match status {
        "init" | "awaitingUser" => plain(Status::Pending),
        "pending" | "queued" | "prechecked" | "awaitingService" => plain(Status::InReview),
        // Somebody stopped it, perhaps after a decision.
        "onHold" => plain(Status::InReview).map(Finding::explicitly),
        "completed" => {
            let (answer, kind) = (text(&result["reviewAnswer"]), text(&result["reviewRejectType"]));
            let ours = match (answer, kind) {
                ("GREEN", _) => Status::Approved,
                ("RED", "RETRY") => Status::Resubmission,
                ("RED", _) => Status::Declined,
                _ => return None,
            };
            let raw = format!("{status} {answer} {kind}");
            let labels = result["rejectLabels"].as_array();
            Some(Finding::new(ours, raw.trim_end()).because(labels.into_iter().flatten()))
        }
        _ => None,
    }
}

fn judge(answer: &Value, session: &Session) -> Result<Finding, Failure> {
    confirm(session, &answer["id"], &answer["externalUserId"])?;
    let review = &answer["review"];
    let level = review["levelName"].as_str();
    if level.is_some_and(|level| session.handle.as_deref().is_some_and(|asked| asked != level)) {
        return Err(Failure::Malformed("the level that was asked for"));
    }
    let finding = finding(text(&review["reviewStatus"]), &review["reviewResult"])
        .ok_or(Failure::Malformed("a status that is known"))?;
    // All steps of the level have to be in order for an approval.
    let steps = answer["requiredIdDocs"]["docSets"].as_array().into_iter().flatten();
    let checks = steps.filter_map(|step| match text(&step["idDocSetType"]) {
        "IDENTITY" => Some(Check::Document),
        "SELFIE" => Some(Check::Face),
        "PROOF_OF_RESIDENCE" => Some(Check::Address),
        "EMAIL_VERIFICATION" => Some(Check::Email),
        "PHONE_VERIFICATION" => Some(Check::Phone),
        _ => None,
    });
    Ok(if finding.status == Status::Approved { finding.checked(checks) } else { finding })
}

/// Makes the applicant, or finds the one that an earlier attempt has made.
async fn applicant(link: &Link<'_>, order: &Order) -> Result<String, Failure> {
    let request = Request::post("/resources/applicants")
        .query(format!("levelName={}", percent_encoded(&order.level)))
        .body(json!({ "externalUserId": order.id }).to_string());
    let answer = match link.send(signed(request, link), code).await {
        Err(Failure::Refused { status: 409, .. }) => {
            let path = format!("/resources/applicants/-;externalUserId={}/one", percent_encoded(&order.id));
            link.send(signed(Request::get(path), link), code).await?
        }
        answer => answer?,
    };
    answered(&answer.json()["id"], "the applicant")
}

fn signed(request: Request, link: &Link<'_>) -> Request {
    sign(request, link.settings, link.now())
}

/// <https://docs.sumsub.com/reference/authentication>
fn sign(request: Request, settings: &Settings, now: Timestamp) -> Request {
    let time = written(now);
    let message = format!("{time}{}{}{}", request.method, request.target(), request.body);
    let signature = hmac_sha256(settings.api_secret().as_bytes(), message.as_bytes());
    request
        .content_type("application/json")
        .header("X-App-Token", settings.api_key())
        .header("X-App-Access-Ts", time)
        .header("X-App-Access-Sig", hex::encode(signature))
}

fn code(answer: &Answer) -> Option<String> {
    code_at(answer, "/errorCode")
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, Signed, assert_calm, assert_proves, assert_robust, header};
    use super::super::vectors::{input, vector};
    use super::*;

    fn event(kind: &str, status: &str, result: &Value) -> Value {
        json!({
            "applicantId": "a-1", "correlationId": "req-1", "externalUserId": "order-1", "type": kind,
            "reviewStatus": status, "reviewResult": result, "createdAtMs": "2020-02-21 13:23:19.321",
            "sandboxMode": false,
        })
    }

    fn read(body: &Value, settings: &Settings) -> Event {
        samples::read(&Sumsub, &[], body.to_string().as_bytes(), settings).expect("an event")
    }

    #[test]
    fn webhooks_are_proven_by_sha2_only() {
        let plain = samples::settings(&json!({}));
        let pinned = samples::settings(&json!({ "options": { "digest": "sha512" } }));
        for (id, algorithm, by_default, when_pinned) in [
            ("sumsub_webhook_hmac_sha256_hex", "HMAC_SHA256_HEX", true, false),
            ("sumsub_webhook_hmac_sha512_hex", "HMAC_SHA512_HEX", true, true),
            ("sumsub_webhook_hmac_sha1_hex", "HMAC_SHA1_HEX", false, false),
        ] {
            let vector = vector(id);
            let headers = [
                ("x-payload-digest", vector["expected"].as_str().expect("a digest")),
                ("x-payload-digest-alg", algorithm),
            ];
            let (body, secret) = (input(&vector, "raw_body"), input(&vector, "secret"));
            let signed = |settings| Signed { headers: &headers, body, secret, settings, seconds: 0 };
            assert_eq!(signed(&plain).verified_by(&Sumsub), by_default, "{id}");
            assert_eq!(signed(&pinned).verified_by(&Sumsub), when_pinned, "{id}");
            if by_default {
                assert_proves(&Sumsub, &signed(&plain));
            }
        }
        assert!(Sumsub.check(&pinned).is_empty());
        let wrong = samples::settings(&json!({ "options": { "digest": "sha1" } }));
        assert_eq!(Sumsub.check(&wrong), ["options.digest must be sha256 or sha512"]);
    }

    #[test]
    fn each_status_is_put_into_ours() {
        use Status::{Approved, Declined, InReview, Pending, Resubmission};
        let settings = samples::settings(&json!({}));
        let green = json!({ "reviewAnswer": "GREEN" });
        let red = |kind: &str| json!({ "reviewAnswer": "RED", "reviewRejectType": kind, "rejectLabels": ["FORGERY"] });
        for (kind, status, result, expected) in [
            ("applicantCreated", "init", json!(null), Some((Pending, false))),
            ("applicantPending", "pending", json!(null), Some((InReview, false))),
            ("applicantPrechecked", "queued", json!(null), Some((InReview, false))),
            ("applicantAwaitingUser", "awaitingUser", json!(null), Some((Pending, false))),
            ("applicantAwaitingService", "awaitingService", green.clone(), Some((InReview, false))),
            ("applicantOnHold", "onHold", json!(null), Some((InReview, true))),
            ("applicantReviewed", "completed", green.clone(), Some((Approved, false))),
            ("applicantReviewed", "completed", red("RETRY"), Some((Resubmission, false))),
            ("applicantReviewed", "completed", red("FINAL"), Some((Declined, false))),
            ("applicantReviewed", "completed", red(""), Some((Declined, false))),
            ("applicantReviewed", "completed", json!({}), None),
            ("applicantReviewed", "pending", green.clone(), Some((InReview, false))),
            ("applicantReset", "init", json!(null), Some((Pending, true))),
            ("applicantLevelChanged", "init", json!(null), Some((Pending, true))),
            ("applicantActionReviewed", "completed", green.clone(), None),
            ("applicantPersonalInfoChanged", "completed", green.clone(), None),
            ("applicantReborn", "completed", green, None),
        ] {
            let found = read(&event(kind, status, &result), &settings);
            assert_eq!(samples::told(&found), expected, "{kind} {status} {result}");
            assert_eq!(found.reference.as_deref(), Some("a-1"));
            assert_eq!(found.external_id.as_deref(), Some("order-1"));
            assert_eq!(found.occurred_at, Some(1_582_291_399_321));
            assert_eq!(found.dedupe_key, key_of(&["req-1", kind, "a-1", "2020-02-21 13:23:19.321"]));
        }
        let found = read(&event("applicantReviewed", "completed", &red("FINAL")), &settings);
        let finding = found.finding.expect("a finding");
        assert_eq!(
            (finding.reasons, finding.raw_status.as_str()),
            (vec!["FORGERY".into()], "completed RED FINAL")
        );
    }

    #[test]
    fn the_sandbox_counts_where_it_shall() {
        let mut body = event("applicantReviewed", "completed", &json!({ "reviewAnswer": "GREEN" }));
        body["sandboxMode"] = json!(true);
        assert_eq!(read(&body, &samples::settings(&json!({}))).finding, None);
        assert!(read(&body, &samples::settings(&json!({ "sandbox": true }))).finding.is_some());
    }

    #[test]
    fn what_is_no_event_is_unreadable() {
        let settings = samples::settings(&json!({}));
        let body = event("applicantReviewed", "completed", &json!({ "rejectLabels": ["A"] }));
        assert_robust(&Sumsub, &[], &body.to_string(), &settings);
        assert_calm(&Sumsub, &[], &body, &settings);
    }

    #[test]
    fn requests_are_signed() {
        let vector = vector("sumsub_request_sig");
        let settings = samples::settings(&json!({ "api_secret": input(&vector, "secret") }));
        let request = Request::post("/resources/accessTokens")
            .query("userId=cfd20712-24a2-4c7d-9ab0-146f3c142335&levelName=basic-kyc-level&ttlInSecs=600");
        let signed = sign(request, &settings, Timestamp(1_607_551_635_000));
        let expected = vector["expected"].as_str().expect("a signature").to_owned();
        assert!(signed.headers.contains(&("X-App-Access-Sig".to_owned(), expected)));
        assert!(signed.headers.contains(&("X-App-Access-Ts".to_owned(), "1607551635".to_owned())));
    }

    #[tokio::test]
    async fn an_applicant_is_made_or_found_again() {
        let order = samples::order("id & selfie");
        let applicant = (201, r#"{"id":"a-1"}"#);
        let exists = (409, r#"{"code":409,"description":"already exists"}"#);
        let token = (200, r#"{"token":"_act-1","userId":"order-1"}"#);
        for answers in [vec![applicant, token], vec![exists, applicant, token]] {
            let settings = samples::settings(&json!({}));
            let (started, asked) = samples::started(&Sumsub, settings.clone(), &order, &answers).await;
            let started = started.expect("started");
            assert_eq!(started.session, samples::session("a-1", Some("id & selfie")));
            assert_eq!(started.token.expect("a token").expose(), "_act-1");
            assert!(asked[0].starts_with("POST /resources/applicants?levelName=id%20%26%20selfie HTTP"));
            assert_eq!(samples::json_body(&asked[0]), json!({ "externalUserId": "order-1" }));
            for request in &asked {
                let (line, _) = request.split_once(" HTTP").expect("a line");
                let (method, target) = line.split_once(' ').expect("a method");
                let time = header(request, "x-app-access-ts");
                let message = format!("{time}{method}{target}{}", samples::body(request));
                let signature = hex::encode(hmac_sha256(b"secret", message.as_bytes()));
                assert_eq!(header(request, "x-app-access-sig"), signature);
                assert_eq!(header(request, "x-app-token"), "key");
            }
            let last = samples::json_body(asked.last().expect("a request"));
            assert_eq!(last, json!({ "userId": "order-1", "levelName": "id & selfie", "ttlInSecs": 600 }));
            if answers.len() == 3 {
                assert!(asked[1].starts_with("GET /resources/applicants/-;externalUserId=order-1/one HTTP"));
            }
        }
    }

    #[tokio::test]
    async fn an_approval_is_of_the_level_that_was_asked_for() {
        let body = json!({
            "id": "a-1", "externalUserId": "order-1",
            "review": { "reviewStatus": "completed", "levelName": "full",
                "reviewResult": { "reviewAnswer": "GREEN" } },
            "requiredIdDocs": { "docSets": [{ "idDocSetType": "SELFIE" }, { "idDocSetType": "IDENTITY" }] },
        })
        .to_string();
        let settings = samples::settings(&json!({}));
        let session = samples::session("a-1", Some("full"));
        let answers = [(200, body.as_str())];
        let (finding, asked) = samples::fetched(&Sumsub, settings.clone(), &session, &answers).await;
        let finding = finding.expect("a finding");
        assert_eq!((finding.status, finding.checks), (Status::Approved, vec![Check::Document, Check::Face]));
        assert!(asked[0].starts_with("GET /resources/applicants/a-1/one HTTP"));
        for other in [samples::session("a-1", Some("more")), samples::session("a-2", Some("full"))] {
            let (finding, _) = samples::fetched(&Sumsub, settings.clone(), &other, &answers).await;
            assert!(matches!(finding, Err(Failure::Malformed(_))));
        }
        let refusal = [(401, r#"{"code":401,"errorCode":4003}"#)];
        let (finding, _) = samples::fetched(&Sumsub, settings, &session, &refusal).await;
        assert_eq!(finding, Err(Failure::Credentials(401)));
    }
}
