//! What of a refused value may be shown again.

use serde_json::Value;

/// Bytes of JSON that a violation repeats at most; a longer string is cut, anything else that is longer is left out.
const ECHO_LIMIT: usize = 512;

/// Words that give a secret away wherever they appear in a name.
const SECRET: &[&str] = &["passw", "passphrase", "secret", "token", "credential"];
/// Words that give a secret away when they stand alone: a `code`, but no `decoder`.
const SECRET_WORDS: &[&str] =
    &["key", "keys", "code", "codes", "pin", "otp", "pwd", "pass", "cookie", "authorization"];

/// Whether a member or parameter of this name holds a secret: `password`, `refresh_token`, `apiKey`, `recovery-codes`.
pub(super) fn is_secret_name(name: &str) -> bool {
    let lower = name.to_lowercase();
    SECRET.iter().any(|word| lower.contains(word))
        || lower.ends_with("key")
        || words(name).any(|word| SECRET_WORDS.contains(&word.to_lowercase().as_str()))
}

/// The words of a snake_case, kebab-case or camelCase name.
fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_alphanumeric()).flat_map(|part| {
        let mut starts: Vec<usize> = part
            .char_indices()
            .zip(part.chars().skip(1))
            .filter(|((_, before), after)| before.is_lowercase() && after.is_uppercase())
            .map(|((at, before), _)| at + before.len_utf8())
            .collect();
        starts.push(part.len());
        let mut from = 0;
        starts.into_iter().map(move |to| &part[std::mem::replace(&mut from, to)..to])
    })
}

/// The `input` of a violation: the value, unless it shows a secret or is too long to repeat.
pub(super) fn echo(value: &Value, hidden: bool) -> Value {
    if hidden || shows_secret(value) {
        return Value::Null;
    }
    match value {
        Value::String(text) if text.len() > ECHO_LIMIT => {
            let cut = text.floor_char_boundary(ECHO_LIMIT);
            Value::from(format!("{}…", &text[..cut]))
        }
        _ if size(value, ECHO_LIMIT) > ECHO_LIMIT => Value::Null,
        _ => value.clone(),
    }
}

/// Whether a member has a secret's name, or a string speaks of one (JSON encoded twice is a usual mistake).
fn shows_secret(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            members.iter().any(|(name, member)| is_secret_name(name) || shows_secret(member))
        }
        Value::Array(items) => items.iter().any(shows_secret),
        Value::String(text) => {
            let lower = text.to_lowercase();
            SECRET.iter().any(|word| lower.contains(word))
        }
        _ => false,
    }
}

/// Roughly the length as JSON; stops counting beyond `budget`.
fn size(value: &Value, budget: usize) -> usize {
    let sum = |sizes: &mut dyn Iterator<Item = usize>| {
        let mut total = 2;
        for size in sizes {
            total += size + 1;
            if total > budget {
                break;
            }
        }
        total
    };
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => sum(&mut items.iter().map(|item| size(item, budget))),
        Value::Object(members) => {
            sum(&mut members.iter().map(|(name, member)| name.len() + 3 + size(member, budget)))
        }
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_of_secrets_are_recognised() {
        for name in [
            "password",
            "newPassword",
            "refresh_token",
            "accessTokens",
            "client-secret",
            "apiKey",
            "apikey",
            "private_key",
            "KEY",
            "totp_code",
            "recoveryCodes",
            "passphrase",
            "pin",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["email", "full_name", "keyboard", "decoder", "monkeys", "pinned", "", "é", "pHone"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn echoes_are_short_and_free_of_secrets() {
        assert_eq!(echo(&json!({"a": [1]}), false), json!({"a": [1]}));
        assert_eq!(echo(&json!("x"), true), Value::Null);
        assert_eq!(echo(&json!({"a": [{"token": "x"}]}), false), Value::Null);
        assert_eq!(echo(&json!("{\"password\":\"x\"}"), false), Value::Null);
        assert_eq!(echo(&json!(vec!["é"; 1000]), false), Value::Null);
        let cut = echo(&json!("é".repeat(1000)), false);
        assert!(cut.as_str().unwrap().len() <= ECHO_LIMIT + '…'.len_utf8());
    }
}
