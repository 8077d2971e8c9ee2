//! Binance, with keys of all three kinds.
//! <https://developers.binance.com/docs/binance-spot-api-docs/rest-api/request-security>

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::answers::{number, some_text, text};
use super::fields::{API_KEY, SECRET};
use super::signing::{PrivateKey, base64, hmac_sha256, percent_encoded};
use super::{
    About, Answer, Clock, Connector, Credential, Environment, Field, IpRestriction, Link, Mistake, Outcome,
    Permissions, Report, Request, Stamp, Tells, Tri, Unsignable,
};

pub struct Binance;

static ABOUT: About = About {
    name: "binance",
    title: "Binance",
    documentation: "https://www.binance.com/en/support/faq/how-to-create-api-keys-on-binance-360002502072",
    environments: &[
        Environment { name: LIVE, title: "Live", base_url: "https://api.binance.com" },
        Environment { name: "testnet", title: "Spot testnet", base_url: "https://testnet.binance.vision" },
        Environment { name: "demo", title: "Demo trading", base_url: "https://demo-api.binance.com" },
    ],
    fields: &[
        API_KEY,
        Field {
            title: "Secret or private key",
            kind: super::Kind::Pem,
            help: "The secret that Binance showed, or your own Ed25519 or RSA key in PEM.",
            ..SECRET
        },
    ],
    tells: Tells { permissions: true, ip_restriction: true, expiry: false },
    clock: Some(Clock { path: "/api/v3/time", read: |answer| number(&answer["serverTime"]) }),
};

const LIVE: &str = "live";

impl Connector for Binance {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn check(&self, credential: &Credential) -> Vec<Mistake> {
        const PEM: &str = "The private key must be an Ed25519 or RSA key in PEM without a password";
        const HMAC: &str = "The secret must have 64 letters and digits, or be a private key in PEM";
        let secret = credential.secret();
        let mistake = if PrivateKey::is_pem(secret) {
            Mistake::unless(private_key(secret).is_ok(), "secret", PEM)
        } else {
            let fits = secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
            Mistake::unless(fits, "secret", HMAC)
        };
        credential
            .strange_letters()
            .into_iter()
            .filter(|found| found.field == "api_key")
            .chain(mistake)
            .collect()
    }

    /// Signs query and body as they are sent. Time and signature go into the query, also beside a body.
    fn sign(
        &self,
        mut request: Request,
        credential: &Credential,
        stamp: &Stamp,
    ) -> Result<Request, Unsignable> {
        if request.has_parameter("timestamp") || request.has_parameter("signature") {
            return Err(Unsignable(
                "The query must have neither timestamp nor signature, which are added to it.",
            ));
        }
        let mut parts = vec![];
        if !request.query.is_empty() {
            parts.push(request.query.clone());
        }
        if !request.has_parameter("recvWindow") {
            parts.push("recvWindow=5000".into());
        }
        parts.push(format!("timestamp={}", stamp.now.0));
        request.query = parts.join("&");
        let message = format!("{}{}", request.query, request.body);
        let secret = credential.secret();
        let signature = if PrivateKey::is_pem(secret) {
            percent_encoded(&base64(&private_key(secret)?.sign(message.as_bytes())?))
        } else {
            hex::encode(hmac_sha256(secret.as_bytes(), message.as_bytes()))
        };
        request.query = format!("{}&signature={signature}", request.query);
        Ok(request
            .header("X-MBX-APIKEY", credential.api_key.expose())
            .content_type("application/x-www-form-urlencoded"))
    }

    fn test<'a>(
        &'a self,
        link: &'a Link<'a>,
        credential: &'a Credential,
    ) -> BoxFuture<'a, Result<Report, Report>> {
        Box::pin(async move {
            // What is under /sapi is not in the other environments.
            let live = credential.environment == LIVE;
            let request = if live {
                Request::get("/sapi/v1/account/apiRestrictions")
            } else {
                Request::get("/api/v3/account").query("omitZeroBalances=true")
            };
            let answer = link.send(self.sign(request, credential, &link.stamp())?).await?;
            Ok(if live { restrictions(&answer) } else { account(&answer) })
        })
    }
}

fn private_key(secret: &str) -> Result<PrivateKey, Unsignable> {
    match PrivateKey::from_pem(secret)? {
        PrivateKey::P256(_) => Err(Unsignable("Binance knows Ed25519 and RSA keys only. Make one of these.")),
        key => Ok(key),
    }
}

