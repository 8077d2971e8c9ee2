//! Bybit, version 5.
//! <https://bybit-exchange.github.io/docs/v5/guide>

use entities::Timestamp;
use futures_util::future::BoxFuture;
use reqwest::Method;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::answers::{number, some_text, text, texts};
use super::fields::{API_KEY, SECRET};
use super::signing::{PrivateKey, base64, hmac_sha256};
use super::{
    About, Answer, Clock, Connector, Credential, Environment, Field, IpRestriction, Kind, Link, Mistake,
    Outcome, Permissions, Report, Request, Stamp, Tells, Tri, Unsignable,
};

pub struct Bybit;

static ABOUT: About = About {
    name: "bybit",
    title: "Bybit",
    documentation: "https://www.bybit.com/en/help-center/article/How-to-create-your-API-key",
    environments: &[
        Environment { name: "live", title: "Live", base_url: "https://api.bybit.com" },
        Environment { name: "live_nl", title: "Live, Netherlands", base_url: "https://api.bybit.nl" },
        Environment { name: "live_tr", title: "Live, Türkiye", base_url: "https://api.bybit.tr" },
        Environment { name: "live_kz", title: "Live, Kazakhstan", base_url: "https://api.bybit.kz" },
        Environment { name: "live_ge", title: "Live, Georgia", base_url: "https://api.bybitgeorgia.ge" },
        Environment { name: "live_ae", title: "Live, Emirates", base_url: "https://api.bybit.ae" },
        Environment { name: "live_eu", title: "Live, Europe", base_url: "https://api.bybit.eu" },
        Environment { name: "live_id", title: "Live, Indonesia", base_url: "https://api.bybit.id" },
        Environment { name: "live_jp", title: "Live, Japan", base_url: "https://api.manepa.jp" },
        Environment { name: "testnet", title: "Testnet", base_url: "https://api-testnet.bybit.com" },
        Environment {
            name: "testnet_jp",
            title: "Testnet, Japan",
            base_url: "https://api-testnet.manepa.jp",
        },
        Environment { name: "demo", title: "Demo trading", base_url: "https://api-demo.bybit.com" },
    ],
    fields: &[
        API_KEY,
        Field {
            title: "Secret or private key",
            kind: Kind::Pem,
            help: "The secret that Bybit showed, or your own RSA key in PEM.",
            ..SECRET
        },
    ],
    tells: Tells { permissions: true, ip_restriction: true, expiry: true },
    clock: Some(Clock { path: "/v5/market/time", read: |answer| number(&answer["time"]) }),
};

/// Milliseconds.
const WINDOW: &str = "5000";

impl Connector for Bybit {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn check(&self, credential: &Credential) -> Vec<Mistake> {
        const PEM: &str = "The private key must be an RSA key in PEM without a password";
        let secret = credential.secret();
        let fits = !PrivateKey::is_pem(secret) || private_key(secret).is_ok();
        let mut mistakes = credential.strange_letters();
        mistakes.extend(Mistake::unless(fits, "secret", PEM));
        mistakes
    }

    /// Of query and body, the one that such a request is made by is signed.
    fn sign(&self, request: Request, credential: &Credential, stamp: &Stamp) -> Result<Request, Unsignable> {
        let (key, secret) = (credential.api_key.expose(), credential.secret());
        let content = if request.method == Method::GET { &request.query } else { &request.body };
        let message = format!("{}{key}{WINDOW}{content}", stamp.now.0);
        let signature = if PrivateKey::is_pem(secret) {
            base64(&private_key(secret)?.sign(message.as_bytes())?)
        } else {
            hex::encode(hmac_sha256(secret.as_bytes(), message.as_bytes()))
        };
        Ok(request
            .header("X-BAPI-API-KEY", key)
            .header("X-BAPI-TIMESTAMP", stamp.now.0.to_string())
            .header("X-BAPI-RECV-WINDOW", WINDOW)
            .header("X-BAPI-SIGN", signature)
            .content_type("application/json"))
    }

    fn test<'a>(
        &'a self,
        link: &'a Link<'a>,
        credential: &'a Credential,
    ) -> BoxFuture<'a, Result<Report, Report>> {
        Box::pin(async move {
            let request = Request::get("/v5/user/query-api");
            Ok(judge(&link.send(self.sign(request, credential, &link.stamp())?).await?))
        })
    }
}

