//! Signatures of providers' webhooks: what is proven was signed, with this secret, over these bytes, of late.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use entities::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use latchkey::plugins::kyc::{Provider, Settings, Webhook, find};
use latchkey::secret::Secret;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use sha2::{Sha256, Sha512};

use crate::input::{Input, Parts, flipped, flipped_text, seed};

const NOW: i64 = 1_700_000_000;
const TOLERANCE: u64 = 300;
const KEY: &str = "abcdefghijklmnopqrstuvwxyz123456";

/// Who signs, and the headers that are looked at.
const SIGNERS: &[(&str, &[&str])] = &[
    ("sumsub", &["x-payload-digest", "x-payload-digest-alg"]),
    ("onfido", &["x-sha2-signature"]),
    ("veriff", &["x-hmac-signature", "x-auth-client"]),
    ("stripe_identity", &["stripe-signature"]),
    ("persona", &["persona-signature", "persona-webhook-attempts-made"]),
    ("didit", &["x-signature", "x-timestamp", "x-signature-v2"]),
    ("standard_webhooks", &["webhook-signature", "webhook-id", "webhook-timestamp"]),
];

struct Scene {
    name: &'static str,
    provider: &'static dyn Provider,
    secret: String,
}

type Headers = Vec<(&'static str, Vec<u8>)>;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (name, headers) = *input.choose(SIGNERS);
    let provider = find(name).expect("a provider");
    let secret = match name {
        "standard_webhooks" => format!("whsec_{}", BASE64_STANDARD.encode(KEY)),
        _ => KEY.to_owned(),
    };
    let scene = Scene { name, provider, secret };
    match input.take::<u8>() % 2 {
        0 => scene.any(input.parts(), headers),
        _ => scene.genuine(input),
    }
}

impl Scene {
    fn verifies(&self, headers: &Headers, body: &[u8], secret: &str) -> bool {
        let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).ok();
        let headers: Option<HeaderMap> =
            headers.iter().map(|(name, bytes)| Some((HeaderName::from_static(name), value(bytes)?))).collect();
        let settings = Settings { api_key: Some(Secret::new("client-1".into())), ..Settings::default() };
        headers.is_some_and(|headers| {
            let webhook = Webhook { headers: &headers, body };
            let now = Timestamp(NOW * 1000);
            self.provider.verify(&webhook, &Secret::new(secret.to_owned()), &settings, now)
        })
    }

    /// Any headers and any body. Whoever hasn't the key can't get this far, but one who has seen a genuine one can try.
    fn any(&self, mut parts: Parts<'_>, names: &[&'static str]) {
        let headers: Headers = names
            .iter()
            .map(|name| (*name, parts.bytes().to_vec()))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let body = parts.bytes();
        if !self.verifies(&headers, body, &self.secret) {
            return;
        }
        let header = |name: &str| {
            let found = headers.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
        };
        let claimed = header(names[0]);
        let holds = |digits: String| claimed.to_lowercase().contains(&digits);
        let proven = match self.name {
            "sumsub" if header(names[1]).contains("512") => holds(hex::encode(sha512(body))),
            "sumsub" | "onfido" => holds(hex::encode(sha256(body))),
            "veriff" => holds(hex::encode(sha256(body))) && header(names[1]) == "client-1",
            "stripe_identity" | "persona" => {
                let retried = header("persona-webhook-attempts-made").parse().is_ok_and(|made: u32| made > 1);
                let times = claimed.split([',', ' ']).filter_map(|pair| pair.split_once("t="));
                times.map(|(_, time)| time).any(|time| {
                    let timely = is_recent(time) || (retried && is_recent_for(time, 36 * 3600));
                    timely && holds(hex::encode(sha256(&[time.as_bytes(), b".", body].concat())))
                })
            }
            "didit" => {
                let json: Value = serde_json::from_slice(body).expect("JSON");
                let canonical = header(names[2]).to_lowercase();
                let signed = match headers.iter().any(|(name, _)| *name == names[0]) {
                    true => holds(hex::encode(sha256(body))),
                    false => canonical.contains(&hex::encode(sha256(sorted(&json).as_bytes()))),
                };
                signed && is_recent(&header(names[1])) && header(names[1]).parse().ok() == json["timestamp"].as_i64()
            }
            _ => {
                let (id, time) = (header(names[1]), header(names[2]));
                let message = [id.as_bytes(), b".", time.as_bytes(), b".", body].concat();
                is_recent(&time) && claimed.contains(&BASE64_STANDARD_NO_PAD.encode(sha256(&message)))
            }
        };
        assert!(proven, "{} takes {headers:?} for {body:?}", self.name);
    }

    /// Signed as the vendor does it, sooner or later; then altered by a bit.
    fn genuine(&self, mut input: Input<'_>) {
        let (skew, bit, which): (i16, u16, u8) = input.take();
        let body = input.rest();
        let time = NOW + i64::from(skew);
        let (headers, body) = self.signed(time, body);
        let timed = !["sumsub", "onfido", "veriff"].contains(&self.name);
        let timely = !timed || i64::from(skew).unsigned_abs() <= TOLERANCE;
        assert_eq!(self.verifies(&headers, &body, &self.secret), timely, "{} {skew}", self.name);
        assert!(!self.verifies(&headers, &body, ""), "{} without a secret", self.name);

        let altered = match usize::from(which % 5) {
            0 => flipped(&body, bit).map(|body| (headers.clone(), body, self.secret.clone())),
            1 => flipped_text(&self.secret, bit).map(|secret| (headers.clone(), body.clone(), secret)),
            nth => headers.get(nth - 2).and_then(|(_, value)| {
                let value = flipped(value, bit).filter(|other| !other.eq_ignore_ascii_case(value))?;
                let mut headers = headers.clone();
                headers[nth - 2].1 = value;
                Some((headers, body.clone(), self.secret.clone()))
            }),
        };
        if let Some((headers, body, secret)) = altered {
            assert!(!self.verifies(&headers, &body, &secret), "{} {headers:?} {body:?} {secret}", self.name);
        }
    }

    fn signed(&self, time: i64, body: &[u8]) -> (Headers, Vec<u8>) {
        let own = |headers: &[(&'static str, String)]| {
            headers.iter().map(|(name, value)| (*name, value.clone().into_bytes())).collect()
        };
        let plain = || hex::encode(sha256(body));
        let dotted = || hex::encode(sha256(&[time.to_string().as_bytes(), b".", body].concat()));
        let headers = match self.name {
            "sumsub" => own(&[("x-payload-digest", plain()), ("x-payload-digest-alg", "HMAC_SHA256_HEX".into())]),
            "onfido" => own(&[("x-sha2-signature", plain())]),
            "veriff" => own(&[("x-hmac-signature", plain()), ("x-auth-client", "client-1".into())]),
            "stripe_identity" => own(&[("stripe-signature", format!("t={time},v1={}", dotted()))]),
            "persona" => own(&[("persona-signature", format!("t={time},v1={}", dotted()))]),
            "didit" => {
                let body = json!({ "timestamp": time, "text": String::from_utf8_lossy(body) }).to_string();
                let signature = hex::encode(sha256(body.as_bytes()));
                return (own(&[("x-signature", signature), ("x-timestamp", time.to_string())]), body.into());
            }
            _ => {
                let message = [format!("msg_1.{time}.").as_bytes(), body].concat();
                let signature = format!("v1,{}", BASE64_STANDARD.encode(sha256(&message)));
                own(&[
                    ("webhook-signature", signature),
                    ("webhook-id", "msg_1".into()),
                    ("webhook-timestamp", time.to_string()),
                ])
            }
        };
        (headers, body.to_vec())
    }
}

