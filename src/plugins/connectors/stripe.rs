//! Stripe: secret and restricted keys.
//! <https://docs.stripe.com/api/authentication>

use futures_util::future::BoxFuture;

use super::bearer::{TOKEN, bearing, error_of, token_mistakes};
use super::{
    About, Answer, Connector, Credential, Environment, Field, Link, Mistake, Outcome, Permissions, Report,
    Request, Stamp, Tells, Tri, Unsignable,
};

pub struct Stripe;

static ABOUT: About = About {
    name: "stripe",
    title: "Stripe",
    documentation: "https://docs.stripe.com/keys",
    environments: &[
        Environment { name: "live", title: "Live", base_url: "https://api.stripe.com" },
        Environment { name: SANDBOX, title: "Sandbox or test mode", base_url: "https://api.stripe.com" },
    ],
    fields: &[Field { help: "A secret key (sk_…) or a restricted one (rk_…).", ..TOKEN }],
    tells: Tells { permissions: false, ip_restriction: false, expiry: false },
    clock: None,
};

const SANDBOX: &str = "sandbox";

impl Connector for Stripe {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn keeps_secret(&self) -> bool {
        false
    }

    fn check(&self, credential: &Credential) -> Vec<Mistake> {
        const KIND: &str = "The key must begin with sk_ or rk_; publishable keys (pk_) are no secrets";
        const LIVE: &str = "This is a live key. Choose the environment Live, or take a key of the sandbox";
        const TEST: &str = "This is a test key. Choose the environment Sandbox, or take a live key";
        let key = credential.api_key.expose();
        let Some(rest) = key.strip_prefix("sk_").or(key.strip_prefix("rk_")) else {
            return vec![Mistake { field: "api_key", message: KIND }];
        };
        let sandbox = credential.environment == SANDBOX;
        let live_in_sandbox = Mistake::unless(!(sandbox && rest.starts_with("live_")), "api_key", LIVE);
        let test_in_live = Mistake::unless(sandbox || !rest.starts_with("test_"), "api_key", TEST);
        token_mistakes(credential).into_iter().chain(live_in_sandbox).chain(test_in_live).collect()
    }

    fn sign(&self, request: Request, credential: &Credential, _: &Stamp) -> Result<Request, Unsignable> {
        Ok(bearing(request.content_type("application/x-www-form-urlencoded"), credential))
    }

    fn test<'a>(
        &'a self,
        link: &'a Link<'a>,
        credential: &'a Credential,
    ) -> BoxFuture<'a, Result<Report, Report>> {
        Box::pin(async move {
            let request = self.sign(Request::get("/v1/balance"), credential, &link.stamp())?;
            judge(&link.send(request).await?, credential.environment == SANDBOX)
        })
    }
}

fn judge(answer: &Answer, sandbox: bool) -> Result<Report, Report> {
    const WORKS: &str = "The credential works. Stripe does not tell what a key may do; a secret key (sk_) \
        may do everything.";
    const REFUSED: &str = "Stripe does not take this key. It may be copied wrongly, or have been deleted \
        or rolled. Copy it again, or make a new one.";
    const RESTRICTED: &str = "Stripe knows the key, but it may not read the balance. Give the restricted \
        key the permission to read the balance, or take another key.";
    let (code, message) = error_of(answer);
    let json = answer.json();
    let report = match (code.as_str(), answer.status) {
        ("", 200) if json["object"] == "balance" => {
            let live = json["livemode"].as_bool();
            if live == Some(sandbox) {
                return Err(Report::new(Outcome::WrongEnvironment));
            }
            return Ok(Report {
                permissions: Permissions { read: Tri::Yes, ..Permissions::default() },
                ..Report::new(Outcome::Ok).advising(WORKS)
            });
        }
        ("api_key_expired", _) => Report::new(Outcome::KeyExpired),
        ("rate_limit", _) => Report::new(Outcome::RateLimited),
        (_, 401) => Report::new(Outcome::InvalidKey).advising(REFUSED),
        (_, 403) => Report::new(Outcome::MissingPermission).advising(RESTRICTED),
        _ => return Err(answer.by_status(code, message)),
    };
    let code = if code.is_empty() { format!("HTTP {}", answer.status) } else { code };
    Err(report.saying(code, message).retry_after(answer.retry_after()))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, answer, assert_outcomes, header, mistakes, stamp};
    use super::*;

    fn credential(key: &str, environment: &str) -> Credential {
        Credential { environment: environment.into(), secret: None, ..samples::credential(key, "") }
    }

    #[test]
    fn the_key_is_a_bearer_token() {
        let request = Request::post("/v1/customers").body("name=Ada");
        let sent = Stripe.sign(request, &credential("sk_live_a", "live"), &stamp(0)).expect("signed");
        assert_eq!(header(&sent, "Authorization"), "Bearer sk_live_a");
        assert_eq!(header(&sent, "Content-Type"), "application/x-www-form-urlencoded");
    }

    #[test]
    fn each_error_has_its_outcome() {
        assert_outcomes(
            |answer| judge(answer, false).expect_err("an error"),
            &[
                (
                    401,
                    r#"{"error":{"message":"Invalid API Key provided","type":"invalid_request_error"}}"#,
                    Outcome::InvalidKey,
                    "invalid_request_error",
                ),
                (401, r#"{"error":{"code":"api_key_expired"}}"#, Outcome::KeyExpired, "api_key_expired"),
                (401, "", Outcome::InvalidKey, "HTTP 401"),
                (
                    403,
                    r#"{"error":{"type":"invalid_request_error"}}"#,
                    Outcome::MissingPermission,
                    "invalid_request_error",
                ),
                (429, r#"{"error":{"code":"rate_limit"}}"#, Outcome::RateLimited, "rate_limit"),
                (429, "{}", Outcome::RateLimited, "HTTP 429"),
                (500, r#"{"error":{"type":"api_error"}}"#, Outcome::ProviderDown, "api_error"),
                (200, "[]", Outcome::Unexpected, "HTTP 200"),
            ],
        );
    }

    #[test]
    fn the_balance_tells_the_environment() {
        let live = answer(200, r#"{"object":"balance","livemode":true}"#);
        let report = judge(&live, false).expect("a report");
        assert_eq!((report.outcome, report.permissions.read), (Outcome::Ok, Tri::Yes));
        assert_eq!(report.permissions.trade, Tri::Unknown);
        assert_eq!(judge(&live, true).expect_err("an error").outcome, Outcome::WrongEnvironment);
    }

    #[test]
    fn the_beginning_of_a_key_tells_its_kind() {
        for (key, environment, fits) in [
            ("sk_live_a", "live", true),
            ("rk_live_a", "live", true),
            ("sk_test_a", "sandbox", true),
            ("sk_a", "live", true),
            ("sk_test_a", "live", false),
            ("rk_live_a", "sandbox", false),
            ("pk_live_a", "live", false),
            ("sk_live_\u{e9}", "live", false),
            ("\u{e9}\u{e9}", "live", false),
        ] {
            let expected: &[&str] = if fits { &[] } else { &["api_key"] };
            assert_eq!(mistakes(&Stripe, &credential(key, environment)), expected, "{key}");
        }
    }
}
