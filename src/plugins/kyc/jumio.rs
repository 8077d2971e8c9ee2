//! Jumio, its KYX platform.
//! <https://documentation.jumio.ai/docs/references/callback>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use entities::Timestamp;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use url::Url;

use super::json::{answered, code, confirm, key_of, needed, page, text, token};
use super::{
    About, Check, Event, Failure, Finding, Link, Order, Provider, Session, Settings, Started, Status,
    Unreadable, Webhook, region,
};
use crate::outbound::{Answer, Request, percent_encoded};
use crate::secret::Secret;

pub struct Jumio;

static ABOUT: About = About {
    name: "jumio",
    title: "Jumio",
    documentation: "https://documentation.jumio.ai/docs/references/callback",
    needs: &["api_key", "api_secret", "webhook_tokens", "options.region"],
    signature: &[],
    fetches: true,
    signs_time: false,
    starts: true,
};

const REGIONS: &[&str] = &["amer-1", "emea-1", "apac-1"];

impl Provider for Jumio {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn check(&self, settings: &Settings) -> Vec<String> {
        region::mistakes(settings, REGIONS)
    }

    fn base_url(&self, settings: &Settings) -> String {
        host("account", settings)
    }

    /// There is nothing signed.
    fn verify(&self, _: &Webhook<'_>, _: &Secret, _: &Settings, _: Timestamp) -> bool {
        false
    }

    /// What isn't signed is a hint to look: only the id counts, and the status as far as it spares a look.
    fn read(&self, webhook: &Webhook<'_>, _: &Settings) -> Result<Event, Unreadable> {
        let json = webhook.json()?;
        let execution = &json["workflowExecution"];
        let reference = needed(&execution["id"], "workflowExecution.id")?;
        let name = needed(&execution["status"], "workflowExecution.status")?;
        Ok(Event {
            dedupe_key: key_of(&[&reference, &name]),
            reference: Some(reference),
            external_id: None,
            occurred_at: None,
            finding: progress(&name),
            name,
        })
    }

    fn start<'a>(&'a self, link: &'a Link<'a>, order: &'a Order) -> BoxFuture<'a, Result<Started, Failure>> {
        Box::pin(async move {
            let mut body = json!({
                "customerInternalReference": order.id,
                "userReference": order.person,
                "workflowDefinition": { "key": definition(&order.level) },
                "callbackUrl": callback(link.settings, order).as_str(),
                "tokenLifetime": "30m",
            });
            if let Some(url) = &order.redirect_url {
                body["web"] = json!({ "successUrl": url.as_str(), "errorUrl": url.as_str() });
            }
            let request = Request::post("/api/v1/accounts").body(body.to_string());
            let answer = ask("account", request, link).await?.json();
            let reference = answered(&answer["workflowExecution"]["id"], "the workflow execution")?;
            let account = answered(&answer["account"]["id"], "the account")?;
            Ok(Started {
                session: Session { reference, handle: Some(account), external_id: order.id.clone() },
                url: page(&answer["web"]["href"]),
                token: token(&answer["sdk"]["token"]),
            })
        })
    }

    /// Where to ask follows from our own settings, never from a link in a callback.
    fn fetch<'a>(
        &'a self,
        link: &'a Link<'a>,
        session: &'a Session,
    ) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let account = session.handle.as_deref().ok_or(Failure::Malformed("the account"))?;
            let path = format!(
                "/api/v1/accounts/{}/workflow-executions/{}",
                percent_encoded(account),
                percent_encoded(&session.reference),
            );
            let answer = ask("retrieval", Request::get(path), link).await?.json();
            let workflow = &answer["workflow"];
            confirm(session, &workflow["id"], &workflow["customerInternalReference"])?;
            judge(&answer).ok_or(Failure::Malformed("a status that is known"))
        })
    }
}

fn host(name: &str, settings: &Settings) -> String {
    format!("https://{name}.{}.jumio.ai", region::chosen(settings, REGIONS))
}

/// Keys of workflow definitions are numbers.
fn definition(level: &str) -> Value {
    level.parse::<u64>().map_or_else(|_| level.into(), Value::from)
}

/// The token makes the address unguessable, since nothing else proves a callback.
fn callback(settings: &Settings, order: &Order) -> Url {
    let mut url = order.webhook_url.clone();
    if let Some(token) = settings.webhook_tokens.first() {
        url.query_pairs_mut().append_pair("token", token.expose());
    }
    url
}

