//! Date-times (RFC 3339), explained as Pydantic explains them.

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::violation::Mistake;

/// Demands a date-time with an offset, as the document does.
pub(super) fn check(text: &str) -> Result<(), Mistake> {
    // `time` takes anything for the `T`.
    let separated = matches!(text.as_bytes().get(10), None | Some(b'T' | b't' | b' '));
    if separated && OffsetDateTime::parse(text, &Rfc3339).is_ok() {
        return Ok(());
    }
    let without_offset = [format!("{text}Z"), format!("{text}T00:00:00Z")];
    if separated && without_offset.iter().any(|text| OffsetDateTime::parse(text, &Rfc3339).is_ok()) {
        return Err(Mistake::new("timezone_aware", "Input should have timezone info"));
    }
    let reason = explain(text.as_bytes());
    let msg = format!("Input should be a valid datetime or date, {reason}");
    Err(Mistake::new("datetime_from_date_parsing", msg).with("error", reason))
}

/// What keeps the text from being a date; mistakes in the time are what follows a date.
fn explain(text: &[u8]) -> &'static str {
    if text.len() < 10 {
        return "input is too short";
    }
    let digits = |from: usize, to: usize| text[from..to].iter().all(u8::is_ascii_digit);
    let number = |from: usize| u32::from(text[from] - b'0') * 10 + u32::from(text[from + 1] - b'0');
    if !digits(0, 4) {
        "invalid character in year"
    } else if text[4] != b'-' {
        "invalid date separator, expected `-`"
    } else if !digits(5, 7) {
        "invalid character in month"
    } else if text[7] != b'-' {
        "invalid date separator, expected `-`"
    } else if !digits(8, 10) {
        "invalid character in day"
    } else if !(1..=12).contains(&number(5)) {
        "month value is outside expected range of 1-12"
    } else if !day_exists(&text[..10]) {
        "day value is outside expected range"
    } else {
        "unexpected extra characters at the end of the input"
    }
}

fn day_exists(date: &[u8]) -> bool {
    let text = format!("{}T00:00:00Z", String::from_utf8_lossy(date));
    OffsetDateTime::parse(&text, &Rfc3339).is_ok()
}
