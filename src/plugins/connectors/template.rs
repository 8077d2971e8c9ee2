//! Texts with placeholders, such as `{ts}{method}{path_query}{body}`: how a generic connector says what is signed.

use std::str::FromStr as _;

use strum::EnumString;

/// What stands for a part of the request, of the credential or of the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Placeholder {
    Ts,
    Nonce,
    Method,
    Path,
    Query,
    /// With the `?` between them, where there is a query.
    PathQuery,
    Body,
    BodyHash,
    ApiKey,
    Passphrase,
    RecvWindow,
    Signature,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Placeholder),
}

impl Template {
    /// The error is a sentence without the full stop. A line break may be written as `\n`, since forms have one line.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const BRACE: &str = "Each brace must be that of a placeholder, such as {ts}";
        const UNKNOWN: &str = "A placeholder is unknown. There are {ts}, {nonce}, {method}, {path}, \
            {query}, {path_query}, {body}, {body_hash}, {api_key}, {passphrase}, {recv_window} and \
            {signature}";
        const CONTROL: &str = "There must be no control characters but line breaks";
        let text = text.replace("\\n", "\n");
        if text.chars().any(|letter| letter.is_control() && letter != '\n') {
            return Err(CONTROL);
        }
        let mut parts = vec![];
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let (name, next) = after.split_once('}').ok_or(BRACE)?;
            if before.contains('}') || name.contains('{') {
                return Err(BRACE);
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Value(Placeholder::from_str(name).map_err(|_| UNKNOWN)?));
            rest = next;
        }
        if rest.contains('}') {
            return Err(BRACE);
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    pub fn has(&self, placeholder: Placeholder) -> bool {
        self.0.contains(&Part::Value(placeholder))
    }

    pub fn has_line_break(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Text(text) if text.contains('\n')))
    }

    pub fn fill<'a>(&'a self, value: impl Fn(Placeholder) -> &'a str) -> String {
        self.0
            .iter()
            .map(|part| match part {
                Part::Text(text) => text,
                Part::Value(placeholder) => value(*placeholder),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_once() {
        let template = Template::parse(r"a{ts}\n{path_query}").expect("a template");
        assert!(template.has(Placeholder::Ts) && !template.has(Placeholder::Body));
        let filled = template.fill(|placeholder| if placeholder == Placeholder::Ts { "{path}" } else { "/" });
        assert_eq!(filled, "a{path}\n/");
        assert_eq!(Template::parse("").expect("a template").fill(|_| "x"), "");
    }

    #[test]
    fn what_is_no_placeholder_is_a_mistake() {
        for text in ["{secret}", "{}", "{ts", "ts}", "{{ts}}", "a}b{ts}", "{ ts }", "a\tb", "a\rb"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