/// Sends with an access token of its own (OAuth 2.0 client credentials). Jumio also wants a user agent, which all requests
/// of ours have.
async fn ask(name: &str, request: Request, link: &Link<'_>) -> Result<Answer, Failure> {
    let at = |name| Url::parse(&host(name, link.settings)).map_err(|_| Failure::Malformed("a host"));
    let client = format!("{}:{}", link.settings.api_key(), link.settings.api_secret());
    let credentials = Request::post("/oauth2/token")
        .body("grant_type=client_credentials")
        .content_type("application/x-www-form-urlencoded")
        .header("Authorization", format!("Basic {}", STANDARD.encode(client)));
    let granted = link.send_to(&at("auth")?, credentials, refusal).await?.json();
    let token = token(&granted["access_token"]).ok_or(Failure::Malformed("an access token"))?;
    let request = request
        .content_type("application/json")
        .header("Authorization", format!("Bearer {}", token.expose()));
    link.send_to(&at(name)?, request, code).await
}

/// The code of RFC 6749, section 5.2.
fn refusal(answer: &Answer) -> Option<String> {
    super::json::code_at(answer, "/error")
}

/// How far a workflow is that has not been decided.
fn progress(status: &str) -> Option<Finding> {
    let ours = match status {
        "INITIATED" | "ACQUIRING" => Status::Pending,
        "ACQUIRED" | "PROCESSED" => Status::InReview,
        "SESSION_EXPIRED" | "TOKEN_EXPIRED" => Status::Expired,
        _ => return None,
    };
    Some(Finding::new(ours, status))
}

fn judge(answer: &Value) -> Option<Finding> {
    let status = text(&answer["workflow"]["status"]);
    if status != "PROCESSED" {
        return progress(status);
    }
    // The guides have the decision in either place.
    let decision =
        if answer["decision"].is_object() { &answer["decision"] } else { &answer["workflow"]["decision"] };
    let kind = text(&decision["type"]);
    let ours = match kind {
        "PASSED" => Status::Approved,
        "WARNING" => Status::InReview,
        "REJECTED" => Status::Declined,
        "NOT_EXECUTED" => Status::Expired,
        _ => return None,
    };
    let finding = Finding::new(ours, format!("{status} {kind}"));
    if ours == Status::Approved {
        return Some(finding.checked(checks(&answer["capabilities"])));
    }
    Some(finding.because([&decision["details"]["label"]]))
}

