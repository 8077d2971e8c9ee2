//! E-mail addresses, accepted and explained as by Python's email-validator (which Pydantic uses), without asking the DNS.
//!
//! Refused beyond it: display names, and local parts of more than 64 octets (RFC 5321, section 4.5.3.1.1), which mail
//! servers need not take. Domains that pass UTS #46 and hold letters, marks and digits only are taken for IDNA 2008.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use lettre::Address;
use poem_openapi::registry::MetaSchema;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use super::{scalar::string_type, violation::Mistake};

/// The longest address, in octets (RFC 3696, erratum 1690).
const MAX_LENGTH: usize = 254;
/// The longest local part, in octets (RFC 5321, section 4.5.3.1.1).
const MAX_LOCAL: usize = 64;
/// The longest domain and the longest part between two periods, in octets (RFC 1035, section 2.3.1).
const MAX_DOMAIN: usize = 253;
const MAX_LABEL: usize = 63;

/// Names that lead to no mailbox (IANA, Special-Use Domain Names).
const SPECIAL_USE: &[&str] = &["arpa", "invalid", "local", "localhost", "onion", "test"];
/// Not letters, and yet IDNA 2008 permits them (RFC 5892, section 2.6 and appendix A).
const IDNA_EXCEPTIONS: &[char] =
    &['-', '.', '\u{B7}', '\u{375}', '\u{5F3}', '\u{5F4}', '\u{200C}', '\u{200D}', '\u{30FB}'];

/// An e-mail address as typed, but for white space around it, Unicode normalisation and the case of the domain.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Email {
    text: String,
    key: String,
    address: Address,
}

/// Why a text is no e-mail address; a sentence for the person who typed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailError(String);

impl fmt::Display for EmailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for EmailError {}

impl From<&str> for EmailError {
    fn from(reason: &str) -> Self {
        Self(reason.to_owned())
    }
}

impl Email {
    /// The address to show and to store.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The form in which addresses are compared: lower case, NFC, the domain in ASCII. Not for sending to.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The address to send to; the domain in ASCII, so that most mail servers can take it.
    pub fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn check(text: &str) -> Result<(), Mistake> {
        text.parse::<Self>().map(drop).map_err(|EmailError(reason)| {
            let msg = format!("value is not a valid email address: {reason}");
            Mistake::new("value_error", msg).with("reason", reason)
        })
    }

    #[expect(clippy::needless_pass_by_value, reason = "as `string_type!` calls it")]
    fn parse(text: String) -> Result<Self, Mistake> {
        text.parse().map_err(|EmailError(reason)| Mistake::new("value_error", reason))
    }
}

string_type!(
    Email,
    "string_email",
    MetaSchema {
        max_length: Some(MAX_LENGTH),
        example: Some("ada@example.com".into()),
        ..MetaSchema::new_with_format("string", "email")
    }
);

impl std::str::FromStr for Email {
    type Err = EmailError;

    fn from_str(text: &str) -> Result<Self, EmailError> {
        if text.chars().count() > MAX_LENGTH {
            return Err(EmailError(format!("Length must not exceed {MAX_LENGTH} characters")));
        }
        if text.contains(['\r', '\n']) {
            return Err("Carriage return and line feed characters are not allowed".into());
        }
        let (local, domain) = split(text.trim())?;
        check_local(local)?;
        let local: String = local.nfc().collect();
        check_local(&local)?;
        let ascii = ascii_domain(domain)?;
        let (unicode, _) = idna::domain_to_unicode(&ascii);
        check_safe(&unicode)?;

        let text = format!("{local}@{unicode}");
        let longest = text.len().max(local.len() + 1 + ascii.len());
        if longest > MAX_LENGTH {
            return Err(EmailError(format!(
                "The email address is too long {}.",
                excess(longest, MAX_LENGTH)
            )));
        }
        let lower: String = local.to_lowercase().nfc().collect();
        let address = Address::new(&local, &ascii)
            .map_err(|_| EmailError::from("No mail can be sent to the address."))?;
        Ok(Self { text, key: format!("{lower}@{ascii}"), address })
    }
}

fn split(text: &str) -> Result<(&str, &str), EmailError> {
    if text.starts_with('"') {
        return Err("Quoting the part before the @-sign is not allowed here.".into());
    }
    if text.contains('<') && text.ends_with('>') {
        let reason = "A display name and angle brackets around the email address are not permitted here.";
        return Err(reason.into());
    }
    if let Some(parts) = text.split_once('@') {
        return Ok(parts);
    }
    Err(if text.contains('＠') {
        "The email address has the \"full-width\" at-sign (@) character instead of a regular at-sign."
    } else if text.contains('﹫') {
        "The email address has the \"small commercial at\" character instead of a regular at-sign."
    } else {
        "An email address must have an @-sign."
    }
    .into())
}

