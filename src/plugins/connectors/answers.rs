//! What connectors read from answers, and what follows where the service's own codes explain nothing.

use serde_json::Value;

use super::{Answer, IpRestriction, Outcome, Report, Tri};

impl Answer {
    /// What follows from the status, where the service's own code, if there is any, is not known.
    #[must_use]
    pub fn by_status(&self, code: impl Into<String>, message: impl Into<String>) -> Report {
        const REFUSED: &str = "The service refused the key without saying why. The key may be unknown, \
            deleted or expired, its secret may be wrong, or it may not be used from this server's address. \
            Look at the key there, or make a new one.";
        let (code, message) = (code.into(), message.into());
        let report = match self.status {
            401 => Report::new(Outcome::InvalidKey).advising(REFUSED),
            429 => Report::new(Outcome::RateLimited),
            451 => Report::new(Outcome::GeoBlocked),
            500.. => Report::new(Outcome::ProviderDown),
            _ => Report::new(Outcome::Unexpected),
        };
        let code = if code.is_empty() { format!("HTTP {}", self.status) } else { code };
        report.saying(code, message).retry_after(self.retry_after())
    }

    /// The answer as text, for services that don't always speak JSON. Pages for browsers are left out.
    #[must_use]
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.body).trim().to_owned();
        if text.starts_with(['<', '{', '[']) { String::new() } else { text }
    }
}

/// A text or a number as text; nothing for anything else.
#[must_use]
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

/// A text or a number, unless there is nothing in it.
#[must_use]
pub fn some_text(value: &Value) -> Option<String> {
    Some(text(value)).filter(|text| !text.is_empty())
}

/// A number, also when it is written as a text.
#[must_use]
pub fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// An array of texts. Nothing when it is not there, which is not the same as an empty one.
#[must_use]
pub fn texts(value: &Value) -> Option<Vec<String>> {
    Some(value.as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// A text with commas as a list.
#[must_use]
pub fn split(value: &Value) -> Option<Vec<String>> {
    let parts = value.as_str()?.split(',').map(str::trim).filter(|part| !part.is_empty());
    Some(parts.map(str::to_owned).collect())
}

/// Whether one of these is in the list.
#[must_use]
pub fn any_of(list: &[String], names: &[&str]) -> bool {
    list.iter().any(|entry| names.contains(&entry.as_str()))
}

impl Tri {
    /// Whether one of these is so. One that is not told may be the one.
    #[must_use]
    pub fn any(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().fold(Self::No, |found, one| match (found, one) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::No, Self::No) => Self::No,
        })
    }
}

impl IpRestriction {
    /// From the list of addresses: without any, the key may be used from everywhere.
    #[must_use]
    pub fn to(addresses: Option<Vec<String>>) -> Self {
        match addresses {
            None => Self::Unknown,
            Some(addresses) if addresses.is_empty() => Self::Unrestricted,
            Some(addresses) => Self::Restricted(addresses),
        }
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderValue};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_is_judged_where_no_code_is() {
        for (status, outcome) in [
            (200, Outcome::Unexpected),
            (401, Outcome::InvalidKey),
            (404, Outcome::Unexpected),
            (429, Outcome::RateLimited),
            (451, Outcome::GeoBlocked),
            (500, Outcome::ProviderDown),
            (503, Outcome::ProviderDown),
        ] {
            let headers =
                HeaderMap::from_iter([(reqwest::header::RETRY_AFTER, HeaderValue::from_static("7"))]);
            let answer = Answer { status, headers, body: b"Unauthorized\n".to_vec() };
            let report = answer.by_status("", answer.text());
            assert_eq!(report.outcome, outcome, "{status}");
            assert_eq!(report.provider_code, Some(format!("HTTP {status}")));
            assert_eq!(report.provider_message.as_deref(), Some("Unauthorized"));
            assert_eq!(report.retry_after, Some(7));
            assert_eq!(answer.by_status("-1", "").provider_code.as_deref(), Some("-1"));
        }
        let page =
            Answer { status: 502, headers: HeaderMap::new(), body: b"<html>Bad gateway</html>".to_vec() };
        assert_eq!(page.by_status("", page.text()).provider_message, None);
    }

    #[test]
    fn values_are_read_leniently() {
        assert_eq!(text(&json!(-1022)), "-1022");
        assert_eq!(some_text(&json!("")), None);
        assert_eq!(number(&json!("1700000000000")), Some(1_700_000_000_000));
        assert_eq!(number(&json!(17)), Some(17));
        assert_eq!(number(&json!("soon")), None);
        assert_eq!(texts(&json!(null)), None);
        assert_eq!(split(&json!("read_only, trade")), Some(vec!["read_only".to_owned(), "trade".to_owned()]));
        assert_eq!(split(&json!("")), Some(vec![]));
    }

    #[test]
    fn what_is_not_told_may_be_so() {
        use Tri::{No, Unknown, Yes};
        assert_eq!(Tri::any([No, Unknown, Yes]), Yes);
        assert_eq!(Tri::any([Unknown, No]), Unknown);
        assert_eq!(Tri::any([No, No]), No);
        assert_eq!(IpRestriction::to(None), IpRestriction::Unknown);
        assert_eq!(IpRestriction::to(Some(vec![])), IpRestriction::Unrestricted);
    }
}