/// What `apiRestrictions` says of the key.
fn restrictions(answer: &Answer) -> Report {
    let body = answer.json();
    let flag = |name: &str| Tri::from(body[name].as_bool());
    let restricted = body["ipRestrict"].as_bool();
    if !answer.is_success() || (restricted.is_none() && flag("enableReading") == Tri::Unknown) {
        return judge(answer);
    }
    let mut report = Report::new(Outcome::Ok);
    report.permissions = Permissions {
        read: flag("enableReading"),
        trade: Tri::any(
            [
                "enableSpotAndMarginTrading",
                "enableMargin",
                "enableFutures",
                "enableVanillaOptions",
                "enablePortfolioMarginTrading",
                "enableFixApiTrade",
            ]
            .map(flag),
        ),
        withdraw: flag("enableWithdrawals"),
        transfer: Tri::any(["enableInternalTransfer", "permitsUniversalTransfer"].map(flag)),
        raw: body
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, value)| value.as_bool() == Some(true) && *name != "ipRestrict")
            .map(|(name, _)| name.clone())
            .collect(),
    };
    report.ip_restriction = match restricted {
        None => IpRestriction::Unknown,
        Some(false) => IpRestriction::Unrestricted,
        // Which addresses, is not told.
        Some(true) => IpRestriction::Restricted(vec![]),
    };
    report
}

/// What `account` says: that the key may read. What else it says is of the account, not of the key.
fn account(answer: &Answer) -> Report {
    let body = answer.json();
    if !answer.is_success() || !body["balances"].is_array() {
        return judge(answer);
    }
    let mut report = Report::new(Outcome::Ok);
    report.account = some_text(&body["uid"]);
    report.permissions.read = Tri::Yes;
    report
}

/// What went wrong.
/// <https://developers.binance.com/docs/binance-spot-api-docs/errors>
fn judge(answer: &Answer) -> Report {
    const AMBIGUOUS: &str = "Binance does not say which: the key is unknown or deleted, it may not be used \
        from this server's address, it lacks the permission to read, or it belongs to another environment. \
        Look at the key's permissions and list of addresses at Binance, and at the environment chosen here.";
    const UNKNOWN: &str = "Binance does not know this key. It is mistyped, deleted, or belongs to another \
        environment. Copy it again, choose its environment, or make a new one.";
    const SIGNATURE: &str = "Binance knows the key but not its secret. For a key of your own (Ed25519 or \
        RSA), enter the private key that belongs to the public key that is registered there. Otherwise copy \
        the secret again, or make a new key, since Binance shows a secret only once.";
    const BANNED: &str = "Binance has shut out this server's address for minutes or days, since too many \
        requests came from it. Wait before the next test.";
    const WALL: &str = "Binance's firewall refused the request before anybody looked at the key. Binance \
        does not serve the country of this server, or too many requests came from its address. Ask from \
        another server, or wait.";
    let body: Value = answer.json();
    let code = number(&body["code"]);
    let report = match code {
        Some(-2015) => Report::new(Outcome::InvalidKey).advising(AMBIGUOUS),
        Some(-2014 | -2008) => Report::new(Outcome::InvalidKey).advising(UNKNOWN),
        Some(-1022) => Report::new(Outcome::BadSignature).advising(SIGNATURE),
        Some(-1021) => Report::new(Outcome::ClockSkew),
        Some(-1002 | -1099) => Report::new(Outcome::MissingPermission),
        Some(-1005) => Report::new(Outcome::IpNotAllowed),
        Some(-2017) => Report::new(Outcome::AccountRestricted),
        _ if answer.status == 418 => Report::new(Outcome::RateLimited).advising(BANNED),
        Some(-1003) => Report::new(Outcome::RateLimited),
        None if answer.status == 403 => Report::new(Outcome::GeoBlocked).advising(WALL),
        _ => return answer.by_status(text(&body["code"]), message(answer, &body)),
    };
    let code = code.map_or_else(|| format!("HTTP {}", answer.status), |code| code.to_string());
    report.saying(code, message(answer, &body)).retry_after(answer.retry_after())
}

fn message(answer: &Answer, body: &Value) -> String {
    some_text(&body["msg"]).unwrap_or_else(|| answer.text())
}

#[cfg(test)]
mod tests {
    use super::super::fields::base64_bytes;
    use super::*;
    use crate::plugins::connectors::samples::{
        answer, assert_outcomes, credential, header, input, mistakes, rsa, stamp, tested,
    };
    use crate::plugins::connectors::vectors::vector;

