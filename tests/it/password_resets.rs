//! A forgotten password.

use serde_json::json;

use crate::races::{at_once, servers};
use crate::support::process::Site;
use crate::support::{App, Engine, PASSWORD, eventually};

const ADA: &str = "ada@example.com";
const NEW: &str = "eight dark green kettles";
const HOUR: u64 = 3600;
const DAY: u64 = 86_400;

on_both_engines! {
    async fn a_forgotten_password_is_replaced_by_a_mailed_link(app: App) {
        let mut ada = app.user(ADA).await;
        let answer = app.forgot("ADA@example.com").await.assert_status(200).json();
        assert_eq!((&answer["success"], &answer["retry_after"]), (&json!(true), &json!(60)));
        let mail = app.mail_of(ADA, "reset_password").await;
        assert!(mail.link().starts_with("http://id.example.com/reset-password?token="), "{}", mail.link());
        // Nothing has happened yet.
        ada.profile().await.assert_status(200);

        let answer = app.reset(&mail.token(), NEW).await.assert_status(200);
        assert!(!answer.text().contains("token"), "{}", answer.text());
        app.try_login(ADA, PASSWORD).await.assert_error(401, "invalid_credentials");
        ada.profile().await.assert_error(401, "invalid_token");
        app.try_refresh(&ada.refresh_token).await.assert_error(401, "invalid_refresh_token");
        ada = app.login(ADA, NEW).await;
        assert_eq!(ada.profile().await.assert_status(200).json()["email"], ADA);
        let told = app.mail_of(ADA, "password_reset").await;
        assert!(told.text.contains("127.0.0.1"), "{}", told.text);
    }

    async fn the_page_takes_the_new_password(app: App) {
        app.user(ADA).await;
        let page = app.anonymous().get("/forgot-password").await.assert_status(200).text();
        assert!(page.contains("name=\"email\"") && page.contains("<form method=\"post\""), "{page}");
        let refused = app.anonymous().submit("/forgot-password", "email=nonsense").await.assert_status(422);
        assert!(refused.text().contains("must have an @-sign") && refused.text().contains("<form"), "{}", refused.text());
        let asked = app.anonymous().submit("/forgot-password", "email=ada%40example.com").await.assert_status(200);
        let unknown = app.anonymous().submit("/forgot-password", "email=nobody%40example.com").await.assert_status(200);
        assert_eq!(asked.text(), unknown.text());

        let mail = app.mail_of(ADA, "reset_password").await;
        let page = app.anonymous().get(&mail.path()).await.assert_status(200).text();
        assert!(page.contains(&mail.token()) && page.contains("type=\"password\""), "{page}");
        let token = mail.token();
        let press = async |password: &str| {
            app.anonymous().submit("/reset-password", &format!("token={token}&new_password={password}")).await
        };
        for (password, reason) in [
            ("short", "too short"),
            ("password1", "that attackers try first"),
            (ADA, "must not be your e-mail address"),
            (&"x".repeat(129), "too long"),
        ] {
            let page = press(password).await.assert_status(422).text();
            assert!(page.contains(reason) && page.contains(&token) && page.contains("<form"), "{page}");
            assert!(!page.contains(&format!("\"{password}\"")), "{page}");
        }
        assert!(press("eight+dark+green+kettles").await.assert_status(200).text().contains("password is set"));
        app.login(ADA, NEW).await;
        assert!(press("nine+dark+green+kettles").await.assert_status(400).text().contains("used already"));
        for query in ["", "?token=abc", "?token=%22%3E%3Cscript%3E"] {
            let page = app.anonymous().get(&format!("/reset-password{query}")).await.assert_status(400).text();
            assert!(page.contains("This link is not valid") && !page.contains("<form"), "{page}");
        }
    }

    async fn opening_the_link_uses_nothing_up(app: App) {
        app.user(ADA).await;
        app.forgot(ADA).await.assert_status(200);
        let mail = app.mail_of(ADA, "reset_password").await;
        for _ in 0..3 {
            app.anonymous().get(&mail.path()).await.assert_status(200);
            app.anonymous().send_text("HEAD", &mail.path(), None, "").await.assert_status(200);
        }
        app.login(ADA, PASSWORD).await.profile().await.assert_status(200);
        app.reset(&mail.token(), NEW).await.assert_status(200);
    }

    async fn a_link_works_once_for_an_hour_until_a_newer_one(app: App) {
        app.user(ADA).await;
        let token = app.reset_token(ADA).await;
        app.clock.advance_seconds(HOUR - 1);
        app.reset(&token, NEW).await.assert_status(200);
        app.reset(&token, PASSWORD).await.assert_error(400, "link_used");

        let old = app.reset_token(ADA).await;
        let new = app.reset_token(ADA).await;
        app.reset(&old, PASSWORD).await.assert_error(400, "invalid_link");
        app.clock.advance_seconds(HOUR);
        app.reset(&new, PASSWORD).await.assert_error(400, "link_expired");
        for wrong in ["nonsense", &new[1..], &"A".repeat(43)] {
            app.reset(wrong, PASSWORD).await.assert_error(400, "invalid_link");
        }
        app.login(ADA, NEW).await;
    }

    async fn a_refused_password_does_not_use_the_link_up(app: App) {
        app.user(ADA).await;
        let token = app.reset_token(ADA).await;
        app.reset(&token, "short").await.assert_violation("string_too_short", &["body", "new_password"]);
        app.reset(&token, "password1").await.assert_violation("value_error", &["body", "new_password"]);
        app.reset(&token, ADA).await.assert_violation("value_error", &["body", "new_password"]);
        app.reset(&token, NEW).await.assert_status(200);
    }

    async fn a_change_of_password_stops_the_links(app: App) {
        let ada = app.user(ADA).await;
        let token = app.reset_token(ADA).await;
        ada.change_password(PASSWORD, NEW).await.assert_status(200);
        app.reset(&token, PASSWORD).await.assert_error(400, "invalid_link");
    }

    async fn a_token_is_good_for_its_own_purpose_only(app: App) {
        let ada = app.user(ADA).await;
        let reset = app.reset_token(ADA).await;
        app.sign_up("bob@example.com", PASSWORD).await;
        let verify = app.mail_to("bob@example.com").await.token();
        let confirm = app.confirm_token(&ada, "ada@example.org").await;
        for token in [&verify, &confirm, &ada.refresh_token, &ada.access_token] {
            app.reset(token, NEW).await.assert_error(400, "invalid_link");
        }
        for token in [&reset, &verify] {
            app.confirm_email(token).await.assert_error(400, "invalid_link");
        }
        for token in [&reset, &verify, &confirm] {
            app.restore_email(token).await.assert_error(400, "invalid_link");
        }
        for token in [&reset, &confirm] {
            app.verify(token).await.assert_error(400, "invalid_verification_token");
        }
        app.reset(&reset, NEW).await.assert_status(200);
    }

    async fn the_second_factor_is_asked_for_as_ever(app: App) {
        let (ada, totp, _) = app.user_with_totp(ADA).await;
        let body = json!({ "ticket": app.ticket(ADA, PASSWORD).await, "method": "totp", "code": totp.code(app.now()), "remember_device": true });
        let device = app.anonymous().post("/auth/mfa/verify", &body).await.assert_status(200).json()["device_token"].clone();
        let before = app.ticket(ADA, PASSWORD).await;
        app.next_code();
        let token = app.reset_token(ADA).await;
        app.reset(&token, NEW).await.assert_status(200);
        ada.profile().await.assert_error(401, "invalid_token");

        // What stood in for the factor, or led up to it, is gone.
        let code = totp.code(app.now());
        app.anonymous().verify_totp(&before, &code).await.assert_error(401, "invalid_mfa_ticket");
        let body = json!({ "email": ADA, "password": NEW, "device_token": device });
        assert_eq!(app.anonymous().post("/auth/login", &body).await.assert_status(200).json()["next_step"], "mfa");

        // Both factors count as one for a day.
        let user = app.login_with_totp(ADA, NEW, &totp).await;
        assert_eq!((&user.claims()["aal"], &user.claims()["amr"]), (&json!(1), &json!(["pwd", "otp", "mfa"])));
        app.clock.advance_seconds(DAY);
        let user = app.login_with_totp(ADA, NEW, &totp).await;
        assert_eq!(user.claims()["aal"], 2);
    }

    async fn a_disabled_account_and_one_that_is_gone_are_not_recovered(app: App) {
        let ada = app.user(ADA).await;
        let token = app.reset_token(ADA).await;
        app.services.set_disabled(ada.id.parse().unwrap(), true).await.unwrap();
        app.reset(&token, NEW).await.assert_error(400, "invalid_link");
        let sent = app.mails_to(ADA).await.len();
        app.forgot(ADA).await.assert_status(200);
        assert_eq!(app.mails_to(ADA).await.len(), sent);
        app.services.set_disabled(ada.id.parse().unwrap(), false).await.unwrap();
        app.login(ADA, PASSWORD).await;

        let token = app.reset_token(ADA).await;
        due_now(&app).await;
        app.reset(&token, NEW).await.assert_error(400, "invalid_link");
        app.services.delete_account(ada.id.parse().unwrap()).await.unwrap();
        app.reset(&token, NEW).await.assert_error(400, "invalid_link");
        app.forgot(ADA).await.assert_status(200);
    }

    /// Whoever reads the mailbox owns it.
    async fn a_reset_confirms_the_address(app: App) {
        app.sign_up(ADA, PASSWORD).await;
        let token = app.reset_token(ADA).await;
        app.reset(&token, NEW).await.assert_status(200);
        app.login(ADA, NEW).await;
        App::only_event(app.audit().await, "account.email_verified");
    }

    async fn links_come_from_the_configuration_whatever_the_request_says(app: App) {
        app.user(ADA).await;
        let liar = app.anonymous().with("host", "evil.example.com").with("x-forwarded-host", "evil.example.com")
            .with("forwarded", "host=evil.example.com").with("origin", "https://evil.example.com")
            .with("referer", "https://evil.example.com/");
        liar.post("/auth/forgot-password", &json!({ "email": ADA })).await.assert_status(200);
        let mail = app.mail_of(ADA, "reset_password").await;
        assert!(mail.link().starts_with("http://id.example.com/reset-password?token="), "{}", mail.link());
        assert!(!mail.raw.contains("evil"), "{}", mail.raw);
        let page = liar.get(&mail.path()).await.assert_status(200);
        assert!(!page.text().contains("evil") && !format!("{:?}", page.headers).contains("evil"), "{page:?}");
    }

    async fn the_wait_for_another_mail_grows(engine: Engine) {
        let app = App::start(engine, |config| config.limits.enabled = true).await;
        for email in [ADA, "nobody@example.com"] {
            for wait in [60, 120, 240] {
                assert_eq!(app.forgot(email).await.assert_status(200).json()["retry_after"], wait);
                assert_eq!(app.forgot(&email.to_uppercase()).await.assert_error(429, "rate_limited").retry_after(), wait);
                let page = app.anonymous().submit("/forgot-password", &format!("email={email}")).await.assert_status(429);
                assert_eq!(page.retry_after(), wait);
                assert!(page.text().contains("too often"), "{}", page.text());
                app.clock.advance_seconds(wait);
            }
        }
    }

    async fn guesses_are_counted(engine: Engine) {
        let app = App::start(engine, |config| config.limits.enabled = true).await;
        for _ in 0..60 {
            app.reset(&"A".repeat(43), NEW).await.assert_error(400, "invalid_link");
        }
        app.reset(&"A".repeat(43), NEW).await.assert_error(429, "rate_limited");
        app.confirm_email("nonsense").await.assert_error(429, "rate_limited");
        app.restore_email("nonsense").await.assert_error(429, "rate_limited");
    }

    async fn a_hundred_uses_of_one_link_have_one_success(site: Site) {
        let servers = servers(&site).await;
        site.verified(&servers[0], ADA, PASSWORD).await;
        servers[0].anonymous().post("/auth/forgot-password", &json!({ "email": ADA })).await.assert_status(200);
        let mail = eventually("the mail", async || {
            site.mails_to(ADA).into_iter().find(|mail| mail.template == "reset_password")
        });
        let token = mail.await.token();
        let password = |number| format!("{NEW} {number}");
        let bodies = (0..100).map(|number| json!({ "token": token, "new_password": password(number) })).collect();
        let answers = at_once(&servers, "/auth/reset-password", bodies).await;
        let good: Vec<usize> = (0..100).filter(|number| answers[*number].status == 200).collect();
        assert_eq!(good.len(), 1);
        for answer in answers.into_iter().filter(|answer| answer.status != 200) {
            answer.assert_error(400, "link_used");
        }
        servers[0].login(ADA, &password(good[0])).await;
        assert_eq!(site.rows().await.count("audit_events WHERE action = 'account.password_reset'").await, 1);
    }
}

/// The time at which the account is to be deleted has come.
pub async fn due_now(app: &App) {
    use sea_orm::ConnectionTrait;
    let due = format!("UPDATE accounts SET deletion_due_at = {}", app.now().0);
    app.connection().await.execute_unprepared(&due).await.unwrap();
}
