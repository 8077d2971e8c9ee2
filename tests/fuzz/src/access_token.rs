//! Access tokens: what is accepted was signed, and says what it must.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use latchkey::config::Tokens;
use latchkey::crypto::access_token::{Claims, MAX_LENGTH, header, kid, sign, verify};
use latchkey::crypto::signing_key::SigningKey;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use uuid::Uuid;

use crate::input::{Input, flipped_text, seed};

const ISSUER: &str = "https://id.example.com";
const AUDIENCE: &str = "https://api.example.com";
/// Keys for nothing else.
const PRIVATE: [(&str, &str); 2] = [
    ("EdDSA", "302e020100300506032b6570042204204ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"),
    ("ES256", P256),
];
const P256: &str = "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420cac45ebf997d068a9f0d2021b3ab4bad9df84010fcb46e3fbfea548640c0ee2da1440342000468c40cbc3440a0fefd7a0890a1631ec42ebe32353c189eb7bdfabf8cfe6f6bb30467e551e6c4a8ef729b50e3be56f3f58ab82120a263c3bf7ca4f6b71e7b2a8e";

struct Key {
    ours: SigningKey,
    header: String,
    public: Vec<u8>,
}

static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| PRIVATE.iter().map(|(name, der)| key(name, der)).collect());

fn key(algorithm: &str, der: &str) -> Key {
    let der = hex::decode(der).expect("digits");
    let ours = SigningKey::from_pkcs8(algorithm.to_lowercase(), algorithm, &der).expect("a key");
    let public = ours.public();
    let part = |text: &str| BASE64.decode(text).expect("base64url");
    let public = match &public.y {
        Some(y) => [&[4][..], &part(&public.x), &part(y)].concat(),
        None => part(&public.x),
    };
    Key { header: header(&ours).expect("a header"), ours, public }
}

impl Key {
    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let public = &self.public;
        if public.len() == 32 {
            UnparsedPublicKey::new(&ED25519, public).verify(message, signature).is_ok()
        } else {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public).verify(message, signature).is_ok()
        }
    }
}

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.take::<u8>() % 3 {
        0 => {
            let text = String::from_utf8_lossy(input.rest()).into_owned();
            for key in KEYS.iter() {
                accepted(&text, key);
            }
        }
        1 => claimed(input),
        _ => issued(input),
    }
}

