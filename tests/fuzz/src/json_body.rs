//! Bodies in JSON: each is taken, and shown as it is then sent again, or refused with all that is wrong with it, and nothing of
//! the secrets in it.

use std::collections::BTreeMap;
use std::rc::Rc;

use latchkey::api::payload::{
    ApiSecret, Base64Url, Code, Email, HttpsUrl, Json, Label, NewPassword, Nullable, Password, Patch, Phone, Settings,
    Token,
};
use latchkey::secret::Secret;
use poem::endpoint::BoxEndpoint;
use poem::{Endpoint as _, EndpointExt as _, Request, Response};
use poem_openapi::{Enum, Object, OpenApi, OpenApiService};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use crate::input::{Input, seed};

/// Names of members that hold secrets in the bodies here.
const SECRET: &[&str] = &["password", "new_password", "token", "refresh_token", "code", "secret"];
/// Violations in one answer, at most.
const MOST: usize = 100;

#[derive(Object)]
struct Secrets {
    email: Email,
    #[oai(write_only)]
    password: Password,
    #[oai(write_only)]
    new_password: Option<NewPassword>,
    #[oai(write_only)]
    token: Option<Token>,
    #[oai(write_only)]
    code: Option<Code>,
    #[oai(write_only)]
    secret: Option<ApiSecret>,
}

#[derive(Object)]
struct Profile {
    #[oai(validator(max_length = 200))]
    full_name: Patch<String>,
    avatar_url: Patch<HttpsUrl>,
    phone: Patch<Phone>,
    label: Nullable<Label>,
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

/// A member for every keyword of a schema.
#[derive(Object)]
struct Everything {
    flag: bool,
    #[oai(validator(minimum(value = "1"), maximum(value = "100")))]
    count: i64,
    #[oai(validator(minimum(value = "0", exclusive), maximum(value = "10", exclusive)))]
    above: i64,
    small: u8,
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
    bytes: Base64Url<16>,
    settings: Settings,
    #[oai(validator(max_properties = 2))]
    labels: BTreeMap<String, String>,
}

struct Api;

#[OpenApi]
impl Api {
    #[oai(path = "/0", method = "post")]
    async fn secrets(&self, Json(body): Json<Secrets>) -> Json<usize> {
        let optional = [
            body.new_password.as_ref().map(NewPassword::expose),
            body.token.as_ref().map(Token::expose),
            body.code.as_ref().map(Code::expose),
            body.secret.map(Secret::from).as_ref().map(Secret::expose),
        ]
        .map(|secret| secret.map_or(0, str::len));
        Json(body.email.as_str().len() + body.password.expose().len() + optional.iter().sum::<usize>())
    }

    #[oai(path = "/1", method = "post")]
    async fn profile(&self, Json(body): Json<Profile>) -> Json<Profile> {
        Json(body)
    }

    #[oai(path = "/2", method = "post")]
    async fn everything(&self, Json(body): Json<Everything>) -> Json<Everything> {
        Json(body)
    }
}

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    static ENDPOINT: Rc<BoxEndpoint<'static, Response>> =
        Rc::new(OpenApiService::new(Api, "fuzz", "1").map_to_response().boxed());
}

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let path = ["/0", "/1", "/2"][usize::from(input.take::<u8>() % 3)];
    let body = input.rest();
    let (status, answer) = post(path, body.to_vec());
    match status {
        200 if path == "/0" => assert!(answer.as_u64().is_some_and(|length| length as usize <= body.len())),
        200 => {
            let again = post(path, answer.to_string().into_bytes());
            assert_eq!(again, (200, answer), "what is shown is not what is taken");
        }
        422 => explained(path, body, &answer),
        other => panic!("{other} {answer}"),
    }
}

