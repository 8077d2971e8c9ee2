//! Any service that takes a token in a header (RFC 6750 and what looks like it).
//! <https://www.rfc-editor.org/rfc/rfc6750>

use futures_util::future::BoxFuture;
use url::Url;

use super::bearer::{TOKEN, token_mistakes};
use super::generic::{self, BASE_URL, ENVIRONMENTS, TEST_PATH};
use super::{
    About, Connector, Credential, Field, Kind, Link, Mistake, Report, Request, Stamp, Tells, Unsignable,
};

pub struct GenericBearer;

static ABOUT: About = About {
    name: "generic_bearer",
    title: "Another service, with a token",
    documentation: "https://www.rfc-editor.org/rfc/rfc6750",
    environments: ENVIRONMENTS,
    fields: &[
        Field { title: "Token", ..TOKEN },
        BASE_URL,
        TEST_PATH,
        Field {
            name: HEADER_NAME,
            title: "Header",
            required: false,
            kind: Kind::Text,
            help: "The one that the token is sent in; Authorization unless you say otherwise.",
        },
        Field {
            name: PREFIX,
            title: "Before the token",
            required: false,
            kind: Kind::Text,
            help: "\u{201c}Bearer \u{201d} unless you say otherwise, with the space at its end.",
        },
        Field {
            name: EXTRA_HEADERS,
            title: "More headers",
            required: false,
            kind: Kind::Texts,
            help: "Sent along, such as the version of the interface. Nothing secret.",
        },
    ],
    tells: Tells { permissions: false, ip_restriction: false, expiry: false },
    clock: None,
};

const HEADER_NAME: &str = "settings.header_name";
const PREFIX: &str = "settings.prefix";
const EXTRA_HEADERS: &str = "settings.extra_headers";

impl Connector for GenericBearer {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn keeps_secret(&self) -> bool {
        false
    }

    fn check(&self, credential: &Credential) -> Vec<Mistake> {
        const NAME: &str = "This can't be the name of the header, or it is one that the connection needs \
            for itself, such as Host";
        const BEFORE: &str = "The text before the token must be of ASCII letters, in one line";
        const TWICE: &str = "The header of the token must not be among the other headers";
        let name = header_name(credential);
        let headers = match generic::headers(credential, "extra_headers") {
            Ok(headers) => {
                let twice = headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
                Mistake::unless(!twice, EXTRA_HEADERS, TWICE)
            }
            Err(message) => Some(Mistake { field: EXTRA_HEADERS, message }),
        };
        token_mistakes(credential)
            .into_iter()
            .chain(generic::target_mistakes(credential))
            .chain(Mistake::unless(generic::is_header_name(name), HEADER_NAME, NAME))
            .chain(Mistake::unless(generic::is_header_value(prefix(credential)), PREFIX, BEFORE))
            .chain(headers)
            .collect()
    }

    fn sign(&self, request: Request, credential: &Credential, _: &Stamp) -> Result<Request, Unsignable> {
        let token = format!("{}{}", prefix(credential), credential.api_key.expose());
        let request = request.header(header_name(credential), token);
        let headers = generic::headers(credential, "extra_headers").map_err(Unsignable)?;
        Ok(headers.into_iter().fold(request, |request, (name, value)| request.header(name, value)))
    }

    fn test<'a>(
        &'a self,
        link: &'a Link<'a>,
        credential: &'a Credential,
    ) -> BoxFuture<'a, Result<Report, Report>> {
        const REFUSED: &str = "The service does not take this token. It may be copied wrongly, expired or \
            deleted, be sent in the wrong header or with the wrong text before it, or not be allowed from \
            this server's address. Copy it again, look at the settings here, or make a new token.";
        Box::pin(async move {
            let (path, query) = generic::test_target(credential);
            let request = self.sign(Request::get(path).query(query), credential, &link.stamp())?;
            generic::judge(&link.send(request).await?, REFUSED)
        })
    }

    fn base_url(&self, credential: &Credential) -> Option<Url> {
        generic::base_url(credential)
    }
}

fn header_name(credential: &Credential) -> &str {
    credential.setting("header_name").unwrap_or("Authorization")
}

