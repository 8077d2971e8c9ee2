//! Tokens that the server never made, some of them perfect.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD as STANDARD, BASE64_URL_SAFE_NO_PAD as BASE64};
use entities::server_key::{self, Purpose};
use hmac::{Hmac, KeyInit, Mac};
use latchkey::crypto::root_ring::RootRing;
use latchkey::crypto::seal::Sealer;
use latchkey::crypto::signing_key::SigningKey;
use latchkey::entropy::Entropy;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};

use crate::support::{App, User};

pub fn encode(value: &Value) -> String {
    BASE64.encode(value.to_string())
}

pub fn sign(key: &SigningKey, header: &Value, claims: &Value) -> String {
    key.sign(&encode(header), claims.to_string().as_bytes()).unwrap()
}

/// The server's own signing key, out of its database: nothing that it signs is refused for its signature.
pub async fn stolen_key(app: &App) -> SigningKey {
    stolen_keys(app).await.remove(0)
}

/// All of them, oldest first.
pub async fn stolen_keys(app: &App) -> Vec<SigningKey> {
    let query = server_key::Entity::find().filter(server_key::Column::Purpose.eq(Purpose::AccessToken));
    let rows = query.order_by_asc(server_key::Column::ActiveAt).all(app.connection().await).await.unwrap();
    let root = RootRing::obtain(&app.services.config, Entropy).unwrap();
    let sealer = Sealer::new(&root, "server keys", Entropy);
    let open = |row: server_key::Model| {
        let context = format!("{}/{:?}/{}", row.id, row.purpose, row.kid);
        let secret = sealer.open(context.as_bytes(), &row.sealed).unwrap();
        SigningKey::from_pkcs8(row.kid, &row.algorithm, &secret).unwrap()
    };
    rows.into_iter().map(open).collect()
}

pub fn header(user: &User) -> Value {
    let header = user.access_token.split('.').next().unwrap();
    serde_json::from_slice(&BASE64.decode(header).unwrap()).unwrap()
}

/// `value` with one member changed, or removed where it becomes null.
pub fn but(value: &Value, name: &str, member: Value) -> Value {
    let mut value = value.clone();
    match member {
        Value::Null => {
            value.as_object_mut().unwrap().remove(name);
        }
        member => value[name] = member,
    }
    value
}

/// Signs what need not be JSON.
pub fn sign_text(key: &SigningKey, header: &str, claims: &str) -> String {
    key.sign(&BASE64.encode(header), claims.as_bytes()).unwrap()
}

/// The public key of a JWK in all the shapes in which a careless server may hold it.
pub fn shapes(jwk: &Value) -> Vec<Vec<u8>> {
    let decode = |name: &str| BASE64.decode(jwk[name].as_str().unwrap()).unwrap();
    let (prefix, point) = match jwk["kty"].as_str().unwrap() {
        // SubjectPublicKeyInfo: RFC 8410 and RFC 5480.
        "OKP" => ("MCowBQYDK2VwAyEA", decode("x")),
        _ => ("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE", [decode("x"), decode("y")].concat()),
    };
    let der = [STANDARD.decode(prefix).unwrap(), point.clone()].concat();
    let base64 = STANDARD.encode(&der);
    let lines: Vec<&str> =
        base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", lines.join("\n"));
    let texts = [
        format!("{pem}\n"),
        pem.replace('\n', "\r\n"),
        pem,
        base64,
        jwk.to_string(),
        json!({ "keys": [jwk] }).to_string(),
        jwk["x"].to_string(),
        jwk["x"].as_str().unwrap().to_owned(),
        jwk["kid"].as_str().unwrap().to_owned(),
        String::new(),
    ];
    texts.into_iter().map(String::into_bytes).chain([der, [&[4], &*point].concat(), point]).collect()
}

pub fn hmac(algorithm: &str, secret: &[u8], text: &str) -> Vec<u8> {
    fn of<M: Mac + KeyInit>(secret: &[u8], text: &str) -> Vec<u8> {
        let mac = <M as KeyInit>::new_from_slice(secret).unwrap();
        mac.chain_update(text).finalize().into_bytes().to_vec()
    }
    match algorithm {
        "HS256" => of::<Hmac<Sha256>>(secret, text),
        "HS384" => of::<Hmac<Sha384>>(secret, text),
        _ => of::<Hmac<Sha512>>(secret, text),
    }
}

pub async fn assert_not_let_in(app: &App, what: &str, token: &str) {
    let answer = app.anonymous().bearer(token).get("/auth/profile").await;
    assert_eq!((answer.status, answer.json()["error"].as_str()), (401, Some("invalid_token")), "{what}");
    assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"), "{what}");
}

pub async fn assert_refused(app: &App, what: &str, token: &str) {
    assert_not_let_in(app, what, token).await;
    let logout = app.anonymous().post("/auth/logout", &json!({ "access_token": token })).await;
    // Too long for the schema, or not ours; an expired one of ours may still end its session.
    if !what.starts_with("expired") {
        assert!([401, 422].contains(&logout.status), "{what}: {}", logout.text());
    }
}
