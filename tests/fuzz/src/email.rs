//! Addresses that mail is sent to: what is accepted is one line, of a bounded length, the same each time, and sends one mail to
//! one mailbox.

use std::time::UNIX_EPOCH;

use latchkey::api::payload::{Email, EmailStart};
use latchkey::locale::Locale;
use latchkey::plugins::mail::{Rendered, compose};
use lettre::message::Mailbox;
use poem_openapi::types::ParseFromParameter as _;

pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(start) = EmailStart::parse_from_parameter(&text) {
        assert!(!start.key().contains(' '));
    }
    let Ok(email) = text.parse::<Email>() else { return };
    let (shown, key, address) = (email.as_str(), email.key(), email.address());
    assert!(shown.len() <= 254 && address.to_string().len() <= 254, "{shown:?}");
    assert!(address.user().len() <= 64 && address.domain().is_ascii() && address.domain().contains('.'), "{shown:?}");
    for letter in shown.chars().chain(key.chars()) {
        assert!(!letter.is_control() && !letter.is_whitespace() && !"<>()[],;:\\\"".contains(letter), "{shown:?}");
    }
    assert_eq!(shown.matches('@').count(), 1, "{shown:?}");

    let again: Email = shown.parse().unwrap_or_else(|error| panic!("{shown:?}: {error}"));
    assert_eq!((again.as_str(), again.key(), again.address()), (shown, key, address));
    // As it is shown: not all that a small letter and an accent become has a capital, and no mail is sent to a bare accent.
    let upper = shown.to_ascii_uppercase();
    let same = upper.parse::<Email>().unwrap_or_else(|error| panic!("{upper:?}: {error}"));
    assert_eq!(same.key(), key, "{upper:?} is another account than {shown:?}");
    if let Ok(start) = EmailStart::parse_from_parameter(shown) {
        assert_eq!(start.key(), key);
    }
    sent(&email);
}

/// As the outbox does it, out of the stored text.
fn sent(email: &Email) {
    let rendered = Rendered {
        template: "sample",
        locale: Locale::En,
        subject: "Subject".into(),
        text: "Text".into(),
        html: "<p>Text</p>".into(),
    };
    let from: Mailbox = "Latchkey <no-reply@example.com>".parse().expect("a mailbox");
    for to in [email.as_str(), email.address().as_ref()] {
        let message = compose(&rendered, &from, to, "1@example.com", UNIX_EPOCH)
            .unwrap_or_else(|error| panic!("{to:?}: {error}"));
        assert_eq!(message.envelope().to().len(), 1);
        let text = String::from_utf8(message.formatted()).expect("text");
        let (head, _) = text.split_once("\r\n\r\n").expect("a head and a body");
        let mut lines = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
        assert!(lines.clone().all(|line| line.split_once(": ").is_some_and(|(name, _)| NAMES.contains(&name))), "{head}");
        assert_eq!(lines.clone().count(), NAMES.len(), "{head}");
        assert!(lines.all(|line| !line.contains(['\r', '\n'])), "{head}");
    }
}

const NAMES: &[&str] = &[
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "X-Latchkey-Template",
    "Content-Language",
    "MIME-Version",
    "Content-Type",
];

pub fn seeds() -> Vec<Vec<u8>> {
    [
        "ada@example.com",
        " Ada.Love+x@Mail.EXAMPLE.com ",
        "x@münchen.de",
        "x@XN--mnchen-3ya.DE",
        "ada@ＥＸＡＭＰＬＥ。com",
        "A\u{30a}da@example.com",
        "ÄÖ@faß.de",
        "y\u{30a}@example.com",
        "!#$%&'*+-/=?^_`{|}~@example.com",
        "İ@example.com",
        "ΑΣ@example.com",
        "ada@\u{301}example.com",
        "Ada <ada@example.com>",
        "\"ada\"@example.com",
        "ada@[127.0.0.1]",
        "ada@example.com\r\nBcc: x@y.zz",
        "ada@例え.テスト.com",
        "ada@אב.com",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}
