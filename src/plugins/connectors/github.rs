//! GitHub: personal access tokens and those of apps that act for a person.
//! <https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api>

use entities::Timestamp;
use futures_util::future::BoxFuture;
use time::OffsetDateTime;
use time::PrimitiveDateTime;
use time::macros::format_description;

use super::answers::{some_text, text};
use super::bearer::{TOKEN, bearing, token_mistakes};
use super::{
    About, Answer, Connector, Credential, Environment, Field, Link, Mistake, Outcome, Permissions, Report,
    Request, Stamp, Tells, Tri, Unsignable,
};

pub struct GitHub;

static ABOUT: About = About {
    name: "github",
    title: "GitHub",
    documentation: "https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api",
    environments: &[Environment { name: "live", title: "Live", base_url: "https://api.github.com" }],
    fields: &[Field { title: "Token", ..TOKEN }],
    tells: Tells { permissions: true, ip_restriction: false, expiry: true },
    clock: None,
};

impl Connector for GitHub {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn keeps_secret(&self) -> bool {
        false
    }

    fn check(&self, credential: &Credential) -> Vec<Mistake> {
        token_mistakes(credential)
    }

    /// GitHub demands a `User-Agent` as well, which whoever sends the request has.
    fn sign(&self, request: Request, credential: &Credential, _: &Stamp) -> Result<Request, Unsignable> {
        let accepts = request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept"));
        let request = if accepts { request } else { request.header("Accept", "application/vnd.github+json") };
        Ok(bearing(request.content_type("application/json"), credential))
    }

    fn test<'a>(
        &'a self,
        link: &'a Link<'a>,
        credential: &'a Credential,
    ) -> BoxFuture<'a, Result<Report, Report>> {
        Box::pin(async move {
            let stamp = link.stamp();
            judge(&link.send(self.sign(Request::get("/user"), credential, &stamp)?).await?, stamp.now)
        })
    }
}

fn judge(answer: &Answer, now: Timestamp) -> Result<Report, Report> {
    const FINE_GRAINED: &str =
        "The credential works. GitHub tells what classic tokens may do, but not what this kind may do.";
    const REFUSED: &str = "GitHub does not take this token. It may be copied wrongly, or be expired, \
        deleted or revoked. Copy it again, or make a new one.";
    const FORBIDDEN: &str = "GitHub knows the token, but does not allow the request. The token may be one \
        of an app's installation, which stands for no person; an organisation may demand single sign-on \
        or know this server's address not; or the account may be suspended. Look at the token and the \
        account there.";
    let json = answer.json();
    let message = text(&json["message"]);
    let left = answer.header("x-ratelimit-remaining");
    let report = match answer.status {
        200 if json["login"].is_string() => {
            let scopes = answer.header("x-oauth-scopes").map(|scopes| {
                scopes.split(',').map(str::trim).filter(|scope| !scope.is_empty()).map(str::to_owned)
            });
            let report = Report::new(Outcome::Ok);
            let report = if scopes.is_none() { report.advising(FINE_GRAINED) } else { report };
            return Ok(Report {
                account: some_text(&json["login"]),
                permissions: Permissions {
                    read: Tri::Yes,
                    raw: scopes.into_iter().flatten().collect(),
                    ..Permissions::default()
                },
                expires_at: answer.header("github-authentication-token-expiration").and_then(instant),
                ..report
            });
        }
        401 => Report::new(Outcome::InvalidKey).advising(REFUSED),
        403 | 429
            if left == Some("0")
                || answer.retry_after().is_some()
                || message.contains("rate limit")
                || answer.status == 429 =>
        {
            Report::new(Outcome::RateLimited)
        }
        403 => Report::new(Outcome::MissingPermission).advising(FORBIDDEN),
        _ => return Err(answer.by_status("", message)),
    };
    // Where it does not say how long to wait, it says until when.
    let reset = answer.header("x-ratelimit-reset").filter(|_| left == Some("0"));
    let wait = reset.and_then(|at| at.parse::<i64>().ok()).map(|at| at.saturating_sub(now.seconds()));
    let wait = answer.retry_after().or(wait.and_then(|seconds| u64::try_from(seconds).ok()));
    Err(report.saying(format!("HTTP {}", answer.status), message).retry_after(wait))
}

