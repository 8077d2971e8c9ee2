//! Proving more, or once more, while signed in; and what routes demand.

use latchkey::services::policy::Requirement;
use serde_json::json;

use crate::support::{App, Engine, PASSWORD, User};

const ADA: &str = "ada@example.com";

on_both_engines! {
    async fn a_stale_sign_in_is_told_what_is_missing_and_made_fresh(app: App) {
        let mut ada = app.user(ADA).await;
        app.clock.advance_seconds(600);
        ada.post("/auth/mfa/totp", &json!({ "name": "Phone" })).await.assert_status(200);
        app.clock.advance_seconds(1);
        let answer = ada.post("/auth/mfa/totp", &json!({ "name": "Phone" })).await;
        let answer = answer.assert_error(401, "insufficient_user_authentication");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer error=\"insufficient_user_authentication\", error_description=\""), "{challenge}");
        assert!(challenge.ends_with(", max_age=\"600\"") && !challenge.contains("acr_values"), "{challenge}");
        let body = answer.json();
        assert_eq!((&body["max_age"], &body["step_up_url"]), (&json!(600), &json!("/auth/step-up")));
        assert!(body.get("acr_values").is_none() && body["detail"].as_str().unwrap().contains("600 seconds"), "{body}");

        let stale = ada.clone();
        ada.step_up_with_password().await;
        assert_eq!((&ada.claims()["auth_time"], &ada.claims()["aal"]), (&json!(app.now().seconds()), &json!(1)));
        ada.post("/auth/mfa/totp", &json!({ "name": "Phone" })).await.assert_status(200);
        // The token from before keeps what it says.
        stale.profile().await.assert_status(200);
        stale.post("/auth/mfa/totp", &json!({ "name": "Phone" })).await.assert_error(401, "insufficient_user_authentication");
    }

    /// Signed in where the clock was wrong, and refreshed where it is right.
    async fn a_proof_from_a_clock_that_was_ahead_is_no_fresh_one(app: App) {
        app.verified(ADA, PASSWORD).await;
        for (seconds, status) in [(30, 200), (3600, 401), (86_400, 401)] {
            let ahead = app.sibling_with(app.clock.off_by(seconds), |_| {}).await;
            let ada = ahead.login(ADA, PASSWORD).await;
            ahead.stop().await;
            let refreshed = app.try_refresh(&ada.refresh_token).await.assert_status(200);
            let mut ada = User::new(app.anonymous(), ADA, PASSWORD, &refreshed);
            let answer = ada.post("/auth/mfa/totp", &json!({ "name": "Phone" })).await.assert_status(status);
            if status == 401 {
                assert_eq!(answer.assert_error(401, "insufficient_user_authentication").json()["max_age"], 600);
            }
            let before = ada.refresh_token.clone();
            ada.step_up_with_password().await;
            app.try_refresh(&before).await.assert_error(401, "invalid_refresh_token");
            ada.post("/auth/mfa/totp", &json!({ "name": "Phone" })).await.assert_status(200);
        }
    }

    async fn a_wrong_password_proves_nothing(app: App) {
        let ada = app.user(ADA).await;
        let body = json!({ "method": "password", "secret": "not this one" });
        ada.post("/auth/step-up", &body).await.assert_error(403, "wrong_current_password");
        let refused = App::only_event(app.audit().await, "session.step_up_refused");
        assert_eq!(refused.detail.as_deref(), Some(r#"{"method":"password"}"#));
        let body = json!({ "method": "totp", "secret": "000000" });
        ada.post("/auth/step-up", &body).await.assert_error(403, "wrong_code");
        assert_eq!(ada.claims()["aal"], 1);
    }

    async fn a_password_makes_no_two_factors_fresh(app: App) {
        let (mut ada, totp, _) = app.user_with_totp(ADA).await;
        app.clock.advance_seconds(700);
        ada.post("/auth/mfa/recovery-codes", &json!(null)).await.assert_error(401, "insufficient_user_authentication");
        let body = json!({ "method": "password", "secret": PASSWORD });
        let answer = ada.post("/auth/step-up", &body).await.assert_error(401, "insufficient_user_authentication");
        assert!(answer.header("www-authenticate").unwrap().contains("acr_values=\"aal2\""), "{answer:?}");
        assert_eq!(answer.json()["acr_values"], "aal2");
        ada.step_up(&totp, app.now()).await;
        ada.post("/auth/mfa/recovery-codes", &json!(null)).await.assert_status(200);
    }

    async fn tokens_from_before_a_step_up_gain_nothing(app: App) {
        let (mut ada, totp, _) = app.user_with_totp(ADA).await;
        // A session at level 1 of an account that can do better.
        let body = json!({ "ticket": app.ticket(ADA, PASSWORD).await, "method": "totp", "code": totp.code(app.now()), "remember_device": true });
        let token = app.anonymous().post("/auth/mfa/verify", &body).await.json()["device_token"].clone();
        let body = json!({ "email": ADA, "password": PASSWORD, "device_token": token });
        let mut low = User::new(app.anonymous(), ADA, PASSWORD, &app.anonymous().post("/auth/login", &body).await);
        let before = low.clone();
        app.next_code();
        low.step_up(&totp, app.now()).await;
        assert_eq!((before.claims()["aal"].clone(), low.claims()["aal"].clone()), (json!(1), json!(2)));
        assert_eq!(before.claims()["sid"], low.claims()["sid"]);
        assert_ne!(before.claims()["jti"], low.claims()["jti"]);
        // The refresh token before it leads nowhere, at once or later, and is no theft.
        for seconds in [0, 5, 60] {
            app.clock.advance_seconds(seconds);
            app.try_refresh(&before.refresh_token).await.assert_error(401, "invalid_refresh_token");
        }
        low.refresh().await;
        assert_eq!(low.claims()["aal"], 2);
        // Two generations old, it is one.
        app.try_refresh(&before.refresh_token).await.assert_error(401, "refresh_token_reused");
        ada.refresh().await;
    }

    async fn a_step_up_proves_nothing_for_other_sessions(app: App) {
        let (_, totp, _) = app.user_with_totp(ADA).await;
        let mut one = app.login_with_totp(ADA, PASSWORD, &totp).await;
        app.next_code();
        let mut two = app.login_with_totp(ADA, PASSWORD, &totp).await;
        app.clock.advance_seconds(700);
        one.step_up(&totp, app.now()).await;
        two.refresh().await;
        two.post("/auth/mfa/recovery-codes", &json!(null)).await.assert_error(401, "insufficient_user_authentication");
        one.post("/auth/mfa/recovery-codes", &json!(null)).await.assert_status(200);
    }

    /// However the path is written: the route counts.
    async fn an_operator_may_demand_more_of_any_route(engine: Engine) {
        let app = App::start(engine, |config| {
            let demand = Requirement { aal: 2, max_age: Some(60), ..Requirement::default() };
            config.assurance.routes = [("profile_get".to_owned(), demand)].into();
        })
        .await;
        let mut ada = app.user(ADA).await;
        for path in ["/auth/profile", "/auth/profile?x=1"] {
            let answer = ada.get(path).await.assert_error(401, "insufficient_user_authentication").json();
            assert_eq!(answer["acr_values"], "aal2", "{path}");
            // Nothing to step up with.
            assert!(answer.get("step_up_url").is_none() && answer["detail"].as_str().unwrap().contains("Add a second factor"), "{answer}");
        }
        for path in ["/auth/%70rofile", "/auth/profile/", "//auth/profile", "/auth//profile", "/auth/./profile"] {
            assert_ne!(ada.get(path).await.status, 200, "{path}");
        }
        ada.patch("/auth/profile", &json!({})).await.assert_status(200);
        let (totp, _) = ada.add_totp("Phone", app.now()).await;
        ada.get("/auth/profile").await.assert_status(200);
        app.clock.advance_seconds(61);
        assert_eq!(ada.get("/auth/profile").await.assert_status(401).json()["max_age"], 60);
        ada.step_up(&totp, app.now()).await;
        ada.get("/auth/profile").await.assert_status(200);
    }

    async fn a_level_of_identity_is_named_when_it_is_missing(engine: Engine) {
        let app = App::start(engine, |config| {
            let demand = Requirement { ial: 1, ..Requirement::default() };
            let both = Requirement { ial: 2, aal: 2, ..Requirement::default() };
            config.assurance.routes = [("profile_get".to_owned(), demand), ("profile_update".to_owned(), both)].into();
        })
        .await;
        let ada = app.user(ADA).await;
        let answer = ada.get("/auth/profile").await.assert_error(401, "insufficient_user_authentication");
        assert!(answer.header("www-authenticate").unwrap().contains("acr_values=\"ial1\""));
        assert_eq!(answer.json()["acr_values"], "ial1");
        let answer = ada.patch("/auth/profile", &json!({})).await.assert_status(401).json();
        assert_eq!(answer["acr_values"], "aal2+ial2");
    }
}

#[tokio::test]
async fn a_demand_on_what_is_no_operation_or_takes_no_token_stops_the_start() {
    use latchkey::clock::Sources;
    use latchkey::config::Config;
    use latchkey::server::Server;
    for (operation, complaint) in [
        ("profile_read", "assurance.routes.profile_read: there is no such operation"),
        ("session_create", "assurance.routes.session_create: this operation takes no access token"),
        (
            "email_verification_get",
            "assurance.routes.email_verification_get: this operation takes no access token",
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let mut config =
            Config { listen: "127.0.0.1:0".into(), data_dir: directory.path().into(), ..Config::default() };
        config.assurance.routes =
            [(operation.to_owned(), Requirement { aal: 2, ..Requirement::default() })].into();
        let error = Server::start(config, Sources::system()).await.err().unwrap();
        assert_eq!(error, complaint);
    }
}
