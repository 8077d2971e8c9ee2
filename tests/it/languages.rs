//! The language that people are written to in: the account's, else the one that the request asks for, else English.

use serde_json::json;

use crate::support::{App, Client, Mail, PASSWORD, User};

const OTHER: &str = "a password of somebody else";
const GERMAN: &str = "fr-CH, de-AT;q=0.9, en;q=0.8";
const ENGLISH: &str = "en-GB, de;q=0.5";

async fn sign_up(client: &Client, email: &str, password: &str) {
    client.post("/auth/signup", &json!({ "email": email, "password": password })).await.assert_status(200);
}

/// The language that a mail says it is in, in its header and its HTML.
#[track_caller]
fn language(mail: &Mail) -> &str {
    let headers = mail.raw.split("\r\n\r\n").next().unwrap();
    let language = headers.lines().find_map(|line| line.strip_prefix("Content-Language: ")).unwrap();
    assert!(mail.html.contains(&format!("<html lang=\"{language}\"")), "{}", mail.html);
    let words =
        if language == "de" { "Sie erhalten diese E-Mail, weil" } else { "You get this mail because" };
    assert!(mail.text.contains(words) && mail.html.contains(words), "{}", mail.text);
    language
}

/// The language of the mail about a change of password, which a client with this `Accept-Language` makes.
async fn of_next_mail(app: &App, ada: &mut User, accept_language: Option<&str>) -> String {
    let client = match accept_language {
        Some(languages) => ada.with("accept-language", languages),
        None => Client::clone(ada),
    };
    let (current, new) = (ada.password.clone(), format!("{} again", ada.password));
    let body = json!({ "current_password": current, "new_password": new });
    client.post("/auth/password", &body).await.assert_status(200);
    ada.password = new;
    let mail = app.mail_to(&ada.email).await;
    assert_eq!(mail.template, "password_changed");
    language(&mail).to_owned()
}

on_both_engines! {
    async fn a_sign_up_in_german_is_answered_in_german(app: App) {
        sign_up(&app.anonymous().with("accept-language", GERMAN), "ada@example.com", PASSWORD).await;
        let mail = app.mail_to("ada@example.com").await;
        assert_eq!((mail.template.as_str(), language(&mail)), ("verify_email", "de"));
        assert_eq!(mail.subject, "Bestätigen Sie Ihre E-Mail-Adresse für Latchkey");
        assert!(mail.text.contains("24 Stunden lang"), "{}", mail.text);
        app.verify(&mail.token()).await.assert_status(200);
        let mut ada = app.login("ada@example.com", PASSWORD).await;
        assert_eq!(ada.profile().await.json()["locale"], "de");
        assert_eq!(of_next_mail(&app, &mut ada, Some(ENGLISH)).await, "de", "it is the account's language now");
    }

    async fn the_profile_chooses_the_language_of_the_next_mail(app: App) {
        let mut ada = app.user("ada@example.com").await;
        assert_eq!(ada.profile().await.json()["locale"], json!(null));
        assert_eq!(of_next_mail(&app, &mut ada, None).await, "en");
        assert_eq!(of_next_mail(&app, &mut ada, Some(GERMAN)).await, "de");
        for (locale, languages, expected) in
            [(json!("de"), Some(ENGLISH), "de"), (json!("en"), Some(GERMAN), "en"), (json!(null), Some(GERMAN), "de"), (json!(null), Some("fr"), "en")]
        {
            let answer = ada.patch("/auth/profile", &json!({ "locale": locale })).await.assert_status(200);
            assert_eq!(answer.json()["locale"], locale);
            assert_eq!(ada.profile().await.json()["locale"], locale);
            assert_eq!(of_next_mail(&app, &mut ada, languages).await, expected);
        }
    }

    async fn a_language_without_texts_is_refused(app: App) {
        let ada = app.user("ada@example.com").await;
        for wrong in [json!("fr"), json!("DE"), json!("de-AT"), json!(""), json!(1), json!(["de"])] {
            ada.patch("/auth/profile", &json!({ "locale": wrong })).await.assert_violation("enum", &["body", "locale"]);
        }
        assert_eq!(ada.profile().await.json()["locale"], json!(null));
    }

    async fn another_link_comes_in_the_language_of_the_account(app: App) {
        let resend = async |client: Client, email: &str| {
            client.post("/auth/resend-verification", &json!({ "email": email })).await.assert_status(200);
        };
        sign_up(&app.anonymous().with("accept-language", GERMAN), "ada@example.com", PASSWORD).await;
        app.mail_to("ada@example.com").await;
        resend(app.anonymous().with("accept-language", ENGLISH), "ada@example.com").await;
        assert_eq!(language(&app.mail_to("ada@example.com").await), "de");

        // Nothing is known of this one but what the request asks for.
        app.sign_up("bob@example.com", PASSWORD).await;
        app.mail_to("bob@example.com").await;
        resend(app.anonymous().with("accept-language", GERMAN), "bob@example.com").await;
        assert_eq!(language(&app.mail_to("bob@example.com").await), "de");
    }

    async fn who_has_an_account_reads_of_a_second_sign_up_in_the_own_language(app: App) {
        let ada = app.user("ada@example.com").await;
        ada.patch("/auth/profile", &json!({ "locale": "de" })).await.assert_status(200);
        sign_up(&app.anonymous().with("accept-language", ENGLISH), "ada@example.com", OTHER).await;
        let mail = app.mail_to("ada@example.com").await;
        assert_eq!((mail.template.as_str(), language(&mail)), ("account_exists", "de"));
        assert_eq!(ada.profile().await.json()["locale"], "de", "a stranger chooses nothing");
    }

    async fn no_header_breaks_a_request(app: App) {
        let long = "de-".repeat(3000);
        for (number, header) in ["de;q=NaN", "*;q=;;,,", "\u{e4}", &long].into_iter().enumerate() {
            let email = format!("ada{number}@example.com");
            let client = app.anonymous().with("accept-language", header);
            sign_up(&client, &email, PASSWORD).await;
            app.mail_to(&email).await;
        }
    }
}
