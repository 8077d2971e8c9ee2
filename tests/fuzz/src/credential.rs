//! Credentials of third parties, as people paste them: keys in PEM and base64, secrets, settings. What passes the check can be
//! signed with, and no signature holds the secret.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD as BASE64, BASE64_STANDARD_NO_PAD};
use entities::Timestamp;
use latchkey::crypto::root_key::RootKey;
use latchkey::crypto::webhook_key::WebhookKey;
use latchkey::plugins::connectors::{ALL, Connector, Credential, Request, Stamp};
use latchkey::secret::Secret;
use latchkey::services::vault::SignRequest;
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};

use crate::input::{Input, seed};

/// What armours the bytes of a key.
const LABELS: [&str; 5] =
    ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "PUBLIC KEY"];

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let connector = *input.choose(ALL);
    let (form, nonce): (u8, u32) = input.take();
    let mut parts = input.parts();
    let api_key = parts.text().into_owned();
    let secret = written(form, parts.bytes());
    keys(&secret);
    let has_passphrase = connector.about().fields.iter().any(|field| field.name == "passphrase");
    let passphrase = Some(parts.text().into_owned()).filter(|text| has_passphrase && !text.is_empty());
    let settings = serde_json::from_slice(parts.bytes()).unwrap_or_default();
    // The service that stores it has seen to these.
    let control = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\r');
    if api_key.contains(char::is_control) || secret.contains(control) {
        return;
    }
    let credential = Credential {
        environment: connector.about().environments[0].name.to_owned(),
        api_key: Secret::new(api_key),
        secret: Some(Secret::new(secret)),
        passphrase: passphrase.map(Secret::new),
        settings,
    };
    let mistakes = connector.check(&credential);
    for mistake in &mistakes {
        assert!(connector.about().fields.iter().any(|field| field.name == mistake.field), "{mistake:?}");
    }
    if !mistakes.is_empty() {
        return;
    }
    let stamp = Stamp { now: Timestamp(1_700_000_000_000), nonce: nonce.into(), random: [3; 16] };
    signed(connector, &credential, &stamp, Request::get("/")).expect("a credential without a mistake can sign");
    let method = [Method::GET, Method::POST, Method::DELETE][usize::from(form >> 4) % 3].clone();
    let (path, query, body) = (parts.text().into_owned(), parts.text().into_owned(), parts.text().into_owned());
    let asked = SignRequest { method: method.to_string(), path, query, body };
    if asked.is_plain() {
        // What the service can't sign is the request's fault.
        let request = Request::new(method, asked.path).query(asked.query).body(asked.body);
        let _ = signed(connector, &credential, &stamp, request);
    }
}

/// As it is, in PEM, or in base64.
fn written(form: u8, bytes: &[u8]) -> String {
    match form % 4 {
        0 | 1 => String::from_utf8_lossy(bytes).into_owned(),
        2 => BASE64.encode(bytes),
        _ => {
            let label = LABELS[usize::from(form >> 2) % LABELS.len()];
            format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(bytes))
        }
    }
}

/// Keys of the server's own are read alike.
fn keys(text: &str) {
    if let Some(key) = WebhookKey::parse(text) {
        assert_eq!(key.sign("msg_1", 1, "{}"), key.sign("msg_1", 1, "{}"));
        let bytes = BASE64_STANDARD_NO_PAD.decode(text[6..].trim_end_matches('='));
        assert!(bytes.is_ok_and(|bytes| (24..=64).contains(&bytes.len())), "{text:?}");
    }
    match RootKey::from_base64(text, "root_key") {
        Ok(_) => assert!(BASE64.decode(text.trim()).is_ok_and(|bytes| bytes.len() == 32)),
        Err(error) => assert!(error.to_string().len() < 100, "{error} may repeat a key"),
    }
}

fn signed(
    connector: &dyn Connector,
    credential: &Credential,
    stamp: &Stamp,
    request: Request,
) -> Result<(), &'static str> {
    let asked = request.clone();
    let signed = connector.sign(request, credential, stamp).map_err(|unsignable| unsignable.0)?;
    assert_eq!((&signed.method, &signed.path), (&asked.method, &asked.path));
    for (name, value) in &signed.headers {
        assert!(HeaderName::from_bytes(name.as_bytes()).is_ok(), "{name:?}");
        assert!(HeaderValue::from_str(value).is_ok(), "{name}: {value:?}");
    }
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    assert!(!plain(&asked.query) || plain(&signed.query), "{:?} became {:?}", asked.query, signed.query);
    let secret = credential.secret();
    let mut given = vec![credential.api_key.expose(), credential.passphrase(), &asked.path, &asked.query, &asked.body];
    let settings = serde_json::to_string(&credential.settings).expect("JSON");
    given.push(&settings);
    // One that stands elsewhere, too, is no secret; nor is a piece of what is sent whatever the secret.
    if connector.keeps_secret()
        && secret.len() >= 12
        && !given.iter().any(|text| text.contains(secret))
        && sends(&signed, secret)
    {
        let other = Credential { secret: Some(Secret::new(BASE64.encode([7; 64]))), ..credential.clone() };
        let anyway = connector.sign(asked, &other, stamp).is_ok_and(|signed| sends(&signed, secret));
        assert!(anyway, "{} sends the secret", connector.about().name);
    }
    Ok(())
}

