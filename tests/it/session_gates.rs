//! Every way that can end in a session × everybody who must not get one, or not a full one. A way without a row fails the
//! build.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Answer, App, Authenticator, PASSWORD, Totp, assertion, claims};

const ADA: &str = "ada@example.com";

/// Operations whose answer has a place for a session, and the test below that tries them all.
const WAYS: &[&str] = &[
    "account_create",
    "session_create",
    "session_refresh",
    "session_step_up",
    "mfa_verify",
    "totp_confirm",
    "passkey_create",
    "passkey_login",
    "passkey_verify",
    "passkey_step_up",
];

#[test]
fn every_way_to_a_session_has_a_row() {
    let document = latchkey::api::document::generate();
    let mut ways = BTreeSet::new();
    for (_, operation) in
        document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap())
    {
        let schema = operation.pointer("/responses/200/content/application~1json/schema/$ref");
        let Some(name) = schema.and_then(Value::as_str).and_then(|path| path.rsplit('/').next()) else {
            continue;
        };
        let members = &document["components"]["schemas"][name]["properties"];
        if members.get("session").is_some() || members.get("access_token").is_some() {
            ways.insert(operation["operationId"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(ways, WAYS.iter().map(|way| (*way).to_owned()).collect());
}

/// All that somebody holds who was signed in and about to sign in when something happened to the account.
struct Held {
    id: entities::AccountId,
    totp: Totp,
    codes: Vec<String>,
    ticket: String,
    refresh_token: String,
    access_token: String,
    waiting: String,
    /// Answers of passkeys to challenges of before.
    passkeys: Vec<(&'static str, &'static str, Value)>,
}

async fn held(app: &App) -> Held {
    let (mut ada, totp, codes) = app.user_with_totp(ADA).await;
    let mut laptop = Authenticator::new();
    ada.add_passkey("Laptop", &mut laptop).await;
    let client = app.anonymous();
    let ticket = app.ticket(ADA, PASSWORD).await;
    let mut second = assertion(&mut laptop, &client.ticket_challenge(&ticket).await);
    second["ticket"] = json!(ticket);
    let login = assertion(&mut laptop, &client.challenge("/auth/login/passkey/options").await);
    let step_up = assertion(&mut laptop, &ada.challenge("/auth/step-up/passkey/options").await);
    let offer = ada.challenge("/auth/passkeys/options").await;
    let credential = Authenticator::new().create(&offer["options"]);
    let create = json!({ "name": "Key", "challenge_id": offer["challenge_id"], "credential": credential });
    let waiting = ada.post("/auth/mfa/totp", &json!({ "name": "Tablet" })).await.assert_status(200).json();
    Held {
        id: ada.id.parse().unwrap(),
        ticket: app.ticket(ADA, PASSWORD).await,
        refresh_token: ada.refresh_token.clone(),
        access_token: ada.access_token.clone(),
        waiting: waiting["id"].as_str().unwrap().to_owned(),
        passkeys: vec![
            ("passkey_login", "/auth/login/passkey", login),
            ("passkey_verify", "/auth/mfa/passkey", second),
            ("passkey_step_up", "/auth/step-up/passkey", step_up),
            ("passkey_create", "/auth/passkeys", create),
        ],
        totp,
        codes,
    }
}

/// Tries every way with all of it.
async fn try_all(app: &App, held: &Held) -> Vec<(&'static str, Answer)> {
    let client = app.anonymous();
    let signed_in = client.bearer(&held.access_token);
    let code = held.totp.code(app.now());
    let step_up = |method: &str, secret: &str| json!({ "method": method, "secret": secret });
    let mut tried = vec![
        ("account_create", client.post("/auth/signup", &json!({ "email": ADA, "password": PASSWORD })).await),
        ("session_create", app.try_login(ADA, PASSWORD).await),
        ("session_refresh", app.try_refresh(&held.refresh_token).await),
        ("mfa_verify", client.verify_totp(&held.ticket, &code).await),
        ("mfa_verify", client.verify_recovery_code(&held.ticket, &held.codes[0]).await),
        ("session_step_up", signed_in.post("/auth/step-up", &step_up("totp", &code)).await),
        ("session_step_up", signed_in.post("/auth/step-up", &step_up("password", PASSWORD)).await),
        ("session_step_up", signed_in.post("/auth/step-up", &step_up("recovery_code", &held.codes[1])).await),
        (
            "totp_confirm",
            signed_in
                .post(&format!("/auth/mfa/totp/{}/confirm", held.waiting), &json!({ "code": code }))
                .await,
        ),
    ];
    for (way, path, body) in &held.passkeys {
        tried.push((way, signed_in.post(path, body).await));
    }
    tried
}

#[track_caller]
fn assert_no_session(tried: &[(&'static str, Answer)]) {
    let names: BTreeSet<&str> = tried.iter().map(|(way, _)| *way).collect();
    assert_eq!(names, WAYS.iter().copied().collect());
    for (way, answer) in tried {
        let text = answer.text();
        assert!(!text.contains("access_token") && !text.contains("refresh_token\":\""), "{way}: {text}");
        assert!(answer.status != 200 || answer.json()["session"].is_null(), "{way}: {text}");
    }
}

on_both_engines! {
    async fn a_disabled_account_gets_none(app: App) {
        let held = held(&app).await;
        app.services.set_disabled(held.id, true).await.unwrap();
        assert_no_session(&try_all(&app, &held).await);
    }

    async fn a_deleted_account_gets_none(app: App) {
        let held = held(&app).await;
        app.services.delete_account(held.id).await.unwrap();
        assert_no_session(&try_all(&app, &held).await);
    }

    /// As when an operator has a changed address confirmed anew.
    async fn an_unconfirmed_account_gets_none(app: App) {
        use sea_orm::ConnectionTrait;
        let mut held = held(&app).await;
        let forget = "UPDATE accounts SET email_verified_at = NULL";
        app.connection().await.execute_unprepared(forget).await.unwrap();
        // Whoever is in stays in; nobody gets in.
        held.refresh_token = String::from("-");
        held.access_token = String::from("-");
        assert_no_session(&try_all(&app, &held).await);
    }

    async fn without_the_second_factor_there_is_none(app: App) {
        let mut held = held(&app).await;
        held.refresh_token = String::from("-");
        held.access_token = held.ticket.clone();
        held.codes = vec!["-".into(), "-".into()];
        // A passkey is two factors; here it is somebody else's.
        for (_, _, body) in &mut held.passkeys {
            body["credential"]["id"] = json!("AAAAAAAAAAAAAAAAAAAAAA");
            body["credential"]["rawId"] = json!("AAAAAAAAAAAAAAAAAAAAAA");
        }
        let wrong = held.totp.wrong_code(app.now());
        let right = std::mem::replace(&mut held.totp, Totp::scan(&json!({ "id": "-", "secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" })));
        assert_ne!(right.code(app.now()), wrong);
        assert_no_session(&try_all(&app, &held).await);
    }

    async fn whoever_recovers_gets_none_above_level_one(app: App) {
        let (_, totp, codes) = app.user_with_totp(ADA).await;
        let ticket = app.ticket(ADA, PASSWORD).await;
        let mut answers = vec![app.anonymous().verify_recovery_code(&ticket, &codes[0]).await.assert_status(200)];
        let client = app.anonymous().bearer(answers[0].json()["session"]["access_token"].as_str().unwrap());
        let ticket = app.ticket(ADA, PASSWORD).await;
        answers.push(app.anonymous().verify_totp(&ticket, &totp.code(app.now())).await.assert_status(200));
        app.next_code();
        let body = json!({ "method": "totp", "secret": totp.code(app.now()) });
        let raised = client.post("/auth/step-up", &body).await.assert_status(200);
        let client = app.anonymous().bearer(raised.json()["session"]["access_token"].as_str().unwrap());
        let tablet = Totp::scan(&client.post("/auth/mfa/totp", &json!({ "name": "Tablet" })).await.assert_status(200).json());
        let path = format!("/auth/mfa/totp/{}/confirm", tablet.id);
        answers.push(client.post(&path, &json!({ "code": tablet.code(app.now()) })).await.assert_status(200));
        let refresh = raised.json()["session"]["refresh_token"].clone();
        answers.push(raised);
        // The confirmation moved the session on.
        app.anonymous().post("/auth/refresh", &json!({ "refresh_token": refresh })).await.assert_status(401);
        let refresh = answers[2].json()["session"]["refresh_token"].clone();
        answers.push(app.anonymous().post("/auth/refresh", &json!({ "refresh_token": refresh })).await.assert_status(200));
        for answer in answers {
            let answer = answer.json();
            assert_eq!(claims(answer["session"]["access_token"].as_str().unwrap())["aal"], 1);
        }
    }
}
