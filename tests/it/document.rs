//! The document: what is served is what is committed is what the code defines, and it keeps its promises.

use std::collections::BTreeSet;

use latchkey::api::document;
use latchkey::api::problem::Code;
use poem_openapi::types::ToJSON;
use serde_json::{Value, json};

use crate::support::{App, Engine};

const COMMITTED: &str = include_str!("../../openapi.yaml");
const DOCUMENTED: &str = include_str!("../documented.json");

fn document() -> Value {
    document::generate()
}

/// Operation id, method, path and definition.
fn operations(document: &Value) -> Vec<(String, String, String, Value)> {
    let mut all = vec![];
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no id"));
            all.push((id.to_owned(), method.clone(), path.clone(), operation.clone()));
        }
    }
    all
}

/// The schema itself, and whether it may be null, behind references.
fn resolve<'a>(document: &'a Value, schema: &'a Value) -> (&'a Value, bool) {
    let mut schema = schema;
    let mut nullable = false;
    loop {
        nullable |= schema["nullable"] == true;
        if let Some(reference) = schema["$ref"].as_str() {
            schema = document.pointer(reference.strip_prefix('#').unwrap()).unwrap();
        } else if let Some(inner) = schema["allOf"].as_array() {
            schema = &inner[0];
        } else {
            return (schema, nullable);
        }
    }
}

#[tokio::test]
async fn the_committed_document_is_served_and_is_what_the_code_defines() {
    assert_eq!(COMMITTED, document::generate_yaml(), "run `latchkey openapi` and read its diff");
    let app = App::start(Engine::Sqlite, |_| {}).await;
    let yaml = app.anonymous().get("/openapi.yaml").await.assert_status(200);
    assert_eq!((yaml.header("content-type"), yaml.text().as_str()), (Some("application/yaml"), COMMITTED));
    let json = app.anonymous().get("/openapi.json").await.assert_status(200);
    assert_eq!(json.header("content-type"), Some("application/json"));
    assert_eq!(json.json(), document());
}

