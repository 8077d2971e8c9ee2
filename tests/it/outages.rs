//! The database goes away: the answer is "later", never a wrong one, and all is well once it is back.

use serde_json::{Value, json};

use crate::support::process::{Process, Session, Site, credentials};
use crate::support::{Answer, Engine, PASSWORD, eventually};

/// Somebody who is signed in, and what they and others may ask for.
async fn ask_everything(server: &Process, session: &Session, opaque_token: &str) -> Vec<Answer> {
    let anonymous = server.anonymous();
    let ada = anonymous.bearer(&session.access);
    let email = json!({ "email": "ada@example.com" });
    vec![
        anonymous.post("/auth/signup", &credentials("grace@example.com", PASSWORD)).await,
        anonymous.post("/auth/login", &credentials("ada@example.com", PASSWORD)).await,
        anonymous.post("/auth/login", &credentials("ada@example.com", "nine loud red trumpets")).await,
        server.refresh(&session.refresh).await,
        ada.get("/auth/profile").await,
        ada.patch("/auth/profile", &json!({ "full_name": "Ada" })).await,
        ada.post(
            "/auth/password",
            &json!({ "current_password": PASSWORD, "new_password": "eight dark green kettles" }),
        )
        .await,
        anonymous.post("/auth/resend-verification", &email).await,
        anonymous.get("/auth/verification-status?email=ada@example.com").await,
        anonymous.post("/auth/verify-email", &json!({ "token": opaque_token })).await,
        anonymous.post("/auth/logout", &json!({ "access_token": session.access })).await,
    ]
}

#[tokio::test]
async fn without_a_database_every_answer_is_later() {
    let site = Site::new(Engine::Postgres).await;
    let server = site.start().await;
    site.verified(&server, "ada@example.com", PASSWORD).await;
    let session = server.login("ada@example.com", PASSWORD).await;
    let bob = credentials("bob@example.com", PASSWORD);
    server.anonymous().post("/auth/signup", &bob).await.assert_status(200);
    let opaque_token = eventually("the mail", async || site.mails_to("bob@example.com").pop()).await.token();

    site.database.close().await;
    for _ in 0..2 {
        let ready = server.anonymous().get("/readyz").await;
        assert_eq!(ready.status, 503, "{ready:?}");
        server.anonymous().get("/livez").await.assert_status(200);
        for answer in ask_everything(&server, &session, &opaque_token).await {
            let answer = answer.assert_error(503, "unavailable");
            assert!(answer.retry_after() > 0);
            assert!(!answer.text().contains("onnection"), "the inside stays inside: {}", answer.text());
        }
    }

    // The workers noticed as well.
    eventually("a round that failed", async || {
        (server.metric("latchkey_background_failures_total").await > 0.0).then_some(())
    })
    .await;
    site.database.open().await;
    eventually("readiness", async || (server.anonymous().get("/readyz").await.status == 200).then_some(()))
        .await;
    // Nothing of what was refused has happened.
    let profile = server.profile(&session.access).await.assert_status(200).json();
    assert_eq!(profile["full_name"], Value::Null);
    let rows = site.rows().await;
    assert_eq!(rows.count("accounts").await, 2);
    server.anonymous().post("/auth/verify-email", &json!({ "token": opaque_token })).await.assert_status(200);
    let successor = Session::of(&server.refresh(&session.refresh).await);
    server.profile(&successor.access).await.assert_status(200);
    server.login("ada@example.com", PASSWORD).await;
    // The workers are back at work as well.
    server
        .anonymous()
        .post("/auth/signup", &credentials("grace@example.com", PASSWORD))
        .await
        .assert_status(200);
    eventually("a mail", async || site.mails_to("grace@example.com").pop()).await;
}

#[tokio::test]
async fn a_database_that_restarts_costs_a_moment() {
    let site = Site::new(Engine::Postgres).await;
    let server = site.start().await;
    site.verified(&server, "ada@example.com", PASSWORD).await;
    let session = server.login("ada@example.com", PASSWORD).await;
    for _ in 0..3 {
        site.database.cut_connections().await;
        eventually("a good answer", async || {
            let answer = server.profile(&session.access).await;
            if answer.status != 200 {
                assert!(answer.clone().assert_error(503, "unavailable").retry_after() > 0);
            }
            (answer.status == 200).then_some(())
        })
        .await;
        eventually("a good refresh", async || {
            let answer = server.refresh(&session.refresh).await;
            if answer.status != 200 {
                answer.clone().assert_error(503, "unavailable");
            }
            (answer.status == 200).then_some(())
        })
        .await;
    }
}