/// `2026-01-31 09:33:12 UTC`, or with an offset in place of the name.
fn instant(text: &str) -> Option<Timestamp> {
    let utc = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    let offset = format_description!(
        "[year]-[month]-[day] [hour]:[minute]:[second] [offset_hour sign:mandatory][offset_minute]"
    );
    let at = PrimitiveDateTime::parse(text, utc)
        .map(PrimitiveDateTime::assume_utc)
        .or_else(|_| OffsetDateTime::parse(text, offset))
        .ok()?;
    Some(Timestamp(at.unix_timestamp() * 1000))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    use super::super::samples::{self, assert_outcomes, header, mistakes, stamp};
    use super::*;

    fn credential(key: &str) -> Credential {
        Credential { secret: None, ..samples::credential(key, "") }
    }

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Answer {
        let pair = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        Answer {
            headers: headers.iter().copied().map(pair).collect::<HeaderMap>(),
            ..samples::answer(status, body)
        }
    }

    #[test]
    fn the_token_is_a_bearer_token() {
        let sent = GitHub.sign(Request::get("/user"), &credential("ghp_a"), &stamp(0)).expect("signed");
        assert_eq!(header(&sent, "Authorization"), "Bearer ghp_a");
        assert_eq!(header(&sent, "Accept"), "application/vnd.github+json");
        let raw = Request::get("/").header("accept", "application/vnd.github.raw+json");
        let sent = GitHub.sign(raw, &credential("ghp_a"), &stamp(0)).expect("signed");
        assert_eq!(header(&sent, "Accept"), "application/vnd.github.raw+json");
    }

    #[test]
    fn each_error_has_its_outcome() {
        assert_outcomes(
            |answer| judge(answer, Timestamp(0)).expect_err("an error"),
            &[
                (401, r#"{"message":"Bad credentials"}"#, Outcome::InvalidKey, "HTTP 401"),
                (403, r#"{"message":"m"}"#, Outcome::MissingPermission, "HTTP 403"),
                (
                    403,
                    r#"{"message":"You have exceeded a secondary rate limit"}"#,
                    Outcome::RateLimited,
                    "HTTP 403",
                ),
                (429, "{}", Outcome::RateLimited, "HTTP 429"),
                (200, "{}", Outcome::Unexpected, "HTTP 200"),
                (404, r#"{"message":"Not Found"}"#, Outcome::Unexpected, "HTTP 404"),
                (502, "<html>", Outcome::ProviderDown, "HTTP 502"),
            ],
        );
    }

    #[test]
    fn a_limit_says_how_long_to_wait() {
        let headers = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1700000060")];
        let report = judge(&answer(403, &headers, "{}"), Timestamp(1_700_000_000_000)).expect_err("an error");
        assert_eq!((report.outcome, report.retry_after), (Outcome::RateLimited, Some(60)));
        let report = judge(&answer(403, &[("retry-after", "7")], "{}"), Timestamp(0)).expect_err("an error");
        assert_eq!((report.outcome, report.retry_after), (Outcome::RateLimited, Some(7)));
    }

    #[test]
    fn scopes_and_expiry_are_read() {
        let body = r#"{"login":"ada","id":1}"#;
        let headers = [
            ("x-oauth-scopes", "repo, read:user"),
            ("github-authentication-token-expiration", "2023-11-14 22:13:20 UTC"),
        ];
        let report = judge(&answer(200, &headers, body), Timestamp(0)).expect("a report");
        assert_eq!(report.account.as_deref(), Some("ada"));
        assert_eq!(report.permissions.raw, ["repo", "read:user"]);
        assert_eq!(report.expires_at, Some(Timestamp(1_700_000_000_000)));
        assert_eq!(instant("2023-11-15 00:13:20 +0200"), Some(Timestamp(1_700_000_000_000)));
        assert_eq!(instant("soon"), None);
        let fine_grained = judge(&answer(200, &[], body), Timestamp(0)).expect("a report");
        assert!(fine_grained.permissions.raw.is_empty());
        assert_ne!(fine_grained.advice, report.advice);
    }

    #[test]
    fn a_token_has_no_strange_letters() {
        assert!(mistakes(&GitHub, &credential("github_pat_a")).is_empty());
        assert_eq!(mistakes(&GitHub, &credential("gh p_a")), ["api_key"]);
    }
}
