//! Access keys: who makes them, what they open, and when they stop.

use serde_json::{Value, json};

use crate::api_keys::{KEY, SECRET, store};
use crate::support::{App, Client, User};

const ADA: &str = "ada@example.com";
pub const ACCESS_KEYS: &str = "/api/v1/access-keys";

/// Makes a key with these scopes; answers its id and a client that shows it.
async fn make(app: &App, ada: &User, scopes: &[&str]) -> (String, Client) {
    let body = json!({ "name": "Bot", "scopes": scopes });
    let answer = ada.post(ACCESS_KEYS, &body).await.assert_status(200).json();
    let token = answer["token"].as_str().unwrap();
    assert!(token.starts_with("lk_") && token.len() == 75, "{token}");
    (answer["access_key"]["id"].as_str().unwrap().to_owned(), app.anonymous().bearer(token))
}

on_both_engines! {
    async fn a_key_opens_what_it_was_made_for(app: App) {
        let (ada, _, _) = app.user_with_totp(ADA).await;
        let path = store(&ada, "Savings").await;
        let rules = json!({ "sign_rules": [{ "method": "GET", "path": "/api/v3/*" }] });
        ada.patch(&path, &rules).await.assert_status(200);
        let request = json!({ "method": "GET", "path": "/api/v3/account" });
        let (_, reader) = make(&app, &ada, &["read"]).await;
        let (_, signer) = make(&app, &ada, &["sign"]).await;
        let (_, opener) = make(&app, &ada, &["decrypt"]).await;
        for (client, allowed) in [(&reader, "read"), (&signer, "sign"), (&opener, "decrypt")] {
            for (scope, answer) in [
                ("read", client.get("/api/v1/api-keys/").await),
                ("read", client.get(&path).await),
                ("sign", client.post(&format!("{path}/sign"), &request).await),
                ("decrypt", client.post(&format!("{path}/decrypt"), &json!({})).await),
            ] {
                if scope == allowed {
                    answer.assert_status(200);
                } else {
                    assert_eq!(answer.json()["required_scope"], scope);
                    answer.assert_error(403, "insufficient_scope");
                }
            }
            // It is not somebody signed in.
            client.get("/auth/profile").await.assert_error(401, "invalid_token");
            client.json("DELETE", &path, &Value::Null).await.assert_error(401, "invalid_token");
            client.get(ACCESS_KEYS).await.assert_error(401, "invalid_token");
        }
        let events = app.audit().await;
        let revealed = events.iter().find(|event| event.action == "api_key.revealed").unwrap();
        assert!(revealed.detail.as_deref().unwrap().contains("access_key"), "{revealed:?}");
    }

    async fn it_takes_two_factors_to_make_one(app: App) {
        let ada = app.user(ADA).await;
        let body = json!({ "name": "Bot", "scopes": ["read"] });
        let refused = ada.post(ACCESS_KEYS, &body).await;
        assert_eq!(refused.json()["acr_values"], "aal2");
        refused.assert_error(401, "insufficient_user_authentication");
        let (bob, _, _) = app.user_with_totp("bob@example.com").await;
        bob.post(ACCESS_KEYS, &body).await.assert_status(200);
        let mail = app.mail_of("bob@example.com", "access_key_added").await;
        assert!(mail.text.contains("Bot"), "{}", mail.text);
        app.clock.advance_seconds(601);
        bob.post(ACCESS_KEYS, &body).await.assert_error(401, "insufficient_user_authentication");
        bob.post(ACCESS_KEYS, &json!({ "name": "Bot", "scopes": [] })).await.assert_error(401, "insufficient_user_authentication");
    }

    async fn it_stops_when_it_ends_is_taken_away_or_its_owner_is_disabled(app: App) {
        let (ada, _, _) = app.user_with_totp(ADA).await;
        let (id, client) = make(&app, &ada, &["read"]).await;
        client.get("/api/v1/api-keys/").await.assert_status(200);
        let listed = ada.get(ACCESS_KEYS).await.assert_status(200).json();
        assert_eq!(listed["access_keys"][0]["scopes"], json!(["read"]));
        assert!(listed["access_keys"][0]["last_used_at"].is_string());
        let path = format!("{ACCESS_KEYS}/{id}");
        ada.json("DELETE", &path, &Value::Null).await.assert_status(200);
        client.get("/api/v1/api-keys/").await.assert_error(401, "invalid_token");
        ada.json("DELETE", &path, &Value::Null).await.assert_error(404, "not_found");

        let end = latchkey::clock::rfc3339(entities::Timestamp(app.now().0 + 60_000));
        let body = json!({ "name": "Short", "scopes": ["read"], "expires_at": end });
        let answer = ada.post(ACCESS_KEYS, &body).await.assert_status(200).json();
        let short = app.anonymous().bearer(answer["token"].as_str().unwrap());
        short.get("/api/v1/api-keys/").await.assert_status(200);
        app.clock.advance_seconds(61);
        short.get("/api/v1/api-keys/").await.assert_error(401, "invalid_token");

        let (_, client) = make(&app, &ada, &["read"]).await;
        app.services.set_disabled(ada.id.parse().unwrap(), true).await.unwrap();
        client.get("/api/v1/api-keys/").await.assert_error(401, "invalid_token");
    }

    async fn a_made_up_key_opens_nothing(app: App) {
        let (ada, _, _) = app.user_with_totp(ADA).await;
        let path = store(&ada, "Savings").await;
        for token in ["lk_", "lk_00", &format!("lk_{}", "0".repeat(72))] {
            let client = app.anonymous().bearer(token);
            client.post(&format!("{path}/decrypt"), &json!({})).await.assert_error(401, "invalid_token");
        }
        let answer = ada.get("/api/v1/api-keys/").await.text();
        assert!(!answer.contains(KEY) && !answer.contains(SECRET));
    }
}
