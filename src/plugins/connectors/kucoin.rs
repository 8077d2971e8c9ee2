//! KuCoin, with keys of both versions.
//! <https://www.kucoin.com/docs-new/authentication>

use futures_util::future::BoxFuture;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::answers::{any_of, number, some_text, split, text};
use super::fields::{API_KEY, PASSPHRASE, SECRET};
use super::signing::{base64, hmac_sha256};
use super::{
    About, Answer, Clock, Connector, Credential, Environment, Field, IpRestriction, Kind, Link, Mistake,
    Outcome, Permissions, Report, Request, Stamp, Tells, Unsignable,
};

pub struct Kucoin;

static ABOUT: About = About {
    name: "kucoin",
    title: "KuCoin",
    documentation: "https://www.kucoin.com/support/360015102174",
    environments: &[
        Environment { name: "live", title: "Live", base_url: "https://api.kucoin.com" },
        Environment { name: "live_tr", title: "Live, Türkiye", base_url: "https://api.kucoin.tr" },
    ],
    fields: &[
        API_KEY,
        SECRET,
        PASSPHRASE,
        Field {
            name: "settings.key_version",
            title: "Version of the key",
            required: false,
            kind: Kind::Choice(VERSIONS),
            help: "New keys have version 3, older ones 2.",
        },
    ],
    tells: Tells { permissions: true, ip_restriction: true, expiry: false },
    clock: Some(Clock { path: "/api/v1/timestamp", read: |answer| number(&answer["data"]) }),
};

/// The first is the default.
const VERSIONS: &[&str] = &["3", "2"];
const SETTING: &str = "key_version";

impl Connector for Kucoin {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn check(&self, credential: &Credential) -> Vec<Mistake> {
        let fits = credential.settings.get(SETTING).is_none_or(|version| {
            version.is_null() || version.as_str().is_some_and(|version| VERSIONS.contains(&version))
        });
        let mut mistakes = credential.strange_letters();
        mistakes.extend(Mistake::unless(
            fits,
            "settings.key_version",
            "The version of the key must be 2 or 3",
        ));
        mistakes
    }

    /// The query is sent percent-encoded, but signed as it was before.
    fn sign(&self, request: Request, credential: &Credential, stamp: &Stamp) -> Result<Request, Unsignable> {
        let mac = |message: &[u8]| base64(&hmac_sha256(credential.secret().as_bytes(), message));
        let time = stamp.now.0.to_string();
        let target = request.target();
        let message = [time.as_bytes(), request.method.as_str().as_bytes()]
            .concat()
            .into_iter()
            .chain(percent_decode_str(&target))
            .chain(request.body.bytes())
            .collect::<Vec<_>>();
        Ok(request
            .header("KC-API-KEY", credential.api_key.expose())
            .header("KC-API-SIGN", mac(&message))
            .header("KC-API-TIMESTAMP", time)
            .header("KC-API-PASSPHRASE", mac(credential.passphrase().as_bytes()))
            .header("KC-API-KEY-VERSION", version(credential))
            .content_type("application/json"))
    }

    fn test<'a>(
        &'a self,
        link: &'a Link<'a>,
        credential: &'a Credential,
    ) -> BoxFuture<'a, Result<Report, Report>> {
        Box::pin(async move {
            let report = ask(link, credential).await?;
            if !is_of_another_version(&report) {
                return Ok(report);
            }
            let (other, advice) = other_version(credential);
            let second = ask(link, &other).await?;
            Ok(if second.outcome == Outcome::Ok { second.advising(advice) } else { report })
        })
    }
}

async fn ask(link: &Link<'_>, credential: &Credential) -> Result<Report, Report> {
    let request = Request::get("/api/v1/user/api-key");
    Ok(judge(&link.send(Kucoin.sign(request, credential, &link.stamp())?).await?))
}

fn version(credential: &Credential) -> &str {
    credential.setting(SETTING).unwrap_or(VERSIONS[0])
}

/// The same credential with the other version, and what to do if that is the right one.
fn other_version(credential: &Credential) -> (Credential, &'static str) {
    const OLD: &str = "The credential works, but its key has version 2. Change the version, so that all \
        requests work.";
    const NEW: &str = "The credential works, but its key has version 3. Change the version, so that all \
        requests work.";
    let (version, advice) = if version(credential) == "2" { ("3", NEW) } else { ("2", OLD) };
    let mut other = credential.clone();
    other.settings.insert(SETTING.into(), version.into());
    (other, advice)
}

fn is_of_another_version(report: &Report) -> bool {
    matches!(report.provider_code.as_deref(), Some("400008" | "400009"))
}