fn is_recent(seconds: &str) -> bool {
    is_recent_for(seconds, TOLERANCE)
}

fn is_recent_for(seconds: &str, most: u64) -> bool {
    seconds.parse::<i64>().is_ok_and(|at| at.abs_diff(NOW) <= most)
}

fn sha256(message: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).expect("a key");
    mac.chain_update(message).finalize().into_bytes().to_vec()
}

fn sha512(message: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha512>::new_from_slice(KEY.as_bytes()).expect("a key");
    mac.chain_update(message).finalize().into_bytes().to_vec()
}

/// What Didit signs of a body: members in order, whole numbers without a fraction.
fn sorted(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            let members = members.iter().map(|(name, value)| format!("{}:{}", json!(name), sorted(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(sorted).collect::<Vec<_>>().join(",")),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => format!("{float:.0}"),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![];
    for (at, (name, names)) in (0..).zip(SIGNERS) {
        let scene = Scene { name, provider: find(name).expect("a provider"), secret: String::new() };
        let (headers, body) = scene.signed(NOW, br#"{"a":1}"#);
        let value = |name| {
            let found = headers.iter().find(|(known, _)| known == name);
            found.map_or(&[][..], |(_, value)| value.as_slice())
        };
        let mut parts: Vec<&[u8]> = names.iter().map(value).collect();
        parts.push(&body);
        seeds.push(seed(&[at, 0], &parts));
        for (skew, which) in [(0_i16, 0), (300, 1), (-301, 2), (10, 3), (-10, 4)] {
            seeds.push([&[at, 1], &skew.to_le_bytes()[..], &[9, 0, which], br#"{"a":1}"#].concat());
        }
    }
    let old = NOW - 3600;
    let signed = format!("t={old},v1={}", hex::encode(sha256(format!("{old}.{{}}").as_bytes())));
    seeds.push(seed(&[4, 0], &[signed.as_bytes(), b"2", b"{}"]));
    let body = format!(r#"{{"timestamp": {NOW}, "b": [1.0, 2.5], "a": null}}"#);
    let canonical = hex::encode(sha256(sorted(&serde_json::from_str(&body).expect("JSON")).as_bytes()));
    seeds.push(seed(&[5, 0], &[b"", NOW.to_string().as_bytes(), canonical.as_bytes(), body.as_bytes()]));
    seeds
}