/// What is looked at once more. Like the server's own look, it passes over all other members, whatever bytes are in them.
#[derive(Deserialize)]
struct Head {
    typ: String,
    alg: String,
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Payload {
    iss: String,
    aud: String,
}

fn read<T: DeserializeOwned>(part: &str) -> T {
    serde_json::from_slice(&BASE64.decode(part).expect("base64url")).expect("JSON")
}

/// What the server makes of a token; and whether that is right, if it is something.
fn accepted(token: &str, key: &Key) -> Option<Claims> {
    let named = kid(token);
    assert!(named.is_none() || token.len() <= MAX_LENGTH);
    let claims = named.and_then(|_| verify(token, &key.ours, ISSUER, AUDIENCE))?;
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let (head, payload) = message.split_once('.').expect("three parts");
    for part in [head, payload, signature] {
        assert_eq!(BASE64.encode(BASE64.decode(part).expect("base64url")), part, "two spellings of a token");
    }
    assert!(key.has_signed(message.as_bytes(), &BASE64.decode(signature).expect("base64url")));
    let head: Head = read(head);
    assert!(head.typ.eq_ignore_ascii_case("at+jwt") && head.crit.is_none());
    assert_eq!(head.alg, if key.public.len() == 32 { "EdDSA" } else { "ES256" });
    let payload: Payload = read(payload);
    assert_eq!((payload.iss.as_str(), payload.aud.as_str()), (ISSUER, AUDIENCE));
    assert_eq!(serde_json::to_value(&claims).expect("claims")["sid"], claims.sid.to_string());
    let lifetime = i128::from(claims.exp) - i128::from(claims.iat);
    assert!((0..=i128::from(Tokens::MOST_ACCESS_SECONDS)).contains(&lifetime), "lives for {lifetime} s");
    Some(claims)
}

/// Any header and any claims, under a genuine signature.
fn claimed(mut input: Input<'_>) {
    let key = input.choose(&KEYS);
    let mut parts = input.parts();
    let header = BASE64.encode(parts.bytes());
    let claims = parts.bytes();
    let token = key.ours.sign(&header, claims).expect("a signature");
    for verifier in KEYS.iter() {
        if let Some(read) = accepted(&token, verifier) {
            assert_eq!(verifier.public, key.public);
            assert_eq!(Some(read), serde_json::from_slice(claims).ok());
        }
    }
}

/// A token as the server makes it, and one that is altered by a bit.
fn issued(mut input: Input<'_>) {
    let key = input.choose(&KEYS);
    let (iat, lifetime, auth_time): (i64, u16, i64) = input.take();
    let (bit, [aal, ial, foreign]): (u16, [u8; 3]) = input.take();
    let mut parts = input.parts();
    let (amr, scope) = (parts.text().into_owned(), parts.text().into_owned());
    let claims = Claims {
        iss: if foreign & 1 == 0 { ISSUER.into() } else { "https://id.example.com/".into() },
        sub: Uuid::from_u128(1),
        aud: if foreign & 2 == 0 { AUDIENCE.into() } else { ISSUER.into() },
        exp: iat.saturating_add(lifetime.into()),
        iat,
        nbf: iat,
        jti: Uuid::from_u128(2),
        sid: Uuid::from_u128(3),
        aal: aal.into(),
        ial: ial.into(),
        amr: amr.split(' ').map(str::to_owned).collect(),
        auth_time,
        scope,
    };
    let token = sign(&key.ours, &key.header, &claims).expect("a token");
    let read = accepted(&token, key);
    assert!(read.as_ref().is_none_or(|read| *read == claims));
    if foreign & 3 == 0 && (0..1 << 40).contains(&iat) && lifetime <= 3600 && token.len() <= MAX_LENGTH {
        assert!(read.is_some(), "a token of ours is refused");
    }
    let Some(altered) = flipped_text(&token, bit) else { return };
    for key in KEYS.iter() {
        assert_eq!(accepted(&altered, key), None, "bit {bit}");
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let claims = br#"{"iss":"https://id.example.com","sub":"00000000-0000-0000-0000-000000000001","aud":"https://api.example.com","exp":1700000900,"iat":1700000000,"nbf":1700000000,"jti":"00000000-0000-0000-0000-000000000002","sid":"00000000-0000-0000-0000-000000000003","aal":2,"ial":0,"amr":["pwd","otp"],"auth_time":1700000000,"scope":"openid"}"#;
    // ES256 signs differently each time, and seeds are to stay the same.
    let token = KEYS[0].ours.sign(&KEYS[0].header, claims).expect("a token");
    let mut seeds = vec![seed(&[0], &[token.as_bytes()])];
    for header in [
        &br#"{"typ":"at+jwt","alg":"EdDSA","kid":"eddsa"}"#[..],
        br#"{"typ":"at+jwt","alg":"ES256","kid":"es256"}"#,
        br#"{"typ":"at+jwt","alg":"none","kid":"eddsa"}"#,
        br#"{"typ":"at+jwt","alg":"HS256","kid":"eddsa"}"#,
        br#"{"typ":"JWT","alg":"EdDSA","kid":"eddsa"}"#,
        b"{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"eddsa\",\"x\":\"\xed\xff\"}",
        br#"{"typ":"application/at+jwt","alg":"EdDSA","kid":"eddsa","crit":["exp"]}"#,
    ] {
        seeds.push(seed(&[1, 0], &[header, claims]));
        seeds.push(seed(&[1, 1], &[header, claims]));
    }
    for key in [0, 1] {
        let mut numbers = vec![2, key];
        numbers.extend(1_700_000_000_i64.to_le_bytes());
        numbers.extend(900_u16.to_le_bytes());
        numbers.extend(1_700_000_000_i64.to_le_bytes());
        numbers.extend([40, 0, 2, 0, 0]);
        seeds.push(seed(&numbers, &[b"pwd otp", b"openid"]));
    }
    seeds
}