fn private_key(secret: &str) -> Result<PrivateKey, Unsignable> {
    match PrivateKey::from_pem(secret)? {
        key @ PrivateKey::Rsa(_) => Ok(key),
        _ => Err(Unsignable("Of private keys, Bybit knows RSA keys only. Make one of these.")),
    }
}

/// What `query-api` says.
fn judge(answer: &Answer) -> Report {
    let body = answer.json();
    let result = &body["result"];
    if number(&body["retCode"]) != Some(0) || !result["permissions"].is_object() {
        return refusal(answer, &body);
    }
    let mut report = Report::new(Outcome::Ok);
    report.account = some_text(&result["userID"]);
    report.permissions = permissions(result);
    report.ip_restriction =
        IpRestriction::to(texts(&result["ips"]).map(|ips| if ips == ["*"] { vec![] } else { ips }));
    // 1970 stands for never.
    report.expires_at = OffsetDateTime::parse(&text(&result["expiredAt"]), &Rfc3339)
        .ok()
        .filter(|at| at.unix_timestamp() > 0)
        .map(|at| Timestamp(at.unix_timestamp().saturating_mul(1000)));
    report
}

/// By group, such as `Wallet`. A key that may only read has its groups nevertheless.
fn permissions(result: &Value) -> Permissions {
    let groups = &result["permissions"];
    let group = |name: &str| texts(&groups[name]).unwrap_or_default();
    let granted = |writes: Tri, granted: bool| match writes {
        Tri::Yes => granted.into(),
        other => other,
    };
    let writes = Tri::from(number(&result["readOnly"]).map(|read_only| read_only != 1));
    let trades = ["ContractTrade", "Spot", "Options", "Derivatives", "BlockTrade"];
    let wallet = group("Wallet");
    Permissions {
        // The answer is proof of it.
        read: Tri::Yes,
        trade: granted(writes, trades.iter().any(|name| !group(name).is_empty())),
        withdraw: granted(writes, wallet.iter().any(|name| name == "Withdraw")),
        transfer: granted(writes, wallet.iter().any(|name| name != "Withdraw")),
        raw: groups
            .as_object()
            .into_iter()
            .flatten()
            .flat_map(|(name, _)| group(name).into_iter().map(move |entry| format!("{name}.{entry}")))
            .collect(),
    }
}

/// <https://bybit-exchange.github.io/docs/v5/error>
fn refusal(answer: &Answer, body: &Value) -> Report {
    const KEY: &str = "Bybit does not know this key here. It is mistyped or deleted, or belongs to another \
        environment or region. Copy it again, choose its environment, or make a new one.";
    const EXPIRED: &str = "The key has expired. Keys without a list of addresses do so after 90 days. Make a \
        new one.";
    const COMPLIANCE: &str = "Bybit's rules of compliance forbid the request. The account is not verified, \
        or may not be used from its country. Sign in at Bybit to learn why.";
    const FORBIDDEN: &str = "Bybit refused the request before anybody looked at the key. Too many requests \
        came from this server's address, or Bybit does not serve its country. Wait ten minutes, or ask from \
        another server.";
    let code = number(&body["retCode"]).filter(|code| *code != 0);
    let report = match code {
        Some(10003) => Report::new(Outcome::InvalidKey).advising(KEY),
        Some(10007) => Report::new(Outcome::InvalidKey),
        Some(10004) => Report::new(Outcome::BadSignature),
        Some(10005) => Report::new(Outcome::MissingPermission),
        Some(10002) => Report::new(Outcome::ClockSkew),
        Some(10010) => Report::new(Outcome::IpNotAllowed),
        Some(10006) => Report::new(Outcome::RateLimited),
        Some(33004 | -2015) => Report::new(Outcome::KeyExpired).advising(EXPIRED),
        Some(10009) => Report::new(Outcome::GeoBlocked),
        Some(10024) => Report::new(Outcome::AccountRestricted).advising(COMPLIANCE),
        Some(10027) => Report::new(Outcome::AccountRestricted),
        None if answer.status == 403 => Report::new(Outcome::RateLimited).advising(FORBIDDEN),
        _ => {
            let code = code.map(|code| code.to_string()).unwrap_or_default();
            return answer.by_status(code, message(answer, body)).retry_after(retry_after(answer, body));
        }
    };
    let code = code.map_or_else(|| format!("HTTP {}", answer.status), |code| code.to_string());
    report.saying(code, message(answer, body)).retry_after(retry_after(answer, body))
}

