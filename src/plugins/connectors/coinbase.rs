//! Coinbase Advanced Trade, with keys of the Coinbase Developer Platform: each request has a JWT of its own.
//! <https://docs.cdp.coinbase.com/coinbase-app/authentication-authorization/api-key-authentication>

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::answers::{number, some_text, text};
use super::fields::{API_KEY, SECRET, base64_bytes};
use super::signing::PrivateKey;
use super::{
    About, Answer, Clock, Connector, Credential, Environment, Field, Kind, Link, Mistake, Outcome,
    Permissions, Report, Request, Stamp, Tells, Tri, Unsignable,
};

pub struct Coinbase;

static ABOUT: About = About {
    name: "coinbase",
    title: "Coinbase",
    documentation: "https://docs.cdp.coinbase.com/coinbase-app/authentication-authorization/api-key-authentication",
    // The sandbox looks at no key.
    environments: &[Environment { name: "live", title: "Live", base_url: "https://api.coinbase.com" }],
    fields: &[
        Field {
            title: "Name of the key",
            help: "Begins with organizations/, or is the UUID alone.",
            ..API_KEY
        },
        Field {
            title: "Private key",
            kind: Kind::Pem,
            help: "In PEM, or the base64 of an Ed25519 key, as Coinbase has given it.",
            ..SECRET
        },
    ],
    tells: Tells { permissions: true, ip_restriction: false, expiry: false },
    clock: Some(Clock { path: "/api/v3/brokerage/time", read: |answer| number(&answer["epochMillis"]) }),
};

const HOST: &str = "api.coinbase.com";
/// Seconds.
const LIFETIME: i64 = 120;

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
    nonce: String,
    typ: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    iss: &'a str,
    nbf: i64,
    exp: i64,
    uri: String,
}

impl Connector for Coinbase {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn check(&self, credential: &Credential) -> Vec<Mistake> {
        const NAME: &str = "The name of the key must be like organizations/…/apiKeys/…, or a UUID";
        const KEY: &str = "The private key must be a P-256 or Ed25519 key in PEM without a password, or the \
            base64 of the 32 or 64 bytes of an Ed25519 key";
        [
            Mistake::unless(is_name(credential.api_key.expose()), "api_key", NAME),
            Mistake::unless(private_key(credential.secret()).is_ok(), "secret", KEY),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn sign(&self, request: Request, credential: &Credential, stamp: &Stamp) -> Result<Request, Unsignable> {
        let (key, alg) = private_key(credential.secret())?;
        let (name, now) = (credential.api_key.expose(), stamp.now.seconds());
        let header = Header { alg, kid: name, nonce: hex::encode(stamp.random), typ: "JWT" };
        // Neither scheme nor query are part of it.
        let uri = format!("{} {HOST}{}", request.method, request.path);
        let claims = Claims { sub: name, iss: "cdp", nbf: now, exp: now + LIFETIME, uri };
        let message = format!("{}.{}", part(&header)?, part(&claims)?);
        let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes())?);
        Ok(request
            .header("Authorization", format!("Bearer {message}.{signature}"))
            .content_type("application/json"))
    }

    fn test<'a>(
        &'a self,
        link: &'a Link<'a>,
        credential: &'a Credential,
    ) -> BoxFuture<'a, Result<Report, Report>> {
        Box::pin(async move {
            let request = Request::get("/api/v3/brokerage/key_permissions");
            Ok(judge(&link.send(self.sign(request, credential, &link.stamp())?).await?))
        })
    }
}

fn is_name(name: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic());
    match name.split('/').collect::<Vec<_>>()[..] {
        ["organizations", organization, "apiKeys", key] => plain(organization) && plain(key),
        [key] => Uuid::try_parse(key).is_ok(),
        _ => false,
    }
}

/// The key, and its algorithm as JWTs call it.
fn private_key(secret: &str) -> Result<(PrivateKey, &'static str), Unsignable> {
    const UNREADABLE: Unsignable = Unsignable(
        "The private key is neither PEM nor the base64 of an Ed25519 key. Copy it again, or make a new key.",
    );
    const RSA: Unsignable = Unsignable(
        "Coinbase knows P-256 and Ed25519 keys only. Enter the private key that Coinbase has given.",
    );
    let key = if PrivateKey::is_pem(secret) {
        PrivateKey::from_pem(secret)?
    } else {
        PrivateKey::from_ed25519(&base64_bytes(secret).ok_or(UNREADABLE)?)?
    };
    let algorithm = match key {
        PrivateKey::P256(_) => "ES256",
        PrivateKey::Ed25519(_) => "EdDSA",
        PrivateKey::Rsa(_) => return Err(RSA),
    };
    Ok((key, algorithm))
}

