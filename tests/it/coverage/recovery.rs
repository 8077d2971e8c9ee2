//! The same for forgotten passwords and changes of address.

use serde_json::json;

use super::*;

const ADA: &str = "ada@example.com";
const BOB: &str = "bob@example.com";
const NEW: &str = "ada@example.org";
const KETTLES: &str = "eight dark green kettles";

/// A token of nobody's, and the wrong kinds of token.
async fn assert_refuses_tokens(app: &App, path: &str, body: impl Fn(&str) -> serde_json::Value) {
    let ada = app.user(ADA).await;
    for token in ["nonsense", &"A".repeat(43), &ada.refresh_token, &ada.access_token] {
        app.anonymous().post(path, &body(token)).await.assert_error(400, "invalid_link");
    }
    assert_eq!(ada.profile().await.assert_status(200).json()["email"], ADA);
    app.login(ADA, PASSWORD).await;
}

proofs! {
    password_reset_request {
        wrong_owner(app) {
            // Whoever asks, the mail goes to the owner of the address.
            app.user(ADA).await;
            let bob = app.user(BOB).await;
            bob.post("/auth/forgot-password", &json!({ "email": ADA })).await.assert_status(200);
            app.mail_of(ADA, "reset_password").await;
            assert!(app.mails_to(BOB).await.iter().all(|mail| mail.template != "reset_password"));
        }
        audit(app) {
            let ada = app.user(ADA).await;
            marked(&app.anonymous()).post("/auth/forgot-password", &json!({ "email": ADA })).await.assert_status(200);
            let token = app.mail_of(ADA, "reset_password").await.token();
            let requested = event(&app, "account.password_reset_requested", &[&token]).await;
            assert_eq!((requested.actor.as_str(), requested.account_id), ("anonymous", account(&ada.id)));
        }
    }

    password_reset {
        unauthenticated(app) {
            let body = |token: &str| json!({ "token": token, "new_password": KETTLES });
            assert_refuses_tokens(&app, "/auth/reset-password", body).await;
        }
        wrong_owner(app) {
            // The token says whose password it is, not the one who is signed in.
            let (ada, bob) = (app.user(ADA).await, app.user(BOB).await);
            let token = app.reset_token(ADA).await;
            let body = json!({ "token": token, "new_password": KETTLES, "email": BOB, "user_id": bob.id });
            bob.post("/auth/reset-password", &body).await.assert_status(200);
            bob.profile().await.assert_status(200);
            ada.profile().await.assert_error(401, "invalid_token");
            app.login(BOB, PASSWORD).await;
            app.login(ADA, KETTLES).await;
        }
        audit(app) {
            let ada = app.user(ADA).await;
            let token = app.reset_token(ADA).await;
            let body = json!({ "token": token, "new_password": KETTLES });
            marked(&app.anonymous()).post("/auth/reset-password", &body).await.assert_status(200);
            let reset = event(&app, "account.password_reset", &[&token, "kettles"]).await;
            assert_eq!((reset.actor.as_str(), reset.account_id), ("account", account(&ada.id)));
        }
    }

    email_change_request {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "POST", "/auth/email-change").await;
        }
        wrong_owner(app) {
            let (ada, bob) = (app.user(ADA).await, app.user(BOB).await);
            let body = json!({ "email": NEW, "user_id": ada.id, "account_id": ada.id });
            bob.post("/auth/email-change", &body).await.assert_status(200);
            let token = app.mail_of(NEW, "confirm_email_change").await.token();
            app.confirm_email(&token).await.assert_status(200);
            assert_eq!(ada.profile().await.json()["email"], ADA);
            assert_eq!(bob.profile().await.json()["email"], NEW);
        }
        audit(app) {
            let ada = app.user(ADA).await;
            marked(&ada).post("/auth/email-change", &json!({ "email": NEW })).await.assert_status(200);
            let token = app.mail_of(NEW, "confirm_email_change").await.token();
            assert_by(&event(&app, "account.email_change_requested", &[&token, NEW, &ada.access_token]).await, &ada);
        }
    }

    email_change_confirm {
        unauthenticated(app) {
            assert_refuses_tokens(&app, "/auth/email-change/confirm", |token| json!({ "token": token })).await;
        }
        wrong_owner(app) {
            let (ada, bob) = (app.user(ADA).await, app.user(BOB).await);
            let token = app.confirm_token(&ada, NEW).await;
            bob.post("/auth/email-change/confirm", &json!({ "token": token, "user_id": bob.id })).await.assert_status(200);
            assert_eq!(ada.profile().await.json()["email"], NEW);
            assert_eq!(bob.profile().await.json()["email"], BOB);
        }
        audit(app) {
            let ada = app.user(ADA).await;
            let token = app.confirm_token(&ada, NEW).await;
            marked(&app.anonymous()).post("/auth/email-change/confirm", &json!({ "token": token })).await.assert_status(200);
            let back = app.mail_of(ADA, "email_changed").await.token();
            let changed = event(&app, "account.email_changed", &[&token, &back, NEW]).await;
            assert_eq!((changed.actor.as_str(), changed.account_id), ("account", account(&ada.id)));
        }
    }

    email_change_revert {
        unauthenticated(app) {
            assert_refuses_tokens(&app, "/auth/email-change/revert", |token| json!({ "token": token })).await;
        }
        wrong_owner(app) {
            let (ada, bob) = (app.user(ADA).await, app.user(BOB).await);
            let token = app.restore_token(&ada, ADA, NEW).await;
            bob.post("/auth/email-change/revert", &json!({ "token": token, "user_id": bob.id })).await.assert_status(200);
            assert_eq!(bob.profile().await.assert_status(200).json()["email"], BOB);
            app.login(BOB, PASSWORD).await;
            ada.profile().await.assert_error(401, "invalid_token");
        }
        audit(app) {
            let ada = app.user(ADA).await;
            let token = app.restore_token(&ada, ADA, NEW).await;
            marked(&app.anonymous()).post("/auth/email-change/revert", &json!({ "token": token })).await.assert_status(200);
            let reset = app.mail_of(ADA, "email_restored").await.token();
            let restored = event(&app, "account.email_restored", &[&token, &reset, NEW]).await;
            assert_eq!((restored.actor.as_str(), restored.account_id), ("account", account(&ada.id)));
        }
    }
}
