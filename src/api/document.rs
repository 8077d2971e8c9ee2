//! `openapi.yaml`: made from the endpoint definitions, committed, reviewed, and served as committed.

use serde_json::Value;

/// The committed document, served as it is.
pub const YAML: &str = include_str!("../../openapi.yaml");

pub(super) const DESCRIPTION: &str = "\
Accounts, sessions and confirmed addresses for an application.

Errors are problem documents (RFC 9457) with a stable `error` code; mistakes in a request are listed all at once in a 422. \
Send access tokens as `Authorization: Bearer …`; they live 15 minutes and are refreshed with the refresh token.";

/// The document as the code defines it.
#[must_use]
pub fn generate() -> Value {
    let mut document: Value =
        serde_json::from_str(&super::service().spec()).expect("poem-openapi writes JSON");
    allow_anonymous(&mut document);
    document
}

/// The document in YAML, as it is committed.
#[must_use]
pub fn generate_yaml() -> String {
    serde_norway::to_string(&generate()).expect("JSON can be written as YAML")
}

/// Operations without a security scheme say so; some linters and generators take silence for an omission.
fn allow_anonymous(document: &mut Value) {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    for operation in paths.filter_map(Value::as_object_mut).flat_map(|path| path.values_mut()) {
        if let Some(operation) =
            operation.as_object_mut().filter(|operation| !operation.contains_key("security"))
        {
            operation.insert("security".into(), Value::Array(vec![]));
        }
    }
}
