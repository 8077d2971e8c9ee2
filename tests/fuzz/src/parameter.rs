//! Texts of requests: cursors, numbers, links, names. What the document says of a type is what the type takes.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use latchkey::api::payload::{
    Base64Url, Cursor, HttpsUrl, IdempotencyKey, Label, Language, Level, Name, Phone, Token, Word,
};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseFromJSON, ParseFromParameter, ToJSON};
use regex::Regex;
use serde_json::Value;

use crate::input::{Input, seed};

static PATTERNS: LazyLock<Mutex<HashMap<String, Regex>>> = LazyLock::new(Mutex::default);

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let kind: u8 = input.take();
    if kind % 12 == 11 {
        let (at, id): (i64, u128) = input.take();
        let cursor = Cursor { at: entities::Timestamp(at), id: uuid::Uuid::from_u128(id) };
        assert_eq!(Cursor::parse_from_parameter(&cursor.encode()).ok(), Some(cursor));
        return;
    }
    let text = String::from_utf8_lossy(input.rest());
    let text = &*text;
    match kind % 12 {
        0 => {
            let read = both::<Cursor>(text, true);
            assert!(read.is_none_or(|cursor| cursor.encode() == text), "two spellings of a cursor");
        }
        1 => kept(text, both::<Phone>(text, true)),
        2 => kept(text, both::<Word>(text, true)),
        3 => kept(text, both::<Name>(text, true)),
        4 => kept(text, both::<Level>(text, true)),
        5 => kept(text, both::<Label>(text, true)),
        6 => kept(text, both::<HttpsUrl>(text, false)),
        7 => drop(both::<IdempotencyKey>(text, true)),
        8 => drop(both::<Token>(text, true)),
        9 => drop(both::<Language>(text, false)),
        _ => {
            let read = documented::<Base64Url<86>>(text, true);
            // The last bits, which stand for nothing, are written as zeros.
            let shown = read.and_then(|read| read.to_json());
            let shown = shown.as_ref().and_then(Value::as_str);
            assert!(shown.is_none_or(|shown| shown.len() == text.len() && shown[..shown.len() - 1] == text[..text.len() - 1]));
        }
    }
}

/// In the query and in a body, a text is the same.
fn both<T: ParseFromJSON + ParseFromParameter>(text: &str, whole: bool) -> Option<T> {
    let read = documented::<T>(text, whole);
    assert_eq!(T::parse_from_parameter(text).is_ok(), read.is_some(), "{} {text:?}", T::name());
    read
}

/// Nothing is taken that the document does not allow, and all that it does where its rules are the whole of them.
fn documented<T: ParseFromJSON>(text: &str, whole: bool) -> Option<T> {
    let read = T::parse_from_json(Some(text.into())).ok();
    let MetaSchemaRef::Inline(schema) = T::schema_ref() else { return read };
    let allowed = allows(&schema, text);
    assert!(allowed || read.is_none(), "{} takes {text:?}", T::name());
    assert!(!whole || !allowed || read.is_some(), "{} refuses {text:?}", T::name());
    read
}

fn allows(schema: &MetaSchema, text: &str) -> bool {
    let length = text.chars().count();
    let matches = |pattern: &String| {
        // Compiling takes longer than all the rest.
        let mut known = PATTERNS.lock().unwrap_or_else(PoisonError::into_inner);
        let compiled = known.entry(pattern.clone()).or_insert_with(|| Regex::new(pattern).expect("a pattern"));
        compiled.is_match(text)
    };
    schema.min_length.is_none_or(|least| length >= least)
        && schema.max_length.is_none_or(|most| length <= most)
        && schema.pattern.as_ref().is_none_or(matches)
        && (schema.enum_items.is_empty() || schema.enum_items.contains(&text.into()))
}

/// What is read is shown as it was sent.
fn kept<T: ToJSON>(text: &str, read: Option<T>) {
    assert!(read.is_none_or(|read| read.to_json() == Some(text.into())), "{} changes {text:?}", T::name());
}

pub fn seeds() -> Vec<Vec<u8>> {
    [
        (0, "AAABog6Bg4ABk49uK3p8PZ8QWkvhwtPk"),
        (0, "AAABog6Bg4ABk49uK3p8PZ8QWkvhwtPk="),
        (1, "+4930123456"),
        (1, "+0930123456"),
        (2, "hybrid"),
        (3, "generic_hmac"),
        (4, "id-and-liveness"),
        (5, "Main account"),
        (6, "https://example.com/ada.png?size=1#a"),
        (6, "https:example.com"),
        (6, " https://example.com"),
        (7, "0192f0c1-2a3b-7c4d-8e5f-60718293a4b5"),
        (8, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),
        (9, "de"),
        (10, "aGVsbG8gd29ybGQ"),
        (10, "aGVsbG8gd29ybGR"),
        (11, "123456781234567812345678"),
    ]
    .map(|(kind, text)| seed(&[kind], &[text.as_bytes()]))
    .into()
}