fn message(answer: &Answer, body: &Value) -> String {
    some_text(&body["retMsg"]).unwrap_or_else(|| answer.text())
}

/// Seconds from the time of the answer to the one when more requests are taken.
fn retry_after(answer: &Answer, body: &Value) -> Option<u64> {
    let reset = || {
        let reset: i64 = answer.header("x-bapi-limit-reset-timestamp")?.parse().ok()?;
        let left = reset.checked_sub(number(&body["time"])?)?;
        u64::try_from(left).ok().map(|milliseconds| milliseconds.div_ceil(1000))
    };
    let limited = answer.status == 429 || number(&body["retCode"]) == Some(10006);
    answer.retry_after().or_else(|| if limited { reset() } else { None })
}

#[cfg(test)]
mod tests {
    use super::super::fields::base64_bytes;
    use super::*;
    use crate::plugins::connectors::samples::{
        answer, assert_outcomes, credential, header, input, mistakes, rsa, stamp,
    };
    use crate::plugins::connectors::vectors::vector;

    #[test]
    fn signatures_are_those_of_the_vector() {
        let test = vector("bybit_query_api");
        let credential = credential(input(&test, "api_key"), input(&test, "secret"));
        let sign = |request| Bybit.sign(request, &credential, &stamp(1_700_000_000_000)).unwrap();
        let signed = sign(Request::get("/v5/user/query-api"));
        assert_eq!(header(&signed, "X-BAPI-SIGN"), test["expected"]);
        assert_eq!(header(&signed, "X-BAPI-TIMESTAMP"), input(&test, "timestamp"));
        assert_eq!(header(&signed, "X-BAPI-RECV-WINDOW"), input(&test, "recv_window"));
        assert_eq!(header(&signed, "X-BAPI-API-KEY"), input(&test, "api_key"));
        let mac = |content: &str| {
            let message = format!("{}{content}", input(&test, "string_to_sign"));
            hex::encode(hmac_sha256(input(&test, "secret").as_bytes(), message.as_bytes()))
        };
        let signed = sign(Request::get("/v5/order/realtime").query("category=linear&symbol=BTCUSDT"));
        assert_eq!(header(&signed, "X-BAPI-SIGN"), mac("category=linear&symbol=BTCUSDT"));
        let signed = sign(Request::post("/v5/order/create").body(r#"{"category":"spot"}"#));
        assert_eq!(header(&signed, "X-BAPI-SIGN"), mac(r#"{"category":"spot"}"#));
        assert_eq!(header(&signed, "Content-Type"), "application/json");
    }

    #[test]
    fn keys_of_rsa_sign_as_well() {
        let (key, public) = rsa();
        let credential = credential("key", &key);
        assert!(mistakes(&Bybit, &credential).is_empty());
        let signed = Bybit.sign(Request::get("/v5/x").query("a=b"), &credential, &stamp(1)).unwrap();
        let signature = base64_bytes(header(&signed, "X-BAPI-SIGN")).unwrap();
        assert!(public.verify(b"1key5000a=b", &signature).is_ok());
    }

    #[test]
    fn a_private_key_is_looked_at() {
        assert!(mistakes(&Bybit, &credential("key", "secret")).is_empty());
        assert_eq!(mistakes(&Bybit, &credential("a key", "secret\u{2026}")), ["api_key", "secret"]);
        let ed25519 = vector("binance_ed25519");
        let key = input(&ed25519, "private_key_pkcs8_pem");
        assert_eq!(mistakes(&Bybit, &credential("key", key)), ["secret"]);
    }

    fn example() -> Value {
        serde_json::from_str(
            r#"{"retCode":0,"retMsg":"","result":{"id":"2208369","note":"testnet","apiKey":"XXXXXXXX","readOnly":1,
            "secret":"","permissions":{"ContractTrade":["Order","Position"],"Spot":["SpotTrade"],
            "Wallet":["AccountTransfer","SubMemberTransfer"],"Options":[],"Derivatives":["DerivativesTrade"],
            "Exchange":["ExchangeHistory"],"Earn":["Earn"]},"ips":["18.181.170.164"],"type":1,"deadlineDay":-2,
            "expiredAt":"1970-01-01T00:00:00Z","createdAt":"2025-10-13T03:20:45Z","uta":1,"userID":1448939,
            "isMaster":true,"parentUid":"0","rsaPublicKey":""},"retExtInfo":{},"time":1700000000000}"#,
        )
        .unwrap()
    }

    #[test]
    fn permissions_are_told() {
        let mut body = example();
        let report = judge(&answer(200, &body.to_string()));
        assert_eq!(report.outcome, Outcome::Ok);
        let permissions = report.permissions;
        assert_eq!((permissions.read, permissions.trade), (Tri::Yes, Tri::No));
        assert_eq!((permissions.withdraw, permissions.transfer), (Tri::No, Tri::No));
        assert_eq!(permissions.raw[..2], ["ContractTrade.Order", "ContractTrade.Position"]);
        assert_eq!(report.account.as_deref(), Some("1448939"));
        assert_eq!(report.ip_restriction, IpRestriction::Restricted(vec!["18.181.170.164".into()]));
        assert_eq!(report.expires_at, None);

        body["result"]["readOnly"] = 0.into();
        body["result"]["ips"] = serde_json::json!(["*"]);
        body["result"]["expiredAt"] = "2023-11-14T22:13:20Z".into();
        let report = judge(&answer(200, &body.to_string()));
        let permissions = report.permissions;
        assert_eq!((permissions.trade, permissions.withdraw), (Tri::Yes, Tri::No));
        assert_eq!(permissions.transfer, Tri::Yes);
        assert_eq!(report.ip_restriction, IpRestriction::Unrestricted);
        assert_eq!(report.expires_at, Some(Timestamp(1_700_000_000_000)));

        body["result"]["permissions"] = serde_json::json!({ "Wallet": ["Withdraw"] });
        let permissions = judge(&answer(200, &body.to_string())).permissions;
        assert_eq!((permissions.trade, permissions.withdraw), (Tri::No, Tri::Yes));
        assert_eq!(permissions.transfer, Tri::No);

        body["result"]["readOnly"] = Value::Null;
        let permissions = judge(&answer(200, &body.to_string())).permissions;
        assert_eq!((permissions.trade, permissions.withdraw), (Tri::Unknown, Tri::Unknown));
    }

    #[test]
    fn errors_have_outcomes() {
        use Outcome::*;
        for (code, outcome) in [
            (10003, InvalidKey),
            (10004, BadSignature),
            (10005, MissingPermission),
            (10002, ClockSkew),
            (10010, IpNotAllowed),
            (10006, RateLimited),
            (10007, InvalidKey),
            (33004, KeyExpired),
            (-2015, KeyExpired),
            (10009, GeoBlocked),
            (10024, AccountRestricted),
            (10027, AccountRestricted),
            (99999, Unexpected),
        ] {
            let body = format!(r#"{{"retCode":{code},"retMsg":"Sentence.","result":{{}}}}"#);
            assert_outcomes(judge, &[(200, &body, outcome, &code.to_string())]);
        }
        assert_outcomes(
            judge,
            &[
                (401, r#"{"retCode":10003,"retMsg":"m"}"#, InvalidKey, "10003"),
                (403, "<html></html>", RateLimited, "HTTP 403"),
                (429, "", RateLimited, "HTTP 429"),
                (503, "", ProviderDown, "HTTP 503"),
                (200, r#"{"retCode":0,"result":{}}"#, Unexpected, "HTTP 200"),
            ],
        );
    }

    #[test]
    fn the_time_to_wait_is_told() {
        let mut limited = answer(200, r#"{"retCode":10006,"retMsg":"m","time":1700000000000}"#);
        limited.headers.insert("x-bapi-limit-reset-timestamp", "1700000001500".parse().unwrap());
        assert_eq!(judge(&limited).retry_after, Some(2));
    }
}
