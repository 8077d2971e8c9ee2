//! Signatures: altered tokens, other algorithms, other keys.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD as STANDARD, BASE64_URL_SAFE_NO_PAD as BASE64};
use futures_util::FutureExt;
use latchkey::config::SigningAlgorithm;
use latchkey::crypto::signing_key::{self, SigningKey};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::forge::{
    assert_not_let_in, assert_refused, but, encode, header, hmac, shapes, sign, stolen_key, stolen_keys,
};
use crate::support::{App, Engine};

on_both_engines! {
    async fn altered_tokens_are_refused(app: App) {
        let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
        let token = &ada.access_token;
        let with = |at: usize, other: &str| format!("{}{other}{}", &token[..at], &token[at + 1..]);
        for at in 0..token.len() {
            let other = if &token[at..=at] == "A" { "B" } else { "A" };
            assert_not_let_in(&app, &format!("altered at {at}"), &with(at, other)).await;
            assert_not_let_in(&app, &format!("cut at {at}"), &token[..at]).await;
        }
        // The last character of a part has bits that mean nothing: they count nevertheless.
        let ends = token.match_indices('.').map(|(at, _)| at).chain([token.len()]);
        for at in ends.map(|end| end - 1) {
            for other in ('0'..='9').chain('A'..='Z').chain('a'..='z').chain(['-', '_', '=', '+', '%', '.']) {
                if !token[at..].starts_with(other) {
                    assert_not_let_in(&app, &format!("{other} at {at}"), &with(at, &other.to_string())).await;
                }
            }
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
            ("extended", format!("{token}A")),
            ("encrypted, it says", format!("{}..{}.{}.{}", parts[0], parts[1], parts[1], parts[2])),
            ("in quotes", format!("\"{token}\"")),
            ("another session's signature", format!("{}.{}.{}", parts[0], parts[1], bob.access_token.rsplit('.').next().unwrap())),
        ] {
            assert_refused(&app, what, &token).await;
        }
        ada.profile().await.assert_status(200);
    }

    async fn the_algorithm_is_ours_to_choose(app: App) {
        let ada = app.user("ada@example.com").await;
        let (head, claims) = (header(&ada), ada.claims());
        let signature = ada.access_token.rsplit('.').next().unwrap();
        for spelling in 0..16 {
            let letter = |(at, letter): (usize, char)| if spelling >> at & 1 == 1 { letter.to_ascii_uppercase() } else { letter };
            let none: String = "none".chars().enumerate().map(letter).collect();
            let unsigned = format!("{}.{}", encode(&but(&head, "alg", json!(none))), encode(&claims));
            for token in [format!("{unsigned}."), unsigned.clone(), format!("{unsigned}.{signature}")] {
                assert_refused(&app, &format!("alg {none}"), &token).await;
            }
        }
        let key = stolen_key(&app).await;
        for other in ["ES256", "ES384", "RS256", "PS256", "HS256", "HS512", "eddsa", "EdDSA ", "Ed25519x", " none", "none\0", ""] {
            assert_refused(&app, other, &sign(&key, &but(&head, "alg", json!(other)), &claims)).await;
        }
        for other in [json!(null), json!(["EdDSA"]), json!({ "alg": "EdDSA" }), json!(0)] {
            let mut head = head.clone();
            head["alg"] = other.clone();
            assert_refused(&app, &other.to_string(), &sign(&key, &head, &claims)).await;
        }
    }

    async fn a_public_key_is_no_shared_secret(engine: Engine) {
        for algorithm in [SigningAlgorithm::EdDSA, SigningAlgorithm::ES256] {
            let app = App::start(engine, |config| config.tokens.algorithm = algorithm).await;
            let ada = app.user("ada@example.com").await;
            let (head, claims) = (header(&ada), ada.claims());
            let jwks = app.anonymous().get("/.well-known/jwks.json").await.json();
            for secret in shapes(&jwks["keys"][0]) {
                for hs in ["HS256", "HS384", "HS512"] {
                    let signed = format!("{}.{}", encode(&but(&head, "alg", json!(hs))), encode(&claims));
                    let token = format!("{signed}.{}", BASE64.encode(hmac(hs, &secret, &signed)));
                    assert_refused(&app, &format!("{hs} with {secret:?}"), &token).await;
                }
                // Nor under the name of an algorithm that has a public key.
                let signed = format!("{}.{}", encode(&head), encode(&claims));
                let mac = BASE64.encode(hmac("HS512", &secret, &signed));
                assert_refused(&app, "a MAC for a signature", &format!("{signed}.{mac}")).await;
            }
            ada.profile().await.assert_status(200);
        }
    }

    /// A key verifies what it signs itself, under its own algorithm, also when keys of both kinds are there.
    async fn keys_are_not_mixed_up(app: App) {
        let ada = app.user("ada@example.com").await;
        app.services.rotate_signing_key(SigningAlgorithm::ES256).await.unwrap();
        let (head, claims, keys) = (header(&ada), ada.claims(), stolen_keys(&app).await);
        assert_eq!(keys.len(), 2);
        for (signer, named, alg) in [(0, 0, "EdDSA"), (0, 0, "ES256"), (0, 1, "EdDSA"), (0, 1, "ES256"), (1, 0, "EdDSA"), (1, 0, "ES256"), (1, 1, "EdDSA"), (1, 1, "ES256")] {
            let token = sign(&keys[signer], &json!({ "typ": "at+jwt", "alg": alg, "kid": keys[named].kid }), &claims);
            if signer == named && alg == ["EdDSA", "ES256"][signer] {
                app.anonymous().bearer(&token).get("/auth/profile").await.assert_status(200);
            } else {
                assert_refused(&app, &format!("key {signer} as {named} with {alg}"), &token).await;
            }
        }
        assert_eq!(head["kid"], json!(keys[0].kid));
    }

    async fn keys_that_a_token_brings_along_are_not_looked_at(app: App) {
        let ada = app.user("ada@example.com").await;
        let (head, claims) = (header(&ada), ada.claims());
        let (kid, secret) = signing_key::generate(SigningAlgorithm::EdDSA).unwrap();
        let own = SigningKey::from_pkcs8(kid.clone(), "EdDSA", &secret).unwrap();
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": own.public().x, "kid": kid, "alg": "EdDSA", "use": "sig" });
        let certificate = STANDARD.encode(shapes(&jwk).concat());
        // Where a server that followed links would be seen.
        let bait = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let link = |path: &str| json!(format!("http://{}/{path}", bait.local_addr().unwrap()));
        for (name, value) in [
            ("jwk", jwk.clone()),
            ("jwk", json!([jwk])),
            ("jwk", json!({ "kty": "oct", "k": "c2VjcmV0" })),
            ("jku", link("jwks.json")),
            ("jku", json!("file:///dev/null")),
            ("x5u", link("certificate.pem")),
            ("x5c", json!([certificate])),
            ("x5t", json!(kid)),
            ("x5t#S256", json!(kid)),
            ("none of them", Value::Null),
        ] {
            let brought = but(&head, name, value);
            for kid in [&head["kid"], &json!(kid), &link("key"), &Value::Null] {
                assert_refused(&app, name, &sign(&own, &but(&brought, "kid", kid.clone()), &claims)).await;
            }
        }
        assert!(bait.accept().now_or_never().is_none(), "nobody followed a link");
    }
}