    #[test]
    fn signatures_are_those_of_the_documentation() {
        let order = vector("binance_hmac_ascii");
        let payload = input(&order, "payload");
        let query = payload.strip_suffix("&recvWindow=5000&timestamp=1499827319559").unwrap();
        let credential_ = credential(input(&order, "api_key"), input(&order, "secret"));
        let request = Request::post("/api/v3/order").query(query);
        let signed = Binance.sign(request, &credential_, &stamp(1_499_827_319_559)).unwrap();
        let signature = order["expected"].as_str().unwrap();
        assert_eq!(signed.query, format!("{payload}&signature={signature}"));
        assert_eq!(header(&signed, "X-MBX-APIKEY"), input(&order, "api_key"));
        // The same, in a body.
        let parted = Request::post("/api/v3/order").query("symbol=LTCBTC").body("side=BUY");
        let signed = Binance.sign(parted, &credential_, &stamp(0)).unwrap();
        let mac = hmac_sha256(
            input(&order, "secret").as_bytes(),
            b"symbol=LTCBTC&recvWindow=5000&timestamp=0side=BUY",
        );
        assert!(signed.query.ends_with(&format!("&signature={}", hex::encode(mac))));
        assert_eq!(signed.body, "side=BUY");
        assert_eq!(header(&signed, "content-type"), "application/x-www-form-urlencoded");

        let test = vector("binance_apirestrictions");
        let request = Request::get("/sapi/v1/account/apiRestrictions");
        let signed = Binance
            .sign(request, &credential("key", input(&test, "secret")), &stamp(1_700_000_000_000))
            .unwrap();
        assert_eq!(format!("https://api.binance.com{}", signed.target()), input(&test, "url"));

        let ed25519 = vector("binance_ed25519");
        let key = input(&ed25519, "private_key_pkcs8_pem");
        let signed = Binance
            .sign(Request::get("/api/v3/account"), &credential("key", key), &stamp(1_700_000_000_000))
            .unwrap();
        let (payload, signature) = (input(&ed25519, "payload"), input(&ed25519, "signature_percent_encoded"));
        assert_eq!(signed.query, format!("{payload}&signature={signature}"));
    }

    #[test]
    fn keys_of_rsa_sign_as_well() {
        let (key, public) = rsa();
        assert!(mistakes(&Binance, &credential("key", &key)).is_empty());
        let signed =
            Binance.sign(Request::get("/api/v3/account"), &credential("key", &key), &stamp(1)).unwrap();
        let (message, signature) = signed.query.split_once("&signature=").unwrap();
        let signature = percent_encoding::percent_decode_str(signature).decode_utf8().unwrap();
        let signature = base64_bytes(&signature).unwrap();
        assert!(public.verify(message.as_bytes(), &signature).is_ok());
    }

    #[test]
    fn what_is_signed_is_added_once() {
        let credential = credential("key", "secret");
        let sign =
            |query: &str| Binance.sign(Request::get("/api/v3/account").query(query), &credential, &stamp(1));
        assert!(
            sign("recvWindow=60000").unwrap().query.starts_with("recvWindow=60000&timestamp=1&signature=")
        );
        assert!(sign("timestamp=1").is_err());
        assert!(sign("a=b&signature=1").is_err());
    }

    #[test]
    fn the_secret_is_looked_at() {
        let secret = input(&vector("binance_hmac_ascii"), "secret").to_owned();
        assert!(mistakes(&Binance, &credential("key", &secret)).is_empty());
        assert_eq!(mistakes(&Binance, &credential("a key", &secret[1..])), ["api_key", "secret"]);
        let ed25519 = vector("binance_ed25519");
        let key = input(&ed25519, "private_key_pkcs8_pem");
        assert!(mistakes(&Binance, &credential("key", key)).is_empty());
        assert!(mistakes(&Binance, &credential("key", &key.trim().replace('\n', "\\n"))).is_empty());
        let public = input(&ed25519, "public_key_spki_pem");
        assert_eq!(mistakes(&Binance, &credential("key", public)), ["secret"]);
        assert_eq!(mistakes(&Binance, &credential("key", &key.replace("MC4C", "MC4D"))), ["secret"]);
        let p256 = vector("coinbase_es256_jwt");
        assert_eq!(mistakes(&Binance, &credential("key", input(&p256, "private_key_pem"))), ["secret"]);
    }

