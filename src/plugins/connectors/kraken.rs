//! Kraken, the spot market.
//! <https://docs.kraken.com/api/docs/guides/spot-rest-auth>

use entities::Timestamp;
use futures_util::future::BoxFuture;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::answers::{any_of, number, text, texts};
use super::fields::{API_KEY, PASSPHRASE, SECRET, base64_bytes};
use super::signing::{base64, hmac_sha512, percent_encoded};
use super::{
    About, Answer, Connector, Credential, Environment, Field, IpRestriction, Link, Mistake, Outcome,
    Permissions, Report, Request, Stamp, Tells, Tri, Unsignable,
};

pub struct Kraken;

static ABOUT: About = About {
    name: "kraken",
    title: "Kraken",
    documentation: "https://support.kraken.com/hc/en-us/articles/360000919966-How-to-create-an-API-key",
    environments: &[Environment { name: "live", title: "Live", base_url: "https://api.kraken.com" }],
    fields: &[
        API_KEY,
        Field { title: "Private key", ..SECRET },
        Field {
            title: "Two-factor password of the key",
            required: false,
            help: "Only for a key with a two-factor password that stays the same.",
            ..PASSPHRASE
        },
    ],
    tells: Tells { permissions: true, ip_restriction: true, expiry: true },
    // Signatures hold no time.
    clock: None,
};

impl Connector for Kraken {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn check(&self, credential: &Credential) -> Vec<Mistake> {
        const SECRET: &str = "The private key must be 64 bytes in base64, which are 88 letters. Copy it \
            again, not the API key";
        let fits = base64_bytes(credential.secret()).is_some_and(|bytes| bytes.len() == 64);
        let strange = credential.strange_letters().into_iter().filter(|found| found.field != "secret");
        strange.chain(Mistake::unless(fits, "secret", SECRET)).collect()
    }

    /// Puts the nonce into the body, which may be a form or JSON.
    fn sign(
        &self,
        mut request: Request,
        credential: &Credential,
        stamp: &Stamp,
    ) -> Result<Request, Unsignable> {
        const UNREADABLE: Unsignable = Unsignable("The private key is not base64. Copy it again.");
        let key = base64_bytes(credential.secret()).ok_or(UNREADABLE)?;
        let nonce = stamp.nonce.to_string();
        let json = request.body.trim_start().starts_with('{');
        request.body = if json {
            with_nonce_in_json(&request.body, &nonce, credential.passphrase())?
        } else {
            with_nonce_in_form(&request.body, &nonce, credential.passphrase())?
        };
        let hash = Sha256::new()
            .chain_update(&nonce)
            .chain_update(&request.query)
            .chain_update(&request.body)
            .finalize();
        let signature = hmac_sha512(&key, &[request.path.as_bytes(), &hash].concat());
        let content_type = if json { "application/json" } else { "application/x-www-form-urlencoded" };
        Ok(request
            .header("API-Key", credential.api_key.expose())
            .header("API-Sign", base64(&signature))
            .content_type(content_type))
    }

    fn test<'a>(
        &'a self,
        link: &'a Link<'a>,
        credential: &'a Credential,
    ) -> BoxFuture<'a, Result<Report, Report>> {
        Box::pin(async move {
            let request = Request::post("/0/private/GetApiKeyInfo");
            let answer = link.send(self.sign(request, credential, &link.stamp())?).await?;
            Ok(judge(&answer, credential.api_key.expose()))
        })
    }
}

const NONCE_THERE: Unsignable =
    Unsignable("The body must have neither nonce nor otp, which are added to it.");

fn with_nonce_in_form(body: &str, nonce: &str, otp: &str) -> Result<String, Unsignable> {
    let names = body.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    if names.into_iter().any(|name| name == "nonce" || name == "otp") {
        return Err(NONCE_THERE);
    }
    let mut parts = vec![format!("nonce={nonce}")];
    if !otp.is_empty() {
        parts.push(format!("otp={}", percent_encoded(otp)));
    }
    if !body.is_empty() {
        parts.push(body.to_owned());
    }
    Ok(parts.join("&"))
}

