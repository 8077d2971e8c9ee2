//! The languages that people are written to in.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumIter, EnumString, IntoStaticStr};

/// Ranges of `Accept-Language` that are looked at. Browsers send a handful; the rest of a longer list is not read.
const RANGES: usize = 32;

/// A language that there are texts in. Its text is the BCP 47 tag.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[derive(Display, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Locale {
    #[default]
    En,
    De,
}

impl Locale {
    /// The language that a client asks for: the lookup of RFC 4647 (3.4) in the order of RFC 9110 (12.5.4). `None` when
    /// none of ours is among them. By hand, because the parsers at hand ignore weights or sort by a `NaN`.
    #[must_use]
    pub fn negotiate(accept_language: &str) -> Option<Self> {
        let mut ranges: Vec<(&str, u16)> =
            accept_language.split(',').take(RANGES).filter_map(weighted).collect();
        // Stable: of equal weights, the first one.
        ranges.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
        let refused: Vec<Self> =
            ranges.iter().filter(|(_, weight)| *weight == 0).filter_map(|(range, _)| lookup(range)).collect();
        ranges.iter().filter(|(_, weight)| *weight > 0).find_map(|(range, _)| {
            let found = if *range == "*" { Some(Self::default()) } else { lookup(range) };
            found.filter(|locale| !refused.contains(locale))
        })
    }
}

/// All our languages are without a region, so that cutting a range from its end comes down to its first subtag.
fn lookup(range: &str) -> Option<Locale> {
    let language = range.split('-').next()?;
    language.to_ascii_lowercase().parse().ok()
}

/// A range and its weight in thousandths; nothing, if the weight is not one.
fn weighted(entry: &str) -> Option<(&str, u16)> {
    let (range, weight) = match entry.split_once(';') {
        None => (entry, 1000),
        Some((range, parameter)) => {
            let (name, value) = parameter.split_once('=')?;
            (
                range,
                if name.trim().eq_ignore_ascii_case("q") { thousandths(value.trim())? } else { return None },
            )
        }
    };
    Some((range.trim(), weight))
}

/// `0`, `0.5`, `1.000`: at most three digits behind the point, at most one in all.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    if !matches!(whole, "0" | "1") || fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value: u16 = format!("{whole}{fraction:0<3}").parse().ok()?;
    (value <= 1000).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::Locale::{self, De, En};

    #[test]
    fn the_language_that_a_client_asks_for_most_is_found() {
        for (header, expected) in [
            ("de", Some(De)),
            ("DE-at", Some(De)),
            ("de-Latn-DE-1996", Some(De)),
            ("de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7", Some(De)),
            ("en-GB, de;q=0.9", Some(En)),
            ("en;q=0.8, de;q=0.9", Some(De)),
            ("en;q=0.8,de;q=0.80", Some(En)),
            ("fr-CH, fr;q=0.9, de;q=0.7, *;q=0.5", Some(De)),
            ("fr, *;q=0.1", Some(En)),
            ("*", Some(En)),
            ("de ; q = 1.000", Some(De)),
            ("de;Q=0.001", Some(De)),
            ("fr", None),
            ("", None),
            (",,;", None),
            ("deu, x-de, german", None),
        ] {
            assert_eq!(Locale::negotiate(header), expected, "{header:?}");
        }
    }

    #[test]
    fn a_refused_language_is_not_taken() {
        assert_eq!(Locale::negotiate("de;q=0"), None);
        assert_eq!(Locale::negotiate("de;q=0.000, en;q=0.1"), Some(En));
        assert_eq!(Locale::negotiate("de;q=0, *"), Some(En));
        assert_eq!(Locale::negotiate("*;q=0"), None);
    }

    #[test]
    fn what_is_no_weight_does_not_count() {
        for weight in ["NaN", "inf", "-1", "2", "1.001", "0.1234", "0,5", ".5", "", "0.x", "1e0"] {
            assert_eq!(Locale::negotiate(&format!("de;q={weight}, en;q=0.1")), Some(En), "{weight}");
        }
        assert_eq!(Locale::negotiate("de;level=1, en;q=0.1"), Some(En));
    }

    #[test]
    fn a_long_list_is_not_read_to_its_end() {
        assert_eq!(Locale::negotiate(&("fr,".repeat(super::RANGES - 1) + "de")), Some(De));
        assert_eq!(Locale::negotiate(&("fr,".repeat(super::RANGES) + "de")), None);
    }

    #[test]
    fn a_locale_is_its_tag() {
        for (locale, tag) in [(En, "en"), (De, "de")] {
            assert_eq!(locale.to_string(), tag);
            assert_eq!(tag.parse::<Locale>(), Ok(locale));
            assert_eq!(serde_json::to_string(&locale).unwrap(), format!("\"{tag}\""));
        }
        assert!("fr".parse::<Locale>().is_err());
    }
}
