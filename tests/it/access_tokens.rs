//! Access tokens: what is accepted, and the many things that are not.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use entities::server_key::{self, Purpose};
use hmac::{Hmac, KeyInit, Mac};
use hyper::header::HeaderValue;
use latchkey::clock::Clock;
use latchkey::config::SigningAlgorithm;
use latchkey::crypto::root_key::RootKey;
use latchkey::crypto::seal::Sealer;
use latchkey::crypto::signing_key::{self, SigningKey};
use latchkey::entropy::Entropy;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};

use crate::support::{App, User};

fn encode(value: &Value) -> String {
    BASE64.encode(value.to_string())
}

fn sign(key: &SigningKey, header: &Value, claims: &Value) -> String {
    key.sign(&encode(header), claims.to_string().as_bytes()).unwrap()
}

/// The server's own signing key, out of its database: nothing that it signs is refused for its signature.
async fn stolen_key(app: &App) -> SigningKey {
    let query = server_key::Entity::find().filter(server_key::Column::Purpose.eq(Purpose::AccessToken));
    let row = query.one(app.connection().await).await.unwrap().unwrap();
    let root = RootKey::obtain(&app.services.config, Entropy).unwrap();
    let context = format!("{}/{:?}/{}", row.id, row.purpose, row.kid);
    let secret = Sealer::new(&root, "server keys", Entropy).open(context.as_bytes(), &row.sealed).unwrap();
    SigningKey::from_pkcs8(row.kid, &row.algorithm, &secret).unwrap()
}

fn header(user: &User) -> Value {
    let header = user.access_token.split('.').next().unwrap();
    serde_json::from_slice(&BASE64.decode(header).unwrap()).unwrap()
}

/// `value` with one member changed, or removed where it becomes null.
fn but(value: &Value, name: &str, member: Value) -> Value {
    let mut value = value.clone();
    match member {
        Value::Null => {
            value.as_object_mut().unwrap().remove(name);
        }
        member => value[name] = member,
    }
    value
}

async fn assert_refused(app: &App, what: &str, token: &str) {
    let answer = app.anonymous().bearer(token).get("/auth/profile").await;
    assert_eq!(answer.status, 401, "{what}: {}", answer.text());
    assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"), "{what}");
    let logout = app.anonymous().post("/auth/logout", &json!({ "access_token": token })).await;
    // Too long for the schema, or not ours; an expired one of ours may still end its session.
    if !what.starts_with("expired") {
        assert!([401, 422].contains(&logout.status), "{what}: {}", logout.text());
    }
}

