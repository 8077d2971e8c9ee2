//! The same for what operators do for others.

use entities::account::Role;
use serde_json::Value;

use super::*;

const ADA: &str = "ada@example.com";
const USERS: &str = "/api/v1/admin/users";
const UNKNOWN: &str = "01938f6e-2b7a-7c3d-9f10-5a4be1c2d3e4";

/// Whoever is no operator, and an operator with one factor.
async fn assert_refuses_others(app: &App, method: &str, operation: &str, body: &Value) {
    let ada = app.user(ADA).await;
    let path = if operation == USERS { USERS.to_owned() } else { format!("{USERS}/{}{operation}", ada.id) };
    for role in [Role::User, Role::Reviewer] {
        app.staff(role).await.json(method, &path, body).await.assert_error(403, "insufficient_role");
    }
    let alone = app.user("alone@example.com").await;
    app.set_role(&alone, Role::Operator).await;
    alone.json(method, &path, body).await.assert_error(401, "insufficient_user_authentication");
    ada.profile().await.assert_status(200);
}

/// The event names the operator, their session and whom it is about.
pub(super) fn assert_staff(event: &audit_event::Model, operator: &User, about: &User) {
    assert_eq!(event.actor, "staff");
    assert_eq!(event.account_id, account(&about.id));
    let session = operator.claims()["sid"].as_str().map(str::to_owned);
    assert_eq!((event.session_id.map(|id| id.to_string()), event.aal), (session, Some(2)));
    let detail: Value = serde_json::from_str(event.detail.as_deref().unwrap()).unwrap();
    assert_eq!(detail["by"], operator.id);
}

async fn assert_strangers(app: &App, method: &str, operation: &str) {
    assert_refuses_strangers(app, method, &format!("{USERS}/{UNKNOWN}{operation}")).await;
}

fn reason() -> Value {
    json!({ "reason": "Ticket 4711" })
}

proofs! {
    admin_user_list {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "GET", USERS).await;
        }
        wrong_owner(app) {
            assert_refuses_others(&app, "GET", USERS, &Value::Null).await;
        }
    }

    admin_user_get {
        unauthenticated(app) {
            assert_strangers(&app, "GET", "").await;
        }
        wrong_owner(app) {
            assert_refuses_others(&app, "GET", "", &Value::Null).await;
        }
    }

    admin_user_audit {
        unauthenticated(app) {
            assert_strangers(&app, "GET", "/audit").await;
        }
        wrong_owner(app) {
            assert_refuses_others(&app, "GET", "/audit", &Value::Null).await;
        }
    }

    admin_user_disable {
        unauthenticated(app) {
            assert_strangers(&app, "POST", "/disable").await;
        }
        wrong_owner(app) {
            assert_refuses_others(&app, "POST", "/disable", &reason()).await;
        }
        audit(app) {
            let (operator, ada) = (app.staff(Role::Operator).await, app.user(ADA).await);
            marked(&operator).post(&format!("{USERS}/{}/disable", ada.id), &reason()).await.assert_status(200);
            assert_staff(&event(&app, "account.disabled", &[]).await, &operator, &ada);
        }
    }

    admin_user_enable {
        unauthenticated(app) {
            assert_strangers(&app, "POST", "/enable").await;
        }
        wrong_owner(app) {
            assert_refuses_others(&app, "POST", "/enable", &reason()).await;
        }
        audit(app) {
            let (operator, ada) = (app.staff(Role::Operator).await, app.user(ADA).await);
            app.services.set_disabled(ada.id.parse().unwrap(), true).await.unwrap();
            marked(&operator).post(&format!("{USERS}/{}/enable", ada.id), &reason()).await.assert_status(200);
            assert_staff(&event(&app, "account.enabled", &[]).await, &operator, &ada);
        }
    }

    admin_user_end_sessions {
        unauthenticated(app) {
            assert_strangers(&app, "POST", "/end-sessions").await;
        }
        wrong_owner(app) {
            assert_refuses_others(&app, "POST", "/end-sessions", &Value::Null).await;
        }
        audit(app) {
            let (operator, ada) = (app.staff(Role::Operator).await, app.user(ADA).await);
            let path = format!("{USERS}/{}/end-sessions", ada.id);
            marked(&operator).post(&path, &Value::Null).await.assert_status(200);
            assert_staff(&event(&app, "session.ended", &[&ada.access_token]).await, &operator, &ada);
        }
    }

    admin_user_set_role {
        unauthenticated(app) {
            assert_strangers(&app, "PATCH", "/role").await;
        }
        wrong_owner(app) {
            assert_refuses_others(&app, "PATCH", "/role", &json!({ "role": "operator" })).await;
        }
        audit(app) {
            let (operator, ada) = (app.staff(Role::Operator).await, app.user(ADA).await);
            let path = format!("{USERS}/{}/role", ada.id);
            marked(&operator).patch(&path, &json!({ "role": "reviewer" })).await.assert_status(200);
            assert_staff(&event(&app, "account.role_changed", &[]).await, &operator, &ada);
        }
    }
}