/// What `api-key` says.
fn judge(answer: &Answer) -> Report {
    let body = answer.json();
    let data = &body["data"];
    let Some(raw) = split(&data["permission"]).filter(|_| text(&body["code"]) == "200000") else {
        return refusal(answer, &body);
    };
    let mut report = Report::new(Outcome::Ok);
    report.account = some_text(&data["uid"]);
    report.permissions = Permissions {
        read: any_of(&raw, &["General"]).into(),
        trade: any_of(&raw, &["Spot", "Margin", "Futures"]).into(),
        withdraw: any_of(&raw, &["Withdrawal", "Withdraw", "Transfer"]).into(),
        transfer: any_of(&raw, &["InnerTransfer", "FlexTransfers", "Transfer"]).into(),
        raw,
    };
    // Without a list the field is missing. Addresses are told with stars in the middle.
    report.ip_restriction = IpRestriction::to(Some(split(&data["ipWhitelist"]).unwrap_or_default()));
    report
}

/// <https://www.kucoin.com/docs-new/error-code>
fn refusal(answer: &Answer, body: &Value) -> Report {
    const VERSION: &str = "KuCoin takes this version of key no more, or the key has another version than the \
        one given here. Make a new key, or change the version.";
    const KEY: &str = "KuCoin does not know this key. It is mistyped or deleted, or belongs to another \
        region (global, Türkiye). Copy it again, choose its environment, or make a new one.";
    const REGION: &str = "KuCoin does not serve the country of this server or of the account, or the account \
        is not verified. Sign in at KuCoin to learn why.";
    let code = text(&body["code"]);
    let message = some_text(&body["msg"]).unwrap_or_else(|| answer.text());
    let report = match code.as_str() {
        "400001" => Report::new(Outcome::Unexpected),
        "400002" => Report::new(Outcome::ClockSkew),
        "400003" => Report::new(Outcome::InvalidKey).advising(KEY),
        "400004" => Report::new(Outcome::BadPassphrase),
        "400005" => Report::new(Outcome::BadSignature),
        "400006" => Report::new(Outcome::IpNotAllowed),
        "400007" => Report::new(Outcome::MissingPermission),
        "400008" | "400009" => Report::new(Outcome::KeyExpired).advising(VERSION),
        "400010" | "411100" => Report::new(Outcome::AccountRestricted),
        "400301" | "400302" | "400303" => Report::new(Outcome::GeoBlocked).advising(REGION),
        "429000" => Report::new(Outcome::RateLimited),
        // Success, but not what was asked for.
        "200000" => return answer.by_status("", message),
        _ => return answer.by_status(code, message),
    };
    report.saying(code, message).retry_after(answer.retry_after())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::connectors::Tri;
    use crate::plugins::connectors::samples::{
        answer, assert_outcomes, credential, header, input, mistakes, stamp, tested,
    };
    use crate::plugins::connectors::vectors::vector;
    use crate::secret::Secret;

    fn with_passphrase(secret: &str, passphrase: &str) -> Credential {
        Credential { passphrase: Some(Secret::new(passphrase.into())), ..credential("key", secret) }
    }

    #[test]
    fn signatures_are_those_of_the_sdk() {
        let sdk = vector("kucoin_sdk_sign");
        // What the SDK signs in its test is what a passphrase goes through.
        let credential = with_passphrase(input(&sdk, "secret"), input(&sdk, "plain"));
        let request = Request::get("/api/v1/user/api-key");
        let signed = Kucoin.sign(request, &credential, &stamp(1_700_000_000_000)).unwrap();
        assert_eq!(header(&signed, "KC-API-PASSPHRASE"), sdk["expected"]);
        let mac = |message: &str| base64(&hmac_sha256(input(&sdk, "secret").as_bytes(), message.as_bytes()));
        assert_eq!(header(&signed, "KC-API-SIGN"), mac("1700000000000GET/api/v1/user/api-key"));
        assert_eq!(header(&signed, "KC-API-TIMESTAMP"), "1700000000000");
        assert_eq!(header(&signed, "KC-API-KEY"), "key");
        assert_eq!(header(&signed, "KC-API-KEY-VERSION"), "3");
        let request = Request::post("/api/v1/orders").query("note=a%20b%26c").body("{}");
        let signed = Kucoin.sign(request, &credential, &stamp(7)).unwrap();
        assert_eq!(header(&signed, "KC-API-SIGN"), mac("7POST/api/v1/orders?note=a b&c{}"));
        assert_eq!(signed.target(), "/api/v1/orders?note=a%20b%26c");
        assert_eq!(header(&signed, "Content-Type"), "application/json");
    }

    #[test]
    fn the_version_is_looked_at_and_told() {
        let mut credential = with_passphrase("secret", "phrase");
        assert!(mistakes(&Kucoin, &credential).is_empty());
        let (other, advice) = other_version(&credential);
        assert_eq!(version(&other), "2");
        assert!(advice.contains("version 2"));
        assert_eq!(version(&other_version(&other).0), "3");
        let signed = Kucoin.sign(Request::get("/"), &other, &stamp(0)).unwrap();
        assert_eq!(header(&signed, "KC-API-KEY-VERSION"), "2");
        for wrong in [Value::from("1"), Value::from(3)] {
            credential.settings.insert(SETTING.into(), wrong);
            assert_eq!(mistakes(&Kucoin, &credential), ["settings.key_version"]);
        }
        let credential = with_passphrase("s\u{e9}cret", "phr\u{e4}se");
        assert_eq!(mistakes(&Kucoin, &credential), ["secret", "passphrase"]);
    }

    #[tokio::test]
    async fn the_other_version_is_tried_once() {
        const CLOCK: &str = r#"{"code":"200000","data":1700000000000}"#;
        const RETIRED: &str = r#"{"code":"400009","msg":"m"}"#;
        const GOOD: &str = r#"{"code":"200000","data":{"permission":"General"}}"#;
        let credential = with_passphrase("secret", "phrase");
        let (report, asked) = tested(&Kucoin, &credential, &[CLOCK, RETIRED, GOOD]).await;
        assert_eq!(report.outcome, Outcome::Ok);
        assert!(report.advice.contains("version 2"));
        assert!(asked[0].starts_with("GET /api/v1/timestamp "));
        assert!(asked[1].to_lowercase().contains("\r\nkc-api-key-version: 3\r\n"));
        assert!(asked[2].to_lowercase().contains("\r\nkc-api-key-version: 2\r\n"));
        let (report, asked) = tested(&Kucoin, &credential, &[CLOCK, RETIRED, RETIRED]).await;
        assert_eq!((report.outcome, asked.len()), (Outcome::KeyExpired, 3));
        assert_eq!(report.provider_code.as_deref(), Some("400009"));
    }

    #[test]
    fn permissions_are_told() {
        let body = r#"{"code":"200000","data":{"remark":"account1","apiKey":"6705f5c311545b000157d3eb",
            "apiVersion":3,"permission":"General,Futures,Spot,Earn,InnerTransfer,Transfer,Margin",
            "ipWhitelist":"203.**.154,103.**.34","createdAt":1728443843000,"uid":165111215,"isMaster":true}}"#;
        let report = judge(&answer(200, body));
        assert_eq!(report.outcome, Outcome::Ok);
        let permissions = report.permissions;
        assert_eq!((permissions.read, permissions.trade), (Tri::Yes, Tri::Yes));
        assert_eq!((permissions.withdraw, permissions.transfer), (Tri::Yes, Tri::Yes));
        assert_eq!(permissions.raw.len(), 7);
        assert_eq!(report.account.as_deref(), Some("165111215"));
        let addresses = vec!["203.**.154".into(), "103.**.34".into()];
        assert_eq!(report.ip_restriction, IpRestriction::Restricted(addresses));
        for data in [r#"{"permission":"General"}"#, r#"{"permission":"General","ipWhitelist":""}"#] {
            let report = judge(&answer(200, &format!(r#"{{"code":"200000","data":{data}}}"#)));
            let permissions = report.permissions;
            assert_eq!((permissions.trade, permissions.withdraw), (Tri::No, Tri::No));
            assert_eq!(permissions.transfer, Tri::No);
            assert_eq!(report.ip_restriction, IpRestriction::Unrestricted);
        }
    }

    #[test]
    fn errors_have_outcomes() {
        use Outcome::*;
        for (code, outcome) in [
            ("400001", Unexpected),
            ("400002", ClockSkew),
            ("400003", InvalidKey),
            ("400004", BadPassphrase),
            ("400005", BadSignature),
            ("400006", IpNotAllowed),
            ("400007", MissingPermission),
            ("400008", KeyExpired),
            ("400009", KeyExpired),
            ("400010", AccountRestricted),
            ("411100", AccountRestricted),
            ("400301", GeoBlocked),
            ("400302", GeoBlocked),
            ("400303", GeoBlocked),
            ("429000", RateLimited),
            ("999999", Unexpected),
        ] {
            let body = format!(r#"{{"code":"{code}","msg":"Sentence."}}"#);
            assert_outcomes(judge, &[(200, &body, outcome, code)]);
        }
        assert_outcomes(
            judge,
            &[
                (401, r#"{"code":"400001","msg":"m"}"#, Unexpected, "400001"),
                (429, "", RateLimited, "HTTP 429"),
                (504, "<html></html>", ProviderDown, "HTTP 504"),
                (200, r#"{"code":"200000","data":null}"#, Unexpected, "HTTP 200"),
            ],
        );
    }
}
