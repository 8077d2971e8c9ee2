//! What the recorded requests do not show: limits, media types, secrets and the document.

use std::time::Duration;

use futures_util::stream;
use poem::{Body, Endpoint, EndpointExt, Request, Response, http::Method};
use poem_openapi::{
    Object, OpenApi, OpenApiService,
    types::{ParseFromJSON, ToJSON},
};
use serde_json::{Value, json};

use super::{check::check, schema::Shape, *};

#[derive(Object)]
struct Inner {
    size: i32,
}

/// Members whose requests and answers differ in what may be absent or null
#[derive(Object)]
struct Sample {
    present: Nullable<String>,
    inner: Nullable<Inner>,
    change: Patch<Inner>,
    optional: Option<String>,
    #[oai(read_only)]
    made_here: Option<String>,
    #[oai(validator(unique_items))]
    tags: Option<Vec<i32>>,
}

/// A form beside a secret
#[derive(Debug, Object)]
struct Form {
    note: String,
    #[oai(write_only)]
    answer: Option<NewPassword>,
}

struct Api;

#[OpenApi]
impl Api {
    #[oai(path = "/sample", method = "post")]
    async fn sample(&self, Json(sample): Json<Sample>) -> Json<Sample> {
        Json(sample)
    }

    #[oai(path = "/form", method = "post")]
    async fn form(&self, Json(form): Json<Form>) -> Json<String> {
        Json(form.note)
    }

    #[oai(path = "/list", method = "post")]
    async fn list(&self, Json(list): Json<Vec<i32>>) -> Json<Vec<i32>> {
        Json(list)
    }

    #[oai(path = "/query", method = "get")]
    async fn query(
        &self,
        n: Query<Option<i32>>,
        many: Query<Vec<i32>>,
        #[oai(default)] flag: Query<bool>,
        token: Query<Option<Token>>,
    ) -> Json<Vec<i32>> {
        let extra = [i32::from(flag.0), i32::from(token.0.is_some())];
        Json(n.0.into_iter().chain(many.0).chain(extra).collect())
    }

    #[oai(path = "/problem", method = "get")]
    async fn problem(&self) -> Json<HttpValidationError> {
        Json(HttpValidationError { detail: vec![] })
    }
}

fn service() -> OpenApiService<Api, ()> {
    OpenApiService::new(Api, "tests", "1")
}

fn document() -> Value {
    serde_json::from_str(&service().spec()).unwrap()
}

async fn call(request: Request) -> (u16, Value) {
    answer(service().map_to_response().get_response(request).await).await
}

pub(super) async fn answer(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.into_body().into_string().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

pub(super) fn post(path: &str, body: impl Into<Body>) -> Request {
    Request::builder().method(Method::POST).uri_str(path).content_type("application/json").body(body)
}

/// Sends JSON and returns the `input` of each violation.
async fn inputs(path: &str, body: Value) -> Vec<Value> {
    let (status, answer) = call(post(path, body.to_string())).await;
    assert_eq!(status, 422, "{answer}");
    answer["detail"].as_array().unwrap().iter().map(|violation| violation["input"].clone()).collect()
}

fn chunks(chunks: Vec<&'static str>) -> Body {
    Body::from_bytes_stream(stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>)))
}

async fn rejected(request: Request) -> Rejection {
    let error = service().map_to_response().call(request).await.unwrap_err();
    error.downcast_ref::<Rejection>().expect("an outer layer must find the rejection").clone()
}

#[tokio::test]
async fn only_json_is_read() {
    for accepted in ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"] {
        let request =
            Request::builder().method(Method::POST).uri_str("/list").content_type(accepted).body("[1]");
        assert_eq!(call(request).await, (200, json!([1])), "{accepted}");
    }
    for refused in
        ["text/plain", "application/x-www-form-urlencoded", "application/+json", "json", "", "text/json"]
    {
        let request =
            Request::builder().method(Method::POST).uri_str("/list").content_type(refused).body("[1]");
        assert_eq!(rejected(request).await, Rejection::UnsupportedMediaType, "{refused}");
    }
    let request = Request::builder().method(Method::POST).uri_str("/list").body("[1]");
    assert_eq!(call(request).await.0, 415);
}

