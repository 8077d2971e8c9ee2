//! Languages that there are texts in.

use poem_openapi::registry::MetaSchema;
use strum::IntoEnumIterator;

use super::{scalar::string_type, violation::Mistake};
use crate::locale::Locale;

/// One of the languages that mails are written in, by its BCP 47 tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Language(pub Locale);

impl Language {
    /// The tag.
    pub fn as_str(&self) -> &'static str {
        self.0.into()
    }

    // The schema has been checked: only its tags come here.
    #[expect(clippy::needless_pass_by_value, reason = "as `string_type!` calls it")]
    fn parse(text: String) -> Result<Self, Mistake> {
        text.parse().map(Self).map_err(|_| Mistake::new("enum", "Input should be a language"))
    }
}

string_type!(
    Language,
    "string_language",
    MetaSchema {
        enum_items: Locale::iter().map(|locale| Language(locale).as_str().into()).collect(),
        ..MetaSchema::new("string")
    }
);