fn post(path: &str, body: Vec<u8>) -> (u16, Value) {
    let request = Request::builder().method(poem::http::Method::POST).uri_str(path);
    let request = request.content_type("application/json").body(body);
    let exchange = async {
        let response = ENDPOINT.with(Rc::clone).get_response(request).await;
        let status = response.status().as_u16();
        assert_eq!(response.content_type(), Some("application/json"));
        (status, response.into_body().into_bytes().await.expect("a body"))
    };
    let (status, body) = RUNTIME.with(|runtime| runtime.block_on(exchange));
    (status, serde_json::from_slice(&body).expect("JSON"))
}

fn explained(path: &str, body: &[u8], answer: &Value) {
    let found = answer["detail"].as_array().expect("a list");
    assert!((1..=MOST).contains(&found.len()));
    for violation in found {
        let text = |name: &str| violation[name].as_str().filter(|text| !text.is_empty()).expect("a text");
        assert!(text("type").bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{violation}");
        assert!(!text("msg").contains("is not acceptable"), "{violation}");
        let way = violation["loc"].as_array().expect("a list");
        assert_eq!(way[0], "body");
        assert!(way.iter().all(|step| step.is_string() || step.is_u64()), "{violation}");
        assert!(violation.get("input").is_some(), "{violation}");
    }
    assert!(answer.to_string().len() <= 64 * 1024 + 16 * body.len(), "an answer far longer than its request");
    let Ok(Value::Object(members)) = serde_json::from_slice(body) else { return };
    let raw = String::from_utf8_lossy(body);
    for (_, secret) in members.iter().filter(|(name, _)| SECRET.contains(&name.as_str())) {
        let Some(secret) = secret.as_str().filter(|secret| secret.len() >= 8) else { continue };
        // One that stands elsewhere, too, is no secret, nor is one that is in answers to other bodies.
        let other = || raw.replace(secret, &"~".repeat(secret.chars().count())).into_bytes();
        if raw.matches(secret).count() == 1 && holds(answer, secret) {
            assert!(holds(&post(path, other()).1, secret), "{secret:?} is repeated: {answer}");
        }
    }
}

fn holds(value: &Value, secret: &str) -> bool {
    match value {
        Value::String(text) => text.contains(secret),
        Value::Array(items) => items.iter().any(|item| holds(item, secret)),
        Value::Object(members) => members.iter().any(|(name, value)| name.contains(secret) || holds(value, secret)),
        _ => false,
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let bodies: [(u8, &str); 12] = [
        (0, r#"{"email":"ada@example.com","password":"canary-password","token":"canary-token","code":"081 804"}"#),
        (0, r#"{"email":"ada","password":["canary-password"],"new_password":"short","secret":"canary-secret"}"#),
        (0, r#"{"email":1,"passwort":"canary-password","refresh_token":"canary-token"}"#),
        (0, "{\"email\":\"ada@example.com\",\"password\":\"\\u00e4\\ud83d\\udd11\"} x"),
        (1, r#"{"full_name":"Ada","avatar_url":"https://example.com/a","phone":"+4930123456","label":null}"#),
        (1, r#"{"full_name":null,"avatar_url":"http://example.com","phone":"1","label":" x"}"#),
        (
            2,
            r#"{"flag":true,"count":1,"above":1,"small":255,"step":5,"ratio":0.5,"words":["a"],"inner":{"name":"a","size":1},"many":[{"name":"b","size":2}],"colour":"red","id":"0192f0c1-2a3b-7c4d-8e5f-60718293a4b5","at":"2026-01-02T03:04:05Z","bytes":"aGVsbG8","settings":{"a":"b","c":{"d":1}},"labels":{"a":"b"}}"#,
        ),
        (
            2,
            r#"{"flag":"yes","count":1.0,"above":1e1,"small":-1,"step":7,"ratio":1.5,"words":[],"inner":[],"many":[{}],"colour":"RED","id":"x","at":"2026-02-30","bytes":"a","settings":[],"labels":{"a":1,"b":2,"c":3}}"#,
        ),
        (2, "\u{feff}{\"flag\":NaN}"),
        (2, "[[[[[["),
        (2, "{\"a\":\"\\ud800\"}"),
        (2, ""),
    ];
    bodies.map(|(path, body)| seed(&[path], &[body.as_bytes()])).into()
}
