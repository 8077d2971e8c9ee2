//! What the connectors to services of the owner's choice share: where they go, and what follows from an answer of which
//! only the status is understood.

use reqwest::header::{HeaderName, HeaderValue};
use serde_json::Value;
use url::Url;

use super::answers::some_text;
use super::{Answer, Credential, Environment, Field, Kind, Mistake, Outcome, Permissions, Report, Tri};

/// Where the requests go is said by a setting.
pub const ENVIRONMENTS: &[Environment] = &[Environment { name: "live", title: "Live", base_url: "" }];

pub const BASE_URL: Field = Field {
    name: "settings.base_url",
    title: "Address of the service",
    required: true,
    kind: Kind::Text,
    help: "https:// and the host, such as https://api.example.com.",
};
pub const TEST_PATH: Field = Field {
    name: "settings.test_path",
    title: "Path for the test",
    required: true,
    kind: Kind::Text,
    help: "Something that changes nothing and needs the key, such as /v1/me.",
};

/// Headers that are about the connection and the message, which are not the owner's to set.
const RESERVED: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
const MAX_HEADERS: usize = 20;

/// Scheme, host and port; the guard says whether they may be asked.
pub fn base_url(credential: &Credential) -> Option<Url> {
    Url::parse(credential.setting("base_url")?).ok()
}

/// Path and query of the test.
pub fn test_target(credential: &Credential) -> (&str, &str) {
    let target = credential.setting("test_path").unwrap_or("/");
    target.split_once('?').unwrap_or((target, ""))
}

/// What is wrong with URL and path.
pub fn target_mistakes(credential: &Credential) -> Vec<Mistake> {
    const URL: &str =
        "The address must be https:// and a host, without a user, a path, a query or a fragment";
    const PATH: &str = "The path must begin with a slash, be percent-encoded, and have neither a fragment \
        nor dots to go up";
    let base = base_url(credential);
    let fits = base.as_ref().is_some_and(|url| {
        // Without TLS only to networks that the operator has opened, of which the guard knows.
        matches!(url.scheme(), "https" | "http")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
    });
    let (path, query) = test_target(credential);
    let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let kept = credential.setting("test_path") == Some(&target)
        && path.starts_with('/')
        && Url::parse(&format!("https://host.invalid{target}"))
            .is_ok_and(|url| url.path() == path && url.query().unwrap_or_default() == query);
    [
        Mistake::unless(fits, BASE_URL.name, URL),
        Mistake::unless(kept && !target.contains('#'), TEST_PATH.name, PATH),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Whether an owner may set a header of this name.
pub fn is_header_name(name: &str) -> bool {
    HeaderName::try_from(name).is_ok_and(|name| !RESERVED.contains(&name.as_str()))
}

pub fn is_header_value(value: &str) -> bool {
    value.is_ascii() && HeaderValue::from_str(value).is_ok()
}

/// A setting that is an object of texts, with headers in it; empty where there is none.
pub fn headers<'a>(
    credential: &'a Credential,
    setting: &str,
) -> Result<Vec<(&'a str, &'a str)>, &'static str> {
    const SHAPE: &str = "Headers must be an object of texts, with up to 20 of them";
    const NAME: &str = "A header's name is not one, is there twice, or is one that the connection needs \
        for itself, such as Host";
    const VALUE: &str = "A header's value must be of ASCII letters, in one line";
    let object = match credential.settings.get(setting) {
        None | Some(Value::Null) => return Ok(vec![]),
        Some(value) => value.as_object().filter(|object| object.len() <= MAX_HEADERS).ok_or(SHAPE)?,
    };
    let mut found: Vec<(&str, &str)> = vec![];
    for (name, value) in object {
        let value = value.as_str().ok_or(SHAPE)?;
        if !is_header_name(name) || found.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return Err(NAME);
        }
        if !is_header_value(value) {
            return Err(VALUE);
        }
        found.push((name, value));
    }
    Ok(found)
}

/// The status alone counts. What the service says is passed on where it is found in the usual places.
pub fn judge(answer: &Answer, refused: &'static str) -> Result<Report, Report> {
    const WORKS: &str = "The service has answered the test, so the credential works, if the path of the \
        test needs one. What it may do is not known.";
    const FORBIDDEN: &str = "The service knows the credential but does not allow the request. It may lack \
        a permission, or not be allowed from this server's address or country. Look at the credential at \
        the service.";
    const NOT_FOUND: &str = "The service does not know the path of the test or how it is asked. Correct \
        the address, the path or the method.";
    let json = answer.json();
    let error = &json["error"];
    let message = [&error["message"], error, &json["message"], &json["msg"]].into_iter().find_map(some_text);
    let code = [&error["code"], &json["code"]].into_iter().find_map(some_text).unwrap_or_default();
    let message = message.unwrap_or_else(|| answer.text());
    let report = match answer.status {
        200..300 => {
            return Ok(Report {
                permissions: Permissions { read: Tri::Yes, ..Permissions::default() },
                ..Report::new(Outcome::Ok).advising(WORKS)
            });
        }
        401 => Report::new(Outcome::InvalidKey).advising(refused),
        403 => Report::new(Outcome::MissingPermission).advising(FORBIDDEN),
        404 | 405 => Report::new(Outcome::Unexpected).advising(NOT_FOUND),
        _ => return Err(answer.by_status(code, message)),
    };
    let code = if code.is_empty() { format!("HTTP {}", answer.status) } else { code };
    Err(report.saying(code, message))
}
