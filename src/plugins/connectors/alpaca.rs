//! Alpaca's trading API. Requests are not signed: the key and its secret are sent.
//! <https://docs.alpaca.markets/docs/authentication-1>

use futures_util::future::BoxFuture;

use super::answers::{some_text, text};
use super::fields::{API_KEY, SECRET};
use super::{
    About, Answer, Connector, Credential, Environment, Field, Link, Mistake, Outcome, Permissions, Report,
    Request, Stamp, Tells, Tri, Unsignable,
};

pub struct Alpaca;

static ABOUT: About = About {
    name: "alpaca",
    title: "Alpaca",
    documentation: "https://docs.alpaca.markets/docs/authentication-1",
    environments: &[
        Environment { name: "live", title: "Live", base_url: "https://api.alpaca.markets" },
        Environment { name: "paper", title: "Paper trading", base_url: "https://paper-api.alpaca.markets" },
    ],
    fields: &[Field { title: "Key ID", ..API_KEY }, Field { title: "Secret key", ..SECRET }],
    tells: Tells { permissions: false, ip_restriction: false, expiry: false },
    clock: None,
};

impl Connector for Alpaca {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn keeps_secret(&self) -> bool {
        false
    }

    fn check(&self, credential: &Credential) -> Vec<Mistake> {
        const BROKEN: &str = "The secret is of one line without spaces. Copy it again";
        let secret = credential.secret();
        let broken = secret.contains(|letter: char| letter.is_ascii_whitespace());
        credential.strange_letters().into_iter().chain(Mistake::unless(!broken, "secret", BROKEN)).collect()
    }

    fn sign(&self, request: Request, credential: &Credential, _: &Stamp) -> Result<Request, Unsignable> {
        Ok(request
            .content_type("application/json")
            .header("APCA-API-KEY-ID", credential.api_key.expose())
            .header("APCA-API-SECRET-KEY", credential.secret()))
    }

    fn test<'a>(
        &'a self,
        link: &'a Link<'a>,
        credential: &'a Credential,
    ) -> BoxFuture<'a, Result<Report, Report>> {
        Box::pin(async move {
            let request = self.sign(Request::get("/v2/account"), credential, &link.stamp())?;
            judge(&link.send(request).await?)
        })
    }
}

fn judge(answer: &Answer) -> Result<Report, Report> {
    const WORKS: &str =
        "The credential works. Alpaca does not tell what a key may do; normally it may trade.";
    const PAUSED: &str = "The credential works, but the account may not trade or transfer at the moment. \
        Sign in at Alpaca to learn why.";
    const INACTIVE: &str = "The credential is right, but the account is blocked or not active. Sign in at \
        Alpaca to learn why.";
    const REFUSED: &str = "Alpaca does not take this key. Key ID or secret may be copied wrongly, the key \
        may be deleted, or it may be of the other of live and paper trading, which have keys of their \
        own. Copy both again, choose the other environment, or make a new key.";
    const FORBIDDEN: &str = "Alpaca knows the key, but does not allow the request. The key may lack a \
        permission, or the account may be restricted. Sign in at Alpaca to learn which.";
    let json = answer.json();
    let (code, message) = (text(&json["code"]), text(&json["message"]));
    let report = match (code.as_str(), answer.status) {
        ("40110000", _) | ("", 401) => Report::new(Outcome::InvalidKey).advising(REFUSED),
        ("40310000", _) | ("", 403) => Report::new(Outcome::MissingPermission).advising(FORBIDDEN),
        ("42910000", _) => Report::new(Outcome::RateLimited),
        ("", 200) if json["status"].is_string() => {
            let is = |flag: &str| json[flag] == true;
            let active = json["status"] == "ACTIVE" && !is("account_blocked");
            let paused = is("trading_blocked") || is("transfers_blocked") || is("trade_suspended_by_user");
            let (outcome, advice) = match (active, paused) {
                (false, _) => (Outcome::AccountRestricted, INACTIVE),
                (true, true) => (Outcome::Ok, PAUSED),
                (true, false) => (Outcome::Ok, WORKS),
            };
            return Ok(Report {
                account: some_text(&json["account_number"]).or(some_text(&json["id"])),
                permissions: Permissions { read: Tri::Yes, ..Permissions::default() },
                ..Report::new(outcome).advising(advice)
            });
        }
        _ => return Err(answer.by_status(code, message)),
    };
    let code = if code.is_empty() { format!("HTTP {}", answer.status) } else { code };
    Err(report.saying(code, message).retry_after(answer.retry_after()))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{answer, assert_outcomes, credential, header, mistakes, stamp};
    use super::*;

    #[test]
    fn key_and_secret_are_sent() {
        let request = Request::post("/v2/orders").body("{}");
        let sent = Alpaca.sign(request, &credential("key", "secret"), &stamp(0)).expect("signed");
        assert_eq!(header(&sent, "APCA-API-KEY-ID"), "key");
        assert_eq!(header(&sent, "APCA-API-SECRET-KEY"), "secret");
        assert_eq!(header(&sent, "Content-Type"), "application/json");
    }

    #[test]
    fn each_error_has_its_outcome() {
        assert_outcomes(
            |answer| judge(answer).expect_err("an error"),
            &[
                (401, r#"{"message":"unauthorized."}"#, Outcome::InvalidKey, "HTTP 401"),
                (401, r#"{"code":40110000,"message":"m"}"#, Outcome::InvalidKey, "40110000"),
                (403, r#"{"message":"forbidden."}"#, Outcome::MissingPermission, "HTTP 403"),
                (403, r#"{"code":40310000,"message":"m"}"#, Outcome::MissingPermission, "40310000"),
                (429, r#"{"code":42910000,"message":"m"}"#, Outcome::RateLimited, "42910000"),
                (429, r#"{"message":"too many requests."}"#, Outcome::RateLimited, "HTTP 429"),
                (200, "{}", Outcome::Unexpected, "HTTP 200"),
                (503, "<html>", Outcome::ProviderDown, "HTTP 503"),
            ],
        );
    }

    #[test]
    fn flags_of_the_account_are_not_permissions_of_the_key() {
        let judged = |body| judge(&answer(200, body)).expect("a report");
        let report =
            judged(r#"{"id":"a-uuid","account_number":"PA1","status":"ACTIVE","trading_blocked":false}"#);
        assert_eq!((report.outcome, report.account.as_deref()), (Outcome::Ok, Some("PA1")));
        let Permissions { read, trade, withdraw, .. } = report.permissions;
        assert_eq!([read, trade, withdraw], [Tri::Yes, Tri::Unknown, Tri::Unknown]);
        let paused = judged(r#"{"id":"a-uuid","status":"ACTIVE","trading_blocked":true}"#);
        assert_eq!((paused.outcome, paused.account.as_deref()), (Outcome::Ok, Some("a-uuid")));
        assert_ne!(paused.advice, report.advice);
        for body in [r#"{"status":"ACTIVE","account_blocked":true}"#, r#"{"status":"ONBOARDING"}"#] {
            assert_eq!(judged(body).outcome, Outcome::AccountRestricted);
        }
    }

    #[test]
    fn what_can_be_no_header_is_a_mistake() {
        assert!(mistakes(&Alpaca, &credential("key", "secret")).is_empty());
        assert_eq!(mistakes(&Alpaca, &credential("k\u{e9}y", "two words")), ["api_key", "secret"]);
    }
}
