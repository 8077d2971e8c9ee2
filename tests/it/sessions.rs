//! Signing in, staying signed in, signing out.

use std::collections::BTreeSet;

use entities::{account, session};
use latchkey::clock::Clock;
use latchkey::config::{Rate, SigningAlgorithm};
use sea_orm::{ConnectionTrait, EntityTrait};
use serde_json::{Value, json};

use crate::support::{App, Engine, PASSWORD};

const DAY: u64 = 86_400;

on_both_engines! {
    async fn the_answer_to_a_sign_in_says_who_and_until_when(app: App) {
        app.verified("Ada@example.com", PASSWORD).await;
        let answer = app.try_login("ada@EXAMPLE.com", PASSWORD).await.assert_status(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let body = answer.json();
        assert_eq!(body["user"]["email"], "Ada@example.com");
        assert!(body["user"]["email_confirmed_at"].as_str().unwrap().ends_with('Z'), "{body}");
        assert_eq!(body["session"]["expires_at"], app.clock.now().seconds() + 900);
        assert_eq!((&body["error"], &body["next_step"]), (&Value::Null, &Value::Null));
    }

    async fn a_refresh_token_shown_again_at_once_gets_the_same_successor(app: App) {
        let ada = app.user("ada@example.com").await;
        app.clock.advance_seconds(30);
        let first = app.try_refresh(&ada.refresh_token).await.assert_status(200);
        assert_eq!(first.header("cache-control"), Some("no-store"));
        for _ in 0..2 {
            app.clock.advance_seconds(5);
            let again = app.try_refresh(&ada.refresh_token).await.assert_status(200);
            assert_eq!(again.json(), first.json());
        }
        // The successor moves on, and takes nothing amiss.
        let successor = first.json()["session"]["refresh_token"].as_str().unwrap().to_owned();
        app.try_refresh(&successor).await.assert_status(200);
    }

    async fn a_refresh_token_shown_again_later_ends_the_session(app: App) {
        let mut ada = app.user("ada@example.com").await;
        let elsewhere = app.login("ada@example.com", PASSWORD).await;
        let stolen = ada.refresh_token.clone();
        ada.refresh().await;
        app.clock.advance_seconds(11);
        app.try_refresh(&stolen).await.assert_error(401, "refresh_token_reused");
        // Thief and owner are both out; other sessions are not.
        ada.profile().await.assert_error(401, "invalid_token");
        app.try_refresh(&ada.refresh_token).await.assert_error(401, "invalid_refresh_token");
        elsewhere.profile().await.assert_status(200);
        let trail = app.audit().await;
        App::only_event(trail.clone(), "session.refresh_reused");
        App::only_event(trail, "session.refreshed");
    }

    async fn a_refresh_token_two_generations_old_ends_the_session_however_soon(app: App) {
        let mut ada = app.user("ada@example.com").await;
        let old = ada.refresh_token.clone();
        ada.refresh().await;
        ada.refresh().await;
        app.try_refresh(&old).await.assert_error(401, "refresh_token_reused");
        ada.profile().await.assert_error(401, "invalid_token");
    }

    /// As a restore from a backup leaves it: the last refreshes are forgotten, but not by those who made them.
    async fn a_database_that_was_put_back_takes_nobody_for_a_thief(engine: Engine) {
        let app = App::start(engine, |config| {
            config.limits.enabled = true;
            config.limits.refresh_per_session = Rate { count: 2, seconds: 60 };
        })
        .await;
        let mut ada = app.user("ada@example.com").await;
        ada.refresh().await;
        let old = ada.refresh_token.clone();
        ada.refresh().await;
        app.connection().await.execute_unprepared("UPDATE sessions SET counter = 0").await.unwrap();

        app.try_refresh(&ada.refresh_token).await.assert_error(429, "rate_limited");
        app.clock.advance_seconds(30);
        let first = app.try_refresh(&ada.refresh_token).await.assert_status(200);
        app.clock.advance_seconds(10);
        let again = app.try_refresh(&ada.refresh_token).await.assert_status(200);
        assert_eq!(again.json(), first.json());
        ada.take(&first);
        ada.profile().await.assert_status(200);
        assert!(app.mails_to("ada@example.com").await.iter().all(|mail| mail.template != "session_stolen"));
        // An older one is reuse as ever.
        app.try_refresh(&old).await.assert_error(401, "refresh_token_reused");
        ada.profile().await.assert_error(401, "invalid_token");
        App::only_event(app.audit().await, "session.refresh_reused");
    }

    async fn a_copy_that_a_database_put_back_takes_for_new_is_found_out(app: App) {
        let mut ada = app.user("ada@example.com").await;
        ada.refresh().await;
        let mut thief = ada.clone();
        for _ in 0..2 {
            ada.refresh().await;
        }
        app.connection().await.execute_unprepared("UPDATE sessions SET counter = 0").await.unwrap();
        thief.refresh().await;
        ada.refresh().await;
        app.try_refresh(&thief.refresh_token).await.assert_error(401, "refresh_token_reused");
        ada.profile().await.assert_error(401, "invalid_token");
    }

    async fn an_altered_refresh_token_is_refused_and_harms_nobody(app: App) {
        let mut ada = app.user("ada@example.com").await;
        let token = ada.refresh_token.clone();
        let mut wrong: Vec<String> = (0..token.len())
            .step_by(5)
            .map(|at| {
                let other = if &token[at..=at] == "A" { "B" } else { "A" };
                format!("{}{other}{}", &token[..at], &token[at + 1..])
            })
            .collect();
        wrong.extend([format!("{token}A"), format!("{token}="), format!(" {token}"), token[..token.len() - 1].to_owned()]);
        wrong.extend(["A".repeat(4096), "é".into(), "..".into()]);
        for token in &wrong {
            app.try_refresh(token).await.assert_error(401, "invalid_refresh_token");
        }
        ada.refresh().await;
    }

    async fn an_expired_access_token_is_refused_until_it_is_refreshed(app: App) {
        let mut ada = app.user("ada@example.com").await;
        app.clock.advance_seconds(899);
        ada.profile().await.assert_status(200);
        app.clock.advance_seconds(1);
        ada.profile().await.assert_error(401, "invalid_token");
        ada.refresh().await;
        ada.profile().await.assert_status(200);
    }

    async fn a_session_that_is_not_refreshed_ends(app: App) {
        let mut ada = app.user("ada@example.com").await;
        app.clock.advance_seconds(7 * DAY - 1);
        ada.refresh().await;
        app.clock.advance_seconds(7 * DAY);
        app.try_refresh(&ada.refresh_token).await.assert_error(401, "invalid_refresh_token");
        // Nothing was stolen.
        assert!(app.audit().await.iter().all(|event| event.action != "session.refresh_reused"));
    }

    async fn a_session_ends_however_busy_it_is(app: App) {
        let mut ada = app.user("ada@example.com").await;
        for _ in 0..5 {
            app.clock.advance_seconds(6 * DAY - 60);
            ada.refresh().await;
        }
        app.clock.advance_seconds(299);
        ada.profile().await.assert_status(200);
        app.clock.advance_seconds(1);
        ada.profile().await.assert_error(401, "invalid_token");
        app.try_refresh(&ada.refresh_token).await.assert_error(401, "invalid_refresh_token");
    }

    async fn signing_out_works_with_an_expired_token_and_twice(app: App) {
        let ada = app.user("ada@example.com").await;
        app.clock.advance_seconds(901);
        ada.profile().await.assert_error(401, "invalid_token");
        for _ in 0..2 {
            let answer = app.anonymous().post("/auth/logout", &json!({ "access_token": ada.access_token })).await;
            assert!(answer.assert_status(200).json().as_object().unwrap().values().all(Value::is_string));
        }
        app.try_refresh(&ada.refresh_token).await.assert_error(401, "invalid_refresh_token");
    }

    async fn a_disabled_account_is_out_at_the_next_request(app: App) {
        let ada = app.user("ada@example.com").await;
        let id = ada.id.parse().unwrap();
        assert!(app.services.set_disabled(id, true).await.unwrap());
        ada.profile().await.assert_error(401, "invalid_token");
        ada.patch("/auth/profile", &json!({ "full_name": "Ada" })).await.assert_error(401, "invalid_token");
        app.try_refresh(&ada.refresh_token).await.assert_error(401, "invalid_refresh_token");
        // Whoever has the password may know; nobody else learns that there is an account.
        app.try_login("ada@example.com", PASSWORD).await.assert_error(403, "account_disabled");
        app.try_login("ada@example.com", "not this one").await.assert_error(401, "invalid_credentials");

        // What ended stays ended.
        assert!(app.services.set_disabled(id, false).await.unwrap());
        ada.profile().await.assert_error(401, "invalid_token");
        app.login("ada@example.com", PASSWORD).await.profile().await.assert_status(200);
    }

    async fn disabling_at_the_command_line_reaches_a_running_server(app: App) {
        let ada = app.user("ada@example.com").await;
        app.database.run(&["users", "disable", "ada@example.com"], &[]).await.assert_success();
        ada.profile().await.assert_error(401, "invalid_token");
        app.try_refresh(&ada.refresh_token).await.assert_error(401, "invalid_refresh_token");
        let disabled = App::only_event(app.audit().await, "account.disabled");
        assert_eq!((disabled.actor.as_str(), disabled.account_id), ("operator", Some(ada.id.parse().unwrap())));
    }

    async fn a_deleted_account_leaves_no_session_behind(app: App) {
        let ada = app.user("ada@example.com").await;
        assert!(app.services.delete_account(ada.id.parse().unwrap()).await.unwrap());
        ada.profile().await.assert_error(401, "invalid_token");
        app.try_refresh(&ada.refresh_token).await.assert_error(401, "invalid_refresh_token");
        app.try_login("ada@example.com", PASSWORD).await.assert_error(401, "invalid_credentials");
        assert_eq!(session::Entity::find().all(app.connection().await).await.unwrap(), []);
        App::only_event(app.audit().await, "account.email_verified");
    }

    async fn a_wrong_password_and_an_unknown_address_answer_alike(app: App) {
        app.verified("ada@example.com", PASSWORD).await;
        app.sign_up("bob@example.com", PASSWORD).await;
        let shape = async |email: &str| {
            let answer = app.try_login(email, "not this one").await.assert_error(401, "invalid_credentials");
            let mut body = answer.json();
            body["request_id"] = Value::Null;
            let mut headers = answer.headers;
            headers.remove("x-request-id");
            headers.remove("date");
            (body, headers)
        };
        let known = shape("ada@example.com").await;
        assert_eq!(known, shape("nobody@example.com").await);
        assert_eq!(known, shape("bob@example.com").await);
    }

    async fn a_stronger_setting_rehashes_at_the_next_sign_in(app: App) {
        app.verified("ada@example.com", PASSWORD).await;
        let hash = async |app: &App| {
            account::Entity::find().one(app.connection().await).await.unwrap().unwrap().password_hash.0
        };
        let before = hash(&app).await;
        app.login("ada@example.com", PASSWORD).await;
        assert_eq!(hash(&app).await, before);

        let app = app.restart(|config| config.hashing.iterations = 3).await;
        app.try_login("ada@example.com", "not this one").await.assert_status(401);
        assert_eq!(hash(&app).await, before);
        app.login("ada@example.com", PASSWORD).await;
        let after = hash(&app).await;
        assert!(before.contains("t=2") && after.contains("t=3"), "{before} {after}");
        App::only_event(app.audit().await, "account.password_rehashed");
        app.login("ada@example.com", PASSWORD).await;
        assert_eq!(hash(&app).await, after);
    }

    async fn tickets_of_sign_ins_that_rehash_at_once_are_all_good(app: App) {
        let (_, totp, _) = app.user_with_totp("ada@example.com").await;
        let app = app.restart(|config| config.hashing.iterations = 3).await;
        let tickets = (0..4).map(|_| app.ticket("ada@example.com", PASSWORD));
        for ticket in futures_util::future::join_all(tickets).await {
            app.anonymous().verify_totp(&ticket, &totp.code(app.now())).await.assert_status(200);
            app.next_code();
        }
        App::only_event(app.audit().await, "account.password_rehashed");
    }

    async fn a_ticket_outlives_another_hash_of_its_password(app: App) {
        const ADA: &str = "ada@example.com";
        let (_, totp, _) = app.user_with_totp(ADA).await;
        let body = json!({ "ticket": app.ticket(ADA, PASSWORD).await, "method": "totp", "code": totp.code(app.now()), "remember_device": true });
        let device = app.anonymous().post("/auth/mfa/verify", &body).await.assert_status(200).json()["device_token"].clone();
        let early = app.ticket(ADA, PASSWORD).await;

        // A sign-in that begins a session stores one,
        let app = app.restart(|config| config.hashing.iterations = 3).await;
        let body = json!({ "email": ADA, "password": PASSWORD, "device_token": device });
        let answer = app.anonymous().post("/auth/login", &body).await.assert_status(200);
        assert!(answer.json()["session"].is_object(), "{answer:?}");
        // and one that gets a ticket.
        let app = app.restart(|config| config.hashing.iterations = 4).await;
        let late = app.ticket(ADA, PASSWORD).await;
        let rehashed = app.audit().await.iter().filter(|event| event.action == "account.password_rehashed").count();
        assert_eq!(rehashed, 2);
        for ticket in [early, late] {
            app.next_code();
            app.anonymous().verify_totp(&ticket, &totp.code(app.now())).await.assert_status(200);
        }
    }

    async fn sessions_outlive_a_restart(app: App) {
        let mut ada = app.user("ada@example.com").await;
        let app = app.restart(|_| {}).await;
        app.anonymous().bearer(&ada.access_token).get("/auth/profile").await.assert_status(200);
        let refreshed = app.try_refresh(&ada.refresh_token).await.assert_status(200);
        ada = crate::support::User::new(app.anonymous(), &ada.email, &ada.password, &refreshed);
        ada.profile().await.assert_status(200);
    }

    async fn without_the_demand_for_a_confirmed_address_a_sign_up_signs_in(engine: Engine) {
        let app = App::start(engine, |config| config.require_verified_email = false).await;
        let answer = app.sign_up("ada@example.com", PASSWORD).await;
        assert_eq!(answer.json()["next_step"], Value::Null);
        let ada = crate::support::User::new(app.anonymous(), "ada@example.com", PASSWORD, &answer);
        assert_eq!(ada.profile().await.assert_status(200).json()["id"], json!(ada.id));
        // The address can be confirmed all the same, and an account that is in use is not replaced.
        app.verify(&app.mail_to("ada@example.com").await.token()).await.assert_status(200);
        app.sign_up("ada@example.com", "a password of somebody else").await;
        ada.profile().await.assert_status(200);
        app.login("ada@example.com", PASSWORD).await;
    }

    async fn sessions_work_the_same_under_es256(engine: Engine) {
        let app = App::start(engine, |config| config.tokens.algorithm = SigningAlgorithm::ES256).await;
        let mut ada = app.user("ada@example.com").await;
        ada.refresh().await;
        ada.profile().await.assert_status(200);
        let keys = app.anonymous().get("/.well-known/jwks.json").await.json();
        assert_eq!((&keys["keys"][0]["alg"], &keys["keys"][0]["kty"]), (&json!("ES256"), &json!("EC")));
    }
}

on_both_engines! {
    /// Sent at once, the token just replaced and the one that replaced it travel in one batch.
    async fn an_older_token_beside_the_current_one_does_not_stand_in_its_way(app: App) {
        let mut ada = app.user("ada@example.com").await;
        for _ in 0..5 {
            let old = ada.refresh_token.clone();
            ada.refresh().await;
            let older = futures_util::future::join_all((0..20).map(|_| app.try_refresh(&old)));
            let (older, current) = futures_util::future::join(older, app.try_refresh(&ada.refresh_token)).await;
            let current = current.assert_status(200);
            // Before the current one was used, a repetition; after, two generations old.
            assert!(older.iter().all(|answer| [200, 401].contains(&answer.status)));
            if older.iter().any(|answer| answer.status == 401) {
                return;
            }
            ada.refresh_token = current.json()["session"]["refresh_token"].as_str().unwrap().to_owned();
        }
    }
}

on_both_engines! {
    async fn the_trail_says_why_a_sign_in_was_refused(app: App) {
        app.sign_up("new@example.com", PASSWORD).await;
        app.try_login("new@example.com", PASSWORD).await.assert_error(403, "email_not_verified");
        let ada = app.user("ada@example.com").await;
        app.services.set_disabled(ada.id.parse().unwrap(), true).await.unwrap();
        app.try_login("ada@example.com", PASSWORD).await.assert_error(403, "account_disabled");
        app.try_login("ada@example.com", "another password").await.assert_error(401, "invalid_credentials");
        let trail = app.audit().await;
        let failed = trail.iter().filter(|event| event.action == "session.sign_in_failed");
        let reasons: BTreeSet<_> = failed.map(|event| event.detail.clone().unwrap()).collect();
        let expected = ["account_disabled", "email_not_verified", "invalid_credentials"];
        assert_eq!(reasons, expected.map(|reason| json!({ "reason": reason }).to_string()).into());
    }
}
