//! Confirming an address.

use latchkey::clock::Clock;
use serde_json::{Value, json};

use crate::support::{Answer, App, Engine, PASSWORD};

const DAY: u64 = 86_400;

async fn resend(app: &App, email: &str) -> Answer {
    app.anonymous().post("/auth/resend-verification", &json!({ "email": email })).await
}

async fn status(app: &App, email: &str) -> Value {
    let path = format!("/auth/verification-status?email={email}");
    let status = app.anonymous().get(&path).await.assert_status(200).json();
    assert_eq!(status["email"], email);
    status
}

async fn with_limits(engine: Engine) -> App {
    App::start(engine, |config| config.limits.enabled = true).await
}

on_both_engines! {
    async fn a_confirmed_address_says_whose_it_is_and_where_to_go(engine: Engine) {
        let app = App::start(engine, |config| {
            config.verified_redirect_url = Some("https://app.example.com/welcome".parse().unwrap());
        })
        .await;
        let id = app.sign_up("ada@example.com", PASSWORD).await.json()["user"]["id"].clone();
        let mail = app.mail_to("ada@example.com").await;
        assert!(mail.html.contains(&mail.token()) && mail.text.contains("24 hours"), "{}", mail.text);
        let answer = app.verify(&mail.token()).await.assert_status(200).json();
        assert_eq!((&answer["success"], &answer["user_id"], &answer["email"]), (&json!(true), &id, &json!("ada@example.com")));
        assert_eq!(answer["redirect_url"], "https://app.example.com/welcome");
        assert_eq!(answer["resend_url"], "/auth/resend-verification");
        assert!(app.login("ada@example.com", PASSWORD).await.profile().await.status == 200);

        app.sign_up("bob@example.com", PASSWORD).await;
        let token = app.mail_to("bob@example.com").await.token();
        let page = app.anonymous().submit("/verify-email", &format!("token={token}")).await.assert_status(200);
        assert!(page.text().contains("href=\"https://app.example.com/welcome\""), "{}", page.text());
    }

    async fn a_token_works_once_and_for_a_day(app: App) {
        app.sign_up("ada@example.com", PASSWORD).await;
        let token = app.mail_to("ada@example.com").await.token();
        app.clock.advance_seconds(DAY - 1);
        app.verify(&token).await.assert_status(200);
        app.verify(&token).await.assert_error(400, "verification_token_used");

        app.sign_up("bob@example.com", PASSWORD).await;
        let token = app.mail_to("bob@example.com").await.token();
        app.clock.advance_seconds(DAY);
        let expired = app.verify(&token).await.assert_error(400, "verification_token_expired");
        assert_eq!(expired.json()["resend_url"], "/auth/resend-verification");
        app.try_login("bob@example.com", PASSWORD).await.assert_error(403, "email_not_verified");
    }

    async fn a_token_that_is_not_whole_is_no_token(app: App) {
        app.sign_up("ada@example.com", PASSWORD).await;
        let token = app.mail_to("ada@example.com").await.token();
        assert_eq!(token.len(), 43);
        let mut wrong = vec![token[1..].to_owned(), token[..42].to_owned(), format!("{token}A"), format!("{token}=")];
        wrong.extend(["A".repeat(43), "é".into(), "' OR 1=1 --".into(), "x".repeat(4096)]);
        for at in [0, 10, 21, 32, 41] {
            let other = if &token[at..=at] == "A" { "B" } else { "A" };
            wrong.push(format!("{}{other}{}", &token[..at], &token[at + 1..]));
        }
        for token in &wrong {
            app.verify(token).await.assert_error(400, "invalid_verification_token");
        }
        // What mail programs and people add at the ends is forgiven.
        app.verify(&format!(" {token}\n")).await.assert_status(200);
    }

    async fn the_page_says_what_became_of_a_link(app: App) {
        let press = async |token: &str| app.anonymous().submit("/verify-email", &format!("token={token}")).await;
        app.sign_up("ada@example.com", PASSWORD).await;
        let token = app.mail_to("ada@example.com").await.token();
        assert!(press(&token).await.assert_status(200).text().contains("is confirmed"));
        assert!(press(&token).await.assert_status(400).text().contains("used already"));
        assert!(press("nonsense").await.assert_status(400).text().contains("not valid"));
        assert!(press("").await.assert_status(400).text().contains("not valid"));
        app.sign_up("bob@example.com", PASSWORD).await;
        let token = app.mail_to("bob@example.com").await.token();
        app.clock.advance_seconds(DAY);
        assert!(press(&token).await.assert_status(400).text().contains("has expired"));
    }

    async fn a_link_that_was_cut_off_leads_to_no_button(app: App) {
        for query in ["", "?token=", "?token=abc", "?token=%22%3E%3Cscript%3Ealert(1)%3C/script%3E"] {
            let page = app.anonymous().get(&format!("/verify-email{query}")).await.assert_status(400);
            assert!(page.text().contains("This link is not valid"), "{}", page.text());
            assert!(!page.text().contains("<button") && !page.text().contains("<script"), "{}", page.text());
        }
    }

    async fn a_newer_mail_replaces_the_older_ones(app: App) {
        app.sign_up("ada@example.com", PASSWORD).await;
        let old = app.mail_to("ada@example.com").await.token();
        resend(&app, "ADA@example.com").await.assert_status(200);
        let new = app.mail_to("ada@example.com").await.token();
        app.verify(&old).await.assert_error(400, "invalid_verification_token");
        app.verify(&new).await.assert_status(200);
    }

    async fn another_mail_is_answered_alike_for_any_address(app: App) {
        app.user("ada@example.com").await;
        app.sign_up("bob@example.com", PASSWORD).await;
        let shape = async |email: &str| {
            let answer = resend(&app, email).await.assert_status(200);
            let mut headers = answer.headers.clone();
            headers.remove("x-request-id");
            headers.remove("date");
            (answer.json(), headers)
        };
        let waiting = shape("bob@example.com").await;
        assert_eq!((&waiting.0["success"], &waiting.0["retry_after"]), (&json!(true), &json!(60)));
        assert_eq!(shape("ada@example.com").await, waiting);
        assert_eq!(shape("nobody@example.com").await, waiting);
        assert_eq!(app.mails_to("bob@example.com").await.len(), 2);
        assert_eq!(app.mails_to("ada@example.com").await.len(), 1);
        assert_eq!(app.mails_to("nobody@example.com").await.len(), 0);
    }

    async fn the_wait_for_another_mail_doubles_up_to_an_hour(engine: Engine) {
        let app = with_limits(engine).await;
        app.sign_up("ada@example.com", PASSWORD).await;
        for email in ["ada@example.com", "nobody@example.com"] {
            for wait in [60, 120, 240, 480, 960, 1920, 3600, 3600] {
                let answer = resend(&app, email).await.assert_status(200).json();
                assert_eq!(answer["retry_after"], wait, "{email}");
                let refused = resend(&app, &email.to_uppercase()).await.assert_error(429, "rate_limited");
                assert_eq!(refused.retry_after(), wait);
                app.clock.advance_seconds(wait - 1);
                assert_eq!(resend(&app, email).await.assert_error(429, "rate_limited").retry_after(), 1);
                app.clock.advance_seconds(1);
            }
        }
    }

    async fn the_status_is_told_while_a_sign_up_is_under_way(app: App) {
        assert_eq!(status(&app, "ada@example.com").await["status"], "unknown");
        app.sign_up("ada@example.com", PASSWORD).await;
        let token = app.mail_to("ada@example.com").await.token();
        app.clock.advance_seconds(60);
        let pending = status(&app, "ada@example.com").await;
        assert_eq!((&pending["status"], &pending["is_verified"]), (&json!("pending"), &json!(false)));
        assert_eq!(pending["time_remaining_seconds"], DAY - 60);
        assert!(pending["token_expires_at"].is_string() && pending["verified_at"].is_null(), "{pending}");

        app.verify(&token).await.assert_status(200);
        let verified_at = latchkey::clock::rfc3339(app.clock.now());
        for _ in 0..2 {
            let verified = status(&app, "ada@example.com").await;
            assert_eq!((&verified["status"], &verified["is_verified"]), (&json!("verified"), &json!(true)));
            assert_eq!(verified["verified_at"], verified_at);
            assert!(verified["time_remaining_seconds"].is_null(), "{verified}");
            app.clock.advance_seconds(1800);
        }
        // An hour later it would tell who has an account.
        app.clock.advance_seconds(1);
        let mut unknown = status(&app, "ada@example.com").await;
        unknown["email"] = json!("nobody@example.com");
        assert_eq!(unknown, status(&app, "nobody@example.com").await);
        assert_eq!((&unknown["status"], &unknown["is_verified"], &unknown["verified_at"]), (&json!("unknown"), &json!(false), &Value::Null));
    }

    async fn the_status_tells_of_a_link_that_expired(app: App) {
        app.sign_up("ada@example.com", PASSWORD).await;
        app.clock.advance_seconds(DAY);
        let expired = status(&app, "ada@example.com").await;
        assert_eq!((&expired["status"], &expired["is_verified"]), (&json!("expired"), &json!(false)));
        assert_eq!(expired["time_remaining_seconds"], 0);
    }

    async fn the_status_of_a_disabled_account_is_unknown(app: App) {
        let ada = app.user("ada@example.com").await;
        app.services.set_disabled(ada.id.parse().unwrap(), true).await.unwrap();
        assert_eq!(status(&app, "ada@example.com").await["status"], "unknown");
    }

    async fn a_disabled_account_gets_no_other_mail(app: App) {
        let id = app.sign_up("ada@example.com", PASSWORD).await.json()["user"]["id"].as_str().unwrap().parse().unwrap();
        app.services.set_disabled(id, true).await.unwrap();
        resend(&app, "ada@example.com").await.assert_status(200);
        assert_eq!(app.mails_to("ada@example.com").await.len(), 1);
    }

    async fn links_come_from_the_configuration_whatever_the_request_says(app: App) {
        let body = json!({ "email": "ada@example.com", "password": PASSWORD });
        let liar = app.anonymous().with("host", "evil.example.com").with("x-forwarded-host", "evil.example.com")
            .with("forwarded", "host=evil.example.com").with("x-forwarded-proto", "gopher")
            .with("origin", "https://evil.example.com").with("referer", "https://evil.example.com/");
        liar.post("/auth/signup", &body).await.assert_status(200);
        let mail = app.mail_to("ada@example.com").await;
        assert!(mail.link().starts_with("http://id.example.com/verify-email?token="), "{}", mail.link());
        assert!(!mail.raw.contains("evil"), "{}", mail.raw);
        liar.post("/auth/resend-verification", &json!({ "email": "ada@example.com" })).await.assert_status(200);
        let mail = app.mail_to("ada@example.com").await;
        assert!(!mail.raw.contains("evil"), "{}", mail.raw);
        let page = liar.get(&mail.path()).await.assert_status(200);
        assert!(!page.text().contains("evil") && !format!("{:?}", page.headers).contains("evil"), "{page:?}");
    }
}
