//! The state of the server, and the keys that verify its tokens.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use latchkey::config::SigningAlgorithm;
use serde_json::{Value, json};

use crate::support::{App, Database, Engine, Node, PUBLIC_URL, eventually};

async fn key_set(app: &App) -> JwkSet {
    let answer = app.anonymous().get("/.well-known/jwks.json").await.assert_status(200);
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    let keys = answer.json();
    for key in keys["keys"].as_array().unwrap() {
        assert!(key.get("d").is_none() && key["use"] == "sig", "{key}");
    }
    serde_json::from_value(keys).unwrap()
}

/// Verifies a token as another service does, which has nothing but the key set; time is ours to tell.
#[track_caller]
fn verify(token: &str, keys: &JwkSet) -> Value {
    let header = decode_header(token).unwrap();
    let kid = header.kid.unwrap();
    let key = keys.find(&kid).unwrap_or_else(|| panic!("{kid} is not among the keys"));
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[PUBLIC_URL]);
    validation.set_audience(&[PUBLIC_URL]);
    validation.validate_exp = false;
    decode::<Value>(token, &DecodingKey::from_jwk(key).unwrap(), &validation).unwrap().claims
}

on_both_engines! {
    async fn other_services_verify_tokens_with_the_key_set(app: App) {
        let ada = app.user("ada@example.com").await;
        assert_eq!(verify(&ada.access_token, &key_set(&app).await)["sub"], json!(ada.id));
    }

    async fn a_rotation_refuses_nothing_along_the_way(app: App) {
        let mut ada = app.user("ada@example.com").await;
        let before = decode_header(&ada.access_token).unwrap().kid;
        // A client may keep the key set for five minutes.
        let mut kept = key_set(&app).await;
        let rotated = app.services.rotate_signing_key(SigningAlgorithm::ES256).await.unwrap();
        assert_eq!(key_set(&app).await.keys.len(), 2, "published ahead of use");
        let mut signers = vec![];
        for minute in 0..60 {
            app.clock.advance_seconds(60);
            if minute % 5 == 4 {
                kept = key_set(&app).await;
            }
            ada.profile().await.assert_status(200);
            verify(&ada.access_token, &kept);
            if minute % 14 == 13 {
                ada.refresh().await;
                verify(&ada.access_token, &kept);
                signers.push(decode_header(&ada.access_token).unwrap().kid);
            }
        }
        assert_ne!(before.as_ref(), Some(&rotated.kid));
        assert!(signers.iter().all(|kid| kid.as_ref() == Some(&rotated.kid)), "{signers:?}");
        assert_eq!(key_set(&app).await.keys.len(), 1, "the old key is retired");
        App::only_event(app.audit().await, "signing_key.rotated");
    }

    async fn a_lively_server_is_ready_until_its_database_is_gone(app: App) {
        for path in ["/livez", "/readyz"] {
            assert_eq!(app.anonymous().get(path).await.assert_status(200).json(), json!({ "status": "ok" }));
        }
        app.services.db.clone().close().await;
        assert!(app.anonymous().get("/readyz").await.assert_error(503, "unavailable").retry_after() > 0);
        app.anonymous().get("/livez").await.assert_status(200);
        app.anonymous().get("/.well-known/jwks.json").await.assert_status(200);
    }

    async fn metrics_are_served_on_an_address_of_their_own(engine: Engine) {
        let database = Database::create(engine).await;
        let node = Node::serve(&database, &[("LATCHKEY_METRICS_LISTEN", "127.0.0.1:0")]).await;
        let metrics = node.metrics();
        node.anonymous().get("/livez").await.assert_status(200);
        let page = eventually("counts", async || {
            let page = metrics.get("/metrics").await.assert_status(200).text();
            page.contains("operation=\"liveness_get\"").then_some(page)
        })
        .await;
        assert!(page.contains("latchkey_http_request_seconds_bucket") && page.contains("status=\"200\""), "{page}");
        node.anonymous().get("/metrics").await.assert_error(404, "not_found");
        metrics.get("/livez").await.assert_status(404);
    }
}

#[tokio::test]
async fn a_server_whose_database_is_dropped_says_so_and_lives() {
    let app = App::start(Engine::Postgres, |_| {}).await;
    let ada = app.user("ada@example.com").await;
    app.database.destroy().await;
    app.anonymous().get("/readyz").await.assert_error(503, "unavailable");
    ada.profile().await.assert_error(503, "unavailable");
    app.anonymous().get("/livez").await.assert_status(200);
}
