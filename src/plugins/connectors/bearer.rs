//! What connectors share whose credential is one token, sent in `Authorization` (RFC 6750).

use serde_json::Value;

use super::answers::text;
use super::fields::API_KEY;
use super::{Answer, Credential, Field, Kind, Mistake, Request};

/// The token is the credential, so it is hidden as a secret is.
pub const TOKEN: Field = Field { title: "API key", kind: Kind::Secret, ..API_KEY };

#[must_use]
pub fn bearing(request: Request, credential: &Credential) -> Request {
    request.header("Authorization", format!("Bearer {}", credential.api_key.expose()))
}

/// What is wrong with the letters of the token.
#[must_use]
pub fn token_mistakes(credential: &Credential) -> Vec<Mistake> {
    credential.strange_letters().into_iter().filter(|mistake| mistake.field == "api_key").collect()
}

/// Code, or else type, and message of `{"error": {…}}`.
#[must_use]
pub fn error_of(answer: &Answer) -> (String, String) {
    let error = match answer.json() {
        Value::Object(mut json) => json.remove("error").unwrap_or_default(),
        _ => Value::Null,
    };
    let code = if error["code"].is_null() { &error["type"] } else { &error["code"] };
    (text(code), text(&error["message"]))
}