    #[test]
    fn permissions_are_told() {
        let body = r#"{"ipRestrict":false,"createTime":1698645219000,"enableReading":true,
            "enableSpotAndMarginTrading":false,"enableMargin":false,"enableFutures":true,"enableVanillaOptions":false,
            "enablePortfolioMarginTrading":false,"enableFixApiTrade":false,"enableFixReadOnly":false,
            "enableWithdrawals":false,"enableInternalTransfer":false}"#;
        let report = restrictions(&answer(200, body));
        assert_eq!(report.outcome, Outcome::Ok);
        let permissions = report.permissions;
        assert_eq!((permissions.read, permissions.trade), (Tri::Yes, Tri::Yes));
        // One of the two flags is not there.
        assert_eq!((permissions.withdraw, permissions.transfer), (Tri::No, Tri::Unknown));
        assert_eq!(permissions.raw, ["enableReading", "enableFutures"]);
        assert_eq!(report.ip_restriction, IpRestriction::Unrestricted);
        let report = restrictions(&answer(200, r#"{"ipRestrict":true,"enableReading":true}"#));
        assert_eq!(report.permissions.trade, Tri::Unknown);
        assert_eq!(report.ip_restriction, IpRestriction::Restricted(vec![]));
        assert_eq!(restrictions(&answer(200, "{}")).outcome, Outcome::Unexpected);
    }

    #[tokio::test]
    async fn a_test_asks_what_the_environment_has_and_again_when_the_clocks_differ() {
        const CLOCK: &str = r#"{"serverTime":1700000000000}"#;
        const SKEW: &str = r#"{"code":-1021,"msg":"m"}"#;
        let mut credential = credential("a-key", "secret");
        let good = r#"{"ipRestrict":true,"enableReading":true}"#;
        let (report, asked) = tested(&Binance, &credential, &[CLOCK, SKEW, CLOCK, good]).await;
        assert_eq!(report.outcome, Outcome::Ok);
        assert!(asked[0].starts_with("GET /api/v3/time "));
        for request in [&asked[1], &asked[3]] {
            let beginning = "GET /sapi/v1/account/apiRestrictions?recvWindow=5000&timestamp=1700000";
            assert!(request.starts_with(beginning), "{request}");
        }
        credential.environment = "testnet".into();
        let (report, asked) = tested(&Binance, &credential, &[CLOCK, r#"{"uid":1,"balances":[]}"#]).await;
        assert_eq!((report.outcome, report.account.as_deref()), (Outcome::Ok, Some("1")));
        assert!(asked[1].starts_with("GET /api/v3/account?omitZeroBalances=true&recvWindow=5000&"));
    }

    #[test]
    fn flags_of_the_account_are_not_those_of_the_key() {
        let body =
            r#"{"canTrade":true,"canWithdraw":true,"balances":[],"permissions":["SPOT"],"uid":354937868}"#;
        let report = account(&answer(200, body));
        assert_eq!(report.account.as_deref(), Some("354937868"));
        assert_eq!((report.permissions.read, report.permissions.trade), (Tri::Yes, Tri::Unknown));
        assert_eq!(report.permissions.withdraw, Tri::Unknown);
        assert_eq!(account(&answer(200, "[]")).outcome, Outcome::Unexpected);
    }

    #[test]
    fn errors_have_outcomes() {
        use Outcome::*;
        let error = |code: i64| format!(r#"{{"code":{code},"msg":"Sentence."}}"#);
        for (status, code, outcome) in [
            (401, -2014, InvalidKey),
            (401, -2008, InvalidKey),
            (401, -2015, InvalidKey),
            (400, -1022, BadSignature),
            (400, -1021, ClockSkew),
            (401, -1002, MissingPermission),
            (429, -1003, RateLimited),
            (418, -1003, RateLimited),
            (400, -1100, Unexpected),
            (400, -1102, Unexpected),
            (400, -1105, Unexpected),
            (401, -1005, IpNotAllowed),
            (401, -1099, MissingPermission),
            (401, -2017, AccountRestricted),
            (400, -9999, Unexpected),
            (503, -1008, ProviderDown),
        ] {
            assert_outcomes(judge, &[(status, &error(code), outcome, &code.to_string())]);
            assert_eq!(judge(&answer(status, &error(code))).provider_message.as_deref(), Some("Sentence."));
        }
        assert_outcomes(
            judge,
            &[
                (418, "", RateLimited, "HTTP 418"),
                (403, "<html></html>", GeoBlocked, "HTTP 403"),
                (429, "", RateLimited, "HTTP 429"),
                (
                    451,
                    r#"{"code":0,"msg":"Service unavailable from a restricted location"}"#,
                    GeoBlocked,
                    "0",
                ),
                (502, "<html></html>", ProviderDown, "HTTP 502"),
                (200, "<html></html>", Unexpected, "HTTP 200"),
            ],
        );
        let ambiguous = judge(&answer(401, &error(-2015))).advice;
        for cause in ["deleted", "address", "permission", "environment"] {
            assert!(ambiguous.contains(cause), "{cause}");
        }
    }
}
