//! Files of accounts from elsewhere: lines of a bounded length, and accounts that could have signed up.

use entities::Timestamp;
use latchkey::api::payload::{Email, HttpsUrl, Phone};
use latchkey::cli::import::line::parse;
use latchkey::cli::import::lines::{Line, Lines, MAX_LENGTH};
use latchkey::crypto::password::check_imported;
use poem_openapi::types::ParseFromParameter as _;
use serde_json::Value;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

pub fn run(data: &[u8]) {
    // The first byte says how much comes at a time.
    let (chunk, file) = data.split_first().map_or((1, data), |(first, rest)| (usize::from(*first).max(1), rest));
    let mut lines = Lines::new(std::io::BufReader::with_capacity(chunk, file));
    let mut expected = file.split_inclusive(|byte| *byte == b'\n');
    while let Some(line) = lines.next_line().expect("memory can be read") {
        let whole = expected.next().expect("no more lines than there are");
        let whole = whole.strip_suffix(b"\n").map_or(whole, |line| line.strip_suffix(b"\r").unwrap_or(line));
        match line {
            Line::TooLong => assert!(whole.len() > MAX_LENGTH),
            Line::Text(text) => {
                assert!(text.len() <= MAX_LENGTH);
                assert_eq!(text, whole.strip_prefix(b"\xef\xbb\xbf").unwrap_or(whole));
                account(text);
            }
        }
    }
    assert_eq!(expected.next(), None, "a line is missing");
    assert_eq!(lines.bytes, file.len() as u64);
}

fn account(line: &[u8]) {
    let import = match parse(line, NOW) {
        Ok(import) => import,
        Err(reason) => return refused(line, &reason),
    };
    let email: Email = import.email.parse().expect("an address");
    assert_eq!((email.as_str(), email.key()), (&*import.email, &*import.email_key));
    assert_eq!(check_imported(&import.password_hash), Ok(()));
    assert!(import.created_at.is_none_or(|at| at <= NOW));
    assert!(import.phone.as_deref().is_none_or(|text| Phone::parse_from_parameter(text).is_ok()));
    assert!(import.avatar_url.as_deref().is_none_or(|text| HttpsUrl::parse_from_parameter(text).is_ok()));
    for text in [&import.full_name, &import.phone, &import.avatar_url].into_iter().flatten() {
        assert!(!text.is_empty() && text.chars().count() <= 2048 && !text.contains(char::is_control), "{text:?}");
    }
}

/// A reason is one line for the operator, with nothing of the hash.
fn refused(line: &[u8], reason: &str) {
    assert!(!reason.contains(char::is_control), "{reason:?}");
    let Ok(json) = serde_json::from_slice::<Value>(line) else { return };
    let Some(hash) = json["password_hash"].as_str().filter(|hash| hash.len() >= 8) else { return };
    // Some texts stand in reasons whatever the hash is.
    let other = String::from_utf8_lossy(line).replace(hash, &"~".repeat(hash.len()));
    let same = || parse(other.as_bytes(), NOW).err().is_some_and(|other| other.contains(hash));
    assert!(!reason.contains(hash) || same(), "{reason:?} repeats a hash");
}

pub fn seeds() -> Vec<Vec<u8>> {
    let hash = "$2b$04$maUt7P4DXktu5K.9MvNtROmfFqKkvV9wS962HFpgb8.P4cj9.5m7O";
    let whole = format!(
        r#"{{"email":"ada@example.com","password_hash":"{hash}","email_verified":true,"full_name":"Ada Lovelace","phone":"+442079460958","avatar_url":"https://example.com/ada.png","created_at":"2023-02-28T12:00:00Z"}}"#
    );
    let least = format!(r#"{{"email":"Grace@Example.COM","password_hash":"{hash}","phone":null,"full_name":""}}"#);
    [
        format!("\x40{whole}\n{least}\r\n"),
        format!("\x01\u{feff}{least}\n\n[]\nnull\n{{}}"),
        format!("\x10{}", whole.replace("2023", "2033")),
        format!("\x10{}", whole.replace("Ada Lovelace", "Ada\\u0000")),
        format!("\x10{}", whole.replace("email_verified", "emailVerified")),
        format!("\x7f{}\n{least}", " ".repeat(MAX_LENGTH + 1)),
    ]
    .map(String::into_bytes)
    .into()
}
