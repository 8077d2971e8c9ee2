//! The same for stored credentials and access keys.

use serde_json::{Value, json};

use super::*;
use crate::access_keys::ACCESS_KEYS;
use crate::api_keys::{API_KEYS, KEY, SECRET, store};

const ADA: &str = "ada@example.com";
const BOB: &str = "bob@example.com";
const UNKNOWN: &str = "01938f6e-2b7a-7c3d-9f10-5a4be1c2d3e4";

/// Nobody's key, somebody else's, and one whose owner can't be found that way.
async fn assert_refuses_others(app: &App, method: &str, operation: &str, body: &Value) -> (User, String) {
    let (ada, bob) = (app.user(ADA).await, app.user(BOB).await);
    let path = store(&ada, "Savings").await;
    for path in [path.clone(), format!("{API_KEYS}{UNKNOWN}")] {
        bob.json(method, &format!("{path}{operation}"), body).await.assert_error(404, "not_found");
    }
    (ada, path)
}

proofs! {
    connector_list {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "GET", "/api/v1/connectors").await;
        }
    }

    api_key_create {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "POST", API_KEYS).await;
        }
        wrong_owner(app) {
            // Nobody stores for somebody else.
            let (ada, bob) = (app.user(ADA).await, app.user(BOB).await);
            let body = json!({
                "provider": "binance", "name": "X", "api_key": KEY, "secret": SECRET, "test": false,
                "account_id": ada.id, "owner": ada.id,
            });
            bob.post(API_KEYS, &body).await.assert_status(200);
            assert_eq!(ada.get(API_KEYS).await.json()["data"]["api_keys"], json!([]));
        }
        audit(app) {
            let ada = app.user(ADA).await;
            let body = json!({ "provider": "binance", "name": "Savings", "api_key": KEY, "secret": SECRET, "test": false });
            marked(&ada).post(API_KEYS, &body).await.assert_status(200);
            assert_by(&event(&app, "api_key.added", &[KEY, SECRET, "Savings"]).await, &ada);
        }
    }

    api_key_list {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "GET", API_KEYS).await;
        }
        wrong_owner(app) {
            let (ada, bob) = (app.user(ADA).await, app.user(BOB).await);
            store(&ada, "Savings").await;
            assert_eq!(bob.get(API_KEYS).await.assert_status(200).json()["data"]["api_keys"], json!([]));
        }
    }

    api_key_get {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "GET", &format!("{API_KEYS}{UNKNOWN}")).await;
        }
        wrong_owner(app) {
            let (ada, path) = assert_refuses_others(&app, "GET", "", &Value::Null).await;
            ada.get(&path).await.assert_status(200);
        }
    }

    api_key_update {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "PATCH", &format!("{API_KEYS}{UNKNOWN}")).await;
        }
        wrong_owner(app) {
            let body = json!({ "name": "Mine", "sign_rules": [{ "method": "GET", "path": "/*" }] });
            let (ada, path) = assert_refuses_others(&app, "PATCH", "", &body).await;
            assert_eq!(ada.get(&path).await.json()["data"]["name"], "Savings");
        }
        audit(app) {
            let ada = app.user(ADA).await;
            let path = store(&ada, "Savings").await;
            marked(&ada).patch(&path, &json!({ "name": "Trading" })).await.assert_status(200);
            assert_by(&event(&app, "api_key.changed", &["Trading", "Savings"]).await, &ada);
        }
    }

    api_key_delete {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "DELETE", &format!("{API_KEYS}{UNKNOWN}")).await;
        }
        wrong_owner(app) {
            let (ada, path) = assert_refuses_others(&app, "DELETE", "", &Value::Null).await;
            ada.get(&path).await.assert_status(200);
        }
        audit(app) {
            let ada = app.user(ADA).await;
            let path = store(&ada, "Savings").await;
            marked(&ada).json("DELETE", &path, &Value::Null).await.assert_status(200);
            assert_by(&event(&app, "api_key.removed", &[KEY, SECRET, "Savings"]).await, &ada);
        }
    }

    api_key_decrypt {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "POST", &format!("{API_KEYS}{UNKNOWN}/decrypt")).await;
        }
        wrong_owner(app) {
            let (ada, path) = assert_refuses_others(&app, "POST", "/decrypt", &json!({})).await;
            let (carl, _, _) = app.user_with_totp("carl@example.com").await;
            let body = json!({ "name": "Bot", "scopes": ["decrypt"] });
            let key = carl.post(ACCESS_KEYS, &body).await.assert_status(200).json();
            let server = app.anonymous().bearer(key["token"].as_str().unwrap());
            server.post(&format!("{path}/decrypt"), &json!({})).await.assert_error(404, "not_found");
            ada.post(&format!("{path}/decrypt"), &json!({})).await.assert_status(200);
        }
        audit(app) {
            let ada = app.user(ADA).await;
            let path = store(&ada, "Savings").await;
            marked(&ada).post(&format!("{path}/decrypt"), &json!({})).await.assert_status(200);
            assert_by(&event(&app, "api_key.revealed", &[KEY, SECRET, "Savings"]).await, &ada);
        }
    }

    api_key_test {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "POST", &format!("{API_KEYS}{UNKNOWN}/test-connection")).await;
        }
        wrong_owner(app) {
            let (ada, path) = assert_refuses_others(&app, "POST", "/test-connection", &json!({})).await;
            assert_eq!(ada.get(&path).await.json()["data"]["last_test"], Value::Null);
        }
        audit(app) {
            let ada = app.user(ADA).await;
            // Nobody is asked: the guard does not let the test out of this machine.
            let body = json!({
                "provider": "generic_bearer", "name": "Savings", "api_key": KEY, "test": false,
                "settings": { "base_url": "https://localhost", "test_path": "/status" },
            });
            let id = ada.post(API_KEYS, &body).await.assert_status(200).json()["data"]["id"].clone();
            let path = format!("{API_KEYS}{}/test-connection", id.as_str().unwrap());
            marked(&ada).post(&path, &json!({})).await.assert_status(200);
            assert_by(&event(&app, "api_key.tested", &[KEY, "Savings"]).await, &ada);
        }
    }

    api_key_sign {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "POST", &format!("{API_KEYS}{UNKNOWN}/sign")).await;
        }
        wrong_owner(app) {
            let request = json!({ "method": "GET", "path": "/v2/account" });
            let (ada, path) = assert_refuses_others(&app, "POST", "/sign", &request).await;
            assert_eq!(ada.get(&path).await.json()["data"]["last_used_at"], Value::Null);
        }
        audit(app) {
            let ada = app.user(ADA).await;
            let body = json!({
                "provider": "generic_hmac", "name": "Savings", "api_key": KEY, "secret": SECRET, "test": false,
                "settings": {
                    "base_url": "https://api.example.com", "test_path": "/v2/account", "template": "{ts}{method}{path_query}{body}",
                    "headers": { "X-Key": "{api_key}", "X-Sign": "{signature}", "X-Ts": "{ts}" },
                },
                "sign_rules": [{ "method": "GET", "path": "/v2/account" }],
            });
            let id = ada.post(API_KEYS, &body).await.assert_status(200).json()["data"]["id"].clone();
            let path = format!("{API_KEYS}{}/sign", id.as_str().unwrap());
            let request = json!({ "method": "GET", "path": "/v2/account" });
            marked(&ada).post(&path, &request).await.assert_status(200);
            assert_by(&event(&app, "api_key.signed", &[SECRET, "Savings"]).await, &ada);
        }
    }

    access_key_create {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "POST", ACCESS_KEYS).await;
        }
        wrong_owner(app) {
            // A key is for its maker's account, whatever the body says.
            let (ada, _, _) = app.user_with_totp(ADA).await;
            let (bob, _, _) = app.user_with_totp(BOB).await;
            store(&ada, "Savings").await;
            let body = json!({ "name": "Bot", "scopes": ["read"], "account_id": ada.id });
            let key = bob.post(ACCESS_KEYS, &body).await.assert_status(200).json();
            let list = app.anonymous().bearer(key["token"].as_str().unwrap()).get(API_KEYS).await.assert_status(200);
            assert_eq!(list.json()["data"]["api_keys"], json!([]));
        }
        audit(app) {
            let (ada, _, _) = app.user_with_totp(ADA).await;
            let body = json!({ "name": "Bot", "scopes": ["read"] });
            let key = marked(&ada).post(ACCESS_KEYS, &body).await.assert_status(200).json();
            let secrets = ["Bot", key["token"].as_str().unwrap()];
            assert_at(&event(&app, "access_key.added", &secrets).await, &ada, 2);
        }
    }

    access_key_list {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "GET", ACCESS_KEYS).await;
        }
        wrong_owner(app) {
            let (ada, _, _) = app.user_with_totp(ADA).await;
            let bob = app.user(BOB).await;
            ada.post(ACCESS_KEYS, &json!({ "name": "Bot", "scopes": ["read"] })).await.assert_status(200);
            assert_eq!(bob.get(ACCESS_KEYS).await.assert_status(200).json(), json!({ "access_keys": [] }));
        }
    }

    access_key_delete {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "DELETE", &format!("{ACCESS_KEYS}/{UNKNOWN}")).await;
        }
        wrong_owner(app) {
            let (ada, _, _) = app.user_with_totp(ADA).await;
            let bob = app.user(BOB).await;
            let key = ada.post(ACCESS_KEYS, &json!({ "name": "Bot", "scopes": ["read"] })).await.assert_status(200).json();
            for id in [key["access_key"]["id"].as_str().unwrap(), UNKNOWN] {
                bob.json("DELETE", &format!("{ACCESS_KEYS}/{id}"), &Value::Null).await.assert_error(404, "not_found");
            }
            app.anonymous().bearer(key["token"].as_str().unwrap()).get(API_KEYS).await.assert_status(200);
        }
        audit(app) {
            let (ada, _, _) = app.user_with_totp(ADA).await;
            let key = ada.post(ACCESS_KEYS, &json!({ "name": "Bot", "scopes": ["read"] })).await.assert_status(200).json();
            let path = format!("{ACCESS_KEYS}/{}", key["access_key"]["id"].as_str().unwrap());
            marked(&ada).json("DELETE", &path, &Value::Null).await.assert_status(200);
            assert_at(&event(&app, "access_key.revoked", &["Bot"]).await, &ada, 2);
        }
    }
}
