//! Sign-up, profile and password.

use serde_json::{Value, json};

use crate::support::{Answer, App, Engine, PASSWORD};

/// An answer without what differs from one request to the next.
fn shape(answer: &Answer) -> (u16, Value, Vec<(String, String)>) {
    let mut body = answer.json();
    for id in ["/user/id", "/user/email", "/request_id"] {
        if let Some(id) = body.pointer_mut(id) {
            *id = json!(id.as_str().map(str::len));
        }
    }
    let headers =
        answer.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    (answer.status, body, headers.filter(|(name, _)| name != "x-request-id" && name != "date").collect())
}

async fn try_sign_up(app: &App, email: &str, password: &str) -> Answer {
    app.anonymous().post("/auth/signup", &json!({ "email": email, "password": password })).await
}

on_both_engines! {
    async fn an_address_with_an_account_gets_the_same_answer_and_its_owner_a_mail(app: App) {
        let new = app.sign_up("ada@example.com", PASSWORD).await;
        app.verify(&app.mail_to("ada@example.com").await.token()).await.assert_status(200);
        let again = app.sign_up("ada@example.com", "a password of somebody else").await;
        assert_eq!(shape(&again), shape(&new));
        assert_ne!(again.json()["user"]["id"], new.json()["user"]["id"]);
        let mail = app.mail_to("ada@example.com").await;
        assert_eq!(mail.template, "account_exists");
        assert!(!mail.raw.contains("token="), "{}", mail.raw);
        app.try_login("ada@example.com", "a password of somebody else").await.assert_error(401, "invalid_credentials");
        app.login("ada@example.com", PASSWORD).await;
    }

    async fn a_second_sign_up_replaces_the_first_until_the_address_is_confirmed(app: App) {
        let first = app.sign_up("ada@example.com", "the first password").await;
        let first_token = app.mail_to("ada@example.com").await.token();
        let second = app.sign_up("ADA@example.com", "the second password").await;
        assert_eq!(shape(&second), shape(&first));
        let second_token = app.mail_to("ADA@example.com").await.token();

        app.verify(&first_token).await.assert_error(400, "invalid_verification_token");
        app.verify(&second_token).await.assert_status(200);
        app.try_login("ada@example.com", "the first password").await.assert_error(401, "invalid_credentials");
        assert_eq!(app.login("ada@example.com", "the second password").await.id, second.json()["user"]["id"]);
        let gone = App::only_event(app.audit().await, "account.deleted");
        assert_eq!(gone.account_id.unwrap().to_string(), first.json()["user"]["id"]);
    }

    async fn a_disabled_account_is_not_replaced(app: App) {
        let id = app.sign_up("ada@example.com", PASSWORD).await.json()["user"]["id"].as_str().unwrap().parse().unwrap();
        app.services.set_disabled(id, true).await.unwrap();
        app.sign_up("ada@example.com", "a password of somebody else").await;
        app.try_login("ada@example.com", PASSWORD).await.assert_error(403, "account_disabled");
        app.try_login("ada@example.com", "a password of somebody else").await.assert_error(401, "invalid_credentials");
    }

    async fn a_password_is_the_same_however_it_was_typed(app: App) {
        app.verified("ada@example.com", "cafe\u{301} am Platz \u{212b}").await;
        app.login("ada@example.com", "caf\u{e9} am Platz \u{c5}").await;
        app.login("ada@example.com", "cafe\u{301} am Platz \u{212b}").await;
        // Compatible is not the same.
        app.try_login("ada@example.com", "cafe am Platz A").await.assert_error(401, "invalid_credentials");
    }

    async fn every_character_of_a_password_counts(app: App) {
        let long = format!("{}\u{1f511} Zz ", "\u{e4}".repeat(123));
        assert_eq!(long.chars().count(), 128);
        app.verified("ada@example.com", &long).await;
        app.login("ada@example.com", &long).await;
        let mut last = long.clone();
        last.pop();
        for wrong in [long.trim_end(), &last, &long.to_lowercase(), &format!("{last}.")] {
            app.try_login("ada@example.com", wrong).await.assert_error(401, "invalid_credentials");
        }
        try_sign_up(&app, "bob@example.com", &format!("{long}x")).await
            .assert_violation("string_too_long", &["body", "password"]);
    }

    async fn weak_passwords_are_refused_with_the_reason(app: App) {
        for (password, reason) in [
            ("password1", "attackers try first"),
            ("PASSWORD1", "attackers try first"),
            ("ada.lovelace@example.com", "e-mail address"),
            ("Ada.Lovelace", "e-mail address"),
            ("latchkey", "name of this service"),
        ] {
            let answer = try_sign_up(&app, "ada.lovelace@example.com", password).await;
            let answer = answer.assert_violation("value_error", &["body", "password"]);
            let detail = &answer.json()["detail"][0];
            assert!(detail["msg"].as_str().unwrap().contains(reason), "{detail}");
            assert_eq!(detail["input"], Value::Null);
        }
        try_sign_up(&app, "ada@example.com", "seven77").await.assert_violation("string_too_short", &["body", "password"]);

        let ada = app.user("ada@example.com").await;
        for weak in ["password1", "ada@example.com"] {
            ada.change_password(PASSWORD, weak).await.assert_violation("value_error", &["body", "new_password"]);
        }
        app.login("ada@example.com", PASSWORD).await;
    }

    async fn one_mailbox_has_one_account(app: App) {
        app.verified("Ada@example.com", PASSWORD).await;
        for same in ["ada@example.com", "ADA@EXAMPLE.COM", "aDa@eXample.com"] {
            app.login(same, PASSWORD).await;
            app.sign_up(same, "a password of somebody else").await;
        }
        app.try_login("ada@example.com", "a password of somebody else").await.assert_error(401, "invalid_credentials");
        assert_eq!(app.services.list_accounts(&latchkey::services::accounts::Filter::default(), None, 10).await.unwrap().accounts.len(), 1);
    }

    async fn a_profile_changes_in_the_members_that_are_sent(app: App) {
        let ada = app.user("ada@example.com").await;
        let before = ada.profile().await.json();
        let all = json!({
            "full_name": "Ada Lovelace", "avatar_url": "https://example.com/ada.png", "phone": "+442079460958"
        });
        app.clock.advance_seconds(1);
        let after = ada.patch("/auth/profile", &all).await.assert_status(200).json();
        for (name, value) in all.as_object().unwrap() {
            assert_eq!(&after[name], value);
        }
        assert_eq!(after["created_at"], before["created_at"]);
        assert_ne!(after["updated_at"], before["updated_at"]);

        let cleared = ada.patch("/auth/profile", &json!({ "phone": null })).await.assert_status(200).json();
        assert_eq!((&cleared["phone"], &cleared["full_name"]), (&Value::Null, &json!("Ada Lovelace")));
        let same = ada.patch("/auth/profile", &json!({})).await.assert_status(200).json();
        assert_eq!(same, cleared);
        assert_eq!(ada.profile().await.json(), cleared);
    }

    async fn a_profile_takes_no_nonsense(app: App) {
        let ada = app.user("ada@example.com").await;
        let before = ada.profile().await.json();
        for (name, value) in [
            ("full_name", json!("")),
            ("full_name", json!("x".repeat(201))),
            ("full_name", json!(7)),
            ("avatar_url", json!("http://example.com/ada.png")),
            ("avatar_url", json!("javascript:alert(1)")),
            ("avatar_url", json!("https://")),
            ("phone", json!("020 7946 0958")),
            ("phone", json!("+0123")),
        ] {
            let answer = ada.patch("/auth/profile", &json!({ name: value })).await.assert_status(422).json();
            assert_eq!(answer["detail"][0]["loc"], json!(["body", name]), "{answer}");
        }
        assert_eq!(ada.profile().await.json(), before);
    }

    async fn a_wrong_current_password_changes_nothing_and_tells_nobody(app: App) {
        let ada = app.user("ada@example.com").await;
        let elsewhere = app.login("ada@example.com", PASSWORD).await;
        ada.change_password("not this one", "eight dark green kettles").await.assert_error(403, "wrong_current_password");
        elsewhere.profile().await.assert_status(200);
        app.login("ada@example.com", PASSWORD).await;
        assert_eq!(app.mails_to("ada@example.com").await.len(), 1);
    }

    async fn the_names_in_mails_are_the_operators(engine: Engine) {
        let app = App::start(engine, |config| {
            config.product_name = "Acme".into();
            config.mail_from = "Acme <accounts@acme.example>".into();
        })
        .await;
        app.sign_up("ada@example.com", PASSWORD).await;
        let mail = app.mail_to("ada@example.com").await;
        assert!(mail.subject.contains("Acme") && mail.text.contains("Acme"), "{mail:?}");
        assert!(mail.raw.contains("From: Acme <accounts@acme.example>"), "{}", mail.raw);
        assert!(mail.raw.contains("@acme.example>\r\n"), "the Message-ID is under the sender's domain");
        let page = app.anonymous().get(&mail.path()).await.assert_status(200).text();
        assert!(page.contains("Acme") && !page.contains("Latchkey"), "{page}");
    }
}
