//! The signing vectors of `tests/vectors/signing.json`, each with its source.

use serde_json::Value;

/// The vector of this id.
pub fn vector(id: &str) -> Value {
    let file: Value =
        serde_json::from_str(include_str!("../../../tests/vectors/signing.json")).expect("JSON");
    let found = file["vectors"].as_array().into_iter().flatten().find(|vector| vector["id"] == id);
    found.unwrap_or_else(|| panic!("there is no vector {id}")).clone()
}
