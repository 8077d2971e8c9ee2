//! Onfido (Entrust), its workflows.
//! <https://documentation.onfido.com/api/latest>

use entities::Timestamp;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::json::{answered, code_at, confirm, id, key_of, needed, page, text, token};
use super::{
    About, Event, Failure, Finding, Link, Order, Provider, Session, Settings, Started, Status, Unreadable,
    Webhook, region, signature,
};
use crate::outbound::{Answer, Request, percent_encoded};
use crate::secret::Secret;

pub struct Onfido;

static ABOUT: About = About {
    name: "onfido",
    title: "Onfido",
    documentation: "https://documentation.onfido.com/api/latest#webhooks",
    needs: &["api_key", "webhook_secrets", "options.region"],
    signature: &["x-sha2-signature"],
    fetches: true,
    signs_time: false,
    starts: true,
};

const REGIONS: &[&str] = &["eu", "us", "ca"];

impl Provider for Onfido {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn check(&self, settings: &Settings) -> Vec<String> {
        region::mistakes(settings, REGIONS)
    }

    fn base_url(&self, settings: &Settings) -> String {
        format!("https://api.{}.onfido.com", region::chosen(settings, REGIONS))
    }

    fn verify(&self, webhook: &Webhook<'_>, secret: &Secret, _: &Settings, _: Timestamp) -> bool {
        let claimed = webhook.header("x-sha2-signature");
        claimed.is_some_and(|hex| signature::is_hex_sha256(secret.expose().as_bytes(), webhook.body, hex))
    }

    /// `href` is left alone: whoever could write it would choose whom we ask.
    fn read(&self, webhook: &Webhook<'_>, _: &Settings) -> Result<Event, Unreadable> {
        let json = webhook.json()?;
        let payload = &json["payload"];
        let (object, resource) = (&payload["object"], &payload["resource"]);
        let name = needed(&payload["action"], "action")?;
        let object_id = needed(&object["id"], "object.id")?;
        let status = object["status"].as_str().or(resource["status"].as_str()).unwrap_or_default();
        let of_run = payload["resource_type"] == "workflow_run";
        // Tasks and reports name the run that they belong to.
        let run = id(&object["workflow_run_id"]).or(id(&resource["workflow_run_id"]));
        Ok(Event {
            dedupe_key: key_of(&[&name, &object_id, status, text(&object["completed_at_iso8601"])]),
            reference: if of_run { Some(object_id) } else { run },
            external_id: id(&resource["customer_user_id"]),
            occurred_at: None,
            finding: if name == "workflow_run.completed" { finding(status, resource) } else { None },
            name,
        })
    }

    fn start<'a>(&'a self, link: &'a Link<'a>, order: &'a Order) -> BoxFuture<'a, Result<Started, Failure>> {
        Box::pin(async move {
            // Onfido wants a name, and reads the real one from the document. We pass on nothing of the person.
            let person = json!({ "first_name": "Unknown", "last_name": "Unknown" });
            let request = Request::post("/v3.6/applicants").body(person.to_string());
            let applicant = link.send(bearing(request, link), code).await?.json();
            let mut run = json!({
                "applicant_id": answered(&applicant["id"], "the applicant")?,
                "workflow_id": order.level,
                "customer_user_id": order.id,
            });
            if let Some(url) = &order.redirect_url {
                run["link"] = json!({ "completed_redirect_url": url.as_str() });
            }
            let request = Request::post("/v3.6/workflow_runs").body(run.to_string());
            let answer = link.send(bearing(request, link), code).await?.json();
            let reference = answered(&answer["id"], "the workflow run")?;
            Ok(Started {
                session: Session { reference, handle: None, external_id: order.id.clone() },
                url: page(&answer["link"]["url"]),
                token: token(&answer["sdk_token"]),
            })
        })
    }

    fn fetch<'a>(
        &'a self,
        link: &'a Link<'a>,
        session: &'a Session,
    ) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let path = format!("/v3.6/workflow_runs/{}", percent_encoded(&session.reference));
            let run = link.send(bearing(Request::get(path), link), code).await?.json();
            confirm(session, &run["id"], &run["customer_user_id"])?;
            finding(text(&run["status"]), &run).ok_or(Failure::Malformed("a status that is known"))
        })
    }
}

fn finding(status: &str, run: &Value) -> Option<Finding> {
    let ours = match status {
        "awaiting_input" => Status::Pending,
        // Also where the workflow itself has failed: somebody must look at it.
        "processing" | "awaiting_client_input" | "review" | "error" => Status::InReview,
        "approved" => Status::Approved,
        "declined" => Status::Declined,
        "abandoned" => Status::Expired,
        _ => return None,
    };
    Some(Finding::new(ours, status).because(run["reasons"].as_array().into_iter().flatten()))
}

fn bearing(request: Request, link: &Link<'_>) -> Request {
    let authorization = format!("Token token={}", link.settings.api_key());
    request.content_type("application/json").header("Authorization", authorization)
}

