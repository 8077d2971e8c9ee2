//! A recovery, and what an intruder asked for a moment before it.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::access_keys::ACCESS_KEYS;
use crate::api_keys::{API_KEYS, KEY, SECRET};
use crate::mfa_races::{ADA, ada};
use crate::support::gate::Gate;
use crate::support::process::Site;
use crate::support::{Engine, eventually};

/// The owner's new password has the account; the intruder was let in before it, and waits for it. What he asked for must not
/// be done when it is over and his session with it.
#[tokio::test]
async fn what_an_intruder_asked_for_before_a_recovery_is_not_done_after_it() {
    let nobody = Uuid::nil();
    let credential =
        json!({ "provider": "binance", "name": "Eve", "api_key": KEY, "secret": SECRET, "test": false });
    let requests: [(&str, String, Value); 9] = [
        ("POST", "/auth/email-change".into(), json!({ "email": "eve@example.com" })),
        ("POST", "/auth/mfa/totp".into(), json!({ "name": "Eve" })),
        ("POST", format!("/auth/mfa/totp/{nobody}/confirm"), json!({ "code": "123456" })),
        ("DELETE", format!("/auth/mfa/totp/{nobody}"), Value::Null),
        ("POST", "/auth/mfa/recovery-codes".into(), json!({})),
        ("DELETE", format!("/auth/passkeys/{nobody}"), Value::Null),
        ("DELETE", "/auth/account".into(), Value::Null),
        ("POST", ACCESS_KEYS.into(), json!({ "name": "Eve", "scopes": ["read"] })),
        ("POST", API_KEYS.into(), credential),
    ];

    let site = Site::new(Engine::Postgres).await;
    let (one, two) = (site.start().await, site.start().await);
    let (intruder, _, _) = ada(&site, &one).await;
    one.anonymous().post("/auth/forgot-password", &json!({ "email": ADA })).await.assert_status(200);
    let mail = async || site.mails_to(ADA).into_iter().find(|mail| mail.template == "reset_password");
    let token = eventually("the mail", mail).await.token();

    let gate = Gate::close(&site, "UPDATE", "password_resets").await;
    let owner = one.anonymous();
    let reset = tokio::spawn(async move {
        let body = json!({ "token": token, "new_password": "eight dark green kettles" });
        owner.post("/auth/reset-password", &body).await
    });
    gate.waiting(1).await;
    let mut asked = vec![];
    for (method, path, body) in requests {
        let mut intruder = intruder.clone();
        intruder.address = two.address;
        asked.push(tokio::spawn(async move { (intruder.json(method, &path, &body).await, path) }));
    }
    gate.waiting(1 + i64::try_from(asked.len()).unwrap()).await;
    gate.open().await;
    reset.await.unwrap().assert_status(200);
    for request in asked {
        let (answer, path) = request.await.unwrap();
        assert_eq!((answer.status, answer.json()["error"].clone()), (401, json!("invalid_token")), "{path}");
    }
}