#[tokio::test]
async fn long_bodies_are_not_read() {
    let limit = BodyLimits::default().bytes;
    assert_eq!(limit, 65_536);
    let fits = format!("[1]{}", " ".repeat(limit - 3));
    assert_eq!(call(post("/list", fits.clone())).await.0, 200);
    assert_eq!(rejected(post("/list", fits + " ")).await, Rejection::TooLarge { limit });

    let small = |body: Body, declared: Option<&str>| {
        let mut request = post("/list", body);
        if let Some(length) = declared {
            request.headers_mut().insert("content-length", length.parse().unwrap());
        }
        request.extensions_mut().insert(BodyLimits { bytes: 4, ..BodyLimits::default() });
        request
    };
    assert_eq!(call(small(chunks(vec!["[1", "2]"]), None)).await, (200, json!([12])));
    for request in [
        small(chunks(vec!["[1", "23]"]), None),
        small(chunks(vec!["[1", "23]"]), Some("2")),
        small(chunks(vec!["[1]"]), Some("5")),
    ] {
        assert_eq!(call(request).await.0, 413);
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_awaited() {
    let silent = stream::pending::<Result<&'static str, std::io::Error>>();
    let mut request = post("/list", Body::from_bytes_stream(silent));
    request.extensions_mut().insert(BodyLimits { timeout: Duration::ZERO, ..BodyLimits::default() });
    assert_eq!(rejected(request).await, Rejection::Timeout);

    let broken = stream::iter([Ok("[1"), Err(std::io::Error::other("reset"))]);
    assert_eq!(call(post("/list", Body::from_bytes_stream(broken))).await.0, 400);
}

#[tokio::test]
async fn violations_are_one_answer_with_one_media_type() {
    let response = service().map_to_response().get_response(post("/sample", "{}")).await;
    assert_eq!(response.content_type(), Some("application/json"));
    let (status, body) = answer(response).await;
    assert_eq!((status, body["detail"].as_array().unwrap().len()), (422, 2));

    let many = Value::from(vec!["x"; 1000]);
    assert_eq!(inputs("/list", many).await.len(), 100);
}

#[tokio::test]
async fn input_shows_no_secret_and_no_novel() {
    assert_eq!(inputs("/sample", json!({"present": 5, "inner": null})).await, [json!(5)]);
    // beside a secret of the schema, of the request, or within
    assert_eq!(inputs("/form", json!({"note": 5})).await, [Value::Null]);
    assert_eq!(
        inputs("/sample", json!({"present": 5, "inner": null, "passphrase": "x"})).await,
        [Value::Null]
    );
    assert_eq!(inputs("/sample", json!({"present": {"apiKey": 1}, "inner": null})).await, [Value::Null]);
    assert_eq!(inputs("/form", json!("hunter2")).await, [Value::Null]);
    assert_eq!(inputs("/sample", json!([{"token": "x"}])).await, [Value::Null]);
    assert_eq!(inputs("/sample", json!("{\"password\":\"x\"}")).await, [Value::Null]);
    // long
    let (long, wide) = ("x".repeat(5000), vec![1; 5000]);
    let shown = inputs("/sample", json!({"present": null, "inner": long, "change": wide})).await;
    assert!(shown[0].as_str().unwrap().len() < 600);
    assert_eq!(shown[1], Value::Null);
}

#[tokio::test]
async fn null_absent_and_read_only_members_are_told_apart() {
    let body = json!({"present": null, "inner": null, "made_here": "forged", "unknown": 1});
    let (status, answer) = call(post("/sample", body.to_string())).await;
    assert_eq!(status, 200);
    assert_eq!(answer["present"], Value::Null);
    assert_eq!(answer["made_here"], Value::Null);
    assert!(answer.get("present").is_some() && answer.get("change").is_none());

    let patch = |change: Option<Value>| Patch::<i32>::parse_from_json(change).unwrap().change();
    assert_eq!(patch(None), None);
    assert_eq!(patch(Some(Value::Null)), Some(None));
    assert_eq!(patch(Some(json!(1))), Some(Some(1)));

    // not documented as nullable, so not accepted as null
    assert_eq!(
        inputs("/sample", json!({"present": null, "inner": null, "optional": null})).await,
        [Value::Null]
    );
    assert_eq!(Nullable::from(Some(1)).to_json(), Some(json!(1)));
    assert_eq!(Nullable::<i32>::default().to_json(), Some(Value::Null));
}

#[test]
fn the_document_says_what_is_enforced() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let sample = &schemas["Sample"];
    assert_eq!(sample["required"], json!(["present", "inner"]));
    assert_eq!(sample["properties"]["present"], json!({"type": "string", "nullable": true}));
    let nullable_reference = json!({"nullable": true, "allOf": [{"$ref": "#/components/schemas/Inner"}]});
    assert_eq!(sample["properties"]["inner"], nullable_reference);
    assert_eq!(sample["properties"]["change"], nullable_reference);

    let answer = &schemas["Form"]["properties"]["answer"];
    assert_eq!(
        (&answer["writeOnly"], &answer["format"], &answer["maxLength"]),
        (&json!(true), &json!("password"), &json!(128))
    );

    let operation = &document["paths"]["/sample"]["post"];
    assert!(operation["requestBody"]["content"]["application/json"].is_object());
    assert!(operation["responses"]["200"]["content"]["application/json"].is_object());
    let parameters = document["paths"]["/query"]["get"]["parameters"].as_array().unwrap();
    let of = |name: &str| parameters.iter().find(|parameter| parameter["name"] == name).unwrap();
    assert_eq!((&of("n")["required"], &of("n")["in"]), (&json!(false), &json!("query")));

    assert_eq!(schemas["HTTPValidationError"]["required"], json!(["detail"]));
    let violation = &schemas["ValidationError"];
    assert_eq!(violation["required"], json!(["loc", "msg", "type", "input"]));
    assert_eq!(
        violation["properties"]["loc"]["items"]["oneOf"],
        json!([{"type": "string"}, {"type": "integer"}])
    );
}

#[tokio::test]
async fn parameters_are_read_as_documented() {
    let get = |query: &str| Request::builder().uri_str(format!("/query{query}")).finish();
    assert_eq!(call(get("?many=1")).await, (200, json!([1, 0, 0])));
    assert_eq!(call(get("?n=7&n=8&many=1&many=2&flag=true&token=x")).await, (200, json!([8, 1, 2, 1, 1])));
    for (query, kind, loc) in [
        ("", "missing", json!(["query", "many"])),
        ("?many=1&n=", "int_parsing", json!(["query", "n"])),
        ("?many=1&n=3000000000", "less_than_equal", json!(["query", "n"])),
        ("?many=1&many=x", "int_parsing", json!(["query", "many", 1])),
        ("?many=1&flag=perhaps", "bool_parsing", json!(["query", "flag"])),
        ("?many=1&token=", "string_too_short", json!(["query", "token"])),
    ] {
        let (status, answer) = call(get(query)).await;
        let violation = &answer["detail"][0];
        assert_eq!((status, &violation["type"], &violation["loc"]), (422, &json!(kind), &loc), "{query}");
    }
}

fn kinds<T: ParseFromJSON + 'static>(mut value: Value) -> Vec<String> {
    let found = check(&Shape::of::<T>(), &mut value, "body", false);
    assert!(
        !found.is_empty() || T::parse_from_json(Some(value)).is_ok(),
        "the walk must see what parsing refuses"
    );
    found.into_iter().map(|violation| violation.kind).collect()
}

