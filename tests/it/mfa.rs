//! Second factors: authenticator apps, recovery codes, remembered devices, tickets.

use latchkey::config::Rate;
use serde_json::{Value, json};

use crate::support::{App, Engine, PASSWORD, User};

const ADA: &str = "ada@example.com";

fn level(user: &User) -> (Value, Value) {
    let claims = user.claims();
    (claims["aal"].clone(), claims["amr"].clone())
}

on_both_engines! {
    async fn an_enrolment_shows_its_secret_in_every_form(app: App) {
        use base64::Engine as _;
        let ada = app.user(ADA).await;
        let answer = ada.post("/auth/mfa/totp", &json!({ "name": "Ada's phone" })).await.assert_status(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let answer = answer.json();
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        assert_eq!(text("name"), "Ada's phone");
        assert_eq!(text("expires_at"), latchkey::clock::rfc3339(entities::Timestamp(app.now().0 + 3_600_000)));
        assert_eq!(text("secret").len(), 32, "160 bits in base32");
        assert!(text("otpauth_uri").starts_with("otpauth://totp/Latchkey:ada%40example.com?"), "{answer}");
        assert!(text("otpauth_uri").contains(&text("secret")));
        let file = |name: &str, kind: &str| {
            let data = text(name);
            base64::prelude::BASE64_STANDARD.decode(data.strip_prefix(&format!("data:{kind};base64,")).unwrap()).unwrap()
        };
        assert!(file("qr_png", "image/png").starts_with(b"\x89PNG\r\n\x1a\n"));
        assert!(String::from_utf8(file("qr_svg", "image/svg+xml")).unwrap().contains("<svg"));
        assert!(text("qr_text").lines().count() > 15);

        // It counts for nothing yet.
        let status = ada.get("/auth/mfa").await.assert_status(200).json();
        assert_eq!(status, json!({ "enabled": false, "methods": [], "totp": [], "passkeys": 0, "recovery_codes_left": 0 }));
        app.login(ADA, PASSWORD).await;
    }

    async fn the_first_code_makes_it_count_and_raises_the_session(app: App) {
        let mut ada = app.user(ADA).await;
        let before = ada.clone();
        let (_, codes) = ada.add_totp("Phone", app.now()).await;
        assert_eq!(level(&ada), (json!(2), json!(["pwd", "otp", "mfa"])));
        assert_eq!((codes.len(), codes.iter().collect::<std::collections::HashSet<_>>().len()), (10, 10));
        // A token from before says what it said, and is good for what it was good for.
        assert_eq!(before.claims()["aal"], 1);
        before.profile().await.assert_status(200);
        before.post("/auth/mfa/totp", &json!({ "name": "Tablet" })).await
            .assert_error(401, "insufficient_user_authentication");

        let status = ada.get("/auth/mfa").await.assert_status(200).json();
        assert_eq!((&status["enabled"], &status["recovery_codes_left"]), (&json!(true), &json!(10)));
        assert_eq!(status["methods"], json!(["totp", "recovery_code"]));
        assert_eq!(status["totp"][0]["name"], "Phone");
        // A second one leaves the codes as they are.
        app.next_code();
        assert_eq!(ada.add_totp("Tablet", app.now()).await.1.len(), 0);
        let events: Vec<String> = app.audit().await.into_iter().map(|event| event.action).collect();
        assert_eq!(events.iter().filter(|action| *action == "totp.added").count(), 2);
        assert_eq!(events.iter().filter(|action| *action == "recovery_codes.replaced").count(), 1);
        let mails = app.mails_to(ADA).await;
        assert_eq!(mails.iter().filter(|mail| mail.template == "second_factor_added").count(), 2);
    }

    async fn a_wrong_first_code_confirms_nothing_and_an_old_enrolment_is_forgotten(app: App) {
        let mut ada = app.user(ADA).await;
        let enrolment = ada.post("/auth/mfa/totp", &json!({ "name": "Phone" })).await.assert_status(200).json();
        let totp = crate::support::Totp::scan(&enrolment);
        let confirm = format!("/auth/mfa/totp/{}/confirm", totp.id);
        for code in [totp.wrong_code(app.now()).as_str(), "", "abc"].into_iter().filter(|code| !code.is_empty()) {
            ada.post(&confirm, &json!({ "code": code })).await.assert_error(403, "wrong_code");
        }
        app.login(ADA, PASSWORD).await;
        app.clock.advance_seconds(3601);
        ada.refresh().await;
        ada.step_up_with_password().await;
        ada.post(&confirm, &json!({ "code": totp.code(app.now()) })).await.assert_error(404, "not_found");
        // Nor is there a second confirmation of one that counts.
        let (totp, _) = ada.add_totp("Phone", app.now()).await;
        app.next_code();
        let again = format!("/auth/mfa/totp/{}/confirm", totp.id);
        ada.post(&again, &json!({ "code": totp.code(app.now()) })).await.assert_error(404, "not_found");
    }

    async fn a_sign_in_needs_both_factors(app: App) {
        let (_, totp, _) = app.user_with_totp(ADA).await;
        let answer = app.try_login(ADA, PASSWORD).await.assert_status(200).json();
        assert_eq!((&answer["success"], &answer["session"], &answer["next_step"]), (&json!(true), &Value::Null, &json!("mfa")));
        assert_eq!(answer["user"]["email"], ADA);
        assert_eq!(answer["mfa"]["methods"], json!(["totp", "recovery_code"]));
        assert_eq!(answer["mfa"]["expires_at"], app.now().seconds() + 300);
        let ticket = answer["mfa"]["ticket"].as_str().unwrap();

        let code = totp.code(app.now());
        let answer = app.anonymous().verify_totp(ticket, &code).await.assert_status(200);
        let ada = User::new(app.anonymous(), ADA, PASSWORD, &answer);
        assert_eq!(level(&ada), (json!(2), json!(["pwd", "otp", "mfa"])));
        let body = answer.json();
        assert_eq!((&body["next_step"], &body["mfa"], &body["device_token"]), (&Value::Null, &Value::Null, &Value::Null));
        ada.profile().await.assert_status(200);
        // Once is once.
        app.anonymous().verify_totp(ticket, &code).await.assert_error(401, "invalid_mfa_ticket");
    }

    async fn a_ticket_is_good_for_the_second_step_and_nothing_else(app: App) {
        let (_, totp, _) = app.user_with_totp(ADA).await;
        let ticket = app.ticket(ADA, PASSWORD).await;
        let client = app.anonymous();
        client.bearer(&ticket).get("/auth/profile").await.assert_error(401, "invalid_token");
        client.bearer(&ticket).post("/auth/step-up", &json!({ "method": "totp", "secret": totp.code(app.now()) })).await
            .assert_error(401, "invalid_token");
        app.try_refresh(&ticket).await.assert_error(401, "invalid_refresh_token");
        app.verify(&ticket).await.assert_error(400, "invalid_verification_token");
        client.post("/auth/logout", &json!({ "access_token": ticket })).await.assert_error(401, "invalid_token");
        let login = json!({ "email": ADA, "password": PASSWORD, "device_token": ticket });
        assert_eq!(client.post("/auth/login", &login).await.assert_status(200).json()["next_step"], "mfa");
        for forged in ["", "nonsense", &ticket[1..], &format!("{ticket}A"), &"A".repeat(43)] {
            let answer = client.verify_totp(forged, &totp.code(app.now())).await;
            if forged.is_empty() {
                answer.assert_violation("string_too_short", &["body", "ticket"]);
            } else {
                answer.assert_error(401, "invalid_mfa_ticket");
            }
        }
        client.verify_totp(&ticket, &totp.code(app.now())).await.assert_status(200);
    }

    async fn five_wrong_codes_end_a_ticket_and_the_owner_hears_of_it(app: App) {
        let (_, totp, codes) = app.user_with_totp(ADA).await;
        let ticket = app.ticket(ADA, PASSWORD).await;
        let wrong = totp.wrong_code(app.now());
        for code in [wrong.as_str(), "12345", "abcdef", &wrong, "٠٨١٨٠٤"] {
            app.anonymous().verify_totp(&ticket, code).await.assert_error(403, "wrong_code");
        }
        let code = totp.code(app.now());
        app.anonymous().verify_totp(&ticket, &code).await.assert_error(401, "invalid_mfa_ticket");
        app.anonymous().verify_recovery_code(&ticket, &codes[0]).await.assert_error(401, "invalid_mfa_ticket");
        let failed = async || -> Vec<String> {
            let trail = app.audit().await.into_iter();
            let failed = trail.filter(|event| event.action == "session.second_factor_failed");
            failed.map(|event| event.detail.unwrap()).collect()
        };
        assert_eq!(failed().await, [r#"{"method":"totp"}"#; 5]);
        let mails = app.mails_to(ADA).await;
        assert_eq!(mails.iter().filter(|mail| mail.template == "suspicious_sign_in").count(), 1);
        // The code was not used up by a ticket that no longer took it.
        let ticket = app.ticket(ADA, PASSWORD).await;
        app.anonymous().verify_recovery_code(&ticket, "nonsense").await.assert_error(403, "wrong_code");
        assert!(failed().await.contains(&r#"{"method":"recovery_code"}"#.to_owned()));
        app.anonymous().verify_totp(&ticket, &code).await.assert_status(200);
    }

    async fn a_new_ticket_does_not_start_the_count_of_the_account_anew(engine: Engine) {
        let app = App::start(engine, |config| {
            config.limits.enabled = true;
            config.limits.login_per_account = Rate { count: 1000, seconds: 600 };
            config.limits.login_per_address = Rate { count: 1000, seconds: 600 };
        })
        .await;
        let (_, totp, _) = app.user_with_totp(ADA).await;
        let wrong = totp.wrong_code(app.now());
        // One was spent on the confirmation.
        for number in 0..9 {
            let ticket = app.ticket(ADA, PASSWORD).await;
            let answer = app.anonymous().verify_totp(&ticket, &wrong).await;
            answer.assert_error(403, "wrong_code");
            if number < 8 {
                // Answers come back at one a minute; this test takes none of them.
                continue;
            }
            let ticket = app.ticket(ADA, PASSWORD).await;
            let mut answer = app.anonymous().verify_totp(&ticket, &totp.code(app.now())).await;
            if answer.status == 200 {
                // 30 seconds passed when the code moved on.
                let ticket = app.ticket(ADA, PASSWORD).await;
                answer = app.anonymous().verify_totp(&ticket, &wrong).await;
            }
            assert!(answer.assert_error(429, "rate_limited").retry_after() > 0);
        }
    }

    async fn a_ticket_ends_with_time_and_with_the_password(app: App) {
        let (mut ada, totp, _) = app.user_with_totp(ADA).await;
        let late = app.ticket(ADA, PASSWORD).await;
        app.clock.advance_seconds(300);
        app.anonymous().verify_totp(&late, &totp.code(app.now())).await.assert_error(401, "invalid_mfa_ticket");

        let overtaken = app.ticket(ADA, PASSWORD).await;
        ada.step_up(&totp, app.now()).await;
        ada.change_password(PASSWORD, "eight dark green kettles").await.assert_status(200);
        app.next_code();
        app.anonymous().verify_totp(&overtaken, &totp.code(app.now())).await.assert_error(401, "invalid_mfa_ticket");
        app.login_with_totp(ADA, "eight dark green kettles", &totp).await.profile().await.assert_status(200);
    }

    async fn a_ticket_of_a_disabled_or_deleted_account_gives_no_session(app: App) {
        let (ada, totp, _) = app.user_with_totp(ADA).await;
        let id = ada.id.parse().unwrap();
        let ticket = app.ticket(ADA, PASSWORD).await;
        app.services.set_disabled(id, true).await.unwrap();
        app.anonymous().verify_totp(&ticket, &totp.code(app.now())).await.assert_error(403, "account_disabled");
        app.services.set_disabled(id, false).await.unwrap();
        app.services.delete_account(id).await.unwrap();
        app.anonymous().verify_totp(&ticket, &totp.code(app.now())).await.assert_error(401, "invalid_mfa_ticket");
    }

    async fn the_current_and_the_previous_code_count_each_once_wherever(app: App) {
        let (mut ada, totp, _) = app.user_with_totp(ADA).await;
        let verify = async |code: &str| {
            let ticket = app.ticket(ADA, PASSWORD).await;
            app.anonymous().verify_totp(&ticket, code).await
        };
        // That of the confirmation is the previous one now, and used.
        let used = totp.code(entities::Timestamp(app.now().0 - 30_000));
        verify(&used).await.assert_error(403, "wrong_code");
        // One that was skipped counts in the step after it, typed in groups.
        let skipped = totp.code(app.now());
        app.next_code();
        verify(&format!(" {} {}\n", &skipped[..3], &skipped[3..])).await.assert_status(200);
        verify(&skipped).await.assert_error(403, "wrong_code");
        // What a step-up has used can't sign in, and the other way round.
        ada.step_up(&totp, app.now()).await;
        verify(&totp.code(app.now())).await.assert_error(403, "wrong_code");
        app.next_code();
        verify(&totp.code(app.now())).await.assert_status(200);
        let body = json!({ "method": "totp", "secret": totp.code(app.now()) });
        ada.post("/auth/step-up", &body).await.assert_error(403, "wrong_code");
        // Neither the next one nor the one before the previous.
        verify(&totp.code(entities::Timestamp(app.now().0 + 30_000))).await.assert_error(403, "wrong_code");
        let old = totp.code(entities::Timestamp(app.now().0 + 30_000));
        app.clock.advance_seconds(90);
        verify(&old).await.assert_error(403, "wrong_code");
    }

    async fn each_authenticator_shows_codes_of_its_own(app: App) {
        let (mut ada, phone, _) = app.user_with_totp(ADA).await;
        let (tablet, _) = ada.add_totp("Tablet", app.now()).await;
        app.login_with_totp(ADA, PASSWORD, &phone).await;
        app.next_code();
        app.login_with_totp(ADA, PASSWORD, &tablet).await;
        // Removed, it counts no longer; the other does.
        let path = format!("/auth/mfa/totp/{}", phone.id);
        ada.patch(&path, &json!({ "name": "Old phone" })).await.assert_status(200);
        assert_eq!(ada.get("/auth/mfa").await.json()["totp"][0]["name"], "Old phone");
        ada.json("DELETE", &path, &Value::Null).await.assert_status(200);
        ada.json("DELETE", &path, &Value::Null).await.assert_error(404, "not_found");
        app.next_code();
        let ticket = app.ticket(ADA, PASSWORD).await;
        app.anonymous().verify_totp(&ticket, &phone.code(app.now())).await.assert_error(403, "wrong_code");
        app.anonymous().verify_totp(&ticket, &tablet.code(app.now())).await.assert_status(200);
        // With the last one goes the need for it, and what stood in for it.
        ada.json("DELETE", &format!("/auth/mfa/totp/{}", tablet.id), &Value::Null).await.assert_status(200);
        let status = ada.get("/auth/mfa").await.json();
        assert_eq!((&status["enabled"], &status["recovery_codes_left"]), (&json!(false), &json!(0)));
        app.anonymous().verify_totp(&ticket, &tablet.code(app.now())).await.assert_error(401, "invalid_mfa_ticket");
        assert_eq!(level(&app.login(ADA, PASSWORD).await), (json!(1), json!(["pwd"])));
        let removed = app.mails_to(ADA).await.into_iter().filter(|mail| mail.template == "second_factor_removed");
        assert_eq!(removed.count(), 2);
    }

    async fn an_account_has_ten_authenticators_at_most(app: App) {
        let ada = app.user(ADA).await;
        for number in 0..10 {
            ada.post("/auth/mfa/totp", &json!({ "name": format!("Phone {number}") })).await.assert_status(200);
        }
        ada.post("/auth/mfa/totp", &json!({ "name": "One more" })).await.assert_error(409, "limit_reached");
        for (name, kind) in [("", "string_too_short"), (&*"x".repeat(65), "string_too_long"), ("a\nb", "string_pattern_mismatch")] {
            ada.post("/auth/mfa/totp", &json!({ "name": name })).await.assert_violation(kind, &["body", "name"]);
        }
    }

    async fn a_hundred_wrong_codes_in_a_row_end_an_authenticator(app: App) {
        let (ada, totp, codes) = app.user_with_totp(ADA).await;
        let wrong = async |count: usize| {
            for _ in 0..count {
                let body = json!({ "method": "totp", "secret": totp.wrong_code(app.now()) });
                ada.post("/auth/step-up", &body).await.assert_error(403, "wrong_code");
            }
        };
        wrong(99).await;
        // A right one starts the count anew.
        let mut other = app.login_with_totp(ADA, PASSWORD, &totp).await;
        wrong(99).await;
        assert_eq!(other.get("/auth/mfa").await.json()["totp"][0]["disabled"], false);
        wrong(1).await;
        app.next_code();
        let status = other.get("/auth/mfa").await.json();
        assert_eq!((&status["totp"][0]["disabled"], &status["methods"]), (&json!(true), &json!(["recovery_code"])));
        let ticket = app.ticket(ADA, PASSWORD).await;
        app.anonymous().verify_totp(&ticket, &totp.code(app.now())).await.assert_error(403, "wrong_code");
        assert_eq!(app.mails_to(ADA).await.iter().filter(|mail| mail.template == "second_factor_disabled").count(), 1);
        App::only_event(app.audit().await, "factor.disabled");
        // Sessions go on, and the recovery code leads back in.
        other.refresh().await;
        app.anonymous().verify_recovery_code(&ticket, &codes[0]).await.assert_status(200);
    }

    async fn what_is_proved_while_recovering_counts_no_more_afterwards(app: App) {
        let (_, totp, codes) = app.user_with_totp(ADA).await;
        let ticket = app.ticket(ADA, PASSWORD).await;
        let answer = app.anonymous().verify_recovery_code(&ticket, &codes[0]).await.assert_status(200);
        let mut ada = User::new(app.anonymous(), ADA, PASSWORD, &answer);
        app.next_code();
        ada.step_up(&totp, app.now()).await;
        assert_eq!(ada.claims()["aal"], 1);
        // To the millisecond at the end of the recovery.
        app.clock.advance_seconds(86_400 - 30);
        ada.refresh().await;
        assert_eq!(ada.claims()["aal"], 1);
        ada.step_up(&totp, app.now()).await;
        assert_eq!(ada.claims()["aal"], 2);
    }

    async fn a_recovery_code_signs_in_once_and_the_account_recovers(app: App) {
        let (mut before, totp, codes) = app.user_with_totp(ADA).await;
        let ticket = app.ticket(ADA, PASSWORD).await;
        let typed = codes[3].to_uppercase().replace('-', " ");
        let answer = app.anonymous().verify_recovery_code(&ticket, &typed).await.assert_status(200);
        let mut ada = User::new(app.anonymous(), ADA, PASSWORD, &answer);
        assert_eq!(level(&ada), (json!(1), json!(["pwd", "recovery_code", "mfa"])));
        assert_eq!(ada.get("/auth/mfa").await.json()["recovery_codes_left"], 9);
        let mails = app.mails_to(ADA).await;
        assert_eq!(mails.iter().filter(|mail| mail.template == "recovery_code_used").count(), 1);

        let ticket = app.ticket(ADA, PASSWORD).await;
        app.anonymous().verify_recovery_code(&ticket, &codes[3]).await.assert_error(403, "wrong_code");
        for bad in ["nonsense", &codes[4][1..], &codes[4].replace('-', "_")] {
            app.anonymous().verify_recovery_code(&ticket, bad).await.assert_error(403, "wrong_code");
        }
        // Whatever is proved, the account counts as aal 1 for a day, here and in tokens from before.
        before.refresh().await;
        assert_eq!(before.claims()["aal"], 1);
        let both = app.login_with_totp(ADA, PASSWORD, &totp).await;
        assert_eq!(level(&both), (json!(1), json!(["pwd", "otp", "mfa"])));

        // Whoever recovers may replace what was lost.
        ada.json("DELETE", &format!("/auth/mfa/totp/{}", totp.id), &Value::Null).await.assert_status(200);
        let (totp, _) = ada.add_totp("New phone", app.now()).await;
        assert_eq!(ada.claims()["aal"], 1);
        app.clock.advance_seconds(86_400);
        let after = app.login_with_totp(ADA, PASSWORD, &totp).await;
        assert_eq!(level(&after), (json!(2), json!(["pwd", "otp", "mfa"])));
        assert_eq!(after.get("/auth/sessions").await.json()["sessions"][0]["aal"], 2);
        // What was signed in to while the account recovered does not rise by waiting.
        ada.refresh().await;
        assert_eq!(ada.claims()["aal"], 1);
    }

    async fn a_new_set_of_recovery_codes_replaces_the_old(app: App) {
        let mut ada = app.user(ADA).await;
        ada.post("/auth/mfa/recovery-codes", &Value::Null).await.assert_error(409, "second_factor_missing");
        let (_, old) = ada.add_totp("Phone", app.now()).await;
        let answer = ada.post("/auth/mfa/recovery-codes", &Value::Null).await.assert_status(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let new = answer.json()["recovery_codes"].clone();
        assert_eq!(new.as_array().unwrap().len(), 10);
        let ticket = app.ticket(ADA, PASSWORD).await;
        app.anonymous().verify_recovery_code(&ticket, &old[0]).await.assert_error(403, "wrong_code");
        app.anonymous().verify_recovery_code(&ticket, new[0].as_str().unwrap()).await.assert_status(200);
        assert_eq!(app.mails_to(ADA).await.iter().filter(|mail| mail.template == "recovery_codes_replaced").count(), 1);
    }

    async fn a_code_of_one_account_is_nothing_to_another(app: App) {
        let (_, totp, codes) = app.user_with_totp(ADA).await;
        let (_, _, _) = app.user_with_totp("bob@example.com").await;
        let ticket = app.ticket("bob@example.com", PASSWORD).await;
        app.anonymous().verify_totp(&ticket, &totp.code(app.now())).await.assert_error(403, "wrong_code");
        app.anonymous().verify_recovery_code(&ticket, &codes[0]).await.assert_error(403, "wrong_code");
    }

    /// As somebody would do who can write to the database and knows a secret of their own.
    async fn a_secret_put_in_place_of_another_does_not_open(app: App) {
        use sea_orm::ConnectionTrait;
        let (_, adas, _) = app.user_with_totp(ADA).await;
        let (mallory, _, _) = app.user_with_totp("mallory@example.com").await;
        let sql = format!(
            "UPDATE totp_authenticators SET sealed = (SELECT sealed FROM totp_authenticators WHERE account_id <> {id})
             WHERE account_id = {id}",
            id = match app.database.engine {
                Engine::Sqlite => format!("x'{}'", mallory.id.replace('-', "")),
                Engine::Postgres => format!("'{}'", mallory.id),
            }
        );
        assert_eq!(app.connection().await.execute_unprepared(&sql).await.unwrap().rows_affected(), 1);
        let ticket = app.ticket("mallory@example.com", PASSWORD).await;
        app.anonymous().verify_totp(&ticket, &adas.code(app.now())).await.assert_error(500, "internal_error");
    }

    async fn a_remembered_device_skips_the_second_factor_at_level_one(app: App) {
        let (ada, totp, _) = app.user_with_totp(ADA).await;
        let (_, _, _) = app.user_with_totp("bob@example.com").await;
        let ticket = app.ticket(ADA, PASSWORD).await;
        let body = json!({ "ticket": ticket, "method": "totp", "code": totp.code(app.now()), "remember_device": true });
        let phone = app.anonymous().with("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0");
        let answer = phone.post("/auth/mfa/verify", &body).await.assert_status(200).json();
        let token = answer["device_token"].as_str().unwrap().to_owned();
        assert_eq!(app.mails_to(ADA).await.iter().filter(|mail| mail.template == "device_remembered").count(), 1);

        let login = async |email: &str, token: &str| {
            let body = json!({ "email": email, "password": PASSWORD, "device_token": token });
            app.anonymous().post("/auth/login", &body).await.assert_status(200)
        };
        let mut skipped = User::new(app.anonymous(), ADA, PASSWORD, &login(ADA, &token).await);
        assert_eq!(level(&skipped), (json!(1), json!(["pwd"])));
        // Not for what the account is protected by, until the factor is shown.
        skipped.post("/auth/mfa/totp", &json!({ "name": "Thief" })).await.assert_error(401, "insufficient_user_authentication");
        app.next_code();
        skipped.step_up(&totp, app.now()).await;
        assert_eq!(level(&skipped), (json!(2), json!(["pwd", "otp", "mfa"])));

        for (email, token) in [("bob@example.com", token.as_str()), (ADA, &token[1..]), (ADA, &"A".repeat(43))] {
            assert_eq!(login(email, token).await.json()["next_step"], "mfa");
        }
        let devices = ada.get("/auth/mfa/devices").await.assert_status(200).json()["devices"].clone();
        assert_eq!((devices.as_array().unwrap().len(), &devices[0]["name"], &devices[0]["ip"]), (1, &json!("Firefox on Linux"), &json!("127.0.0.1")));
        let path = format!("/auth/mfa/devices/{}", devices[0]["id"].as_str().unwrap());
        ada.json("DELETE", &path, &Value::Null).await.assert_status(200);
        assert_eq!(login(ADA, &token).await.json()["next_step"], "mfa");
    }

    async fn a_device_is_remembered_for_thirty_days_and_not_beyond_a_recovery(app: App) {
        let (_, totp, codes) = app.user_with_totp(ADA).await;
        let remember = async |code: &str, method: &str| {
            let ticket = app.ticket(ADA, PASSWORD).await;
            let body = json!({ "ticket": ticket, "method": method, "code": code, "remember_device": true });
            app.anonymous().post("/auth/mfa/verify", &body).await.assert_status(200).json()["device_token"].clone()
        };
        let next_step = async |token: &Value| {
            let body = json!({ "email": ADA, "password": PASSWORD, "device_token": token });
            app.anonymous().post("/auth/login", &body).await.assert_status(200).json()["next_step"].clone()
        };
        let token = remember(&totp.code(app.now()), "totp").await;
        app.clock.advance_seconds(30 * 86_400 - 1);
        assert_eq!(next_step(&token).await, Value::Null);
        app.clock.advance_seconds(1);
        assert_eq!(next_step(&token).await, "mfa");

        let token = remember(&totp.code(app.now()), "totp").await;
        assert_eq!(next_step(&token).await, Value::Null);
        // Whoever uses a recovery code has lost something: that device, maybe.
        assert_eq!(remember(&codes[0], "recovery_code").await, Value::Null);
        assert_eq!(next_step(&token).await, "mfa");
        app.clock.advance_seconds(2 * 86_400);
        assert_eq!(next_step(&token).await, "mfa");
        // Nor beyond a change of the password.
        let token = remember(&totp.code(app.now()), "totp").await;
        app.next_code();
        let ada = app.login_with_totp(ADA, PASSWORD, &totp).await;
        ada.change_password(PASSWORD, "eight dark green kettles").await.assert_status(200);
        let body = json!({ "email": ADA, "password": "eight dark green kettles", "device_token": token });
        assert_eq!(app.anonymous().post("/auth/login", &body).await.assert_status(200).json()["next_step"], "mfa");
    }
}
