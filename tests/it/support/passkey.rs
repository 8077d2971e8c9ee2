use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use latchkey::entropy::Entropy;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Answer, App, Client, PUBLIC_URL, User};

/// A passkey, the authenticator that holds it, and the browser in front of it. Honest as it comes; each field can be made
/// to lie.
#[derive(Clone)]
pub struct Authenticator {
    pub id: Vec<u8>,
    /// Of the page that asks.
    pub origin: String,
    /// In place of the domain that was asked for.
    pub rp_id: Option<String>,
    /// In place of the challenge that was given.
    pub challenge: Option<String>,
    /// In place of what is done, such as `webauthn.get`.
    pub kind: Option<&'static str>,
    /// Whether the person is there, and was verified.
    pub present: bool,
    pub verified: bool,
    /// Whether the page is in a frame of another's.
    pub cross_origin: bool,
    /// Whether the passkey can leave the device.
    pub synchronised: bool,
    /// Moves on with each use, unless it stands at zero.
    pub counter: u32,
    /// Whose it is, once it was made.
    pub user_handle: Option<String>,
    key: Arc<EcdsaKeyPair>,
}

impl Authenticator {
    /// With a new key that can't leave it, and a counter.
    pub fn new() -> Self {
        Self {
            id: Entropy.bytes::<16>().to_vec(),
            origin: PUBLIC_URL.to_owned(),
            rp_id: None,
            challenge: None,
            kind: None,
            present: true,
            verified: true,
            cross_origin: false,
            synchronised: false,
            counter: 1,
            user_handle: None,
            key: Arc::new(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()),
        }
    }

    /// The same with one thing changed.
    pub fn but(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut other = self.clone();
        change(&mut other);
        other
    }

    /// With the same name, and a key of its own.
    pub fn with_other_key(&self) -> Self {
        let key = Self::new().key;
        self.but(|other| other.key = key)
    }

    /// What `navigator.credentials.create()` gives.
    pub fn create(&mut self, options: &Value) -> Value {
        self.user_handle = Some(options["user"]["id"].as_str().unwrap().to_owned());
        let rp_id = options["rp"]["id"].as_str().unwrap();
        let client_data = self.client_data("webauthn.create", options);
        let mut data = self.authenticator_data(rp_id, 0b0100_0000);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        data.extend(self.public_key());
        // {"fmt": "none", "attStmt": {}, "authData": data}
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59".to_vec();
        object.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        object.extend(data);
        json!({
            "id": base64url(&self.id),
            "rawId": base64url(&self.id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "response": {
                "clientDataJSON": base64url(&client_data),
                "attestationObject": base64url(&object),
                "transports": ["internal", "hybrid", "telepathy"],
                "publicKeyAlgorithm": -7,
            },
            "clientExtensionResults": { "credProps": { "rk": true } },
        })
    }

    /// What `navigator.credentials.get()` gives.
    pub fn get(&mut self, options: &Value) -> Value {
        let client_data = self.client_data("webauthn.get", options);
        let data = self.authenticator_data(options["rpId"].as_str().unwrap(), 0);
        let signed = [&data[..], &Sha256::digest(&client_data)].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        json!({
            "id": base64url(&self.id),
            "rawId": base64url(&self.id),
            "type": "public-key",
            "response": {
                "clientDataJSON": base64url(&client_data),
                "authenticatorData": base64url(&data),
                "signature": base64url(signature.as_ref()),
                "userHandle": self.user_handle,
            },
            "clientExtensionResults": {},
        })
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        json!({
            "type": self.kind.unwrap_or(kind),
            "challenge": self.challenge.as_ref().map_or(options["challenge"].clone(), |it| json!(it)),
            "origin": self.origin,
            "crossOrigin": self.cross_origin,
        })
        .to_string()
        .into_bytes()
    }

    fn authenticator_data(&mut self, rp_id: &str, flags: u8) -> Vec<u8> {
        if self.counter > 0 {
            self.counter += 1;
        }
        let backup = if self.synchronised { 0b0001_1000 } else { 0 };
        let flags = flags | backup | u8::from(self.present) | u8::from(self.verified) << 2;
        let mut data = Sha256::digest(self.rp_id.as_deref().unwrap_or(rp_id)).to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// The public key in COSE: {1: 2, 3: -7, -1: 1, -2: x, -3: y}.
    fn public_key(&self) -> Vec<u8> {
        let (x, y) = self.key.public_key().as_ref()[1..].split_at(32);
        [&b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20"[..], x, b"\x22\x58\x20", y].concat()
    }
}

pub fn base64url(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The answer to an offer, as the operations take it.
pub fn assertion(authenticator: &mut Authenticator, offer: &Value) -> Value {
    json!({ "challenge_id": offer["challenge_id"], "credential": authenticator.get(&offer["options"]) })
}

impl Client {
    /// A challenge, from any of the operations that take nothing.
    pub async fn challenge(&self, path: &str) -> Value {
        self.post(path, &json!(null)).await.assert_status(200).json()
    }

    /// Signs in without a password.
    pub async fn login_with_passkey(&self, authenticator: &mut Authenticator) -> Answer {
        let offer = self.challenge("/auth/login/passkey/options").await;
        self.post("/auth/login/passkey", &assertion(authenticator, &offer)).await
    }

    /// A challenge for the passkeys of a ticket's account.
    pub async fn ticket_challenge(&self, ticket: &str) -> Value {
        self.post("/auth/mfa/passkey/options", &json!({ "ticket": ticket })).await.assert_status(200).json()
    }

    /// Gives a passkey after the password.
    pub async fn verify_passkey(&self, ticket: &str, authenticator: &mut Authenticator) -> Answer {
        let mut body = assertion(authenticator, &self.ticket_challenge(ticket).await);
        body["ticket"] = json!(ticket);
        self.post("/auth/mfa/passkey", &body).await
    }

    /// Proves more with a passkey.
    pub async fn step_up_passkey(&self, authenticator: &mut Authenticator) -> Answer {
        let offer = self.challenge("/auth/step-up/passkey/options").await;
        self.post("/auth/step-up/passkey", &assertion(authenticator, &offer)).await
    }

    /// Adds a passkey to the account that the client is signed in to.
    pub async fn try_add_passkey(&self, name: &str, authenticator: &mut Authenticator) -> Answer {
        let offer = self.challenge("/auth/passkeys/options").await;
        let credential = authenticator.create(&offer["options"]);
        let body = json!({ "name": name, "challenge_id": offer["challenge_id"], "credential": credential });
        self.post("/auth/passkeys", &body).await
    }
}

impl User {
    /// Adds a passkey and goes on with the new tokens. Answers its id and the recovery codes.
    pub async fn add_passkey(
        &mut self,
        name: &str,
        authenticator: &mut Authenticator,
    ) -> (String, Vec<String>) {
        let answer = self.try_add_passkey(name, authenticator).await.assert_status(200);
        self.take(&answer);
        let answer = answer.json();
        let codes = answer["recovery_codes"].as_array().cloned().unwrap_or_default();
        let codes = codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect();
        (answer["passkey"]["id"].as_str().unwrap().to_owned(), codes)
    }
}

impl App {
    /// Somebody signed in who has a passkey, and its recovery codes.
    pub async fn user_with_passkey(&self, email: &str) -> (User, Authenticator, Vec<String>) {
        let mut user = self.user(email).await;
        let mut authenticator = Authenticator::new();
        let (_, codes) = user.add_passkey("Laptop", &mut authenticator).await;
        (user, authenticator, codes)
    }
}