on_both_engines! {
    async fn a_token_says_what_the_profile_for_access_tokens_asks(app: App) {
        let ada = app.user("ada@example.com").await;
        let (header, claims, now) = (header(&ada), ada.claims(), app.clock.now().seconds());
        assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("EdDSA")));
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!("http://id.example.com"), &json!("http://id.example.com")));
        assert_eq!(claims["sub"], json!(ada.id));
        assert_eq!((&claims["iat"], &claims["nbf"], &claims["exp"]), (&json!(now), &json!(now), &json!(now + 900)));
        assert_eq!((&claims["aal"], &claims["ial"], &claims["amr"]), (&json!(1), &json!(0), &json!(["pwd"])));
        assert_eq!(claims["auth_time"], now);
        for name in ["jti", "sid", "scope"] {
            assert!(!claims[name].as_str().unwrap().is_empty(), "{name}");
        }
        assert!(!format!("{claims}").contains("example.com\",\"email"), "{claims}");
    }

    async fn altered_tokens_are_refused(app: App) {
        let ada = app.user("ada@example.com").await;
        let token = &ada.access_token;
        let dots: Vec<usize> = token.match_indices('.').map(|(at, _)| at).collect();
        let mut places = vec![0, 1, dots[0] - 1, dots[0], dots[0] + 1, dots[1] - 1, dots[1], dots[1] + 1];
        places.extend((0..token.len()).step_by(token.len() / 20));
        places.extend([token.len() - 2]);
        for at in places {
            let other = if &token[at..=at] == "A" { "B" } else { "A" };
            let altered = format!("{}{other}{}", &token[..at], &token[at + 1..]);
            assert_refused(&app, &format!("altered at {at}"), &altered).await;
        }
        let parts: Vec<&str> = token.split('.').collect();
        for (what, token) in [
            ("no signature", format!("{}.{}.", parts[0], parts[1])),
            ("two parts", format!("{}.{}", parts[0], parts[1])),
            ("four parts", format!("{token}.{}", parts[2])),
            ("padded", format!("{token}=")),
            ("signature first", format!("{}.{}.{}", parts[2], parts[1], parts[0])),
            ("a signature of zeros", format!("{}.{}.{}", parts[0], parts[1], BASE64.encode([0; 64]))),
            ("twice", format!("{token}{token}")),
        ] {
            assert_refused(&app, what, &token).await;
        }
        ada.profile().await.assert_status(200);
    }

    async fn the_algorithm_is_ours_to_choose(app: App) {
        let ada = app.user("ada@example.com").await;
        let (head, claims) = (header(&ada), ada.claims());
        for none in ["none", "None", "NONE", "nOnE", ""] {
            let unsigned = format!("{}.{}.", encode(&but(&head, "alg", json!(none))), encode(&claims));
            assert_refused(&app, &format!("alg {none}"), &unsigned).await;
        }
        // The public key is public: it must not work as a shared secret.
        let jwks = app.anonymous().get("/.well-known/jwks.json").await.json();
        let jwk = &jwks["keys"][0];
        let raw = BASE64.decode(jwk["x"].as_str().unwrap()).unwrap();
        for secret in [raw, jwk["x"].as_str().unwrap().into(), jwk.to_string().into_bytes(), vec![]] {
            let signed = format!("{}.{}", encode(&but(&head, "alg", json!("HS256"))), encode(&claims));
            let mac = Hmac::<sha2::Sha256>::new_from_slice(&secret).unwrap().chain_update(&signed).finalize();
            assert_refused(&app, "HS256", &format!("{signed}.{}", BASE64.encode(mac.into_bytes()))).await;
        }
        let key = stolen_key(&app).await;
        for other in ["ES256", "RS256", "PS256", "HS512", "Ed25519x"] {
            assert_refused(&app, other, &sign(&key, &but(&head, "alg", json!(other)), &claims)).await;
        }
    }

    async fn every_claim_counts_whoever_signed(app: App) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let (head, claims, key) = (header(&ada), ada.claims(), stolen_key(&app).await);
        let now = app.clock.now().seconds();
        // The forgery itself is perfect: what follows is refused for what it says.
        app.anonymous().bearer(&sign(&key, &head, &claims)).get("/auth/profile").await.assert_status(200);

        for name in ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "sid", "aal", "amr", "auth_time", "scope"] {
            assert_refused(&app, &format!("no {name}"), &sign(&key, &head, &but(&claims, name, Value::Null))).await;
        }
        for (name, value) in [
            ("iss", json!("https://evil.example.com")),
            ("iss", json!("http://id.example.com/")),
            ("iss", json!(["http://id.example.com"])),
            ("aud", json!("https://other.example.com")),
            ("aud", json!([])),
            ("exp", json!(format!("{}", now + 900))),
            ("exp", json!(-1)),
            ("exp", json!(1e300)),
            ("nbf", json!(now + 120)),
            ("sub", json!(bob.id)),
            ("sub", json!("ada@example.com")),
            ("sid", json!("01938f6e-2b7a-7c3d-9f10-5a4be1c2d3e4")),
            ("sid", bob.claims()["sid"].clone()),
            ("sid", json!("../../etc/passwd")),
        ] {
            let token = sign(&key, &head, &but(&claims, name, value.clone()));
            let answer = app.anonymous().bearer(&token).get("/auth/profile").await;
            assert_eq!(answer.status, 401, "{name} {value}: {}", answer.text());
        }
        for exp in [now, now - 1, 0] {
            assert_refused(&app, "expired", &sign(&key, &head, &but(&claims, "exp", json!(exp)))).await;
            // "Expired" may end a session: here is another.
            app.try_login("ada@example.com", crate::support::PASSWORD).await.assert_status(200);
        }
    }

    async fn the_header_counts_whoever_signed(app: App) {
        let ada = app.user("ada@example.com").await;
        let (head, claims, key) = (header(&ada), ada.claims(), stolen_key(&app).await);
        for (name, value) in [
            ("typ", json!("JWT")),
            ("typ", Value::Null),
            ("typ", json!("refresh+jwt")),
            ("typ", json!(7)),
            ("kid", Value::Null),
            ("kid", json!("")),
            ("kid", json!("unknown")),
            ("kid", json!("refresh-1")),
            ("kid", json!("../../../dev/null")),
            ("kid", json!("' OR 1=1 --")),
            ("kid", json!({ "a": 1 })),
            ("alg", Value::Null),
            ("crit", json!(["exp", "b64"])),
        ] {
            let answer = app.anonymous().bearer(&sign(&key, &but(&head, name, value.clone()), &claims)).get("/auth/profile").await;
            assert_eq!(answer.status, 401, "{name} {value}: {}", answer.text());
        }
        // Keys that a token brings along are not looked at.
        let (kid, secret) = signing_key::generate(SigningAlgorithm::EdDSA).unwrap();
        let own = SigningKey::from_pkcs8(kid.clone(), "EdDSA", &secret).unwrap();
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": own.public().x, "kid": kid });
        for head in [
            but(&but(&head, "jwk", jwk.clone()), "kid", json!(kid)),
            but(&head, "jwk", jwk),
            but(&head, "jku", json!("http://127.0.0.1:1/jwks.json")),
            but(&head, "x5u", json!("http://127.0.0.1:1/cert.pem")),
            head.clone(),
        ] {
            assert_refused(&app, "a key of somebody else", &sign(&own, &head, &claims)).await;
        }
    }

    async fn a_token_may_not_be_longer_than_4096_bytes(app: App) {
        let ada = app.user("ada@example.com").await;
        let (head, claims, key) = (header(&ada), ada.claims(), stolen_key(&app).await);
        let padded = |length: usize| sign(&key, &head, &but(&claims, "padding", json!("x".repeat(length))));
        let fits = padded(2000);
        assert!(fits.len() < 4096, "{}", fits.len());
        app.anonymous().bearer(&fits).get("/auth/profile").await.assert_status(200);
        let long = padded(3000);
        assert!(long.len() > 4096, "{}", long.len());
        assert_refused(&app, "too long", &long).await;
    }

    async fn only_one_bearer_header_is_credentials(app: App) {
        let ada = app.user("ada@example.com").await;
        let token = &ada.access_token;
        for scheme in ["bearer", "BEARER", "Bearer"] {
            let client = app.anonymous().with("authorization", &format!("{scheme} {token}"));
            client.get("/auth/profile").await.assert_status(200);
        }
        for garbage in [
            String::new(),
            "Bearer".into(),
            "Bearer ".into(),
            token.clone(),
            format!("Bearer  {token}"),
            format!("Bearer {token} {token}"),
            format!("Bearer {token},"),
            format!("Bearer \"{token}\""),
            format!("Bearer\t{token}"),
            format!("Basic {token}"),
            format!("Token {token}"),
            "Basic YWRhOnBhc3N3b3Jk".into(),
            "Bearer null".into(),
            "Bearer ..".into(),
            "Bearer e30.e30.e30".into(),
            format!("Bearer {}", "a".repeat(8000)),
            format!("Bearer {}.{}.{}", "A".repeat(2000), "B".repeat(1000), "C".repeat(86)),
        ] {
            let answer = app.anonymous().with("authorization", &garbage).get("/auth/profile").await;
            answer.assert_error(401, "invalid_token");
        }
        let client = app.anonymous();
        for bytes in [b"Bearer \xff\xfe".as_slice(), b"\xc3\xa9", b"Bearer \xc3\xa9.\xc3\xa9.\xc3\xa9"] {
            let request = client.request("GET", "/auth/profile");
            let request = request.header("authorization", HeaderValue::from_bytes(bytes).unwrap());
            let answer = client.send(request, http_body_util::Empty::<hyper::body::Bytes>::new()).await;
            answer.assert_error(401, "invalid_token");
        }
        // Of two headers a proxy may have checked the other one.
        for second in [format!("Bearer {token}"), "Basic YWRhOnBhc3N3b3Jk".into()] {
            ada.with("authorization", &second).get("/auth/profile").await.assert_error(401, "invalid_token");
        }
    }

    async fn a_token_anywhere_else_is_not_looked_at(app: App) {
        let ada = app.user("ada@example.com").await;
        for path in [format!("/auth/profile?access_token={}", ada.access_token), format!("/auth/profile?token={}", ada.access_token)] {
            app.anonymous().get(&path).await.assert_error(401, "unauthenticated");
        }
        let cookie = app.anonymous().with("cookie", &format!("access_token={}", ada.access_token));
        cookie.get("/auth/profile").await.assert_error(401, "unauthenticated");
        app.anonymous().bearer(&ada.refresh_token).get("/auth/profile").await.assert_error(401, "invalid_token");
    }
}