fn checks(capabilities: &Value) -> impl Iterator<Item = Check> {
    let passed = |name: &str| {
        let mut runs = capabilities[name].as_array().into_iter().flatten();
        runs.any(|run| run["decision"]["type"] == "PASSED")
    };
    [
        (passed("usability") && passed("imageChecks"), Check::Document),
        (passed("similarity") && passed("liveness"), Check::Face),
    ]
    .into_iter()
    .filter_map(|(passed, check)| passed.then_some(check))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, assert_calm, assert_robust, header};
    use super::*;

    fn callback_of(status: &str) -> Value {
        json!({
            "callbackSentAt": "2024-04-04T09:21:21.000Z", "userReference": "somebody",
            "workflowExecution": { "id": "w-1", "href": "https://elsewhere.example/w-1", "status": status },
            "account": { "id": "acc-1", "href": "https://elsewhere.example/acc-1" },
        })
    }

    fn settings() -> Settings {
        samples::settings(&json!({ "options": { "region": "emea-1" } }))
    }

    #[test]
    fn a_callback_is_a_hint() {
        use Status::{Expired, InReview, Pending};
        for (status, expected) in [
            ("INITIATED", Some(Pending)),
            ("ACQUIRED", Some(InReview)),
            ("PROCESSED", Some(InReview)),
            ("SESSION_EXPIRED", Some(Expired)),
            ("TOKEN_EXPIRED", Some(Expired)),
            ("PASSED", None),
        ] {
            let body = callback_of(status).to_string();
            let found = samples::read(&Jumio, &[], body.as_bytes(), &settings()).expect("an event");
            assert_eq!(samples::told(&found), expected.map(|status| (status, false)), "{status}");
            assert_eq!(found.reference.as_deref(), Some("w-1"));
            assert_eq!((found.external_id, found.occurred_at), (None, None));
            assert_eq!(found.dedupe_key, key_of(&["w-1", status]));
        }
    }

    #[test]
    fn nothing_proves_a_callback() {
        let body = callback_of("PROCESSED").to_string();
        let (headers, settings) = ([("x-signature", "00")], settings());
        let signed =
            samples::Signed { headers: &headers, body: &body, secret: "s", settings: &settings, seconds: 0 };
        assert!(!signed.verified_by(&Jumio));
    }

    #[test]
    fn what_is_no_callback_is_unreadable() {
        assert_robust(&Jumio, &[], &callback_of("PROCESSED").to_string(), &settings());
        assert_calm(&Jumio, &[], &callback_of("PROCESSED"), &settings());
    }

    #[test]
    fn regions_have_their_hosts() {
        assert_eq!(Jumio.base_url(&settings()), "https://account.emea-1.jumio.ai");
        assert_eq!(host("retrieval", &settings()), "https://retrieval.emea-1.jumio.ai");
        assert!(Jumio.check(&settings()).is_empty());
        let wrong = samples::settings(&json!({ "options": { "region": "eu" } }));
        assert_eq!(Jumio.check(&wrong), ["options.region must be one of amer-1, emea-1, apac-1"]);
    }

    #[tokio::test]
    async fn a_workflow_is_begun_with_an_access_token() {
        let answers = [
            (200, r#"{"access_token":"granted","expires_in":3600,"token_type":"Bearer"}"#),
            (
                200,
                r#"{"account":{"id":"acc-1"},"workflowExecution":{"id":"w-1"},
                    "web":{"href":"https://j.example/w"},"sdk":{"token":"t"}}"#,
            ),
        ];
        let (started, asked) = samples::started(&Jumio, settings(), &samples::order("10013"), &answers).await;
        let started = started.expect("started");
        assert_eq!(started.session, samples::session("w-1", Some("acc-1")));
        assert_eq!(started.url.expect("a page").as_str(), "https://j.example/w");
        assert_eq!(started.token.expect("a token").expose(), "t");
        assert!(asked[0].starts_with("POST /oauth2/token HTTP"));
        assert_eq!(header(&asked[0], "authorization"), "Basic a2V5OnNlY3JldA==");
        assert_eq!(samples::body(&asked[0]), "grant_type=client_credentials");
        assert!(asked[1].starts_with("POST /api/v1/accounts HTTP"));
        assert_eq!(header(&asked[1], "authorization"), "Bearer granted");
        assert!(header(&asked[1], "user-agent").starts_with("latchkey/"));
        let expected = json!({
            "customerInternalReference": "order-1",
            "userReference": "0191e7a0-0000-7000-8000-000000000001",
            "workflowDefinition": { "key": 10013 },
            "callbackUrl": "https://keys.example/kyc/webhooks?token=token-1",
            "tokenLifetime": "30m",
            "web": {
                "successUrl": "https://app.example/done?a=1&b=2", "errorUrl": "https://app.example/done?a=1&b=2",
            },
        });
        assert_eq!(samples::json_body(&asked[1]), expected);
    }

    #[tokio::test]
    async fn a_workflow_is_looked_at() {
        let granted = (200, r#"{"access_token":"granted"}"#);
        let session = samples::session("w-1", Some("acc-1"));
        let result = |status: &str, kind: &str| {
            json!({
                "workflow": { "id": "w-1", "status": status, "customerInternalReference": "order-1" },
                "decision": { "type": kind, "details": { "label": "LABEL" } },
                "capabilities": {
                    "usability": [{ "decision": { "type": "PASSED" } }],
                    "imageChecks": [{ "decision": { "type": "PASSED" } }],
                    "liveness": [{ "decision": { "type": "NOT_EXECUTED" } }],
                    "similarity": [{ "decision": { "type": "PASSED" } }],
                },
            })
        };
        let mut others = result("PROCESSED", "PASSED");
        others["workflow"]["customerInternalReference"] = json!("other");
        let mut nested = result("PROCESSED", "PASSED");
        nested["workflow"]["decision"] = nested["decision"].take();
        for (answer, expected) in [
            (result("PROCESSED", "PASSED"), Some(Status::Approved)),
            (nested, Some(Status::Approved)),
            (result("PROCESSED", "WARNING"), Some(Status::InReview)),
            (result("PROCESSED", "REJECTED"), Some(Status::Declined)),
            (result("PROCESSED", "NOT_EXECUTED"), Some(Status::Expired)),
            (result("ACQUIRED", "PASSED"), Some(Status::InReview)),
            (result("TOKEN_EXPIRED", "PASSED"), Some(Status::Expired)),
            (result("PROCESSED", "ODD"), None),
            (result("", "PASSED"), None),
            (others, None),
        ] {
            let answers = [granted, (200, &*answer.to_string())];
            let (finding, asked) = samples::fetched(&Jumio, settings(), &session, &answers).await;
            assert_eq!(finding.as_ref().ok().map(|found| found.status), expected, "{answer}");
            assert!(asked[1].starts_with("GET /api/v1/accounts/acc-1/workflow-executions/w-1 HTTP"));
            if expected == Some(Status::Approved) {
                assert_eq!(finding.expect("a finding").checks, [Check::Document]);
            }
        }
        let refusal = [(400, r#"{"error":"invalid_client"}"#)];
        let (finding, _) = samples::fetched(&Jumio, settings(), &session, &refusal).await;
        assert_eq!(finding, Err(Failure::Refused { status: 400, code: "invalid_client".into() }));
    }
}
