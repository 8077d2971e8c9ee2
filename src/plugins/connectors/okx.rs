//! OKX, version 5. Its companies in Europe and the United States have keys and hosts of their own.
//! <https://www.okx.com/docs-v5/en/#overview-rest-authentication>

use entities::Timestamp;
use futures_util::future::BoxFuture;
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;

use super::answers::{number, some_text, split, text};
use super::fields::{API_KEY, PASSPHRASE, SECRET};
use super::signing::{base64, hmac_sha256};
use super::{
    About, Answer, Clock, Connector, Credential, Environment, IpRestriction, Link, Mistake, Outcome,
    Permissions, Report, Request, Stamp, Tells, Tri, Unsignable,
};

pub struct Okx;

const GLOBAL: &str = "https://www.okx.com";
const EEA: &str = "https://eea.okx.com";
const US: &str = "https://us.okx.com";

static ABOUT: About = About {
    name: "okx",
    title: "OKX",
    documentation: "https://www.okx.com/docs-v5/en/#overview-api-key-creation",
    environments: &[
        Environment { name: "live", title: "Live", base_url: GLOBAL },
        Environment { name: "live_eea", title: "Live, Europe", base_url: EEA },
        Environment { name: "live_us", title: "Live, United States", base_url: US },
        Environment { name: "demo", title: "Demo trading", base_url: GLOBAL },
        Environment { name: "demo_eea", title: "Demo trading, Europe", base_url: EEA },
        Environment { name: "demo_us", title: "Demo trading, United States", base_url: US },
    ],
    fields: &[API_KEY, SECRET, PASSPHRASE],
    tells: Tells { permissions: true, ip_restriction: true, expiry: false },
    clock: Some(Clock { path: "/api/v5/public/time", read: |answer| number(&answer["data"][0]["ts"]) }),
};

impl Connector for Okx {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn check(&self, credential: &Credential) -> Vec<Mistake> {
        credential.strange_letters()
    }

    fn sign(&self, request: Request, credential: &Credential, stamp: &Stamp) -> Result<Request, Unsignable> {
        let time = iso_8601(stamp.now)?;
        let message = format!("{time}{}{}{}", request.method, request.target(), request.body);
        let signature = base64(&hmac_sha256(credential.secret().as_bytes(), message.as_bytes()));
        let request = request
            .header("OK-ACCESS-KEY", credential.api_key.expose())
            .header("OK-ACCESS-SIGN", signature)
            .header("OK-ACCESS-TIMESTAMP", time)
            .header("OK-ACCESS-PASSPHRASE", credential.passphrase())
            .content_type("application/json");
        let demo = credential.environment.starts_with("demo");
        Ok(if demo { request.header("x-simulated-trading", "1") } else { request })
    }

    fn test<'a>(
        &'a self,
        link: &'a Link<'a>,
        credential: &'a Credential,
    ) -> BoxFuture<'a, Result<Report, Report>> {
        Box::pin(async move {
            let request = Request::get("/api/v5/account/config");
            Ok(judge(&link.send(self.sign(request, credential, &link.stamp())?).await?))
        })
    }
}

/// UTC, always with milliseconds.
fn iso_8601(at: Timestamp) -> Result<String, Unsignable> {
    const FAR: Unsignable = Unsignable("The time is out of range. Check this server's clock.");
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000).map_err(|_| FAR)?;
    at.format(&format).map_err(|_| FAR)
}

/// What `config` says.
fn judge(answer: &Answer) -> Report {
    let body = answer.json();
    let data = &body["data"][0];
    let Some(raw) = split(&data["perm"]).filter(|_| text(&body["code"]) == "0") else {
        return refusal(answer, &body);
    };
    let may = |name: &str| Tri::from(raw.iter().any(|entry| entry == name));
    let mut report = Report::new(Outcome::Ok);
    report.account = some_text(&data["uid"]);
    report.ip_restriction = IpRestriction::to(split(&data["ip"]));
    report.permissions = Permissions {
        read: may("read_only"),
        trade: may("trade"),
        withdraw: may("withdraw"),
        // Between the owner's accounts, trading includes it.
        transfer: may("trade"),
        raw: raw.clone(),
    };
    report
}

