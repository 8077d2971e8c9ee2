//! The account as a whole: export and deletion.

use serde_json::{Value, json};

use crate::api_keys::{KEY, SECRET, store};
use crate::support::{Answer, App, Engine, PASSWORD, User};

const ADA: &str = "ada@example.com";
const DAY: u64 = 86_400;

async fn delete(user: &User) -> Answer {
    user.json("DELETE", "/auth/account", &Value::Null).await
}

on_both_engines! {
    async fn an_export_holds_everything_and_no_secret(app: App) {
        let (mut ada, _, codes) = app.user_with_totp(ADA).await;
        ada.patch("/auth/profile", &json!({ "full_name": "Ada Lovelace", "phone": "+442079460958" })).await.assert_status(200);
        app.try_login(ADA, "not this one").await.assert_status(401);
        store(&ada, "Savings").await;
        let body = json!({ "name": "Bot", "scopes": ["read"] });
        let key = ada.post("/api/v1/access-keys", &body).await.assert_status(200).json()["token"].clone();
        let check = crate::kyc::begin(&ada, "full").await;
        let answer = ada.get("/auth/account/export").await.assert_status(200);
        assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"latchkey-export.json\""));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let export = answer.json();
        assert_eq!((&export["account"]["email"], &export["account"]["full_name"]), (&json!(ADA), &json!("Ada Lovelace")));
        assert_eq!((&export["totp"][0]["name"], &export["recovery_codes_left"]), (&json!("Phone"), &json!(10)));
        assert_eq!(export["verifications"][0]["id"], check["verification"]["id"]);
        assert_eq!((&export["account"]["ial"], &export["account"]["role"]), (&json!(0), &json!("user")));
        assert_eq!(export["sessions"].as_array().unwrap().len(), 1);
        assert_eq!((&export["api_keys"][0]["name"], &export["access_keys"][0]["name"]), (&json!("Savings"), &json!("Bot")));
        let actions: Vec<&str> =
            export["events"].as_array().unwrap().iter().map(|event| event["action"].as_str().unwrap()).collect();
        for action in ["account.created", "account.email_verified", "session.created", "totp.added", "session.sign_in_failed"] {
            assert!(actions.contains(&action), "{action}: {actions:?}");
        }
        assert_eq!(export["events_before"], Value::Null);
        let text = answer.text();
        for secret in ["argon2", &codes[0], &ada.access_token, &ada.refresh_token, "sealed", "token_hash", check["reference"].as_str().unwrap(), KEY, SECRET, key.as_str().unwrap()] {
            assert!(!text.contains(secret), "{secret}");
        }
        App::only_event(app.audit().await, "account.exported");
        ada.refresh().await;
    }

    async fn a_long_trail_is_read_in_pieces(app: App) {
        use sea_orm::{ConnectionTrait, Statement};
        let ada = app.user(ADA).await;
        let account: entities::AccountId = ada.id.parse().unwrap();
        let db = app.connection().await;
        for number in 0..1100_u128 {
            let id = entities::AuditEventId(uuid::Uuid::from_u128(number + 1));
            let sql = "INSERT INTO audit_events (id, at, action, actor, account_id) VALUES ($1, $3, 'test.event', 'server', $2)";
            db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [id.into(), account.into(), app.now().into()])).await.unwrap();
        }
        let first = ada.get("/auth/account/export").await.assert_status(200).json();
        assert_eq!(first["events"].as_array().unwrap().len(), 1000);
        let before = first["events_before"].as_str().unwrap();
        let rest = ada.get(&format!("/auth/account/export?events_before={before}")).await.assert_status(200).json();
        let count = |page: &Value| {
            page["events"].as_array().unwrap().iter().filter(|event| event["action"] == "test.event").count()
        };
        assert_eq!((count(&first) + count(&rest), &rest["events_before"]), (1100, &Value::Null));
        ada.get("/auth/account/export?events_before=nonsense").await.assert_violation("uuid_parsing", &["query", "events_before"]);
    }

    async fn exports_are_limited(engine: Engine) {
        let app = App::start(engine, |config| config.limits.enabled = true).await;
        let ada = app.user(ADA).await;
        for _ in 0..5 {
            ada.get("/auth/account/export").await.assert_status(200);
        }
        assert!(ada.get("/auth/account/export").await.assert_error(429, "rate_limited").retry_after() > 0);
    }

    async fn a_deletion_ends_all_sessions_and_is_taken_back_by_signing_in(app: App) {
        let ada = app.user(ADA).await;
        let other = app.login(ADA, PASSWORD).await;
        let due = delete(&ada).await.assert_status(200).json()["deletion_due_at"].clone();
        assert!(due.is_string());
        for user in [&ada, &other] {
            user.profile().await.assert_error(401, "invalid_token");
            app.try_refresh(&user.refresh_token).await.assert_error(401, "invalid_refresh_token");
        }
        assert!(app.mails_to(ADA).await.iter().any(|mail| mail.template == "deletion_scheduled"));
        app.clock.advance_seconds(7 * DAY - 1);
        app.services.reap().await.unwrap();
        app.login(ADA, PASSWORD).await.profile().await.assert_status(200);
        assert!(app.mails_to(ADA).await.iter().any(|mail| mail.template == "deletion_cancelled"));
        App::only_event(app.audit().await, "account.deletion_cancelled");
        app.clock.advance_seconds(30 * DAY);
        app.services.reap().await.unwrap();
        app.login(ADA, PASSWORD).await.profile().await.assert_status(200);
    }

    async fn half_a_sign_in_takes_nothing_back(app: App) {
        let (ada, totp, _) = app.user_with_totp(ADA).await;
        let early = app.ticket(ADA, PASSWORD).await;
        delete(&ada).await.assert_status(200);
        app.anonymous().verify_totp(&early, &totp.code(app.now())).await.assert_error(401, "invalid_mfa_ticket");
        let ticket = app.ticket(ADA, PASSWORD).await;
        assert!(app.audit().await.iter().all(|event| event.action != "account.deletion_cancelled"));
        app.anonymous().verify_totp(&ticket, &totp.code(app.now())).await.assert_status(200);
        App::only_event(app.audit().await, "account.deletion_cancelled");
    }

    async fn when_it_is_due_the_account_is_gone_and_its_trail_tells_of_nobody(app: App) {
        let (ada, _, _) = app.user_with_totp(ADA).await;
        let bob = app.user("bob@example.com").await;
        delete(&ada).await.assert_status(200);
        app.clock.advance_seconds(7 * DAY);
        // Before anybody has come to clean up.
        app.try_login(ADA, PASSWORD).await.assert_error(401, "invalid_credentials");
        app.services.reap().await.unwrap();
        app.try_login(ADA, PASSWORD).await.assert_error(401, "invalid_credentials");
        assert!(app.mails_to(ADA).await.iter().any(|mail| mail.template == "account_deleted"));
        app.services.reap().await.unwrap();

        let trail = app.audit().await;
        let of = |id: &str| {
            let id = id.parse().unwrap();
            trail.iter().filter(move |event| event.account_id == Some(id))
        };
        assert!(of(&ada.id).count() > 5);
        for event in of(&ada.id) {
            assert_eq!((&event.ip, &event.user_agent), (&None, &None), "{event:?}");
        }
        assert!(of(&bob.id).any(|event| event.ip.is_some()));
        // The address is free again, for an account that has nothing of the old one.
        app.sign_up(ADA, PASSWORD).await;
        for mail in app.mails_to(ADA).await.iter().filter(|mail| mail.template == "verify_email") {
            app.verify(&mail.token()).await;
        }
        let anew = app.login(ADA, PASSWORD).await;
        assert_ne!(anew.id, ada.id);
        assert_eq!(anew.get("/auth/mfa").await.json()["enabled"], false);
        let dump = app.database.dump().await;
        assert!(!dump.contains("Ada Lovelace"), "{dump}");
    }

    async fn an_operator_deletes_at_once(app: App) {
        let ada = app.user(ADA).await;
        app.database.run(&["users", "delete", ADA, "--yes"], &[]).await.assert_success();
        ada.profile().await.assert_error(401, "invalid_token");
        let id = Some(ada.id.parse().unwrap());
        for event in app.audit().await.iter().filter(|event| event.account_id == id) {
            assert_eq!((&event.ip, &event.user_agent), (&None, &None), "{event:?}");
        }
    }
}