fn prefix(credential: &Credential) -> &str {
    credential.setting("prefix").unwrap_or("Bearer ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Outcome;
    use super::super::samples::{self, answer, assert_outcomes, header, mistakes, stamp};
    use super::*;

    fn credential(settings: &Value) -> Credential {
        let mut all = json!({ "base_url": "https://api.example.com", "test_path": "/v1/me?a=b" });
        let all = all.as_object_mut().expect("an object");
        all.extend(settings.as_object().expect("an object").clone());
        Credential { secret: None, settings: all.clone(), ..samples::credential("a-token", "") }
    }

    #[test]
    fn the_token_goes_where_the_settings_say() {
        let signed = |settings| {
            GenericBearer.sign(Request::get("/"), &credential(&settings), &stamp(0)).expect("signed")
        };
        assert_eq!(header(&signed(json!({})), "Authorization"), "Bearer a-token");
        let other = json!({ "header_name": "X-Key", "prefix": "", "extra_headers": { "X-Version": "2" } });
        assert_eq!(header(&signed(other.clone()), "X-Key"), "a-token");
        assert_eq!(header(&signed(other), "X-Version"), "2");
    }

    #[test]
    fn settings_are_looked_at() {
        for settings in [
            json!({}),
            json!({ "base_url": "https://api.example.com:8443/" }),
            json!({ "header_name": "X-Key", "prefix": "", "extra_headers": {} }),
            json!({ "test_path": "/" }),
        ] {
            assert!(mistakes(&GenericBearer, &credential(&settings)).is_empty(), "{settings}");
        }
        for (settings, field) in [
            (json!({ "base_url": "api.example.com" }), "settings.base_url"),
            (json!({ "base_url": "ftp://api.example.com" }), "settings.base_url"),
            (json!({ "base_url": "https://ada@api.example.com" }), "settings.base_url"),
            (json!({ "base_url": "https://api.example.com/v1" }), "settings.base_url"),
            (json!({ "base_url": "https://api.example.com/?a" }), "settings.base_url"),
            (json!({ "base_url": 7 }), "settings.base_url"),
            (json!({ "test_path": "v1/me" }), "settings.test_path"),
            (json!({ "test_path": "/a/../b" }), "settings.test_path"),
            (json!({ "test_path": "/a b" }), "settings.test_path"),
            (json!({ "test_path": "/a#b" }), "settings.test_path"),
            (json!({ "test_path": "/a?" }), "settings.test_path"),
            (json!({ "test_path": "//evil.example/a\r\n" }), "settings.test_path"),
            (json!({ "header_name": "Host" }), HEADER_NAME),
            (json!({ "header_name": "a b" }), HEADER_NAME),
            (json!({ "header_name": "" }), HEADER_NAME),
            (json!({ "prefix": "a\nb" }), PREFIX),
            (json!({ "extra_headers": [] }), EXTRA_HEADERS),
            (json!({ "extra_headers": { "A": 1 } }), EXTRA_HEADERS),
            (json!({ "extra_headers": { "content-length": "1" } }), EXTRA_HEADERS),
            (json!({ "extra_headers": { "A": "1", "a": "2" } }), EXTRA_HEADERS),
            (json!({ "extra_headers": { "A": "1\r\nB: 2" } }), EXTRA_HEADERS),
            (json!({ "extra_headers": { "authorization": "1" } }), EXTRA_HEADERS),
        ] {
            assert_eq!(mistakes(&GenericBearer, &credential(&settings)), [field], "{settings}");
        }
    }

    #[test]
    fn each_status_has_its_outcome() {
        assert_outcomes(
            |answer| generic::judge(answer, "Refused.").expect_err("an error"),
            &[
                (401, r#"{"error":{"code":"bad_token","message":"m"}}"#, Outcome::InvalidKey, "bad_token"),
                (403, r#"{"error":"no"}"#, Outcome::MissingPermission, "HTTP 403"),
                (404, "not here", Outcome::Unexpected, "HTTP 404"),
                (405, "", Outcome::Unexpected, "HTTP 405"),
                (400, r#"{"code":17}"#, Outcome::Unexpected, "17"),
                (429, "", Outcome::RateLimited, "HTTP 429"),
                (503, "", Outcome::ProviderDown, "HTTP 503"),
            ],
        );
        let report = generic::judge(&answer(204, ""), "Refused.").expect("a report");
        assert_eq!((report.outcome, report.provider_code), (Outcome::Ok, None));
        let report = generic::judge(&answer(403, r#"{"error":"no"}"#), "Refused.").expect_err("an error");
        assert_eq!(report.provider_message.as_deref(), Some("no"));
    }
}