/// A dot-atom (RFC 5322, section 3.2.3) of ASCII or other characters (RFC 6531, section 3.3).
fn check_local(local: &str) -> Result<(), EmailError> {
    if local.is_empty() {
        return Err("There must be something before the @-sign.".into());
    }
    if local.len() > MAX_LOCAL {
        let reason = excess(local.len(), MAX_LOCAL);
        return Err(EmailError(format!("The email address is too long before the @-sign {reason}.")));
    }
    refuse(local, "The email address contains invalid characters before the @-sign", |c| {
        c.is_ascii() && !c.is_ascii_alphanumeric() && !"!#$%&'*+-/=?^_`{|}~.".contains(c)
    })?;
    check_periods(
        local,
        "An email address cannot start with a period.",
        "An email address cannot have a period immediately before the @-sign.",
    )?;
    check_safe(local)
}

/// The domain in lower-case ASCII (IDNA), which must be one that mail can reach.
fn ascii_domain(domain: &str) -> Result<String, EmailError> {
    if domain.is_empty() {
        return Err("There must be something after the @-sign.".into());
    }
    if let Some(literal) = domain.strip_prefix('[').and_then(|domain| domain.strip_suffix(']')) {
        let address = literal.strip_prefix("IPv6:").unwrap_or(literal);
        return Err(if address.parse::<IpAddr>().is_ok() {
            "A bracketed IP address after the @-sign is not allowed here."
        } else {
            "The part after the @-sign in brackets is not an IP address."
        }
        .into());
    }
    let invalid = "The part after the @-sign contains invalid characters";
    refuse(domain, invalid, |c| c.is_ascii() && !c.is_ascii_alphanumeric() && c != '-' && c != '.')?;
    check_safe(domain)?;

    // UTS #46 also turns other full stops into periods and wide letters into narrow ones.
    let ascii = idna::domain_to_ascii(domain).map_err(|_| EmailError(format!("{invalid}.")))?;
    let start = "An email address cannot have a period immediately after the @-sign.";
    check_periods(&ascii, start, "An email address cannot end with a period.")?;
    for label in ascii.split('.') {
        if label.starts_with('-') || label.ends_with('-') {
            let reason = "An email address cannot have a hyphen at either end of a part after the @-sign.";
            return Err(reason.into());
        }
        if label.len() > MAX_LABEL {
            let reason = excess(label.len(), MAX_LABEL);
            let rule = "After the @-sign, periods cannot be separated by so many characters";
            return Err(EmailError(format!("{rule} {reason}.")));
        }
    }
    if ascii.len() > MAX_DOMAIN {
        let reason = excess(ascii.len(), MAX_DOMAIN);
        return Err(EmailError(format!("The email address is too long after the @-sign {reason}.")));
    }
    let strict = idna::domain_to_ascii_strict(&ascii);
    let (unicode, readable) = idna::domain_to_unicode(&ascii);
    if strict.is_err() || readable.is_err() {
        return Err("The part after the @-sign is not a valid domain name.".into());
    }
    refuse(&unicode, invalid, |c| !in_idna_2008(c))?;
    if !ascii.contains('.') {
        return Err("The part after the @-sign is not valid. It should have a period.".into());
    }
    if !ascii.ends_with(|c: char| c.is_ascii_alphabetic()) {
        let reason = "The part after the @-sign is not valid. It is not within a valid top-level domain.";
        return Err(reason.into());
    }
    if ascii.rsplit('.').next().is_some_and(|top| SPECIAL_USE.contains(&top)) {
        let rule =
            "The part after the @-sign is a special-use or reserved name that cannot be used with email.";
        return Err(rule.into());
    }
    Ok(ascii)
}

fn check_periods(text: &str, start: &str, end: &str) -> Result<(), EmailError> {
    if text.ends_with('.') {
        Err(end.into())
    } else if text.starts_with('.') {
        Err(start.into())
    } else if text.contains("..") {
        Err("An email address cannot have two periods in a row.".into())
    } else {
        Ok(())
    }
}

/// Refuses characters that hide, reorder or join with what stands beside them.
fn check_safe(text: &str) -> Result<(), EmailError> {
    let first_combines =
        text.chars().next().filter(|c| c.general_category_group() == GeneralCategoryGroup::Mark);
    refuse(text, "The email address contains unsafe characters", |c| {
        let group = c.general_category_group();
        matches!(group, GeneralCategoryGroup::Separator | GeneralCategoryGroup::Other)
            || first_combines == Some(c)
    })
}

