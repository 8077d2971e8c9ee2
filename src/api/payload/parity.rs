//! Replays the bad requests recorded from FastAPI (tests/fixtures/pydantic) and demands the same answers.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine};
use poem::{Endpoint, EndpointExt, Request, http::Method};
use poem_openapi::{Enum, Object, OpenApi, OpenApiService};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::*;

const RECORDED: &str = include_str!("../../../tests/fixtures/pydantic/recorded.json");
/// What the recorded requests carry as secrets; "short" and the like are too short to tell.
const CANARIES: &[&str] = &["canary-pässword-1", "canary-token-2", "\\u00e4\\u00e4\\u00e4", "äää"];

#[derive(Object)]
struct Signup {
    email: Email,
    #[oai(write_only)]
    password: NewPassword,
}

#[derive(Object)]
struct Login {
    email: Email,
    #[oai(write_only)]
    password: Password,
}

#[derive(Object)]
struct Refresh {
    #[oai(write_only)]
    refresh_token: Token,
}

#[derive(Object)]
struct Logout {
    #[oai(write_only)]
    access_token: Token,
}

#[derive(Object)]
struct Resend {
    email: Email,
}

#[derive(Object)]
struct VerifyEmail {
    #[oai(write_only)]
    token: Token,
}

#[derive(Object)]
struct Profile {
    #[oai(validator(max_length = 200))]
    full_name: Patch<String>,
    avatar_url: Patch<HttpsUrl>,
    phone: Patch<Phone>,
}

#[derive(Enum)]
#[oai(rename_all = "lowercase")]
enum Colour {
    Red,
    Green,
    Blue,
}

#[derive(Object)]
struct Inner {
    name: String,
    size: i64,
}

/// One member for every keyword of a schema.
#[derive(Object)]
struct Everything {
    flag: bool,
    #[oai(validator(minimum(value = "1"), maximum(value = "100")))]
    count: i64,
    #[oai(validator(minimum(value = "0", exclusive), maximum(value = "10", exclusive)))]
    above: i64,
    #[oai(validator(multiple_of = 5.0))]
    step: i64,
    #[oai(validator(minimum(value = "0"), maximum(value = "1")))]
    ratio: f64,
    #[oai(validator(min_items = 1, max_items = 3))]
    words: Vec<String>,
    inner: Inner,
    many: Vec<Inner>,
    colour: Colour,
    id: Uuid,
    at: OffsetDateTime,
    #[oai(validator(max_properties = 2))]
    labels: BTreeMap<String, String>,
}

struct Api;

#[OpenApi]
impl Api {
    #[oai(path = "/auth/signup", method = "post")]
    async fn signup(&self, Json(body): Json<Signup>) -> Json<String> {
        Json(format!("{} {}", body.email, body.password.expose().len()))
    }

    #[oai(path = "/auth/login", method = "post")]
    async fn login(&self, Json(body): Json<Login>) -> Json<String> {
        Json(format!("{} {}", body.email, body.password.expose().len()))
    }

    #[oai(path = "/auth/refresh", method = "post")]
    async fn refresh(&self, Json(body): Json<Refresh>) -> Json<u64> {
        Json(body.refresh_token.expose().len() as u64)
    }

    #[oai(path = "/auth/logout", method = "post")]
    async fn logout(&self, Json(body): Json<Logout>) -> Json<u64> {
        Json(body.access_token.expose().len() as u64)
    }

    #[oai(path = "/auth/resend-verification", method = "post")]
    async fn resend(&self, Json(body): Json<Resend>) -> Json<Email> {
        Json(body.email)
    }

    #[oai(path = "/auth/verify-email", method = "post")]
    async fn verify_email(&self, Json(body): Json<VerifyEmail>) -> Json<u64> {
        Json(body.token.expose().len() as u64)
    }

    #[oai(path = "/auth/profile", method = "patch")]
    async fn profile(&self, Json(body): Json<Profile>) -> Json<Profile> {
        Json(body)
    }

    #[oai(path = "/everything", method = "post")]
    async fn everything(&self, Json(body): Json<Everything>) -> Json<Everything> {
        Json(body)
    }

    #[oai(path = "/auth/verification-status", method = "get")]
    async fn verification_status(&self, email: Query<Email>) -> Json<Email> {
        Json(email.0)
    }

    #[oai(path = "/list", method = "get")]
    async fn list(
        &self,
        limit: Query<Bounded<1, 100>>,
        only: Query<Option<Colour>>,
        all: Query<Option<bool>>,
    ) -> Json<Vec<String>> {
        Json(vec![format!("{} {} {:?}", limit.get(), only.0.is_some(), all.0)])
    }
}

pub(super) fn endpoint() -> impl Endpoint<Output = poem::Response> {
    OpenApiService::new(Api, "parity", "1").map_to_response()
}

fn request(case: &Value) -> Request {
    let method: Method = case["method"].as_str().unwrap().parse().unwrap();
    let mut request = Request::builder().method(method).uri_str(case["path"].as_str().unwrap());
    if let Some(content_type) = case["content_type"].as_str() {
        request = request.content_type(content_type);
    }
    match (case["body"].as_str(), case["body_base64"].as_str()) {
        (Some(text), _) => request.body(text.to_owned()),
        (_, Some(bytes)) => request.body(BASE64_STANDARD.decode(bytes).unwrap()),
        _ => request.finish(),
    }
}

/// Type, place, message and context; what follows the colon in the explanation of an address is free.
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

#[tokio::test]
async fn bad_requests_are_answered_as_fastapi_answers_them() {
    let cases: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    assert!(cases.len() >= 45);
    let endpoint = endpoint();
    let mut differences = Vec::new();
    for case in &cases {
        let response = endpoint.get_response(request(case)).await;
        let status = response.status();
        let content_type = response.content_type().map(str::to_owned);
        let text = response.into_body().into_string().await.unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        let same =
            answer["detail"].is_array() && comparable(&answer["detail"]) == comparable(&case["detail"]);
        if status != 422 || content_type.as_deref() != Some("application/json") || !same {
            differences.push(format!("{case}\n  {status} {text}"));
        }
        for canary in CANARIES {
            assert!(!text.contains(canary), "{case} repeats a secret: {text}");
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}