fn sends(request: &Request, text: &str) -> bool {
    let headers = request.headers.iter().map(|(_, value)| value);
    headers.chain([&request.query, &request.body]).any(|sent| sent.contains(text))
}

pub fn seeds() -> Vec<Vec<u8>> {
    let ed25519 = hex::decode("302e020100300506032b657004220420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f").expect("digits");
    let p256 = hex::decode("308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420cac45ebf997d068a9f0d2021b3ab4bad9df84010fcb46e3fbfea548640c0ee2da1440342000468c40cbc3440a0fefd7a0890a1631ec42ebe32353c189eb7bdfabf8cfe6f6bb30467e551e6c4a8ef729b50e3be56f3f58ab82120a263c3bf7ca4f6b71e7b2a8e").expect("digits");
    let sec1 = hex::decode("307702010104209912cac524057c452f539dc6c5a46c201df83c144d57c835269fec279aade76ba00a06082a8648ce3d030107a144034200046dfef443e9fc5f7dab808cae3bf7e8e55421a35c4ad94eb26e5e460b4dea451cd23f81ffae401b0f8033f0be75cb9a42673bd0103f55aa3a25755b6e3f09be7c").expect("digits");
    let uuid: &[u8] = b"2d9a1b1e-5b1f-4b0e-9d3a-0a4f3f0c8a11";
    let hmac: &[u8] = br#"{"base_url":"https://api.example.com","test_path":"/v1/me?a=b","template":"{ts}{method}{path_query}{body}{body_hash}","body_hash":"sha256hex","secret_encoding":"utf8","output":"base64url","headers":{"X-Key":"{api_key}","X-Sign":"{signature}"},"query_signature_param":"sig","ts_unit":"iso8601ms"}"#;
    let bearer: &[u8] = br#"{"base_url":"https://api.example.com","test_path":"/v1/me"}"#;
    let (path, query, body): (&[u8], &[u8], &[u8]) = (b"/v1/order", b"a=1&b=2", br#"{"c":3}"#);
    let at = |name: &str| ALL.iter().position(|known| known.about().name == name).expect("a connector") as u8;
    let one = |name: &str, form: u8, key: &[u8], secret: &[u8], settings: &[u8]| {
        seed(&[at(name), form, 1, 0, 0, 0], &[key, secret, b"passphrase", settings, path, query, body])
    };
    let mut seeds: Vec<_> =
        ALL.iter().map(|known| one(known.about().name, 16, b"key-0123456789", b"secret-0123456789", b"{}")).collect();
    seeds.extend([
        one("binance", 3, b"key-0123456789", &ed25519, b"{}"),
        one("coinbase", 3, uuid, &ed25519, b"{}"),
        one("coinbase", 3, b"organizations/a/apiKeys/b", &p256, b"{}"),
        one("coinbase", 11, uuid, &sec1, b"{}"),
        one("coinbase", 2, uuid, &[1; 32], b"{}"),
        one("kraken", 2, b"key-0123456789", &[2; 64], b"{}"),
        one("bitget", 16, b"key-0123456789", b"plication/jso", b"{}"),
        one("kucoin", 16, b"key-0123456789", b"0123456789-secret", br#"{"key_version":"3"}"#),
        one("generic_hmac", 16, b"key-0123456789", b"secret-0123456789", hmac),
        one("generic_bearer", 0, b"key-0123456789", b"", bearer),
        one("stripe", 0, b"sk_live_0123456789abcdef", b"", b"{}"),
        one("openai", 0, b"sk-proj-0123456789abcdef", b"", b"{}"),
        one("github", 0, b"ghp_0123456789abcdefghijklmnopqrstuvwxyz", b"", b"{}"),
        one("github", 0, b"", b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b"{}"),
        one("github", 2, b"", b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1f\x1f", b"{}"),
    ]);
    seeds
}
