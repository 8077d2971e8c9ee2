//! Changes of one credential at the same time: each sets what it was asked for, and nothing back.

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::{ADA, KEY, SECRET, delete, store};
use crate::support::{Answer, App, PATIENCE, User};

/// Sends `change`, which has a new credential, to a server that tests it first, at a service that says nothing. `meanwhile`
/// succeeds before the service hangs up, which is no reason to refuse the credential.
async fn change_during(
    meanwhile: impl Future<Output = Answer>,
    app: &App,
    owner: &User,
    path: &str,
    change: &Value,
) -> Answer {
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", service.local_addr().unwrap()).parse().unwrap();
    let testing = app
        .sibling(|config| {
            config.vault.refuse_withdrawal_keys = true;
            config.vault.base_urls.insert("binance.live".to_owned(), url);
        })
        .await;
    let client = testing.anonymous().bearer(&owner.access_token);
    let hold = async {
        let asked = timeout(PATIENCE, service.accept()).await.expect("the credential is tested").unwrap();
        meanwhile.await.assert_status(200);
        drop((asked, service));
    };
    let (answer, ()) = tokio::join!(client.patch(path, change), hold);
    answer
}

/// What becomes of a replacement that a newer one has overtaken.
pub async fn overtaken(app: &App, owner: &User, path: &str) -> Answer {
    let newer = json!({ "api_key": key("newer"), "secret": SECRET });
    let slow = json!({ "api_key": key("slow"), "secret": SECRET });
    change_during(owner.patch(path, &newer), app, owner, path, &slow).await
}

/// Another key of Binance.
fn key(beginning: &str) -> String {
    format!("{beginning}{}", &KEY[beginning.len()..])
}

on_both_engines! {
    async fn a_slow_replacement_takes_back_nothing_that_was_changed_meanwhile(app: App) {
        let ada = app.user(ADA).await;
        let path = store(&ada, "Savings").await;
        let rules = json!({ "sign_rules": [{ "method": "GET", "path": "/api/*" }] });
        ada.patch(&path, &rules).await.assert_status(200);

        let end = "2030-01-01T00:00:00Z";
        let withdrawal = json!({ "name": "Trading", "sign_rules": [], "expires_at": end });
        let replacement = json!({ "api_key": key("new"), "secret": SECRET, "labels": ["eu"] });
        let replaced = change_during(ada.patch(&path, &withdrawal), &app, &ada, &path, &replacement).await;
        let replaced = replaced.assert_status(200).json()["data"].clone();
        assert_eq!((&replaced["sign_rules"], &replaced["expires_at"]), (&json!([]), &json!(end)));
        assert_eq!((&replaced["name"], &replaced["labels"]), (&json!("Trading"), &json!(["eu"])));
        assert_eq!(replaced["version"], 2);
        assert_eq!(ada.get(&path).await.assert_status(200).json()["data"], replaced);
        let revealed = ada.post(&format!("{path}/decrypt"), &json!({})).await.assert_status(200).json();
        assert_eq!(revealed["data"]["api_key"], key("new"));
        let request = json!({ "method": "GET", "path": "/api/v3/account" });
        ada.post(&format!("{path}/sign"), &request).await.assert_error(403, "signing_not_allowed");
    }

    async fn a_slow_replacement_does_not_take_the_place_of_a_newer_one(app: App) {
        let ada = app.user(ADA).await;
        let path = store(&ada, "Savings").await;
        overtaken(&app, &ada, &path).await.assert_error(409, "changed_meanwhile");
        let revealed = ada.post(&format!("{path}/decrypt"), &json!({})).await.assert_status(200).json();
        assert_eq!(revealed["data"]["api_key"], key("newer"));
    }

    async fn what_is_removed_during_a_replacement_stays_removed(app: App) {
        let ada = app.user(ADA).await;
        let path = store(&ada, "Savings").await;
        let replacement = json!({ "api_key": key("new"), "secret": SECRET });
        let refused = change_during(delete(&ada, &path), &app, &ada, &path, &replacement).await;
        refused.assert_error(404, "not_found");
        ada.get(&path).await.assert_error(404, "not_found");
    }

    async fn changes_of_different_members_at_once_are_all_kept(app: App) {
        let ada = app.user(ADA).await;
        let path = store(&ada, "Savings").await;
        let before = json!({ "sign_rules": [{ "method": "GET", "path": "/api/*" }], "labels": [] });
        let (withdrawal, label) = (json!({ "sign_rules": [] }), json!({ "labels": ["eu"] }));
        // Whether they meet is left to chance, so they try often.
        for _ in 0..20 {
            ada.patch(&path, &before).await.assert_status(200);
            let (withdrawn, labelled) = tokio::join!(ada.patch(&path, &withdrawal), ada.patch(&path, &label));
            withdrawn.assert_status(200);
            labelled.assert_status(200);
            let after = ada.get(&path).await.assert_status(200).json()["data"].clone();
            assert_eq!((&after["sign_rules"], &after["labels"]), (&json!([]), &json!(["eu"])));
        }
    }
}
