//! The webhook vectors of `tests/vectors/webhooks.json`, each with its source.

use serde_json::Value;

/// The vector of this id.
pub fn vector(id: &str) -> Value {
    let file: Value =
        serde_json::from_str(include_str!("../../../tests/vectors/webhooks.json")).expect("JSON");
    let found = file["vectors"].as_array().into_iter().flatten().find(|vector| vector["id"] == id);
    found.unwrap_or_else(|| panic!("there is no vector {id}")).clone()
}

/// A text of a vector.
pub fn input<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector["input"][name].as_str().unwrap_or_else(|| panic!("there is no input {name}"))
}
