//! Whom passkeys are good for, how many challenges there may be, and where they may be used.

use entities::webauthn_challenge;
use latchkey::config::{Config, Rate};
use sea_orm::{ConnectionTrait, EntityTrait, PaginatorTrait};
use serde_json::{Value, json};

use super::level;
use crate::support::{App, Authenticator, Engine, PASSWORD, User, assertion};

const ADA: &str = "ada@example.com";
const BOB: &str = "bob@example.com";

/// How many wait for their answer.
async fn challenges(app: &App) -> u64 {
    webauthn_challenge::Entity::find().count(app.connection().await).await.unwrap()
}

on_both_engines! {
    async fn nobody_signs_in_to_an_account_that_may_not_be_used(engine: Engine) {
        let lax = |config: &mut Config| config.require_verified_email = false;
        let app = App::start(engine, lax).await;
        let answer = app.sign_up(ADA, PASSWORD).await;
        let mut ada = User::new(app.anonymous(), ADA, PASSWORD, &answer);
        let mut laptop = Authenticator::new();
        let (_, codes) = ada.add_passkey("Laptop", &mut laptop).await;
        let set = async |app: &App, assignment: String| {
            app.connection().await.execute_unprepared(&format!("UPDATE accounts SET {assignment}")).await.unwrap();
        };

        // Disabled, and known so only to who holds the passkey.
        let id = ada.id.parse().unwrap();
        assert!(app.services.set_disabled(id, true).await.unwrap());
        app.anonymous().login_with_passkey(&mut laptop).await.assert_error(403, "account_disabled");
        let mut stranger = laptop.with_other_key();
        app.anonymous().login_with_passkey(&mut stranger).await.assert_error(403, "passkey_refused");
        assert!(app.services.set_disabled(id, false).await.unwrap());

        // To be deleted: signing in takes it back.
        set(&app, format!("deletion_due_at = {}", app.now().0 + 1)).await;
        app.anonymous().login_with_passkey(&mut laptop).await.assert_status(200);
        App::only_event(app.audit().await, "account.deletion_cancelled");
        app.anonymous().login_with_passkey(&mut laptop).await.assert_status(200);

        // Recovering: it signs in, and counts as one factor.
        let ticket = app.ticket(ADA, PASSWORD).await;
        app.anonymous().verify_recovery_code(&ticket, &codes[0]).await.assert_status(200);
        let answer = app.anonymous().login_with_passkey(&mut laptop).await.assert_status(200);
        let mut recovering = User::new(app.anonymous(), ADA, PASSWORD, &answer);
        assert_eq!(level(&recovering), (json!(1), json!(["hwk", "mfa"])));
        let answer = recovering.step_up_passkey(&mut laptop).await.assert_status(200);
        recovering.take(&answer);
        assert_eq!(level(&recovering).0, 1);

        // Unconfirmed.
        let app = app.restart(|_| {}).await;
        app.anonymous().login_with_passkey(&mut laptop).await.assert_error(403, "email_not_verified");

        // Too late to take a deletion back; from here on it may happen at any moment.
        let app = app.restart(lax).await;
        set(&app, format!("deletion_due_at = {}", app.now().0)).await;
        app.anonymous().login_with_passkey(&mut laptop).await.assert_error(403, "passkey_refused");
    }

    async fn challenges_are_few_and_pass(app: App) {
        let (ada, mut laptop, _) = app.user_with_passkey(ADA).await;
        let bob = app.user(BOB).await;
        bob.challenge("/auth/passkeys/options").await;
        let offers: Vec<Value> = {
            let mut offers = vec![];
            for _ in 0..12 {
                offers.push(ada.challenge("/auth/step-up/passkey/options").await);
                app.clock.advance_seconds(1);
            }
            offers
        };
        let rows = async || challenges(&app).await;
        assert_eq!(rows().await, 11, "ten of hers, one of his");
        ada.post("/auth/step-up/passkey", &assertion(&mut laptop, &offers[1])).await.assert_error(403, "passkey_refused");
        ada.post("/auth/step-up/passkey", &assertion(&mut laptop, &offers[2])).await.assert_status(200);
        assert_eq!(rows().await, 10, "the first answer takes it away");
        app.services.reap().await.unwrap();
        assert_eq!(rows().await, 10);
        app.clock.advance_seconds(301);
        app.services.reap().await.unwrap();
        assert_eq!(rows().await, 0);
    }

    async fn challenges_and_sign_ins_are_limited_by_address(engine: Engine) {
        let app = App::start(engine, |config| {
            config.limits.enabled = true;
            config.limits.passkey_per_address = Rate { count: 4, seconds: 600 };
            config.limits.login_per_address = Rate { count: 2, seconds: 600 };
            config.limits.mfa_per_account = Rate { count: 1, seconds: 600 };
        })
        .await;
        let (ada, mut laptop, _) = app.user_with_passkey(ADA).await;
        app.anonymous().login_with_passkey(&mut laptop).await.assert_status(200);
        let offer = ada.challenge("/auth/step-up/passkey/options").await;
        ada.post("/auth/step-up/passkey", &assertion(&mut laptop, &offer)).await.assert_status(200);
        ada.post("/auth/step-up/passkey", &assertion(&mut laptop, &offer)).await.assert_error(429, "rate_limited");
        let offer = app.anonymous().challenge("/auth/login/passkey/options").await;
        for path in ["/auth/login/passkey/options", "/auth/step-up/passkey/options", "/auth/passkeys/options"] {
            ada.post(path, &json!(null)).await.assert_error(429, "rate_limited");
        }
        app.anonymous().post("/auth/mfa/passkey/options", &json!({ "ticket": "x" })).await.assert_error(429, "rate_limited");
        // The sign-in with the password that made the account's session counted, too.
        app.anonymous().post("/auth/login/passkey", &assertion(&mut laptop, &offer)).await.assert_error(429, "rate_limited");
    }

    async fn a_server_without_a_domain_says_so(engine: Engine) {
        let app = App::start(engine, |config| config.public_url = Some("http://127.0.0.1:8080".parse().unwrap())).await;
        let ada = User::new(app.anonymous(), ADA, PASSWORD, &{
            app.sign_up(ADA, PASSWORD).await;
            app.connection().await.execute_unprepared("UPDATE accounts SET email_verified_at = 1").await.unwrap();
            app.try_login(ADA, PASSWORD).await.assert_status(200)
        });
        let sample = assertion(&mut Authenticator::new(), &json!({
            "challenge_id": uuid::Uuid::nil(), "options": { "challenge": "AAAA", "rpId": "127.0.0.1" },
        }));
        let mut verify = sample.clone();
        verify["ticket"] = json!("x");
        for (path, body) in [
            ("/auth/passkeys/options", &json!(null)),
            ("/auth/login/passkey/options", &json!(null)),
            ("/auth/login/passkey", &sample),
            ("/auth/mfa/passkey/options", &json!({ "ticket": "x" })),
            ("/auth/mfa/passkey", &verify),
            ("/auth/step-up/passkey/options", &json!(null)),
            ("/auth/step-up/passkey", &sample),
        ] {
            ada.post(path, body).await.assert_error(409, "passkeys_unavailable");
        }
        assert_eq!(ada.get("/auth/passkeys").await.assert_status(200).json(), json!({ "passkeys": [] }));
    }

    async fn other_origins_of_the_domain_are_as_good_when_they_are_set(engine: Engine) {
        const APP: &str = "android:apk-key-hash:nIjLYNxP2pSkqBVL3VnFAz1qz3TJ1NyQeTsDYyUDIcE";
        let app = App::start(engine, |config| {
            config.passkeys.rp_id = Some("example.com".into());
            config.passkeys.origins = vec!["https://app.example.com".into(), APP.into()];
        })
        .await;
        let (_, laptop, _) = app.user_with_passkey(ADA).await;
        let offer = app.anonymous().challenge("/auth/login/passkey/options").await;
        assert_eq!(offer["options"]["rpId"], "example.com");
        let mut counter = laptop.counter;
        for origin in ["https://app.example.com", APP, "http://id.example.com"] {
            let mut there = laptop.but(|it| { it.origin = origin.into(); it.counter = counter; });
            app.anonymous().login_with_passkey(&mut there).await.assert_status(200);
            counter = there.counter;
        }
        for origin in ["http://app.example.com", "https://example.com", "https://x.app.example.com", &APP[..APP.len() - 1]] {
            let mut elsewhere = laptop.but(|it| { it.origin = origin.into(); it.counter = counter; });
            app.anonymous().login_with_passkey(&mut elsewhere).await.assert_error(403, "passkey_refused");
        }
    }
}
