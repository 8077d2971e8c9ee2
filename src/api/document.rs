//! `openapi.yaml`: made from the endpoint definitions, committed, reviewed, and served as committed.

use serde_json::{Value, json};

/// The committed document, served as it is.
pub const YAML: &str = include_str!("../../openapi.yaml");

pub(super) const DESCRIPTION: &str = "\
Accounts, stored credentials of third parties and identity checks for an application.

Errors are problem documents (RFC 9457) with a stable `error` code; mistakes in a request are listed all at once in a 422. \
Send access tokens as `Authorization: Bearer …`; by default they live 15 minutes, and are renewed with the refresh token.";

/// The document as the code defines it.
#[must_use]
pub fn generate() -> Value {
    let mut document: Value =
        serde_json::from_str(&super::service().spec()).expect("poem-openapi writes JSON");
    // The corrections of 3.0.3 say what `nullable` means.
    document["openapi"] = "3.0.3".into();
    spell_as_published(&mut document);
    list_null_as_choice(&mut document);
    drop_echoes(&mut document);
    describe_answers(&mut document);
    allow_anonymous(&mut document);
    show_examples(&mut document);
    document
}

/// Paths that are published with a slash at their end, which the library takes away. Both spellings answer.
pub const WITH_SLASH: [&str; 2] = ["/api/v1/api-keys", "/api/kyc"];

fn spell_as_published(document: &mut Value) {
    let Some(paths) = document["paths"].as_object_mut() else { return };
    let spelt = |path: String| if WITH_SLASH.contains(&path.as_str()) { format!("{path}/") } else { path };
    *paths = std::mem::take(paths).into_iter().map(|(path, operations)| (spelt(path), operations)).collect();
}

/// Examples that types can't give: of bodies with a secret, which is never written, and of parameters.
fn show_examples(document: &mut Value) {
    let ticket = "5gCnXkq3lS7vR0tZ5gCnXkq3lS7vR0tZ5gCnXkq3lS7";
    let mut passkey = document["components"]["schemas"]["PasskeyAssertion"]["example"].clone();
    passkey["ticket"] = ticket.into();
    passkey["remember_device"] = false.into();
    let api_key = json!({
        "provider": "binance",
        "name": "Savings",
        "api_key": "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",
        "secret": "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j",
        "environment": "live",
        "labels": ["team: research"],
        "test": true,
    });
    for (schema, example) in [
        (
            "MfaVerification",
            json!({ "ticket": ticket, "method": "totp", "code": "081 804", "remember_device": false }),
        ),
        ("PasskeyVerification", passkey),
        ("StepUpRequest", json!({ "method": "totp", "secret": "081 804" })),
        ("PasswordReset", json!({ "token": ticket, "new_password": "correct horse battery staple" })),
        ("EmailChangeToken", json!({ "token": ticket })),
        ("NewApiKey", api_key),
        ("ApiKeyChange", json!({ "name": "Trading", "labels": ["team: research"] })),
    ] {
        document["components"]["schemas"][schema]["example"] = example;
    }
    for operation in operations(document) {
        if operation["operationId"].as_str().is_some_and(|id| id.ends_with("webhook")) {
            operation["requestBody"]["content"]["application/json"]["example"] =
                json!({ "type": "verification.updated", "data": { "id": "8fJ2", "status": "approved" } });
            operation["responses"]["200"]["content"]["application/json"]["example"] = Value::Null;
        }
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            if parameter["schema"]["format"] == "uuid" {
                parameter["example"] = super::auth::EXAMPLE_ID.into();
            } else if parameter["schema"]["type"] == "boolean" {
                parameter["example"] = true.into();
            } else if parameter["name"] == "status" {
                parameter["example"] = "working".into();
            } else if parameter["name"] == "state" {
                parameter["example"] = "active".into();
            } else if parameter["name"] == "role" {
                parameter["example"] = "operator".into();
            } else if parameter["name"] == "verification_status" {
                parameter["example"] = "in_review".into();
            } else if parameter["name"] == "limit" {
                parameter["example"] = 20.into();
            }
        }
    }
}

/// The document in YAML, as it is committed.
#[must_use]
pub fn generate_yaml() -> String {
    let yaml = serde_norway::to_string(&generate()).expect("JSON can be written as YAML");
    // Readers of YAML 1.1, which some generators have, take these words for truth values unless they are quoted.
    let truth = regex::Regex::new("(?m)^( *(?:- |[a-z_]+: ))(y|yes|n|no|on|off)$").expect("a valid pattern");
    truth.replace_all(&yaml, "${1}'${2}'").into_owned()
}

/// Null is one of the values of an `enum` only if it is listed (OpenAPI 3.0.3).
fn list_null_as_choice(document: &mut Value) {
    let schemas =
        document["components"]["schemas"].as_object_mut().into_iter().flat_map(|all| all.values_mut());
    let members = schemas.filter_map(|schema| schema.get_mut("properties")?.as_object_mut());
    for member in members.flat_map(|all| all.values_mut()).filter_map(Value::as_object_mut) {
        if member.contains_key("nullable")
            && let Some(Value::Array(choices)) = member.get_mut("enum")
        {
            choices.push(Value::Null);
        }
    }
}

/// What is said of a reference stands beside its `allOf`. The library says it within once more, as a schema without a type,
/// and there generators stop.
fn drop_echoes(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(drop_echoes),
        Value::Object(members) => {
            if members.contains_key("allOf") {
                let beside = members.clone();
                let said = |part: &Value| {
                    part.as_object()
                        .is_some_and(|part| part.iter().all(|(name, text)| beside.get(name) == Some(text)))
                };
                if let Some(Value::Array(parts)) = members.get_mut("allOf") {
                    parts.retain(|part| !said(part));
                }
            }
            members.values_mut().for_each(drop_echoes);
        }
        _ => {}
    }
}

/// A successful answer is described by what it holds.
fn describe_answers(document: &mut Value) {
    let schemas = document["components"]["schemas"].clone();
    for operation in operations(document) {
        for answer in operation["responses"].as_object_mut().into_iter().flat_map(|all| all.values_mut()) {
            if answer["description"] == "" {
                let schema = &answer["content"]["application/json"]["schema"];
                let name =
                    schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
                answer["description"] = schemas[name]["description"].as_str().unwrap_or("Done").into();
            }
        }
    }
}

/// Operations without a security scheme say so; some linters and generators take silence for an omission.
fn allow_anonymous(document: &mut Value) {
    for operation in operations(document).filter_map(Value::as_object_mut) {
        operation.entry("security").or_insert_with(|| Value::Array(vec![]));
    }
}

/// Path templates by operation id.
#[must_use]
pub fn routes() -> std::collections::HashMap<String, String> {
    let document = generate();
    let paths = document["paths"].as_object().into_iter().flatten();
    let operations = paths.flat_map(|(path, methods)| {
        let ids =
            methods.as_object().into_iter().flatten().filter_map(|(_, one)| one["operationId"].as_str());
        ids.map(|id| (id.to_owned(), path.clone()))
    });
    operations.collect()
}

fn operations(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    paths.filter_map(Value::as_object_mut).flat_map(|path| path.values_mut())
}