fn in_idna_2008(c: char) -> bool {
    matches!(c.general_category_group(), GeneralCategoryGroup::Letter | GeneralCategoryGroup::Mark)
        || c.general_category() == GeneralCategory::DecimalNumber
        || IDNA_EXCEPTIONS.contains(&c)
}

fn refuse(text: &str, rule: &str, is_bad: impl Fn(char) -> bool) -> Result<(), EmailError> {
    let bad: BTreeSet<char> = text.chars().filter(|&c| is_bad(c)).collect();
    if bad.is_empty() {
        return Ok(());
    }
    let shown: Vec<_> = bad.into_iter().map(show).collect();
    Err(EmailError(format!("{rule}: {}.", shown.join(", "))))
}

/// A character that can be seen, or the number of one that cannot.
fn show(c: char) -> String {
    match c.general_category_group() {
        GeneralCategoryGroup::Separator | GeneralCategoryGroup::Other | GeneralCategoryGroup::Mark
            if c != ' ' =>
        {
            format!("U+{:04X}", u32::from(c))
        }
        _ if c == ' ' => "SPACE".to_owned(),
        _ => format!("'{c}'"),
    }
}

fn excess(length: usize, limit: usize) -> String {
    let excess = length - limit;
    format!("({excess} character{} too many)", if excess == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is typed, what is stored, what is compared.
    const GOOD: &[(&str, &str, &str)] = &[
        ("ada@example.com", "ada@example.com", "ada@example.com"),
        (" Ada.Love+x@Mail.EXAMPLE.com ", "Ada.Love+x@mail.example.com", "ada.love+x@mail.example.com"),
        ("x@münchen.de", "x@münchen.de", "x@xn--mnchen-3ya.de"),
        ("x@XN--mnchen-3ya.DE", "x@münchen.de", "x@xn--mnchen-3ya.de"),
        ("ada@ＥＸＡＭＰＬＥ。com", "ada@example.com", "ada@example.com"),
        ("A\u{30a}da@example.com", "Åda@example.com", "åda@example.com"),
        ("ÄÖ@faß.de", "ÄÖ@faß.de", "äö@xn--fa-hia.de"),
        (
            "!#$%&'*+-/=?^_`{|}~@example.com",
            "!#$%&'*+-/=?^_`{|}~@example.com",
            "!#$%&'*+-/=?^_`{|}~@example.com",
        ),
    ];

    #[test]
    fn addresses_are_normalised_as_pydantic_does() {
        for (typed, stored, key) in GOOD {
            let email: Email = typed.parse().unwrap_or_else(|error| panic!("{typed}: {error}"));
            assert_eq!((email.as_str(), email.key()), (*stored, *key));
            let again: Email = email.as_str().parse().unwrap();
            assert_eq!(again.key(), *key);
            assert!(email.address().domain().is_ascii());
        }
    }

    #[test]
    fn the_key_is_stable() {
        for (typed, _, _) in GOOD {
            let key = typed.parse::<Email>().unwrap().key().to_owned();
            assert_eq!(key.parse::<Email>().unwrap().key(), key);
        }
    }

    #[test]
    fn bad_addresses_are_explained() {
        for (typed, reason) in [
            ("", "An email address must have an @-sign."),
            ("a da@example.com", "The email address contains invalid characters before the @-sign: SPACE."),
            ("a\u{202e}da@example.com", "The email address contains unsafe characters: U+202E."),
            ("ada@\u{301}example.com", "The email address contains unsafe characters: U+0301."),
            ("ada@mail.test", SPECIAL),
            ("x@☃.net", "The part after the @-sign contains invalid characters: '☃'."),
            ("Ada <ada@example.com>", DISPLAY),
            ("ada@example.com\r\nBcc: x@y.zz", "Carriage return and line feed characters are not allowed"),
        ] {
            assert_eq!(typed.parse::<Email>().unwrap_err().to_string(), reason, "{typed}");
        }
        for local in [65, 64] {
            let typed = format!("{}@example.com", "a".repeat(local));
            assert_eq!(typed.parse::<Email>().is_ok(), local == 64);
        }
    }

    const SPECIAL: &str =
        "The part after the @-sign is a special-use or reserved name that cannot be used with email.";
    const DISPLAY: &str =
        "A display name and angle brackets around the email address are not permitted here.";
}