/// <https://www.okx.com/docs-v5/en/#error-code>
fn refusal(answer: &Answer, body: &Value) -> Report {
    const ELSEWHERE: &str = "OKX does not know this key here. It belongs to OKX in another region (Europe, \
        United States), or it is mistyped or deleted. Choose the other environment, copy the key again, or \
        make a new one.";
    const DEMO: &str = "The key is for live trading and the environment for demo trading, or the other way \
        round. Choose the other environment, or make a key for this one.";
    const AUTHORIZATION: &str = "OKX refused the key. It is mistyped or deleted, or has expired, as keys \
        without a list of addresses do that are not used for 14 days. Copy it again, or make a new one.";
    let code = some_text(&body["code"]).filter(|code| code != "0").unwrap_or_default();
    let message = some_text(&body["msg"]).unwrap_or_else(|| answer.text());
    let report = match code.as_str() {
        "50111" => Report::new(Outcome::InvalidKey),
        "50114" => Report::new(Outcome::InvalidKey).advising(AUTHORIZATION),
        "50119" => Report::new(Outcome::WrongEnvironment).advising(ELSEWHERE),
        "50101" => Report::new(Outcome::WrongEnvironment).advising(DEMO),
        "50113" => Report::new(Outcome::BadSignature),
        "50105" => Report::new(Outcome::BadPassphrase),
        "50110" => Report::new(Outcome::IpNotAllowed),
        "50102" | "50112" => Report::new(Outcome::ClockSkew),
        "50100" => Report::new(Outcome::AccountRestricted),
        "50120" => Report::new(Outcome::MissingPermission),
        "50011" | "50061" => Report::new(Outcome::RateLimited),
        // Headers are missing, which is not the fault of the key, whatever the status is.
        "50103" | "50104" | "50106" | "50107" => Report::new(Outcome::Unexpected),
        _ => return answer.by_status(code, message),
    };
    report.saying(code, message).retry_after(answer.retry_after())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::connectors::samples::{
        answer, assert_outcomes, credential, header, input, mistakes, stamp,
    };
    use crate::plugins::connectors::vectors::vector;
    use crate::secret::Secret;

    fn with_passphrase(secret: &str, passphrase: &str) -> Credential {
        Credential { passphrase: Some(Secret::new(passphrase.into())), ..credential("key", secret) }
    }

    #[test]
    fn signatures_are_those_of_the_vector() {
        let test = vector("okx_account_config");
        let mut credential = with_passphrase(input(&test, "secret"), "a phrase");
        let request = || Request::get("/api/v5/account/config");
        let signed = Okx.sign(request(), &credential, &stamp(1_607_418_537_715)).unwrap();
        assert_eq!(header(&signed, "OK-ACCESS-SIGN"), test["expected"]);
        assert_eq!(header(&signed, "OK-ACCESS-TIMESTAMP"), input(&test, "timestamp"));
        assert_eq!(header(&signed, "OK-ACCESS-KEY"), "key");
        assert_eq!(header(&signed, "OK-ACCESS-PASSPHRASE"), "a phrase");
        assert_eq!(signed.headers.len(), 4);
        for environment in ["demo", "demo_eea", "demo_us"] {
            credential.environment = environment.into();
            let signed = Okx.sign(request(), &credential, &stamp(1_607_418_537_715)).unwrap();
            assert_eq!(header(&signed, "OK-ACCESS-SIGN"), test["expected"]);
            assert_eq!(header(&signed, "x-simulated-trading"), "1");
        }
    }

    #[test]
    fn query_and_body_are_signed() {
        let credential = with_passphrase("secret", "phrase");
        let request = Request::post("/api/v5/trade/order").query("a=b").body("{}");
        let signed = Okx.sign(request, &credential, &stamp(0)).unwrap();
        let message = b"1970-01-01T00:00:00.000ZPOST/api/v5/trade/order?a=b{}";
        assert_eq!(header(&signed, "OK-ACCESS-SIGN"), base64(&hmac_sha256(b"secret", message)));
        assert_eq!(header(&signed, "Content-Type"), "application/json");
        assert!(Okx.sign(Request::get("/"), &credential, &stamp(i64::MAX)).is_err());
    }

    #[test]
    fn letters_are_looked_at() {
        assert!(mistakes(&Okx, &with_passphrase("secret", "My phrase 1!")).is_empty());
        assert_eq!(mistakes(&Okx, &with_passphrase("s\u{e9}cret", "phr\u{e4}se")), ["secret", "passphrase"]);
    }

    #[test]
    fn permissions_are_told() {
        let body = r#"{"code":"0","msg":"","data":[{"perm":"read_only,withdraw,trade","ip":"1.2.3.4,10.0.0.0/8",
            "label":"v5 test","uid":"44705892343619584","mainUid":"44705892343619584","acctLv":"2"}]}"#;
        let report = judge(&answer(200, body));
        assert_eq!(report.outcome, Outcome::Ok);
        let permissions = report.permissions;
        assert_eq!((permissions.read, permissions.trade), (Tri::Yes, Tri::Yes));
        assert_eq!((permissions.withdraw, permissions.transfer), (Tri::Yes, Tri::Yes));
        assert_eq!(permissions.raw, ["read_only", "withdraw", "trade"]);
        assert_eq!(report.account.as_deref(), Some("44705892343619584"));
        assert_eq!(
            report.ip_restriction,
            IpRestriction::Restricted(vec!["1.2.3.4".into(), "10.0.0.0/8".into()])
        );
        let report = judge(&answer(200, r#"{"code":"0","data":[{"perm":"read_only","ip":""}]}"#));
        let permissions = report.permissions;
        assert_eq!((permissions.trade, permissions.withdraw), (Tri::No, Tri::No));
        assert_eq!(report.ip_restriction, IpRestriction::Unrestricted);
    }

    #[test]
    fn errors_have_outcomes() {
        use Outcome::*;
        for (status, code, outcome) in [
            (401, "50111", InvalidKey),
            (401, "50119", WrongEnvironment),
            (401, "50113", BadSignature),
            (401, "50105", BadPassphrase),
            (401, "50110", IpNotAllowed),
            (401, "50102", ClockSkew),
            (401, "50112", ClockSkew),
            (401, "50101", WrongEnvironment),
            (401, "50103", Unexpected),
            (401, "50104", Unexpected),
            (401, "50106", Unexpected),
            (401, "50107", Unexpected),
            (401, "50114", InvalidKey),
            (401, "50100", AccountRestricted),
            (401, "50120", MissingPermission),
            (429, "50011", RateLimited),
            (200, "50061", RateLimited),
            (503, "50001", ProviderDown),
            (200, "59999", Unexpected),
        ] {
            let body = format!(r#"{{"code":"{code}","msg":"Sentence.","data":[]}}"#);
            assert_outcomes(judge, &[(status, &body, outcome, code)]);
        }
        assert_outcomes(
            judge,
            &[
                (429, "", RateLimited, "HTTP 429"),
                (502, "<html></html>", ProviderDown, "HTTP 502"),
                (200, r#"{"code":"0","data":[]}"#, Unexpected, "HTTP 200"),
            ],
        );
    }
}
