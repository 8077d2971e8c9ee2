//! Texts with a pattern whose length their field says. poem-openapi has `pattern` for that, but compiles it for every value.

use poem_openapi::registry::MetaSchema;

use super::scalar::{shown, string_type};
use super::violation::Mistake;

/// A type of text that is so, for those who read it as a `&str` or take it as a `String`.
macro_rules! text_type {
    ($(#[$about:meta])* $ty:ident, $name:literal, $pattern:ident = $text:literal, $is_so:expr) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub struct $ty(String);

        const $pattern: &str = $text;

        impl $ty {
            /// The text as sent.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            fn parse(text: String) -> Result<Self, Mistake> {
                let is_so: fn(&str) -> bool = $is_so;
                if is_so(&text) {
                    return Ok(Self(text));
                }
                let msg = format!("String should match pattern '{}'", $pattern);
                Err(Mistake::new("string_pattern_mismatch", msg).with("pattern", $pattern))
            }
        }

        /// Of something that was checked before it was stored.
        impl From<String> for $ty {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        /// For examples.
        impl From<&'static str> for $ty {
            fn from(text: &'static str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<$ty> for String {
            fn from(text: $ty) -> Self {
                text.0
            }
        }

        impl AsRef<str> for $ty {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        string_type!($ty, $name, MetaSchema {
            pattern: Some($pattern.to_owned()),
            ..MetaSchema::new("string")
        });
        shown!($ty);
    };
}

text_type!(
    /// What fits into a line. No control characters: PostgreSQL can't store NUL, and the others break lines in logs and mails.
    Line,
    "string_line",
    LINE = r"^[^\x00-\x1F\x7F]*$",
    |text| !text.bytes().any(|byte| byte.is_ascii_control())
);

text_type!(
    /// A method that can be signed, in capitals.
    Method,
    "string_method",
    METHOD = "^(GET|POST|PUT|PATCH|DELETE)$",
    |text| matches!(text, "GET" | "POST" | "PUT" | "PATCH" | "DELETE")
);

text_type!(
    /// A path, or with `*` at its end all that begin so.
    PathRule,
    "string_path_rule",
    PATH_RULE = r"^/[A-Za-z0-9/\-._~%!$&'()+,;=:@]*\*?$",
    |text| {
        let of_it = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()+,;=:@".contains(&byte);
        text.starts_with('/') && text.strip_suffix('*').unwrap_or(text).bytes().all(of_it)
    }
);

text_type!(
    /// A query as it is sent.
    #[derive(Default)]
    QueryText,
    "string_query",
    QUERY_TEXT = "^[!-~]*$",
    |text| text.bytes().all(|byte| byte.is_ascii_graphic())
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    proptest! {
        #[test]
        fn what_is_taken_is_what_the_pattern_says(text in r"(GET|PUT|/)?[ -~\x00\x1f\x7fäß€]{0,6}\*?\n?") {
            let agrees = |taken: bool, pattern: &str| taken == Regex::new(pattern).unwrap().is_match(&text);
            prop_assert!(agrees(Line::parse(text.clone()).is_ok(), LINE));
            prop_assert!(agrees(Method::parse(text.clone()).is_ok(), METHOD));
            prop_assert!(agrees(PathRule::parse(text.clone()).is_ok(), PATH_RULE));
            prop_assert!(agrees(QueryText::parse(text.clone()).is_ok(), QUERY_TEXT));
        }
    }
}
