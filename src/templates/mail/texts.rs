//! The texts in one language, with what they mention filled in.

use std::sync::LazyLock;

use fluent_bundle::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};
use time::OffsetDateTime;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::locale::Locale;

pub(super) const EN: &str = include_str!("../locales/en.ftl");
pub(super) const DE: &str = include_str!("../locales/de.ftl");

/// Longer values are cut: names are for people to recognise a thing by.
const VALUE_MAX: usize = 200;

type Bundle = FluentBundle<FluentResource>;

fn bundle(locale: Locale) -> &'static Bundle {
    static ENGLISH: LazyLock<Bundle> = LazyLock::new(|| parse(Locale::En, EN));
    static GERMAN: LazyLock<Bundle> = LazyLock::new(|| parse(Locale::De, DE));
    match locale {
        Locale::En => &ENGLISH,
        Locale::De => &GERMAN,
    }
}

fn parse(locale: Locale, source: &str) -> Bundle {
    let tag = locale.to_string().parse().expect("our tags are languages");
    let mut bundle = Bundle::new_concurrent(vec![tag]);
    // Both languages run in one direction, and mail programs show the isolating characters as boxes.
    bundle.set_use_isolating(false);
    let texts = FluentResource::try_new(source.to_owned()).map_err(|(_, errors)| errors);
    bundle.add_resource(texts.expect("the tests read the same file")).expect("no text is there twice");
    bundle
}

/// Texts that mention the same things.
pub(super) struct Texts<'a> {
    bundle: &'static Bundle,
    values: FluentArgs<'a>,
}

impl<'a> Texts<'a> {
    pub(super) fn new(locale: Locale) -> Self {
        Self { bundle: bundle(locale), values: FluentArgs::new() }
    }

    /// What `{ $name }` stands for.
    pub(super) fn set(&mut self, name: &'a str, value: &str) {
        self.values.set(name, tame(value));
    }

    /// What `{ $name }` stands for; texts choose by it between singular and plural.
    pub(super) fn count(&mut self, name: &'a str, value: impl Into<FluentValue<'a>>) {
        self.values.set(name, value);
    }

    /// The part (an attribute) of a text, if it has it.
    pub(super) fn part(&self, id: &str, part: &str) -> Option<String> {
        let pattern = self.bundle.get_message(id)?.get_attribute(part)?.value();
        let mut errors = vec![];
        let text = self.bundle.format_pattern(pattern, Some(&self.values), &mut errors);
        debug_assert!(errors.is_empty(), "{id}.{part}: {errors:?}");
        Some(text.into_owned())
    }

    /// A part that the tests find in every language.
    pub(super) fn shared(&self, id: &str, part: &str) -> String {
        self.part(id, part).unwrap_or_default()
    }

    /// A lifetime in the largest unit that divides it: "24 hours", "1 hour", "90 minutes".
    pub(super) fn lifetime(&self, seconds: u64) -> String {
        let (count, unit) = match seconds {
            s if s >= 2 * 86_400 && s.is_multiple_of(86_400) => (s / 86_400, "days"),
            s if s >= 3600 && s.is_multiple_of(3600) => (s / 3600, "hours"),
            s if s >= 60 => (s / 60, "minutes"),
            s => (s, "seconds"),
        };
        let mut texts = Self { bundle: self.bundle, values: FluentArgs::new() };
        texts.count("count", count);
        texts.shared("lifetime", unit)
    }

    /// "23 November 2026 at 21:20 UTC".
    pub(super) fn moment(&self, unix_seconds: i64) -> String {
        let moment = OffsetDateTime::from_unix_timestamp(unix_seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let mut texts = Self { bundle: self.bundle, values: FluentArgs::new() };
        texts.count("month", u8::from(moment.month()));
        texts.set("day", &moment.day().to_string());
        texts.set("year", &moment.year().to_string());
        texts.set("time", &format!("{:02}:{:02}", moment.hour(), moment.minute()));
        texts.shared("moment", "text")
    }
}

/// A value as part of one line of text: without characters that end the line, hide, or turn its direction around.
pub(super) fn tame(value: &str) -> String {
    let visible = |c: &char| c.general_category_group() != GeneralCategoryGroup::Other;
    let value = value.replace(char::is_whitespace, " ");
    value.chars().filter(visible).take(VALUE_MAX).collect()
}
