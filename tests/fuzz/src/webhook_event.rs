//! Bodies of providers' webhooks, as events. Whatever a vendor writes, what is kept of it is bounded, printable, and the same
//! when it comes back from the database.

use latchkey::plugins::kyc::{ALL, Event, Finding, Settings, Webhook};
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::json;

use crate::input::{Input, seed};

/// The longest id or name that any vendor uses.
const LONGEST: usize = 512;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let provider = *input.choose(ALL);
    let sandbox = input.take::<u8>() % 2 == 1;
    let mut parts = input.parts();
    let mut headers = HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp"] {
        if let Ok(value) = HeaderValue::from_bytes(parts.bytes()) {
            headers.insert(name, value);
        }
    }
    let webhook = Webhook { headers: &headers, body: parts.bytes() };
    let settings = Settings { sandbox, ..Settings::default() };
    let read = provider.read(&webhook, &settings);
    assert_eq!(read, provider.read(&webhook, &settings));
    let Ok(event) = read else { return };
    assert!(!event.dedupe_key.is_empty());
    let ids = [Some(&event.name), event.reference.as_ref(), event.external_id.as_ref()];
    for id in ids.into_iter().flatten() {
        assert!(!id.is_empty() && id.len() <= LONGEST, "{} takes {} octets", provider.about().name, id.len());
        assert!(!id.contains(char::is_control), "{} takes {id:?}", provider.about().name);
    }
    let kept = serde_json::to_string(&event).expect("JSON");
    assert_eq!(serde_json::from_str::<Event>(&kept).expect("an event"), event);
    let Some(finding) = event.finding else { return };
    let kept = finding.clone().cleaned();
    assert_eq!(kept.clone().cleaned(), kept);
    assert_eq!(kept.status, finding.status);
    assert!(kept.reasons.len() <= Finding::MOST_REASONS);
    for text in kept.reasons.iter().chain([&kept.raw_status]) {
        assert!(text.chars().count() <= 100 && !text.contains(char::is_control), "{text:?}");
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let bodies = [
        json!({ "type": "applicantReviewed", "applicantId": "a-1", "externalUserId": "order-1", "correlationId": "c",
            "createdAtMs": "2020-02-21 13:23:19.321", "reviewStatus": "completed", "sandboxMode": false,
            "reviewResult": { "reviewAnswer": "RED", "reviewRejectType": "RETRY", "rejectLabels": ["BAD", 7] } }),
        json!({ "data": { "id": "evt-1", "attributes": { "name": "inquiry.declined", "created-at": "2024-04-04T09:21:21.000Z",
            "payload": { "data": { "type": "inquiry", "id": "inq-1",
                "attributes": { "status": "declined", "reference-id": "order-1" } },
                "included": [{ "type": "verification/selfie", "attributes": { "status": "failed",
                    "checks": [{ "name": "pose", "status": "failed" }] } }] } } } }),
        json!({ "payload": { "resource_type": "workflow_run", "action": "workflow_run.completed",
            "object": { "id": "run-1", "status": "declined", "completed_at_iso8601": "2024-04-04T09:21:21Z" },
            "resource": { "id": "run-1", "customer_user_id": "order-1", "reasons": ["document_expired"] } } }),
        json!({ "status": "success", "verification": { "id": "s-1", "attemptId": "t-1", "vendorData": "order-1",
            "status": "declined", "code": 9102, "reasonCode": 106, "decisionTime": "2024-04-04T09:21:21.000Z" } }),
        json!({ "id": "evt_1", "type": "identity.verification_session.verified", "created": 1_700_000_000, "livemode": true,
            "data": { "object": { "id": "vs_1", "client_reference_id": "order-1", "status": "requires_input",
                "last_error": { "code": "document_expired" } } } }),
        json!({ "webhook_type": "status.updated", "session_id": "s-1", "vendor_data": "order-1", "event_id": "e-1",
            "timestamp": 1_700_000_000, "status": "Declined", "environment": "live",
            "decision": { "id_verifications": [{ "status": "Declined", "warnings": [{ "risk": "EXPIRED" }] }] } }),
        json!({ "workflowExecution": { "id": "w-1", "status": "PROCESSED" } }),
        json!({ "type": "kyc.result", "data": { "reference": "r-1", "external_id": "order-1", "status": "declined",
            "reasons": ["expired"] } }),
    ];
    let seed = |(at, body): (u8, String)| seed(&[at, 1], &[b"msg_1", b"1700000000", body.as_bytes()]);
    let task = json!({ "payload": { "resource_type": "workflow_task", "action": "workflow_task.completed",
        "object": { "id": "task-1", "workflow_run_id": "run-1" }, "resource": {} } });
    let progress = json!({ "id": "s-1", "attemptId": "t-1", "code": 7001, "action": "started", "vendorData": "order-1" });
    (0..).zip(bodies.map(|body| body.to_string())).chain([(2, task.to_string()), (3, progress.to_string())]).map(seed).collect()
}
