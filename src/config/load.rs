//! Reads the settings and says, one line each, what is wrong with them.

use std::path::Path;

use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Map, Value};

use super::Config;

const PREFIX: &str = "LATCHKEY_";

/// One line per mistake, fit to be shown to the operator as it is.
#[derive(Debug)]
pub struct ConfigErrors(pub Vec<String>);

impl std::fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

/// Defaults < `file` < environment. `file` must exist when it was named by the operator (`required`).
pub fn load(file: &Path, required: bool) -> Result<Config, ConfigErrors> {
    if required && !file.exists() {
        return Err(ConfigErrors(vec![format!("{}: no such file", file.display())]));
    }
    let mut errors = vec![];
    let mut figment = Figment::from(Serialized::defaults(Config::default()));
    if file.exists() {
        figment = figment.merge(Toml::file_exact(file));
    }
    let figment = figment.merge(environment(&mut errors));
    if let Ok(value) = figment.extract::<Value>() {
        let mut unknown = vec![];
        // The result does not matter here: the next extraction says what is wrong and where it comes from.
        let _: Result<Config, _> = serde_ignored::deserialize(&value, |path| unknown.push(path.to_string()));
        errors.extend(unknown.iter().map(|key| format!("{key}: unknown setting{}", origin(&figment, key))));
    }
    match figment.extract::<Config>() {
        Err(error) => errors.extend(error.into_iter().map(|error| line(&error))),
        Ok(config) => {
            errors.extend(config.validate());
            if errors.is_empty() {
                return Ok(config);
            }
        }
    }
    Err(ConfigErrors(errors))
}

/// The environment's settings. `X_FILE` reads `X` from a file; setting both is a mistake.
fn environment(errors: &mut Vec<String>) -> Figment {
    let mut dict = Dict::new();
    let mut seen: Vec<String> = vec![];
    for (name, raw) in std::env::vars() {
        // LATCHKEY_CONFIG names the file itself; LATCHKEY_TEST_… belongs to the test suite.
        let Some(key) = name.strip_prefix(PREFIX).filter(|key| *key != "CONFIG" && !key.starts_with("TEST_"))
        else {
            continue;
        };
        let (key, text) = match key.strip_suffix("_FILE") {
            None => (key, raw),
            Some(key) => match std::fs::read_to_string(&raw) {
                Ok(text) => (key, text.trim_end_matches(['\r', '\n']).to_owned()),
                Err(error) => {
                    errors.push(format!("{name}: can't read {raw}: {error}"));
                    continue;
                }
            },
        };
        if seen.iter().any(|other| other == key) {
            errors.push(format!("{PREFIX}{key}: set twice, directly and through {PREFIX}{key}_FILE"));
            continue;
        }
        seen.push(key.to_owned());
        let path: Vec<String> = key.split("__").map(str::to_ascii_lowercase).collect();
        insert(&mut dict, &path, typed(&path, text));
    }
    Figment::from(Environment(dict))
}

struct Environment(Dict);

impl figment::Provider for Environment {
    fn metadata(&self) -> figment::Metadata {
        figment::Metadata::named("environment")
            .interpolater(|_, keys| format!("{PREFIX}{}", keys.join("__").to_ascii_uppercase()))
    }

    fn data(&self) -> Result<Map<figment::Profile, Dict>, figment::Error> {
        Ok(Map::from([(figment::Profile::Default, self.0.clone())]))
    }
}

/// A variable is text; what it means depends on the setting: a password may well be all digits.
fn typed(path: &[String], text: String) -> Value {
    let default = Figment::from(Serialized::defaults(Config::default())).find_value(&path.join("."));
    match default {
        Ok(Value::Bool(..) | Value::Num(..)) => text.parse().unwrap_or_else(|_| Value::from(text)),
        Ok(Value::Array(..)) => Value::from(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        ),
        _ => Value::from(text),
    }
}

fn insert(dict: &mut Dict, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] => {
            dict.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            let entry = dict.entry(key.clone()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, inner) = entry {
                insert(inner, rest, value);
            }
        }
    }
}

fn origin(figment: &Figment, key: &str) -> String {
    figment.find_metadata(key).map_or_else(String::new, |metadata| match &metadata.source {
        Some(source) => format!(" (in {source})"),
        None => {
            format!(" (in the {}: {PREFIX}{})", metadata.name, key.replace('.', "__").to_ascii_uppercase())
        }
    })
}

/// Figment's own wording names key and source; it must not repeat a value, which may be a secret.
fn line(error: &figment::Error) -> String {
    let key = error.path.join(".");
    let kind = match &error.kind {
        figment::error::Kind::InvalidType(actual, expected) => {
            format!("expected {expected}, found {}", kind_of(actual))
        }
        figment::error::Kind::InvalidValue(_, expected) => format!("expected {expected}"),
        // TOML shows the line at fault, which may hold a secret: where it is and what is wrong must do.
        other => {
            let text = other.to_string();
            text.lines().filter(|line| !line.contains('|')).collect::<Vec<_>>().join(": ")
        }
    };
    let source = error.metadata.as_ref().map_or_else(String::new, |metadata| match &metadata.source {
        Some(source) => format!(" (in {source})"),
        None => format!(" (in the {})", metadata.name),
    });
    format!("{}{kind}{source}", if key.is_empty() { String::new() } else { format!("{key}: ") })
}

fn kind_of(actual: &figment::error::Actual) -> &'static str {
    use figment::error::Actual;
    match actual {
        Actual::Bool(_) => "true or false",
        Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) => "a number",
        Actual::Str(_) | Actual::Char(_) => "text",
        Actual::Seq => "a list",
        Actual::Map => "a table",
        _ => "something else",
    }
}
