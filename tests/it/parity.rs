//! The bad requests recorded from a FastAPI application get the same answers from the real operations.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::support::App;

const RECORDED: &str = include_str!("../fixtures/pydantic/recorded.json");
/// What the recorded requests carry as secrets.
const CANARIES: &[&str] = &["canary-pässword-1", "canary-token-2", "\\u00e4\\u00e4\\u00e4", "äää"];

/// Type, place and message; what follows the colon in the explanation of an address or a password is free.
fn comparable(detail: &Value) -> Vec<Value> {
    let mut detail = detail.as_array().unwrap().clone();
    for problem in &mut detail {
        problem.as_object_mut().unwrap().remove("input");
        if problem["type"] == "value_error" {
            let msg = problem["msg"].as_str().unwrap();
            problem["msg"] = msg.split_once(": ").map_or(msg, |(rule, _)| rule).into();
            problem["ctx"] = Value::Null;
        }
    }
    detail
}

on_both_engines! {
    async fn bad_requests_are_answered_as_fastapi_answers_them(app: App) {
        let ada = app.user("ada@example.com").await;
        let cases: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
        // These two are no operations of ours: they exist to record every keyword of a schema.
        let real = |case: &&Value| !["/everything", "/list"].iter().any(|path| case["path"].as_str().unwrap().starts_with(path));
        let cases: Vec<&Value> = cases.iter().filter(real).collect();
        assert!(cases.len() >= 40);
        let mut differences = vec![];
        for case in cases {
            let (method, path) = (case["method"].as_str().unwrap(), case["path"].as_str().unwrap());
            let body = match (case["body"].as_str(), case["body_base64"].as_str()) {
                (Some(text), _) => text.as_bytes().to_vec(),
                (_, Some(bytes)) => BASE64_STANDARD.decode(bytes).unwrap(),
                _ => vec![],
            };
            let answer = ada.send_text(method, path, case["content_type"].as_str(), body).await;
            // A media type that FastAPI reads as a missing object is refused as what it is.
            if answer.status == 415 && !case["content_type"].as_str().is_some_and(|it| it.contains("json")) {
                continue;
            }
            let same = answer.status == 422
                && answer.header("content-type") == Some("application/json")
                && comparable(&answer.json()["detail"]) == comparable(&case["detail"]);
            if !same {
                differences.push(format!("{case}\n  {} {}", answer.status, answer.text()));
            }
            for canary in CANARIES {
                assert!(!answer.text().contains(canary), "{case} repeats a secret: {}", answer.text());
            }
        }
        assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    }
}