fn part(value: &impl Serialize) -> Result<String, Unsignable> {
    let json =
        serde_json::to_vec(value).map_err(|_| Unsignable("The name of the key can't be written as JSON."))?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

/// What `key_permissions` says.
fn judge(answer: &Answer) -> Report {
    let body = answer.json();
    let flag = |name: &str| Tri::from(body[name].as_bool());
    if !answer.is_success() || flag("can_view") == Tri::Unknown {
        return refusal(answer, &body);
    }
    let mut report = Report::new(Outcome::Ok);
    report.account = some_text(&body["portfolio_uuid"]);
    report.permissions = Permissions {
        read: flag("can_view"),
        trade: flag("can_trade"),
        withdraw: flag("can_transfer"),
        transfer: Tri::Unknown,
        raw: body
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, value)| value.as_bool() == Some(true))
            .map(|(name, _)| name.clone())
            .collect(),
    };
    report
}

fn refusal(answer: &Answer, body: &Value) -> Report {
    const UNAUTHORIZED: &str = "Coinbase does not say why it refused the key. Its name may be mistyped, it \
        may be deleted, the private key may be that of another key, or this server's clock may be wrong. \
        Copy name and private key again, or make a new key.";
    const FORBIDDEN: &str = "Coinbase forbids the request without saying why. The key may not be used from \
        this server's address, it lacks the permission to view, or Coinbase does not serve the country of \
        this server. Look at the key's permissions and list of addresses.";
    let code = text(&body["error"]);
    let details = text(&body["error_details"]);
    let message = some_text(&body["message"]).or_else(|| some_text(&body["error_details"]));
    let report = answer.by_status(code.as_str(), message.unwrap_or_else(|| answer.text()));
    let scopes = code == "PERMISSION_DENIED" || details.contains("Missing required scopes");
    match answer.status {
        401 => report.advising(UNAUTHORIZED),
        403 if scopes => Report {
            advice: Outcome::MissingPermission.advice(),
            outcome: Outcome::MissingPermission,
            ..report
        },
        403 => report.advising(FORBIDDEN),
        _ => report,
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, UnparsedPublicKey,
    };

    use rustls_pki_types::pem::PemObject as _;

    use super::*;
    use crate::plugins::connectors::samples::{
        answer, assert_outcomes, credential, header, input, mistakes, rsa, stamp,
    };
    use crate::plugins::connectors::signing;
    use crate::plugins::connectors::vectors::vector;

    const NAME: &str = "organizations/test-organization/apiKeys/test-api-key";

    fn token(secret: &str) -> String {
        let request = Request::get("/api/v3/brokerage/key_permissions");
        let signed = Coinbase.sign(request, &credential(NAME, secret), &stamp(1_700_000_000_000)).unwrap();
        header(&signed, "Authorization").strip_prefix("Bearer ").unwrap().to_owned()
    }

    #[test]
    fn tokens_of_ed25519_are_those_of_the_generator() {
        let vector_ = vector("coinbase_eddsa_jwt");
        let secret = input(&vector_, "api_key_secret_64b");
        assert_eq!(token(secret), vector_["expected"]);
        // All other forms of the same key.
        let seed = signing::base64(&base64_bytes(secret).unwrap()[..32]);
        assert_eq!(token(&seed), vector_["expected"]);
        let pem = vector("binance_ed25519");
        let pem = input(&pem, "private_key_pkcs8_pem");
        assert_eq!(token(pem), vector_["expected"]);
        assert_eq!(token(&pem.replace('\n', "\\n")), vector_["expected"]);
    }

    #[test]
    fn tokens_of_p256_verify() {
        let vector = vector("coinbase_es256_jwt");
        let coordinate =
            |name: &str| URL_SAFE_NO_PAD.decode(vector["input"]["jwk"][name].as_str().unwrap()).unwrap();
        let point = [vec![4], coordinate("x"), coordinate("y")].concat();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        let verify = |token: &str| {
            let (message, signature) = token.rsplit_once('.').unwrap();
            public.verify(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
            message.to_owned()
        };
        let expected = verify(vector["expected"].as_str().unwrap());
        let sec1 = input(&vector, "private_key_pem");
        let key = rustls_pki_types::PrivateKeyDer::from_pem_slice(sec1.as_bytes()).unwrap();
        let key =
            EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_der()).unwrap();
        let der = key.to_pkcs8v1().unwrap();
        let pkcs8 = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
            signing::base64(der.as_ref())
        );
        for key in [sec1, &sec1.replace('\n', "\\n"), &pkcs8] {
            assert_eq!(verify(&token(key)), expected);
            assert!(mistakes(&Coinbase, &credential(NAME, key)).is_empty());
        }
    }

    #[test]
    fn the_query_is_not_signed_but_the_method_is() {
        let vector = vector("coinbase_eddsa_jwt");
        let credential = credential(NAME, input(&vector, "api_key_secret_64b"));
        let request = Request::post("/api/v3/brokerage/orders").query("a=b").body("{}");
        let signed = Coinbase.sign(request, &credential, &stamp(0)).unwrap();
        let claims = header(&signed, "Authorization").split('.').nth(1).unwrap();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        assert_eq!(claims["uri"], "POST api.coinbase.com/api/v3/brokerage/orders");
        assert_eq!(header(&signed, "Content-Type"), "application/json");
        assert_eq!(signed.target(), "/api/v3/brokerage/orders?a=b");
    }

    #[test]
    fn name_and_key_are_looked_at() {
        let vector = vector("coinbase_eddsa_jwt");
        let secret = input(&vector, "api_key_secret_64b");
        assert!(mistakes(&Coinbase, &credential("8d1a2c5e-7f4b-4f0e-9d5c-1b2a3c4d5e6f", secret)).is_empty());
        for name in ["abcdefgh12345678", "organizations//apiKeys/x", "organizations/x/apiKeys", "a/b/c/d"] {
            assert_eq!(mistakes(&Coinbase, &credential(name, secret)), ["api_key"], "{name}");
        }
        let bytes = base64_bytes(secret).unwrap();
        let other = [&bytes[..32], &[1; 32]].concat();
        for bytes in [&bytes[..31], &bytes[..48], &bytes[..63], &other[..]] {
            assert_eq!(mistakes(&Coinbase, &credential(NAME, &signing::base64(bytes))), ["secret"]);
        }
        for secret in ["", "no base64", &rsa().0] {
            assert_eq!(mistakes(&Coinbase, &credential(NAME, secret)), ["secret"]);
        }
    }

    #[test]
    fn permissions_are_told() {
        let body = r#"{"can_view":true,"can_trade":false,"can_transfer":false,
            "portfolio_uuid":"b87a2d4e-0000-4000-8000-000000000001","portfolio_type":"DEFAULT"}"#;
        let report = judge(&answer(200, body));
        let permissions = report.permissions;
        assert_eq!((permissions.read, permissions.trade), (Tri::Yes, Tri::No));
        assert_eq!((permissions.withdraw, permissions.transfer), (Tri::No, Tri::Unknown));
        assert_eq!(permissions.raw, ["can_view"]);
        assert_eq!(report.account.as_deref(), Some("b87a2d4e-0000-4000-8000-000000000001"));
    }

    #[test]
    fn errors_have_outcomes() {
        use Outcome::*;
        assert_outcomes(
            judge,
            &[
                (401, "Unauthorized", InvalidKey, "HTTP 401"),
                (401, r#"{"error":"unauthorized","message":"m"}"#, InvalidKey, "unauthorized"),
                (
                    403,
                    r#"{"error":"PERMISSION_DENIED","error_details":"Missing required scopes"}"#,
                    MissingPermission,
                    "PERMISSION_DENIED",
                ),
                (403, r#"{"error_details":"Missing required scopes"}"#, MissingPermission, "HTTP 403"),
                (403, "<html></html>", Unexpected, "HTTP 403"),
                (429, "", RateLimited, "HTTP 429"),
                (500, r#"{"error":"INTERNAL"}"#, ProviderDown, "INTERNAL"),
                (200, "{}", Unexpected, "HTTP 200"),
            ],
        );
        let report = judge(&answer(401, "Unauthorized"));
        assert_eq!(report.provider_message.as_deref(), Some("Unauthorized"));
        assert!(report.advice.contains("clock") && report.advice.contains("deleted"));
    }
}