/// Leaves the rest as it is written: reading numbers and writing them again could change them.
fn with_nonce_in_json(body: &str, nonce: &str, otp: &str) -> Result<String, Unsignable> {
    const NO_JSON: Unsignable = Unsignable("The body begins like JSON but is none.");
    let Ok(Value::Object(object)) = serde_json::from_str(body) else { return Err(NO_JSON) };
    if object.contains_key("nonce") || object.contains_key("otp") {
        return Err(NONCE_THERE);
    }
    let rest = body.trim_start().strip_prefix('{').ok_or(NO_JSON)?;
    let otp = if otp.is_empty() { String::new() } else { format!(r#","otp":{}"#, Value::from(otp)) };
    let comma = if object.is_empty() { "" } else { "," };
    Ok(format!(r#"{{"nonce":"{nonce}"{otp}{comma}{rest}"#))
}

/// What `GetApiKeyInfo` says.
fn judge(answer: &Answer, api_key: &str) -> Report {
    const OTHER: &str = "Kraken answered for another key than the one asked for. Try again later.";
    let body = answer.json();
    if let Some(errors) = texts(&body["error"]).filter(|errors| !errors.is_empty()) {
        return refusal(answer, &errors);
    }
    let result = &body["result"];
    let Some(raw) = texts(&result["permissions"]) else { return answer.by_status("", answer.text()) };
    if text(&result["apiKey"]) != api_key {
        return Report::new(Outcome::Unexpected).advising(OTHER);
    }
    let mut report = Report::new(Outcome::Ok);
    report.ip_restriction = IpRestriction::to(texts(&result["ipAllowlist"]));
    report.expires_at = number(&result["validUntil"])
        .filter(|seconds| *seconds > 0)
        .map(|seconds| Timestamp(seconds.saturating_mul(1000)));
    report.permissions = Permissions {
        read: raw.iter().any(|name| name.starts_with("query-")).into(),
        trade: any_of(&raw, &["modify-trades", "close-trades"]).into(),
        withdraw: any_of(&raw, &["withdraw-funds"]).into(),
        transfer: Tri::Unknown,
        raw,
    };
    report
}

/// <https://docs.kraken.com/api/docs/guides/spot-errors>
fn refusal(answer: &Answer, errors: &[String]) -> Report {
    const KEY: &str = "Kraken does not know this key. It is mistyped, deleted or expired, or perhaps may not \
        be used from this server's address. Copy it again, look at it at Kraken, or make a new one.";
    const LOCKED: &str = "Kraken has locked the key or this server's address out for a while, since too many \
        requests were wrong. Wait before the next test, or the lock stays.";
    const ARGUMENTS: &str = "Kraken did not accept the request. Keys that may only query a range of time are \
        refused like this: give the key no such range at Kraken, or make a new one. Otherwise try again \
        later.";
    /// By how the error begins.
    const TABLE: &[(&str, Outcome, Option<&str>)] = &[
        ("EAPI:Invalid key", Outcome::InvalidKey, Some(KEY)),
        ("EAPI:Invalid signature", Outcome::BadSignature, None),
        ("EAPI:Invalid nonce", Outcome::Nonce, None),
        ("EGeneral:Permission denied", Outcome::MissingPermission, None),
        ("EAPI:Rate limit exceeded", Outcome::RateLimited, None),
        ("EGeneral:Too many requests", Outcome::RateLimited, None),
        ("EService:Throttled", Outcome::RateLimited, None),
        ("EService: Throttled", Outcome::RateLimited, None),
        ("EGeneral:Temporary lockout", Outcome::RateLimited, Some(LOCKED)),
        ("EService:Unavailable", Outcome::ProviderDown, None),
        ("EService:Busy", Outcome::ProviderDown, None),
        ("EGeneral:Invalid arguments", Outcome::Unexpected, Some(ARGUMENTS)),
    ];
    // Beside errors there may be warnings.
    let error = errors.iter().find(|error| error.starts_with('E')).unwrap_or(&errors[0]);
    match TABLE.iter().find(|(beginning, ..)| error.starts_with(beginning)) {
        None => answer.by_status(error, errors.join(", ")),
        Some((_, outcome, advice)) => Report::new(*outcome)
            .saying(error, errors.join(", "))
            .retry_after(answer.retry_after())
            .advising(advice.unwrap_or(outcome.advice())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::connectors::samples::{
        answer, assert_outcomes, credential, header, input, mistakes, stamp, tested,
    };
    use crate::plugins::connectors::vectors::vector;
    use crate::secret::Secret;

    #[test]
    fn signatures_are_those_of_the_documentation() {
        let order = vector("kraken_addorder");
        let body = input(&order, "body");
        let form = body.strip_prefix("nonce=1616492376594&").unwrap();
        let credential = credential("key", input(&order, "secret"));
        let request = Request::post(input(&order, "path")).body(form);
        let signed = Kraken.sign(request, &credential, &stamp(1_616_492_376_594)).unwrap();
        assert_eq!(signed.body, body);
        assert_eq!(header(&signed, "API-Sign"), order["expected"]);
        assert_eq!(header(&signed, "API-Key"), "key");
        assert_eq!(header(&signed, "Content-Type"), "application/x-www-form-urlencoded");
    }

    #[test]
    fn the_nonce_goes_into_any_body() {
        let order = vector("kraken_addorder");
        let mut credential = credential("key", input(&order, "secret"));
        let sign = |credential: &Credential, body: &str| {
            Kraken.sign(Request::post("/0/private/X").body(body), credential, &stamp(7))
        };
        assert_eq!(sign(&credential, "").unwrap().body, "nonce=7");
        let json = sign(&credential, r#" {"price": 1.10}"#).unwrap();
        assert_eq!(json.body, r#"{"nonce":"7","price": 1.10}"#);
        assert_eq!(header(&json, "Content-Type"), "application/json");
        assert_eq!(sign(&credential, "{ }").unwrap().body, r#"{"nonce":"7" }"#);
        for body in ["a=b&nonce=1", "otp=1", r#"{"nonce":1}"#, "{nonce"] {
            assert!(sign(&credential, body).is_err(), "{body}");
        }
        credential.passphrase = Some(Secret::new("a\"&b".into()));
        assert_eq!(sign(&credential, "a=b").unwrap().body, "nonce=7&otp=a%22%26b&a=b");
        assert_eq!(sign(&credential, "{\"a\":1}").unwrap().body, r#"{"nonce":"7","otp":"a\"&b","a":1}"#);
    }

    #[tokio::test]
    async fn a_test_asks_once() {
        let order = vector("kraken_addorder");
        let good =
            r#"{"error":[],"result":{"apiKey":"a-key","permissions":["query-funds"],"ipAllowlist":[]}}"#;
        let (report, asked) = tested(&Kraken, &credential("a-key", input(&order, "secret")), &[good]).await;
        assert_eq!((report.outcome, report.permissions.read), (Outcome::Ok, Tri::Yes));
        assert!(asked[0].starts_with("POST /0/private/GetApiKeyInfo HTTP/1.1\r\n"));
        assert!(asked[0].ends_with("\r\n\r\nnonce=1"));
    }

    #[test]
    fn the_private_key_is_looked_at() {
        let order = vector("kraken_addorder");
        let secret = input(&order, "secret");
        assert!(mistakes(&Kraken, &credential("key", secret)).is_empty());
        assert_eq!(mistakes(&Kraken, &credential("a key", &secret[4..])), ["api_key", "secret"]);
        assert_eq!(mistakes(&Kraken, &credential("key", "not base64")), ["secret"]);
    }

    #[test]
    fn permissions_are_told() {
        let body = r#"{"error":[],"result":{"apiKeyName":"test","apiKey":"key","nonce":"1","nonceWindow":"0",
            "permissions":["query-funds","query-open-trades"],"iban":"x","validUntil":"0","queryFrom":"0",
            "queryTo":"0","createdTime":"1","modifiedTime":"1","ipAllowlist":[],"lastUsed":"1"}}"#;
        let report = judge(&answer(200, body), "key");
        let permissions = &report.permissions;
        assert_eq!((permissions.read, permissions.trade), (Tri::Yes, Tri::No));
        assert_eq!((permissions.withdraw, permissions.transfer), (Tri::No, Tri::Unknown));
        assert_eq!(permissions.raw, ["query-funds", "query-open-trades"]);
        assert_eq!(report.ip_restriction, IpRestriction::Unrestricted);
        assert_eq!(report.expires_at, None);
        assert_eq!(judge(&answer(200, body), "other").outcome, Outcome::Unexpected);
        let body = r#"{"error":[],"result":{"apiKey":"key","permissions":["close-trades","withdraw-funds"],
            "validUntil":"1700000000","ipAllowlist":["1.2.3.4"]}}"#;
        let report = judge(&answer(200, body), "key");
        let permissions = &report.permissions;
        assert_eq!(
            (permissions.read, permissions.trade, permissions.withdraw),
            (Tri::No, Tri::Yes, Tri::Yes)
        );
        assert_eq!(report.ip_restriction, IpRestriction::Restricted(vec!["1.2.3.4".into()]));
        assert_eq!(report.expires_at, Some(Timestamp(1_700_000_000_000)));
    }

    #[test]
    fn errors_have_outcomes() {
        use Outcome::*;
        for (error, outcome) in [
            ("EAPI:Invalid key", InvalidKey),
            ("EAPI:Invalid signature", BadSignature),
            ("EAPI:Invalid nonce", Nonce),
            ("EGeneral:Permission denied", MissingPermission),
            ("EAPI:Rate limit exceeded", RateLimited),
            ("EGeneral:Too many requests", RateLimited),
            ("EService:Throttled: 1700000000", RateLimited),
            ("EService: Throttled", RateLimited),
            ("EGeneral:Temporary lockout", RateLimited),
            ("EService:Unavailable", ProviderDown),
            ("EService:Busy", ProviderDown),
            ("EGeneral:Invalid arguments:nonce", Unexpected),
            ("EOther:Something", Unexpected),
        ] {
            let body = format!(r#"{{"error":["WGeneral:Careful","{error}"]}}"#);
            assert_outcomes(|answer| judge(answer, "key"), &[(200, &body, outcome, error)]);
        }
        assert_outcomes(
            |answer| judge(answer, "key"),
            &[
                (429, "", RateLimited, "HTTP 429"),
                (520, "<html></html>", ProviderDown, "HTTP 520"),
                (200, r#"{"error":[]}"#, Unexpected, "HTTP 200"),
            ],
        );
    }
}
