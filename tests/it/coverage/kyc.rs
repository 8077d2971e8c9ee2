//! The same for identity checks.

use entities::account::Role;
use serde_json::Value;

use super::admin::assert_staff;
use super::*;
use crate::kyc::{VERIFICATIONS, begin, decided, id_of};

const ADA: &str = "ada@example.com";
const BOB: &str = "bob@example.com";
const UNKNOWN: &str = "01938f6e-2b7a-7c3d-9f10-5a4be1c2d3e4";
const CASES: &str = "/api/v1/admin/kyc/verifications";

/// Somebody else's verification, and nobody's.
async fn assert_refuses_others(app: &App, method: &str, operation: &str) -> (User, String) {
    let (ada, bob) = (app.user(ADA).await, app.user(BOB).await);
    let id = id_of(&begin(&ada, "basic").await);
    for id in [id.as_str(), UNKNOWN] {
        let path = format!("{VERIFICATIONS}/{id}{operation}");
        bob.json(method, &path, &Value::Null).await.assert_error(404, "not_found");
    }
    (ada, id)
}

/// Whoever is no reviewer, and a reviewer with one factor.
async fn assert_refuses_users(app: &App, method: &str, path: &str, body: &Value) {
    app.staff(Role::User).await.json(method, path, body).await.assert_error(403, "insufficient_role");
    let alone = app.user("alone@example.com").await;
    app.set_role(&alone, Role::Reviewer).await;
    alone.json(method, path, body).await.assert_error(401, "insufficient_user_authentication");
}

fn decision() -> Value {
    json!({ "verdict": "approve", "reason": "Seen in a call", "checks": ["document"] })
}

proofs! {
    kyc_overview {
        unauthenticated(app) {
            let overview = app.anonymous().get("/api/kyc/").await.assert_status(200).json();
            assert_eq!(overview["standing"], Value::Null);
            app.anonymous().bearer("e30.e30.e30").get("/api/kyc/").await.assert_error(401, "invalid_token");
        }
        wrong_owner(app) {
            let (ada, bob) = (app.user(ADA).await, app.user(BOB).await);
            begin(&ada, "basic").await;
            let overview = bob.get("/api/kyc/").await.assert_status(200).json();
            assert_eq!(overview["standing"]["verification"], Value::Null);
        }
    }

    kyc_webhook {
        unauthenticated(app) {
            for client in [app.anonymous(), app.anonymous().bearer("secret")] {
                client.post("/api/kyc/webhook", &json!({})).await.assert_error(401, "invalid_webhook");
            }
            assert_eq!(crate::kyc::events(&app).await, 0);
        }
        wrong_owner(app) {
            // A person's token proves nothing of a provider's.
            let ada = app.user(ADA).await;
            ada.post("/api/kyc/webhook", &json!({})).await.assert_error(401, "invalid_webhook");
        }
    }

    kyc_provider_webhook {
        unauthenticated(app) {
            for provider in ["demo", "sumsub", "nobody"] {
                let path = format!("/api/kyc/webhook/{provider}?token=secret");
                app.anonymous().post(&path, &json!({})).await.assert_error(401, "invalid_webhook");
            }
            assert_eq!(crate::kyc::events(&app).await, 0);
        }
        wrong_owner(app) {
            let ada = app.user(ADA).await;
            ada.post("/api/kyc/webhook/demo", &json!({})).await.assert_error(401, "invalid_webhook");
        }
    }

    verification_create {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "POST", VERIFICATIONS).await;
        }
        wrong_owner(app) {
            let (ada, bob) = (app.user(ADA).await, app.user(BOB).await);
            let body = json!({ "level": "basic", "account_id": ada.id, "person": ada.id });
            bob.post(VERIFICATIONS, &body).await.assert_status(200);
            assert_eq!(ada.get(VERIFICATIONS).await.json()["verifications"], json!([]));
        }
        audit(app) {
            let ada = app.user(ADA).await;
            let begun = marked(&ada).post(VERIFICATIONS, &json!({ "level": "basic" })).await.assert_status(200).json();
            let reference = begun["reference"].as_str().unwrap();
            assert_by(&event(&app, "verification.started", &[reference]).await, &ada);
        }
    }

    verification_list {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "GET", VERIFICATIONS).await;
        }
        wrong_owner(app) {
            let (ada, bob) = (app.user(ADA).await, app.user(BOB).await);
            begin(&ada, "basic").await;
            assert_eq!(bob.get(VERIFICATIONS).await.assert_status(200).json()["verifications"], json!([]));
        }
    }

    verification_get {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "GET", &format!("{VERIFICATIONS}/{UNKNOWN}")).await;
        }
        wrong_owner(app) {
            let (ada, id) = assert_refuses_others(&app, "GET", "").await;
            ada.get(&format!("{VERIFICATIONS}/{id}")).await.assert_status(200);
        }
    }

    verification_cancel {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "POST", &format!("{VERIFICATIONS}/{UNKNOWN}/cancel")).await;
        }
        wrong_owner(app) {
            let (ada, id) = assert_refuses_others(&app, "POST", "/cancel").await;
            let kept = ada.get(&format!("{VERIFICATIONS}/{id}")).await.json();
            assert_eq!(kept["verification"]["status"], "pending");
        }
        audit(app) {
            let ada = app.user(ADA).await;
            let id = id_of(&begin(&ada, "basic").await);
            let path = format!("{VERIFICATIONS}/{id}/cancel");
            marked(&ada).post(&path, &Value::Null).await.assert_status(200);
            assert_by(&event(&app, "verification.changed", &[]).await, &ada);
        }
    }

    review_list {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "GET", CASES).await;
        }
        wrong_owner(app) {
            assert_refuses_users(&app, "GET", CASES, &Value::Null).await;
        }
    }

    review_get {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "GET", &format!("{CASES}/{UNKNOWN}")).await;
        }
        wrong_owner(app) {
            let ada = app.user(ADA).await;
            let path = format!("{CASES}/{}", id_of(&begin(&ada, "basic").await));
            ada.get(&path).await.assert_error(403, "insufficient_role");
            assert_refuses_users(&app, "GET", &path, &Value::Null).await;
        }
    }

    review_decide {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "POST", &format!("{CASES}/{UNKNOWN}/decision")).await;
        }
        wrong_owner(app) {
            let ada = app.user(ADA).await;
            let session = decided(&app, &ada, "basic", "review", "in_review").await;
            let path = format!("{CASES}/{}/decision", id_of(&session));
            assert_refuses_users(&app, "POST", &path, &decision()).await;
            // Nobody decides about themselves.
            let reviewer = app.staff(Role::Reviewer).await;
            let own = format!("{CASES}/{}/decision", id_of(&begin(&reviewer, "basic").await));
            reviewer.post(&own, &decision()).await.assert_error(403, "own_case");
            let kept = ada.get(&format!("{VERIFICATIONS}/{}", id_of(&session))).await.json();
            assert_eq!(kept["verification"]["status"], "in_review");
        }
        audit(app) {
            let (reviewer, ada) = (app.staff(Role::Reviewer).await, app.user(ADA).await);
            let session = decided(&app, &ada, "basic", "review", "in_review").await;
            let path = format!("{CASES}/{}/decision", id_of(&session));
            marked(&reviewer).post(&path, &decision()).await.assert_status(200);
            assert_staff(&event(&app, "verification.changed", &[]).await, &reviewer, &ada);
        }
    }
}
