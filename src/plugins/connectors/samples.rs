//! What the tests of connectors are made of.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use entities::Timestamp;
use reqwest::header::HeaderMap;
use serde_json::{Map, Value};
use tokio::net::TcpListener;

use super::signing::base64;
use super::{Answer, Connector, Credential, Guard, Network, Outcome, Report, Request, Stamp};
use crate::clock::Sources;
use crate::outbound::stub::answering;
use crate::secret::Secret;

/// A credential of the default environment, without passphrase and settings.
pub fn credential(key: &str, secret: &str) -> Credential {
    Credential {
        environment: "live".into(),
        api_key: Secret::new(key.into()),
        secret: Some(Secret::new(secret.into())),
        passphrase: None,
        settings: Map::new(),
    }
}

/// A stamp of this millisecond, which is the nonce as well, without any randomness.
pub fn stamp(millisecond: i64) -> Stamp {
    Stamp { now: Timestamp(millisecond), nonce: millisecond.unsigned_abs(), random: [0; 16] }
}

pub fn answer(status: u16, body: &str) -> Answer {
    Answer { status, headers: HeaderMap::new(), body: body.as_bytes().to_vec() }
}

/// A header of a signed request.
pub fn header<'a>(request: &'a Request, name: &str) -> &'a str {
    let mut found = request.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    let (_, value) = found.next().unwrap_or_else(|| panic!("there is no header {name}"));
    assert!(found.next().is_none(), "{name} is there twice");
    value
}

/// A new RSA key in PEM, and what verifies its signatures.
pub fn rsa() -> (String, UnparsedPublicKey<Vec<u8>>) {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let der: Pkcs8V1Der<'_> = key.as_der().expect("PKCS#8");
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", base64(der.as_ref()));
    (pem, UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref().to_vec()))
}

/// The fields with a mistake.
pub fn mistakes(connector: &dyn Connector, credential: &Credential) -> Vec<&'static str> {
    connector.check(credential).iter().map(|mistake| mistake.field).collect()
}

/// Tests a credential at a service of one's own, which gives these answers in turn; what it was asked.
pub async fn tested(
    connector: &dyn Connector,
    credential: &Credential,
    answers: &[&str],
) -> (Report, Vec<String>) {
    let service = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", service.local_addr().expect("an address")).parse().expect("a URL");
    let name = format!("{}.{}", connector.about().name, credential.environment);
    let network = Network::new(Guard::default(), [(name, url)].into(), Sources::system()).expect("a network");
    let answers: Vec<_> = answers.iter().map(|answer| (200, *answer)).collect();
    let serve = answering(&service, &answers);
    let (tested, asked) = tokio::join!(network.test(connector, credential, 1), serve);
    (tested.report, asked)
}

/// A text of a vector.
pub fn input<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector["input"][name].as_str().unwrap_or_else(|| panic!("there is no input {name}"))
}

/// Whether each answer has the outcome beside it, and says so with the service's code.
pub fn assert_outcomes(judge: impl Fn(&Answer) -> Report, table: &[(u16, &str, Outcome, &str)]) {
    for (status, body, outcome, code) in table {
        let report = judge(&answer(*status, body));
        assert_eq!(report.outcome, *outcome, "{status} {body}");
        assert_eq!(report.provider_code.as_deref(), Some(*code), "{status} {body}");
        assert!(report.advice.ends_with('.') && !report.advice.contains("  "), "{}", report.advice);
    }
}
