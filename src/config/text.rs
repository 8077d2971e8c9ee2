//! What the environment has as text, where a file has a list, a number or a flag.

use serde::de::value::StringDeserializer;
use serde::de::{DeserializeOwned, Error, IntoDeserializer};
use serde::{Deserialize, Deserializer};

use super::Secret;

/// A list, or a text with commas.
pub fn one_or_more<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form<T> {
        List(Vec<T>),
        Text(Secret),
    }
    match Form::deserialize(deserializer)? {
        Form::List(list) => Ok(list),
        Form::Text(text) => {
            let parts = text.expose().split(',').map(str::trim).filter(|part| !part.is_empty());
            let read = |part: &str| {
                let part: StringDeserializer<D::Error> = part.to_owned().into_deserializer();
                T::deserialize(part)
            };
            parts.map(read).collect()
        }
    }
}

/// A list of numbers, each perhaps as a text.
pub fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u16>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Number(u16),
        Text(String),
    }
    let expected = || D::Error::custom("expected numbers up to 65535");
    let list = Vec::<Form>::deserialize(deserializer).map_err(|_| expected())?;
    let read = |form| match form {
        Form::Number(number) => Ok(number),
        Form::Text(text) => text.parse().map_err(|_| expected()),
    };
    list.into_iter().map(read).collect()
}

/// `true` or `false`, perhaps as a text.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Flag(bool),
        Text(String),
    }
    match Form::deserialize(deserializer)? {
        Form::Flag(flag) => Ok(flag),
        Form::Text(text) => text.parse().map_err(|_| D::Error::custom("expected true or false")),
    }
}