#[test]
fn every_operation_is_described() {
    let document = document();
    let snake_case = regex::Regex::new("^[a-z]+(_[a-z]+)+$").unwrap();
    let mut ids = BTreeSet::new();
    let mut faults = vec![];
    for (id, method, path, operation) in operations(&document) {
        let mut demand = |holds: bool, what: &str| {
            if !holds {
                faults.push(format!("{id} ({method} {path}): {what}"));
            }
        };
        demand(ids.insert(id.clone()), "the id is taken");
        demand(snake_case.is_match(&id), "the id is not noun_verb");
        demand(operation["tags"].as_array().is_some_and(|tags| tags.len() == 1), "not one tag");
        let summary = operation["summary"].as_str().unwrap_or_default();
        demand(!summary.is_empty() && !summary.ends_with('.'), "no summary, or one with a full stop");
        demand(operation["description"].as_str().is_some_and(|text| !text.is_empty()), "no description");
        demand(operation["security"].is_array(), "says nothing of credentials");

        let responses = operation["responses"].as_object().unwrap();
        let has = |status: &str| responses.contains_key(status);
        demand(has("200") && has("500") && has("503"), "no answer for success, mistakes or overload");
        // What vendors send is theirs: it is proved, whatever it is.
        let body = !operation["requestBody"].is_null() && !id.ends_with("webhook");
        let parameters = operation["parameters"].as_array().is_some_and(|parameters| !parameters.is_empty());
        demand(!body || (has("408") && has("413") && has("415")), "takes a body and refuses none");
        demand(!(body || parameters) || has("422"), "takes something and checks nothing");
        demand(operation["security"] == json!([]) || has("401"), "takes credentials and refuses none");
        for (status, response) in responses {
            demand(
                response["description"].as_str().is_some_and(|text| !text.is_empty()),
                &format!("{status} has no description"),
            );
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Bodies without an example, and why. Entries are only ever taken away.
const WITHOUT_EXAMPLE: &[(&str, &str)] =
    &[("session_end: answer", "a map of strings, for which the library has no place for one")];

#[test]
fn every_body_has_an_example() {
    let document = document();
    let mut missing = BTreeSet::new();
    for (id, _, _, operation) in operations(&document) {
        let request = operation.pointer("/requestBody/content/application~1json");
        let answer = operation.pointer("/responses/200/content/application~1json");
        for (what, media) in [("request", request), ("answer", answer)] {
            let Some(media) = media else { continue };
            if !has_example(&document, media) {
                missing.insert(format!("{id}: {what}"));
            }
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            if !has_example(&document, parameter) {
                missing.insert(format!("{id}: {}", parameter["name"]));
            }
        }
    }
    let excused = WITHOUT_EXAMPLE.iter().map(|(what, _)| (*what).to_owned()).collect();
    assert_eq!(missing, excused);
}

/// An example of its own, of its schema, or of each required member of its schema.
fn has_example(document: &Value, media: &Value) -> bool {
    let (schema, _) = resolve(document, &media["schema"]);
    let of_members = || {
        let properties = schema["properties"].as_object();
        properties.is_some_and(|properties| {
            properties.values().all(|member| resolve(document, member).0.get("example").is_some())
        })
    };
    ["example", "examples"].iter().any(|name| media.get(name).is_some())
        || schema.get("example").is_some()
        || of_members()
}

#[test]
fn every_example_fits_its_schema() {
    let document = document();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let Some(example) = schema.get("example") else { continue };
        for member in example.as_object().unwrap().keys() {
            assert!(schema["properties"].get(member).is_some(), "{name}.{member} is in the example only");
        }
        for member in schema["required"].as_array().into_iter().flatten() {
            assert!(example.get(member.as_str().unwrap()).is_some(), "{name}.{member} is not in the example");
        }
    }
}

/// What the generators of `docs/clients.md` stumbled over; the conformance runs them all, which takes longer.
#[test]
fn generators_stumble_over_nothing() {
    fn combinations<'a>(value: &'a Value, found: &mut Vec<(&'a str, &'a Value)>) {
        if let Some(members) = value.as_object() {
            for (name, member) in members {
                if ["allOf", "anyOf"].contains(&name.as_str()) {
                    found.push((name, member));
                }
            }
            members.values().for_each(|member| combinations(member, found));
        }
        value.as_array().into_iter().flatten().for_each(|item| combinations(item, found));
    }
    let document = document();
    let mut found = vec![];
    combinations(&document, &mut found);
    assert!(!found.is_empty());
    for (name, parts) in found {
        let [part] = parts.as_array().unwrap().as_slice() else { panic!("{name}: {parts}") };
        assert!(name == "allOf" && part["$ref"].is_string(), "{name}: {parts}");
    }
    let member = &document["components"]["schemas"]["AuthResponse"]["properties"]["session"];
    assert_eq!((&member["nullable"], &member["type"]), (&json!(true), &Value::Null));
    let truth = regex::Regex::new("(?m)^ *(- |[a-z_]+: )(yes|no)$").unwrap();
    assert!(
        COMMITTED.contains("- 'yes'\n") && !truth.is_match(COMMITTED),
        "read as truth values in YAML 1.1"
    );
}

#[test]
fn the_document_lists_the_codes_of_the_code() {
    let codes: Vec<Value> = Code::ALL.iter().map(|code| code.to_json().unwrap()).collect();
    assert_eq!(document()["components"]["schemas"]["ErrorCode"]["enum"], json!(codes));
}

#[test]
fn no_secret_has_a_place_in_an_answer_but_the_session() {
    let document = document();
    for (id, _, _, operation) in operations(&document) {
        let Some(media) = operation.pointer("/responses/200/content/application~1json") else { continue };
        let (schema, _) = resolve(&document, &media["schema"]);
        for (name, _) in schema["properties"].as_object().into_iter().flatten() {
            assert!(
                // An authenticator app needs its secret, and a server its key, this once.
                // A person goes on at the vendor with what the vendor gave for that.
                [
                    ("totp_create", "secret"),
                    ("access_key_create", "token"),
                    ("verification_create", "token"),
                    ("verification_get", "token"),
                    ("verification_cancel", "token"),
                ]
                .contains(&(id.as_str(), name.as_str()))
                    || !["password", "token", "secret"].iter().any(|secret| name == secret),
                "{id} answers {name}"
            );
        }
    }
}

#[test]
fn published_operations_keep_their_promises() {
    let document = document();
    let promised: Value = serde_json::from_str(DOCUMENTED).unwrap();
    let mut kept = 0;
    for promise in promised["operations"].as_array().unwrap() {
        let (method, path) = (promise["method"].as_str().unwrap(), promise["path"].as_str().unwrap());
        let operation = &document["paths"][path][method.to_lowercase()];
        assert!(operation.is_object(), "{method} {path} is gone");
        kept += 1;
        assert_auth(promise, operation);
        let mut fields = 0;
        if let Some(request) = promise["request"].as_object() {
            let media = operation.pointer("/requestBody/content/application~1json/schema").unwrap();
            let (schema, _) = resolve(&document, media);
            for (name, wanted) in request {
                assert_field(
                    path,
                    name,
                    wanted.as_str().unwrap(),
                    &schema["properties"][name],
                    &schema["required"],
                );
            }
            fields = request.len();
            // More may be added, but nothing that a client of today would have to send.
            assert_eq!(schema["required"].as_array().unwrap().len(), fields, "{path}");
        }
        for (name, wanted) in promise["query"].as_object().into_iter().flatten() {
            let parameters = operation["parameters"].as_array().unwrap();
            let parameter =
                parameters.iter().find(|parameter| parameter["name"] == *name && parameter["in"] == "query");
            let required = if parameter.unwrap()["required"] == true { json!([name]) } else { json!([]) };
            assert_field(path, name, wanted.as_str().unwrap(), &parameter.unwrap()["schema"], &required);
            fields += 1;
        }
        for (status, wanted) in promise["responses"].as_object().unwrap() {
            let media = &operation["responses"][status]["content"]["application/json"]["schema"];
            assert!(media.is_object(), "{path} {status}");
            match wanted.as_str().unwrap() {
                "map of string to string" => {
                    assert_eq!(
                        (&media["type"], &media["additionalProperties"]["type"]),
                        (&json!("object"), &json!("string"))
                    );
                }
                "object, members not documented" => {}
                "null" => assert_eq!(media["nullable"], true),
                name => {
                    // What is in `data` stands behind the name.
                    let name = name.split(' ').next().unwrap();
                    let members = &promised["schemas"][name];
                    assert!(members.is_object(), "{name}");
                    for (member, wanted) in members.as_object().unwrap() {
                        assert_member(
                            &document,
                            &format!("{name}.{member}"),
                            media,
                            member,
                            wanted.as_str().unwrap(),
                        );
                    }
                }
            }
        }
        assert!(fields > 0 || promise["responses"].is_object(), "{path}: nothing was checked");
    }
    assert_eq!(kept, 17, "all there are");
}

fn assert_auth(promise: &Value, operation: &Value) {
    let wanted = match promise["auth"].as_str() {
        Some("HTTPBearer") => json!([{ "HTTPBearer": [] }]),
        None => json!([]),
        // Not shown means that it must work without.
        Some(_) => {
            let security = operation["security"].as_array().unwrap();
            assert!(security.is_empty() || security.contains(&json!({})), "{operation}");
            return;
        }
    };
    assert_eq!(operation["security"], wanted, "{promise}");
}

/// A request field, as in `string, format email, required`.
fn assert_field(path: &str, name: &str, wanted: &str, schema: &Value, required: &Value) {
    for word in wanted.split(':').next().unwrap().split(", ") {
        let (what, value) = word.split_once(' ').unwrap_or((word, ""));
        match what {
            "string" => assert_eq!(schema["type"], "string", "{path} {name}"),
            "format" => assert_eq!(schema["format"], value, "{path} {name}"),
            "minLength" => assert_eq!(schema["minLength"].to_string(), value, "{path} {name}"),
            "required" => assert!(required.as_array().unwrap().contains(&json!(name)), "{path} {name}"),
            other => panic!("{other} is new in documented.json"),
        }
    }
}

/// A member of an answer, as in `date-time or null` or `object or null: {id: string, …}`; always present.
fn assert_member(document: &Value, at: &str, parent: &Value, name: &str, wanted: &str) {
    let (parent, _) = resolve(document, parent);
    assert!(
        parent["required"].as_array().is_some_and(|required| required.contains(&json!(name)))
        // Pydantic leaves the context out where a mistake has none.
        || at.ends_with(".ctx"),
        "{at} may be absent"
    );
    let (schema, nullable) = resolve(document, &parent["properties"][name]);
    let (kind, members) = match wanted.split_once('{') {
        Some((kind, members)) => (kind.trim_end_matches([':', ' ']), members.strip_suffix('}')),
        None => (wanted, None),
    };
    let kind = kind.split(',').next().unwrap();
    let (kind, may_be_null) = match kind.strip_suffix(" or null") {
        Some(kind) => (kind, true),
        None => (kind, false),
    };
    assert!(kind == "any" || nullable == may_be_null, "{at}: null or not");
    let schema = match kind {
        "boolean" | "string" | "object" => {
            assert_eq!(schema["type"], kind, "{at}");
            schema
        }
        "integer" | "integer seconds" => {
            assert_eq!(schema["type"], "integer", "{at}");
            schema
        }
        "date-time" => {
            assert_eq!((&schema["type"], &schema["format"]), (&json!("string"), &json!("date-time")), "{at}");
            schema
        }
        "any" => {
            assert!(schema.get("type").is_none(), "{at}");
            schema
        }
        "array of string or integer" => {
            let kinds = &schema["items"]["oneOf"];
            assert_eq!((&kinds[0]["type"], &kinds[1]["type"]), (&json!("string"), &json!("integer")), "{at}");
            schema
        }
        "array of" => {
            assert_eq!(schema["type"], "array", "{at}");
            &schema["items"]
        }
        other => panic!("{other} is new in documented.json"),
    };
    // A comma may also stand in the explanation of a type.
    for member in members.into_iter().flat_map(|members| members.split(", ")) {
        if let Some((name, wanted)) = member.split_once(": ") {
            assert_member(document, &format!("{at}.{name}"), schema, name, wanted);
        }
    }
}

#[tokio::test]
async fn the_interactive_page_comes_from_this_server_alone() {
    let app = App::start(Engine::Sqlite, |_| {}).await;
    for path in ["/docs", "/"] {
        let answer = app.anonymous().get(path).await;
        assert_eq!((answer.status, answer.header("location")), (307, Some("/docs/")), "{path}");
    }
    let page = app.anonymous().get("/docs/").await.assert_status(200);
    assert_eq!(page.header("content-type").map(|it| it.starts_with("text/html")), Some(true));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("script-src 'self';") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!page.text().contains("http://") && !page.text().contains("https://"), "{}", page.text());
    for name in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js"] {
        let asset = app.anonymous().get(&format!("/docs/{name}")).await.assert_status(200);
        assert!(!asset.body.is_empty(), "{name}");
    }
    let settings = app.anonymous().get("/docs/swagger-initializer.js").await.text();
    assert!(
        settings.contains("/openapi.json") && settings.contains("\"validatorUrl\": \"none\""),
        "{settings}"
    );
    app.anonymous().get("/docs/nothing.js").await.assert_error(404, "not_found");
    app.anonymous().get("/docs/..%2f..%2fetc/passwd").await.assert_error(404, "not_found");
}
