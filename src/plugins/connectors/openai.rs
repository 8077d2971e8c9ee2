//! OpenAI.
//! <https://platform.openai.com/docs/api-reference/authentication>

use futures_util::future::BoxFuture;

use super::bearer::{TOKEN, bearing, error_of, token_mistakes};
use super::{
    About, Answer, Connector, Credential, Environment, Link, Mistake, Outcome, Permissions, Report, Request,
    Stamp, Tells, Tri, Unsignable,
};

pub struct OpenAi;

static ABOUT: About = About {
    name: "openai",
    title: "OpenAI",
    documentation: "https://platform.openai.com/docs/api-reference/authentication",
    environments: &[Environment { name: "live", title: "Live", base_url: "https://api.openai.com" }],
    fields: &[TOKEN],
    tells: Tells { permissions: false, ip_restriction: false, expiry: false },
    clock: None,
};

impl Connector for OpenAi {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn keeps_secret(&self) -> bool {
        false
    }

    fn check(&self, credential: &Credential) -> Vec<Mistake> {
        token_mistakes(credential)
    }

    fn sign(&self, request: Request, credential: &Credential, _: &Stamp) -> Result<Request, Unsignable> {
        Ok(bearing(request.content_type("application/json"), credential))
    }

    fn test<'a>(
        &'a self,
        link: &'a Link<'a>,
        credential: &'a Credential,
    ) -> BoxFuture<'a, Result<Report, Report>> {
        Box::pin(async move {
            let request = self.sign(Request::get("/v1/models"), credential, &link.stamp())?;
            judge(&link.send(request).await?)
        })
    }
}

fn judge(answer: &Answer) -> Result<Report, Report> {
    const WORKS: &str = "The credential works. OpenAI does not tell what a key may do.";
    const SPENT: &str = "The key is right, but its credit or its monthly budget is used up. Add credit or \
        raise the limit at OpenAI.";
    const REFUSED: &str = "OpenAI does not take this key. It may be copied wrongly or deleted, its owner \
        may no longer belong to the organisation or the project, or it may not be used from this server's \
        address. Copy it again, look at the organisation's settings, or make a new key.";
    const FORBIDDEN: &str = "OpenAI knows the key, but does not allow the request. The key may lack the \
        permission to list models, or requests from the country of this server may be refused. Look at \
        the key's permissions there.";
    let (code, message) = error_of(answer);
    let about = |word: &str| message.contains(word);
    let report = match (code.as_str(), answer.status) {
        ("", 200) if answer.json()["object"] == "list" => {
            return Ok(Report {
                permissions: Permissions { read: Tri::Yes, ..Permissions::default() },
                ..Report::new(Outcome::Ok).advising(WORKS)
            });
        }
        ("insufficient_quota", _) => {
            return Ok(Report::new(Outcome::Ok).advising(SPENT).saying(code, message));
        }
        ("invalid_api_key", _) => Report::new(Outcome::InvalidKey),
        ("ip_not_authorized", _) => Report::new(Outcome::IpNotAllowed),
        (_, 401) if about("IP not authorized") => Report::new(Outcome::IpNotAllowed),
        (_, 401) => Report::new(Outcome::InvalidKey).advising(REFUSED),
        ("unsupported_country_region_territory", _) => Report::new(Outcome::GeoBlocked),
        (_, 403) if about("Country, region, or territory") => Report::new(Outcome::GeoBlocked),
        (_, 403) => Report::new(Outcome::MissingPermission).advising(FORBIDDEN),
        _ => return Err(answer.by_status(code, message)),
    };
    let code = if code.is_empty() { format!("HTTP {}", answer.status) } else { code };
    Err(report.saying(code, message).retry_after(answer.retry_after()))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, answer, assert_outcomes, header, mistakes, stamp};
    use super::*;

    fn credential(key: &str) -> Credential {
        Credential { secret: None, ..samples::credential(key, "") }
    }

    #[test]
    fn the_key_is_a_bearer_token() {
        let request = Request::post("/v1/responses").body("{}");
        let sent = OpenAi.sign(request, &credential("sk-proj-a"), &stamp(0)).expect("signed");
        assert_eq!(header(&sent, "Authorization"), "Bearer sk-proj-a");
        assert_eq!(header(&sent, "Content-Type"), "application/json");
    }

    #[test]
    fn each_error_has_its_outcome() {
        let table: &[(u16, &str, &str, Outcome)] = &[
            (401, "invalid_api_key", "", Outcome::InvalidKey),
            (401, "something_else", "", Outcome::InvalidKey),
            (401, "ip_not_authorized", "", Outcome::IpNotAllowed),
            (401, "something_else", "IP not authorized", Outcome::IpNotAllowed),
            (403, "unsupported_country_region_territory", "", Outcome::GeoBlocked),
            (403, "something_else", "Country, region, or territory not supported", Outcome::GeoBlocked),
            (403, "something_else", "", Outcome::MissingPermission),
            (429, "insufficient_quota", "", Outcome::Ok),
            (429, "rate_limit_exceeded", "", Outcome::RateLimited),
            (500, "server_error", "", Outcome::ProviderDown),
            (400, "something_else", "", Outcome::Unexpected),
        ];
        for (status, code, message, outcome) in table {
            let body = format!(r#"{{"error":{{"code":"{code}","message":"{message}","type":"t"}}}}"#);
            let judge = |answer: &Answer| judge(answer).unwrap_or_else(|report| report);
            assert_outcomes(judge, &[(*status, &body, *outcome, code)]);
        }
        assert_outcomes(
            |answer| judge(answer).expect_err("an error"),
            &[
                (401, "", Outcome::InvalidKey, "HTTP 401"),
                (200, "{}", Outcome::Unexpected, "HTTP 200"),
                (503, "<html>", Outcome::ProviderDown, "HTTP 503"),
            ],
        );
    }

    #[test]
    fn a_list_of_models_means_that_the_key_works() {
        let report = judge(&answer(200, r#"{"object":"list","data":[]}"#)).expect("a report");
        assert_eq!((report.outcome, report.permissions.read), (Outcome::Ok, Tri::Yes));
        assert_eq!(report.permissions.trade, Tri::Unknown);
    }

    #[test]
    fn a_key_has_no_strange_letters() {
        assert!(mistakes(&OpenAi, &credential("sk-proj-a")).is_empty());
        assert_eq!(mistakes(&OpenAi, &credential("sk-\u{2026}")), ["api_key"]);
    }
}