fn code(answer: &Answer) -> Option<String> {
    code_at(answer, "/error/type")
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, Signed, assert_calm, assert_proves, assert_robust, header};
    use super::super::vectors::{input, vector};
    use super::*;

    fn event(action: &str, status: &str) -> Value {
        json!({ "payload": {
            "resource_type": "workflow_run", "action": action,
            "object": { "id": "run-1", "status": status, "completed_at_iso8601": "2024-04-04T09:21:21Z",
                "href": "https://elsewhere.example/run-1" },
            "resource": { "id": "run-1", "status": status, "customer_user_id": "order-1",
                "reasons": ["document_expired"] },
        } })
    }

    fn settings() -> Settings {
        samples::settings(&json!({ "options": { "region": "us" } }))
    }

    fn read(body: &str) -> Event {
        samples::read(&Onfido, &[], body.as_bytes(), &settings()).expect("an event")
    }

    #[test]
    fn webhooks_are_proven_by_their_bytes() {
        let settings = settings();
        for id in ["onfido_classic", "onfido_studio", "onfido_studio_pretty_object"] {
            let vector = vector(id);
            let headers = [("x-sha2-signature", vector["expected"].as_str().expect("a signature"))];
            let (body, secret) = (input(&vector, "raw_body"), input(&vector, "token"));
            assert_proves(
                &Onfido,
                &Signed { headers: &headers, body, secret, settings: &settings, seconds: 0 },
            );
            assert_eq!(read(body).finding, None);
        }
    }

    #[test]
    fn tasks_name_their_run() {
        let run = |id: &str| read(input(&vector(id), "raw_body")).reference;
        assert_eq!(run("onfido_classic"), None);
        assert_eq!(run("onfido_studio").as_deref(), Some("bc77c6e5-753a-4580-96a6-aaed3e5a8d19"));
        for (run, expected) in [("run-1", Some("run-1")), ("", None), ("run\0", None)] {
            let task = json!({ "payload": { "resource_type": "workflow_task", "action": "workflow_task.completed",
                "object": { "id": "task-1", "workflow_run_id": run }, "resource": {} } });
            assert_eq!(read(&task.to_string()).reference.as_deref(), expected, "{run:?}");
        }
    }

    #[test]
    fn each_status_is_put_into_ours() {
        use Status::{Approved, Declined, Expired, InReview, Pending};
        const DONE: &str = "workflow_run.completed";
        for (action, status, expected) in [
            (DONE, "awaiting_input", Some(Pending)),
            (DONE, "processing", Some(InReview)),
            (DONE, "awaiting_client_input", Some(InReview)),
            (DONE, "review", Some(InReview)),
            (DONE, "error", Some(InReview)),
            (DONE, "approved", Some(Approved)),
            (DONE, "declined", Some(Declined)),
            (DONE, "abandoned", Some(Expired)),
            (DONE, "complete", None),
            ("workflow_run.imagined", "approved", None),
        ] {
            let found = read(&event(action, status).to_string());
            assert_eq!(samples::told(&found), expected.map(|status| (status, false)), "{action} {status}");
            assert_eq!(found.reference.as_deref(), Some("run-1"));
            assert_eq!(found.external_id.as_deref(), Some("order-1"));
            assert_eq!(found.occurred_at, None);
            assert_eq!(found.dedupe_key, key_of(&[action, "run-1", status, "2024-04-04T09:21:21Z"]));
        }
        let found = read(&event(DONE, "declined").to_string());
        assert_eq!(found.finding.expect("a finding").reasons, ["document_expired"]);
    }

    #[test]
    fn what_is_no_event_is_unreadable() {
        let body = event("workflow_run.completed", "approved");
        assert_robust(&Onfido, &[], &body.to_string(), &settings());
        assert_robust(&Onfido, &[], input(&vector("onfido_studio"), "raw_body"), &settings());
        assert_calm(&Onfido, &[], &body, &settings());
    }

    #[test]
    fn regions_have_their_hosts() {
        assert_eq!(Onfido.base_url(&settings()), "https://api.us.onfido.com");
        assert!(Onfido.check(&settings()).is_empty());
        let wrong = samples::settings(&json!({ "options": { "region": "uk" } }));
        assert_eq!(Onfido.check(&wrong), ["options.region must be one of eu, us, ca"]);
    }

    #[tokio::test]
    async fn a_run_is_made_for_a_new_applicant() {
        let answers = [
            (201, r#"{"id":"app-1"}"#),
            (201, r#"{"id":"run-1","link":{"url":"https://o.example/run-1"},"sdk_token":"t"}"#),
        ];
        let (started, asked) =
            samples::started(&Onfido, settings(), &samples::order("flow-1"), &answers).await;
        let started = started.expect("started");
        assert_eq!(started.session, samples::session("run-1", None));
        assert_eq!(started.url.expect("a page").as_str(), "https://o.example/run-1");
        assert_eq!(started.token.expect("a token").expose(), "t");
        assert!(asked[0].starts_with("POST /v3.6/applicants HTTP"));
        assert!(asked[1].starts_with("POST /v3.6/workflow_runs HTTP"));
        assert!(asked.iter().all(|request| header(request, "authorization") == "Token token=key"));
        let expected = json!({
            "applicant_id": "app-1", "workflow_id": "flow-1", "customer_user_id": "order-1",
            "link": { "completed_redirect_url": "https://app.example/done?a=1&b=2" },
        });
        assert_eq!(samples::json_body(&asked[1]), expected);
    }

    #[tokio::test]
    async fn a_run_is_looked_at() {
        let session = samples::session("run-1", None);
        for (answer, expected) in [
            (r#"{"id":"run-1","status":"approved","customer_user_id":"order-1"}"#, true),
            (r#"{"id":"run-1","status":"approved","customer_user_id":"other"}"#, false),
            (r#"{"id":"run-1","status":"complete"}"#, false),
            ("[]", false),
        ] {
            let (finding, asked) = samples::fetched(&Onfido, settings(), &session, &[(200, answer)]).await;
            assert_eq!(finding.is_ok_and(|found| found.status == Status::Approved), expected, "{answer}");
            assert!(asked[0].starts_with("GET /v3.6/workflow_runs/run-1 HTTP"));
        }
        let refusal = [(422, r#"{"error":{"type":"validation_error","message":"…"}}"#)];
        let (finding, _) = samples::fetched(&Onfido, settings(), &session, &refusal).await;
        assert_eq!(finding, Err(Failure::Refused { status: 422, code: "validation_error".into() }));
    }
}
