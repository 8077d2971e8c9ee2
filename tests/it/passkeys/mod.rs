//! Passkeys: added, listed, renamed, removed; used alone, after the password, and to prove more.

mod bounds;
mod refusals;

use serde_json::{Value, json};

use crate::support::{App, Authenticator, PASSWORD, User, assertion, base64url};

const ADA: &str = "ada@example.com";

/// What the access token says of the sign-in.
fn level(user: &User) -> (Value, Value) {
    let claims = user.claims();
    (claims["aal"].clone(), claims["amr"].clone())
}

fn account_bytes(user: &User) -> String {
    base64url(user.id.parse::<uuid::Uuid>().unwrap().as_bytes())
}

on_both_engines! {
    async fn the_options_are_what_a_browser_takes(app: App) {
        let mut ada = app.user(ADA).await;
        let offer = ada.challenge("/auth/passkeys/options").await;
        let options = &offer["options"];
        assert_eq!(options["rp"], json!({ "id": "id.example.com", "name": "Latchkey" }));
        assert_eq!(options["user"], json!({ "id": account_bytes(&ada), "name": ADA, "displayName": ADA }));
        assert_eq!(options["challenge"].as_str().unwrap().len(), 43, "256 bits");
        assert_eq!(options["pubKeyCredParams"][0], json!({ "type": "public-key", "alg": -7 }));
        assert_eq!((&options["timeout"], &options["attestation"]), (&json!(300_000), &json!("none")));
        let selection = json!({ "residentKey": "required", "requireResidentKey": true, "userVerification": "required" });
        assert_eq!(options["authenticatorSelection"], selection);
        assert_eq!(options["excludeCredentials"], json!([]));

        let mut laptop = Authenticator::new();
        ada.patch("/auth/profile", &json!({ "full_name": "Ada Lovelace" })).await.assert_status(200);
        ada.add_passkey("Laptop", &mut laptop).await;
        let options = ada.challenge("/auth/passkeys/options").await["options"].clone();
        assert_eq!(options["excludeCredentials"], json!([{ "type": "public-key", "id": base64url(&laptop.id) }]));
        assert_eq!(options["user"]["displayName"], "Ada Lovelace");

        // Who is not known is told of no passkey; what is asked of whom is known by transports that have a name.
        let options = app.anonymous().challenge("/auth/login/passkey/options").await["options"].clone();
        let challenge = options["challenge"].as_str().unwrap();
        assert_eq!(options, json!({
            "challenge": challenge, "timeout": 300_000, "rpId": "id.example.com", "allowCredentials": [],
            "userVerification": "required",
        }));
        let options = ada.challenge("/auth/step-up/passkey/options").await["options"].clone();
        assert_eq!(options["allowCredentials"], json!([
            { "type": "public-key", "id": base64url(&laptop.id), "transports": ["internal", "hybrid"] },
        ]));
    }

    async fn the_first_passkey_makes_it_count_and_raises_the_session(app: App) {
        let mut ada = app.user(ADA).await;
        let before = ada.clone();
        let (id, codes) = ada.add_passkey("Laptop", &mut Authenticator::new()).await;
        assert_eq!(level(&ada), (json!(2), json!(["pwd", "hwk", "mfa"])));
        assert_eq!((before.claims()["aal"].clone(), codes.len()), (json!(1), 10));
        let listed = ada.get("/auth/passkeys").await.assert_status(200).json();
        let passkey = &listed["passkeys"][0];
        assert_eq!((&passkey["id"], &passkey["name"]), (&json!(id), &json!("Laptop")));
        assert_eq!((&passkey["last_used_at"], &passkey["suspected_at"]), (&Value::Null, &Value::Null));
        let status = ada.get("/auth/mfa").await.assert_status(200).json();
        assert_eq!((&status["enabled"], &status["passkeys"]), (&json!(true), &json!(1)));
        assert_eq!(status["methods"], json!(["passkey", "recovery_code"]));

        // A second one leaves the codes as they are, and takes what the first one gave: both factors, of late.
        before.post("/auth/passkeys/options", &json!(null)).await.assert_error(401, "insufficient_user_authentication");
        assert_eq!(ada.add_passkey("Phone", &mut Authenticator::new()).await.1.len(), 0);
        app.clock.advance_seconds(601);
        ada.post("/auth/passkeys/options", &json!(null)).await.assert_error(401, "insufficient_user_authentication");
        let actions: Vec<String> = app.audit().await.into_iter().map(|event| event.action).collect();
        assert_eq!(actions.iter().filter(|action| *action == "passkey.added").count(), 2);
        assert_eq!(actions.iter().filter(|action| *action == "recovery_codes.replaced").count(), 1);
        let mails = app.mails_to(ADA).await;
        assert_eq!(mails.iter().filter(|mail| mail.template == "passkey_added").count(), 2);
    }

    async fn a_passkey_signs_in_by_itself(app: App) {
        let (ada, mut laptop, _) = app.user_with_passkey(ADA).await;
        app.clock.advance_seconds(60);
        let answer = app.anonymous().login_with_passkey(&mut laptop).await.assert_status(200);
        let body = answer.json();
        assert_eq!((&body["user"]["id"], &body["user"]["email"]), (&json!(ada.id), &json!(ADA)));
        assert_eq!((&body["next_step"], &body["mfa"]), (&Value::Null, &Value::Null));
        let user = User::new(app.anonymous(), ADA, PASSWORD, &answer);
        assert_eq!(level(&user), (json!(2), json!(["hwk", "mfa"])));
        assert_eq!(user.claims()["auth_time"], app.now().seconds());
        // It is as good as two factors.
        user.challenge("/auth/passkeys/options").await;
        let passkey = user.get("/auth/passkeys").await.json()["passkeys"][0].clone();
        assert!(passkey["last_used_at"].as_str() > passkey["created_at"].as_str(), "{passkey}");
        let created = app.audit().await.into_iter().rev().find(|event| event.action == "session.created").unwrap();
        assert_eq!((created.aal, created.detail.as_deref()), (Some(2), Some(r#"{"amr":"hwk mfa"}"#)));
    }

    async fn a_passkey_that_can_leave_its_device_is_named_so(app: App) {
        let mut ada = app.user(ADA).await;
        // Such a passkey has no counter.
        let mut cloud = Authenticator::new().but(|it| { it.synchronised = true; it.counter = 0; });
        ada.add_passkey("Cloud", &mut cloud).await;
        assert_eq!(level(&ada), (json!(2), json!(["pwd", "swk", "mfa"])));
        for _ in 0..2 {
            let answer = app.anonymous().login_with_passkey(&mut cloud).await.assert_status(200);
            assert_eq!(level(&User::new(app.anonymous(), ADA, PASSWORD, &answer)), (json!(2), json!(["swk", "mfa"])));
        }
        // Nor does one pass for the other later.
        let mut moved = cloud.but(|it| it.synchronised = false);
        app.anonymous().login_with_passkey(&mut moved).await.assert_error(403, "passkey_refused");
        assert_eq!(ada.get("/auth/passkeys").await.json()["passkeys"][0]["suspected_at"], Value::Null);
    }

    async fn a_passkey_completes_a_sign_in_with_the_password(app: App) {
        let (_, mut laptop, _) = app.user_with_passkey(ADA).await;
        let answer = app.try_login(ADA, PASSWORD).await.assert_status(200).json();
        assert_eq!((&answer["session"], &answer["next_step"]), (&Value::Null, &json!("mfa")));
        assert_eq!(answer["mfa"]["methods"], json!(["passkey", "recovery_code"]));
        let ticket = answer["mfa"]["ticket"].as_str().unwrap();
        let offer = app.anonymous().ticket_challenge(ticket).await;
        assert_eq!(offer["options"]["allowCredentials"][0]["id"], base64url(&laptop.id));
        let mut body = assertion(&mut laptop, &offer);
        // Authenticators that were told which passkey need not say whose it is.
        body["credential"]["response"].as_object_mut().unwrap().remove("userHandle");
        body["ticket"] = json!(ticket);
        body["remember_device"] = json!(true);
        let answer = app.anonymous().post("/auth/mfa/passkey", &body).await.assert_status(200);
        let ada = User::new(app.anonymous(), ADA, PASSWORD, &answer);
        assert_eq!(level(&ada), (json!(2), json!(["pwd", "hwk", "mfa"])));
        // The device is remembered, the ticket used.
        let device = answer.json()["device_token"].clone();
        let login = json!({ "email": ADA, "password": PASSWORD, "device_token": device });
        let again = app.anonymous().post("/auth/login", &login).await.assert_status(200);
        assert_eq!(level(&User::new(app.anonymous(), ADA, PASSWORD, &again)).0, 1);
        app.anonymous().post("/auth/mfa/passkey/options", &json!({ "ticket": ticket })).await
            .assert_error(401, "invalid_mfa_ticket");
        app.anonymous().post("/auth/mfa/passkey", &body).await.assert_error(401, "invalid_mfa_ticket");
    }

    async fn a_passkey_raises_a_session_and_makes_it_fresh(app: App) {
        let (_, mut laptop, _) = app.user_with_passkey(ADA).await;
        let ticket = app.ticket(ADA, PASSWORD).await;
        let mut body = assertion(&mut laptop, &app.anonymous().ticket_challenge(&ticket).await);
        body["ticket"] = json!(ticket);
        body["remember_device"] = json!(true);
        let device = app.anonymous().post("/auth/mfa/passkey", &body).await.assert_status(200).json()["device_token"].clone();
        let login = json!({ "email": ADA, "password": PASSWORD, "device_token": device });
        let mut ada = User::new(app.anonymous(), ADA, PASSWORD, &app.anonymous().post("/auth/login", &login).await);
        assert_eq!(level(&ada).0, 1);
        ada.post("/auth/passkeys/options", &json!(null)).await.assert_error(401, "insufficient_user_authentication");

        app.clock.advance_seconds(700);
        let before = ada.clone();
        let answer = ada.step_up_passkey(&mut laptop).await.assert_status(200);
        ada.take(&answer);
        assert_eq!(level(&ada), (json!(2), json!(["pwd", "hwk", "mfa"])));
        assert_eq!(ada.claims()["auth_time"], app.now().seconds());
        assert_eq!(ada.claims()["sid"], before.claims()["sid"]);
        ada.challenge("/auth/passkeys/options").await;
        before.post("/auth/passkeys/options", &json!(null)).await.assert_error(401, "insufficient_user_authentication");
    }

    async fn passkeys_are_told_apart_renamed_and_removed(app: App) {
        let mut ada = app.user(ADA).await;
        let (mut laptop, mut phone) = (Authenticator::new(), Authenticator::new());
        let (first, codes) = ada.add_passkey("Laptop", &mut laptop).await;
        app.clock.advance_seconds(1);
        let (second, _) = ada.add_passkey("Phone", &mut phone).await;
        let path = |id: &str| format!("/auth/passkeys/{id}");
        let renamed = ada.patch(&path(&second), &json!({ "name": "Ada's phone" })).await.assert_status(200).json();
        assert_eq!((&renamed["id"], &renamed["name"]), (&json!(second), &json!("Ada's phone")));
        ada.patch(&path(&second), &json!({ "name": "" })).await.assert_violation("string_too_short", &["body", "name"]);
        let names = async || {
            let listed = ada.get("/auth/passkeys").await.assert_status(200).json();
            listed["passkeys"].as_array().unwrap().iter().map(|it| it["name"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(names().await, ["Laptop", "Ada's phone"]);
        for authenticator in [&mut laptop, &mut phone] {
            app.anonymous().login_with_passkey(authenticator).await.assert_status(200);
        }

        // One that is removed is no good from that moment: neither for what begins, nor for what has begun.
        let begun = app.anonymous().challenge("/auth/login/passkey/options").await;
        let ticket = app.ticket(ADA, PASSWORD).await;
        let mut answer = assertion(&mut laptop, &app.anonymous().ticket_challenge(&ticket).await);
        answer["ticket"] = json!(ticket);
        ada.json("DELETE", &path(&first), &json!(null)).await.assert_status(200);
        assert_eq!(names().await, ["Ada's phone"]);
        app.anonymous().post("/auth/login/passkey", &assertion(&mut laptop, &begun)).await
            .assert_error(403, "passkey_refused");
        app.anonymous().login_with_passkey(&mut laptop).await.assert_error(403, "passkey_refused");
        app.anonymous().post("/auth/mfa/passkey", &answer).await.assert_error(403, "passkey_refused");
        ada.step_up_passkey(&mut laptop).await.assert_error(403, "passkey_refused");
        ada.json("DELETE", &path(&first), &json!(null)).await.assert_error(404, "not_found");
        ada.patch(&path(&first), &json!({ "name": "Gone" })).await.assert_error(404, "not_found");
        app.anonymous().login_with_passkey(&mut phone).await.assert_status(200);

        // With the last one goes what stands in for it.
        ada.json("DELETE", &path(&second), &json!(null)).await.assert_status(200);
        let status = ada.get("/auth/mfa").await.json();
        assert_eq!((&status["enabled"], &status["recovery_codes_left"]), (&json!(false), &json!(0)));
        assert_eq!(codes.len(), 10);
        app.anonymous().login_with_passkey(&mut phone).await.assert_error(403, "passkey_refused");
        app.login(ADA, PASSWORD).await;
        let mails = app.mails_to(ADA).await;
        assert_eq!(mails.iter().filter(|mail| mail.template == "passkey_removed").count(), 2);
    }

    async fn an_account_has_twenty_at_most(app: App) {
        let mut ada = app.user(ADA).await;
        let mut late = json!(null);
        for number in 1..=20 {
            if number == 20 {
                late = ada.challenge("/auth/passkeys/options").await;
            }
            let answer = ada.try_add_passkey(&format!("Number {number}"), &mut Authenticator::new()).await.assert_status(200);
            if number == 1 {
                ada.take(&answer);
            }
        }
        ada.post("/auth/passkeys/options", &json!(null)).await.assert_error(409, "limit_reached");
        // Nor by a challenge from before.
        let credential = Authenticator::new().create(&late["options"]);
        let body = json!({ "name": "Number 21", "challenge_id": late["challenge_id"], "credential": credential });
        ada.post("/auth/passkeys", &body).await.assert_error(409, "limit_reached");
        assert_eq!(ada.get("/auth/passkeys").await.json()["passkeys"].as_array().unwrap().len(), 20);
    }

    /// A copy can count as high as it likes, so that a count is a hint and no barrier: the passkey is marked for good.
    async fn a_counter_that_goes_back_is_noticed(app: App) {
        let (ada, mut laptop, _) = app.user_with_passkey(ADA).await;
        let mut copy = laptop.clone();
        app.anonymous().login_with_passkey(&mut laptop).await.assert_status(200);
        app.clock.advance_seconds(1);
        app.anonymous().login_with_passkey(&mut copy).await.assert_error(403, "passkey_refused");

        let passkey = ada.get("/auth/passkeys").await.json()["passkeys"][0].clone();
        assert!(passkey["suspected_at"].is_string(), "{passkey}");
        let suspected = App::only_event(app.audit().await, "passkey.suspected");
        let detail = json!({ "passkey": passkey["id"] }).to_string();
        assert_eq!((suspected.account_id.unwrap().to_string(), suspected.detail), (ada.id.clone(), Some(detail)));
        let mails = app.mails_to(ADA).await;
        assert_eq!(mails.iter().filter(|mail| mail.template == "passkey_cloned").count(), 1);

        // Alone it is good for nothing now, however high it counts.
        for counter in [2, 3, 1000, u32::MAX - 1] {
            let mut any = laptop.but(|it| it.counter = counter);
            app.anonymous().login_with_passkey(&mut any).await.assert_error(403, "passkey_refused");
        }
        // After the password it is, with a stale count too, so that its owner can get in and remove it.
        for counter in [laptop.counter, 2] {
            let mut any = laptop.but(|it| it.counter = counter);
            app.anonymous().verify_passkey(&app.ticket(ADA, PASSWORD).await, &mut any).await.assert_status(200);
        }
        ada.step_up_passkey(&mut laptop).await.assert_status(200);
        let path = format!("/auth/passkeys/{}", passkey["id"].as_str().unwrap());
        ada.patch(&path, &json!({ "name": "Trustworthy" })).await.assert_status(200);
        app.anonymous().login_with_passkey(&mut laptop).await.assert_error(403, "passkey_refused");
        // It was told once.
        let actions = app.audit().await.into_iter().filter(|event| event.action == "passkey.suspected");
        assert_eq!(actions.count(), 1);
        assert_eq!(app.mails_to(ADA).await.iter().filter(|mail| mail.template == "passkey_cloned").count(), 1);
    }

    async fn a_stale_counter_excuses_nothing_else(app: App) {
        let (_, mut laptop, _) = app.user_with_passkey(ADA).await;
        app.anonymous().login_with_passkey(&mut laptop).await.assert_status(200);
        let ticket = app.ticket(ADA, PASSWORD).await;
        let stale = laptop.but(|it| it.counter = 1);
        for mut wrong in [
            stale.with_other_key(),
            stale.but(|it| it.verified = false),
            stale.but(|it| it.origin = "https://evil.example".into()),
        ] {
            app.anonymous().verify_passkey(&ticket, &mut wrong).await.assert_error(403, "passkey_refused");
        }
        let mut copy = stale.clone();
        app.anonymous().verify_passkey(&ticket, &mut copy).await.assert_status(200);
    }
}