#[test]
fn keywords_and_formats_are_enforced() {
    assert_eq!(kinds::<i32>(json!(1.0)), [""; 0]);
    assert_eq!(kinds::<i32>(json!(2_147_483_648_u64)), ["less_than_equal"]);
    assert_eq!(kinds::<u8>(json!(-1)), ["greater_than_equal"]);
    assert_eq!(kinds::<u64>(json!(u64::MAX)), ["less_than_equal"]);
    assert_eq!(kinds::<i64>(json!(9.3e18)), ["less_than_equal"]);
    assert_eq!(kinds::<i64>(json!(1e300)), ["less_than_equal"]);
    assert_eq!(kinds::<i64>(json!("12")), ["int_type"]);
    assert_eq!(kinds::<bool>(json!("true")), ["bool_type"]);
    assert_eq!(kinds::<Bounded<1, 9>>(json!(10)), ["less_than_equal"]);
    assert_eq!(kinds::<Location>(json!([])), ["string_type"]);
    assert_eq!(kinds::<Location>(json!(7)), [""; 0]);
    assert_eq!(kinds::<NewPassword>(json!("ä".repeat(7))), ["string_too_short"]);
    assert_eq!(kinds::<NewPassword>(json!("ä".repeat(128))), [""; 0]);
    assert_eq!(kinds::<Password>(json!("")), [""; 0]);
    assert_eq!(kinds::<Token>(json!("x".repeat(4097))), ["string_too_long"]);
    assert_eq!(kinds::<Email>(json!("a".repeat(300))), ["value_error"]);
    assert_eq!(kinds::<HttpsUrl>(json!("HTTPS://example.com")), ["string_pattern_mismatch"]);
    assert_eq!(kinds::<HttpsUrl>(json!("https://example.com")), [""; 0]);
    let repeated = json!({"present": null, "inner": null, "tags": [1, 2, 1]});
    assert_eq!(kinds::<Sample>(repeated), ["value_error"]);
    let nested = json!({"present": null, "inner": {}, "change": {"size": null}});
    assert_eq!(kinds::<Sample>(nested), ["missing", "int_type"]);
}

#[test]
fn secrets_do_not_show() {
    let form = Form::parse_from_json(Some(json!({"note": "", "answer": "canary-canary"}))).unwrap();
    let answer = form.answer.as_ref().unwrap();
    assert_eq!(format!("{answer:?}"), "NewPassword([redacted])");
    assert!(!form.to_json_string().contains("canary"));
    for error in [
        NewPassword::parse_from_json(Some(json!(["canary"]))).map(drop).unwrap_err().into_message(),
        NewPassword::parse_from_json(Some(json!("canary"))).map(drop).unwrap_err().into_message(),
    ] {
        assert!(!error.contains("canary"));
    }
}
