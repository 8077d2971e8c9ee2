//! What providers read from webhooks and answers.

use entities::Timestamp;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::Url;

use super::{Failure, Session, Unreadable};
use crate::outbound::Answer;
use crate::secret::Secret;

/// An id or a name: a text of printable characters that is neither empty nor longer than any vendor's.
pub fn id(value: &Value) -> Option<String> {
    const LONGEST: usize = 512;
    let text = value.as_str().filter(|text| !text.is_empty() && text.len() <= LONGEST)?;
    (!text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// The id of something in a webhook that says nothing without it.
pub fn needed(value: &Value, name: &'static str) -> Result<String, Unreadable> {
    id(value).ok_or(Unreadable(name))
}

/// The same in an answer.
pub fn answered(value: &Value, name: &'static str) -> Result<String, Failure> {
    id(value).ok_or(Failure::Malformed(name))
}

/// The text, or nothing of any length.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What an SDK is begun with.
pub fn token(value: &Value) -> Option<Secret> {
    value.as_str().filter(|text| !text.is_empty()).map(|text| Secret::new(text.to_owned()))
}

/// A page for a browser.
pub fn page(value: &Value) -> Option<Url> {
    Url::parse(value.as_str()?).ok().filter(|url| ["https", "http"].contains(&url.scheme()))
}

/// A key made of what tells an event apart, for vendors that don't number theirs.
pub fn key_of(parts: &[&str]) -> String {
    hex::encode(Sha256::digest(parts.join("|")))
}

/// Milliseconds since the Unix epoch, of a time such as `2026-11-27T09:08:57.715Z`.
pub fn instant(value: &Value) -> Option<i64> {
    millis(OffsetDateTime::parse(value.as_str()?, &Rfc3339).ok()?)
}

pub fn millis(at: OffsetDateTime) -> Option<i64> {
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

/// The same, of a whole number of seconds.
pub fn seconds(value: &Value) -> Option<i64> {
    value.as_i64()?.checked_mul(1000)
}

/// That an answer is about the verification that was asked for, which is the one of that person.
pub fn confirm(session: &Session, reference: &Value, external_id: &Value) -> Result<(), Failure> {
    let same = text(reference) == session.reference;
    let ours = external_id.is_null() || text(external_id) == session.external_id;
    (same && ours).then_some(()).ok_or(Failure::Malformed("the verification that was asked for"))
}

/// The code of errors such as `{"code": …}`.
pub fn code(answer: &Answer) -> Option<String> {
    code_at(answer, "/code")
}

/// A code that stands elsewhere, as a text or a number.
pub fn code_at(answer: &Answer, pointer: &str) -> Option<String> {
    match answer.json().pointer(pointer)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A time of ours in seconds, as requests and headers have it.
pub fn written(now: Timestamp) -> String {
    now.seconds().to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_are_bounded_and_printable() {
        assert_eq!(id(&json!("inq_1")).as_deref(), Some("inq_1"));
        for value in [json!(""), json!(1), json!(null), json!("a\nb"), json!("a".repeat(513)), json!(["a"])] {
            assert_eq!(id(&value), None, "{value}");
        }
    }

    #[test]
    fn only_browsers_pages_are_pages() {
        assert!(page(&json!("https://verify.example/a")).is_some());
        for text in ["javascript:alert(1)", "data:text/html,x", "/a", ""] {
            assert_eq!(page(&json!(text)), None, "{text}");
        }
    }

    #[test]
    fn times_are_read() {
        assert_eq!(instant(&json!("1970-01-01T00:00:01.234Z")), Some(1234));
        assert_eq!(instant(&json!("1970-01-01T01:00:00+01:00")), Some(0));
        assert_eq!(instant(&json!("yesterday")), None);
        assert_eq!(seconds(&json!(2)), Some(2000));
        assert_eq!(seconds(&json!(i64::MAX)), None);
        assert_eq!(seconds(&json!("2")), None);
    }

    #[test]
    fn another_ones_verification_confirms_nothing() {
        let session = Session { reference: "a".into(), handle: None, external_id: "ours".into() };
        assert_eq!(confirm(&session, &json!("a"), &json!("ours")), Ok(()));
        assert_eq!(confirm(&session, &json!("a"), &json!(null)), Ok(()));
        for (reference, external_id) in
            [(json!("b"), json!("ours")), (json!("a"), json!("theirs")), (json!(null), json!("ours"))]
        {
            assert!(confirm(&session, &reference, &external_id).is_err(), "{reference} {external_id}");
        }
    }
}
