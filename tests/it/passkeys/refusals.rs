//! Everything that is no passkey of the account: refused alike, and the challenge is gone.

use serde_json::{Value, json};

use crate::support::{Answer, App, Authenticator, PASSWORD, User, assertion, base64url};

const ADA: &str = "ada@example.com";
const BOB: &str = "bob@example.com";

/// An answer is refused as every other: the same words, and no more of them.
fn assert_refused(what: &str, answer: Answer) {
    let mut said = answer.assert_error(403, "passkey_refused").json();
    said.as_object_mut().unwrap().remove("request_id");
    let all = json!({
        "type": "urn:latchkey:error:passkey_refused",
        "title": "Passkey refused",
        "status": 403,
        "detail": "This passkey can't be used here. Try another way to sign in.",
        "error": "passkey_refused",
        "success": false,
    });
    assert_eq!(said, all, "{what}");
}

/// Ways in which browser or authenticator may be wrong, or lie.
fn lies(honest: &Authenticator) -> Vec<(&'static str, Authenticator)> {
    let mut lies = vec![
        ("an unknown origin", honest.but(|it| it.origin = "https://evil.example".into())),
        ("a domain below", honest.but(|it| it.origin = "http://x.id.example.com".into())),
        ("a domain above", honest.but(|it| it.origin = "http://example.com".into())),
        ("a look-alike", honest.but(|it| it.origin = "http://id.example.com.evil.example".into())),
        ("another port", honest.but(|it| it.origin = "http://id.example.com:8080".into())),
        ("another scheme", honest.but(|it| it.origin = "https://id.example.com".into())),
        ("no origin", honest.but(|it| it.origin = "null".into())),
        ("a page in a frame", honest.but(|it| it.cross_origin = true)),
        ("another domain", honest.but(|it| it.rp_id = Some("example.com".into()))),
        ("nobody verified", honest.but(|it| it.verified = false)),
        ("nobody there", honest.but(|it| it.present = false)),
        ("another challenge", honest.but(|it| it.challenge = Some(base64url(&[7; 32])))),
        ("no challenge", honest.but(|it| it.challenge = Some(String::new()))),
    ];
    for kind in ["webauthn.create", "webauthn.get", "payment.get", ""] {
        lies.push((kind, honest.but(|it| it.kind = Some(kind))));
    }
    lies
}

/// A credential that was right, but for one byte of one part, or half of it.
fn alter(mut credential: Value, part: &str, byte: Option<usize>) -> Value {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(credential["response"][part].as_str().unwrap()).unwrap();
    let last = bytes.len() - 1;
    match byte {
        Some(at) => bytes[at.min(last)] ^= 1,
        None => bytes.truncate(bytes.len() / 2),
    }
    credential["response"][part] = json!(base64url(&bytes));
    credential
}

async fn login(app: &App, offer: &Value, credential: &Value) -> Answer {
    let body = json!({ "challenge_id": offer["challenge_id"], "credential": credential });
    app.anonymous().post("/auth/login/passkey", &body).await
}

on_both_engines! {
    async fn of_a_sign_in(app: App) {
        let (ada, honest, _) = app.user_with_passkey(ADA).await;
        let (bob, bobs, _) = app.user_with_passkey(BOB).await;
        let offer = async || app.anonymous().challenge("/auth/login/passkey/options").await;
        let sessions = app.audit().await.into_iter().filter(|event| event.action == "session.created").count();
        let mut refused = 0;

        for (what, mut liar) in lies(&honest) {
            if what == "webauthn.get" {
                continue;
            }
            let offer = offer().await;
            assert_refused(what, login(&app, &offer, &liar.get(&offer["options"])).await);
            // One wrong answer, and the challenge is gone.
            assert_refused(what, login(&app, &offer, &honest.clone().get(&offer["options"])).await);
            refused += 2;
        }
        let offered = offer().await;
        let mut password = honest.clone().get(&offered["options"]);
        password["type"] = json!("password");
        assert_refused("another kind", login(&app, &offered, &password).await);
        refused += 1;
        for (what, mut other) in [
            ("an unknown passkey", Authenticator::new().but(|it| it.user_handle = honest.user_handle.clone())),
            ("another key", honest.with_other_key()),
            ("the name of another's passkey", honest.but(|it| it.id = bobs.id.clone())),
            ("another's account", honest.but(|it| it.user_handle = bobs.user_handle.clone())),
            ("no account", honest.but(|it| it.user_handle = None)),
            ("no such account", honest.but(|it| it.user_handle = Some(base64url(&[7; 16])))),
        ] {
            let offer = offer().await;
            assert_refused(what, login(&app, &offer, &other.get(&offer["options"])).await);
            refused += 1;
        }
        for part in ["authenticatorData", "clientDataJSON", "signature", "userHandle"] {
            for byte in [Some(0), Some(32), Some(33), Some(36), Some(usize::MAX), None] {
                let offer = offer().await;
                let altered = alter(honest.clone().get(&offer["options"]), part, byte);
                assert_refused(&format!("{part}: {byte:?}"), login(&app, &offer, &altered).await);
                refused += 1;
            }
        }

        // Answers at the wrong place or time.
        let offered = offer().await;
        let good = honest.clone().get(&offered["options"]);
        let right = login(&app, &offered, &good).await.assert_status(200);
        assert_eq!(right.json()["user"]["id"], ada.id);
        assert_refused("a replay", login(&app, &offered, &good).await);
        let old = offer().await;
        let answer = honest.but(|it| it.counter = 50).get(&old["options"]);
        app.clock.advance_seconds(300);
        assert_refused("a challenge of five minutes ago", login(&app, &old, &answer).await);
        let unknown = json!({ "challenge_id": uuid::Uuid::nil() });
        assert_refused("no challenge of ours", login(&app, &unknown, &answer).await);
        refused += 3;

        let trail = app.audit().await;
        let count = |action: &str| trail.iter().filter(|event| event.action == action).count();
        assert_eq!(count("session.created"), sessions + 1);
        assert_eq!(count("session.sign_in_failed"), refused);
        let failed = || trail.iter().filter(|event| event.action == "session.sign_in_failed");
        let detail = Some(r#"{"method":"passkey","reason":"passkey_refused"}"#);
        assert!(failed().all(|event| event.actor == "anonymous" && event.detail.as_deref() == detail));
        // Whose passkey was named is known; an unknown one is nobody's.
        let account = |id: &str| failed().filter(|event| event.account_id == Some(id.parse().unwrap())).count();
        assert_eq!(account(&bob.id), 1);
        assert!(account(&ada.id) > 0 && account(&ada.id) < refused);
        bob.profile().await.assert_status(200);
    }

    async fn of_a_registration(app: App) {
        let ada = app.user(ADA).await;
        let add = async |user: &User, offer: &Value, credential: &Value| {
            let body = json!({ "name": "Laptop", "challenge_id": offer["challenge_id"], "credential": credential });
            user.post("/auth/passkeys", &body).await
        };
        for (what, mut liar) in lies(&Authenticator::new()) {
            if what == "webauthn.create" {
                continue;
            }
            let offer = ada.challenge("/auth/passkeys/options").await;
            assert_refused(what, add(&ada, &offer, &liar.create(&offer["options"])).await);
            assert_refused(what, add(&ada, &offer, &Authenticator::new().create(&offer["options"])).await);
        }
        let offer = ada.challenge("/auth/passkeys/options").await;
        let mut credential = Authenticator::new().create(&offer["options"]);
        credential["id"] = json!(base64url(&Authenticator::new().id));
        assert_refused("two names", add(&ada, &offer, &credential).await);
        let offer = ada.challenge("/auth/passkeys/options").await;
        let mut credential = Authenticator::new().create(&offer["options"]);
        credential["type"] = json!("password");
        assert_refused("another kind", add(&ada, &offer, &credential).await);
        for object in ["", "\u{a0}", "not CBOR at all"] {
            let offer = ada.challenge("/auth/passkeys/options").await;
            let mut credential = Authenticator::new().create(&offer["options"]);
            credential["response"]["attestationObject"] = json!(base64url(object.as_bytes()));
            let answer = add(&ada, &offer, &credential).await;
            if object.is_empty() {
                answer.assert_violation("string_too_short", &["body", "credential", "response", "attestationObject"]);
            } else {
                assert_refused(object, answer);
            }
        }
        let old = ada.challenge("/auth/passkeys/options").await;
        app.clock.advance_seconds(300);
        assert_refused("too late", add(&ada, &old, &Authenticator::new().create(&old["options"])).await);
        assert_eq!(ada.get("/auth/passkeys").await.json(), json!({ "passkeys": [] }));
        app.login(ADA, PASSWORD).await;

        // Of another session, of another account, for something else.
        let elsewhere = app.login(ADA, PASSWORD).await;
        let bob = app.user(BOB).await;
        for user in [&elsewhere, &bob] {
            let offer = ada.challenge("/auth/passkeys/options").await;
            assert_refused("another's challenge", add(user, &offer, &Authenticator::new().create(&offer["options"])).await);
        }
        let offer = ada.challenge("/auth/passkeys/options").await;
        let wrong = json!({ "challenge_id": app.anonymous().challenge("/auth/login/passkey/options").await["challenge_id"] });
        assert_refused("another ceremony", add(&ada, &wrong, &Authenticator::new().create(&offer["options"])).await);

        // A passkey has one owner, and is there once.
        let mut laptop = Authenticator::new();
        assert_eq!(elsewhere.try_add_passkey("Laptop", &mut laptop).await.status, 200);
        let mut thief = laptop.with_other_key();
        assert_refused("another's passkey", bob.try_add_passkey("Mine", &mut thief).await);
        assert_eq!(bob.get("/auth/passkeys").await.json(), json!({ "passkeys": [] }));
        app.anonymous().login_with_passkey(&mut laptop).await.assert_status(200);
        app.anonymous().login_with_passkey(&mut thief).await.assert_error(403, "passkey_refused");
        let refused = app.audit().await.into_iter().filter(|event| event.action == "passkey.refused").count();
        assert_eq!(refused, 2 * (lies(&laptop).len() - 1) + 9);
    }

    async fn of_a_second_factor(app: App) {
        let (_, honest, _) = app.user_with_passkey(ADA).await;
        let (_, bobs, _) = app.user_with_passkey(BOB).await;
        let ticket = async || app.ticket(ADA, PASSWORD).await;
        let answer = async |ticket: &str, offer: &Value, authenticator: &Authenticator| {
            let mut body = assertion(&mut authenticator.clone(), offer);
            body["ticket"] = json!(ticket);
            app.anonymous().post("/auth/mfa/passkey", &body).await
        };
        let mut all = lies(&honest);
        all.retain(|(what, _)| *what != "webauthn.get");
        all.push(("another key", honest.with_other_key()));
        all.push(("another's passkey", bobs.but(|it| it.user_handle = honest.user_handle.clone())));
        all.push(("another's account", honest.but(|it| it.user_handle = bobs.user_handle.clone())));
        let mut refused = 0;
        for some in all.chunks(4) {
            let ticket = ticket().await;
            for (what, liar) in some {
                let offer = app.anonymous().ticket_challenge(&ticket).await;
                assert_refused(what, answer(&ticket, &offer, liar).await);
                refused += 1;
            }
        }

        // A challenge is for one ticket.
        let (one, two) = (ticket().await, ticket().await);
        let offer = app.anonymous().ticket_challenge(&one).await;
        assert_refused("another ticket", answer(&two, &offer, &honest).await);
        assert_refused("used up", answer(&one, &offer, &honest).await);
        let offer = app.anonymous().challenge("/auth/login/passkey/options").await;
        assert_refused("another ceremony", answer(&one, &offer, &honest).await);
        refused += 3;
        // And an answer for one challenge: a sign-in is no better place for it.
        let offer = app.anonymous().ticket_challenge(&one).await;
        let body = assertion(&mut honest.clone(), &offer);
        assert_refused("without the ticket", app.anonymous().post("/auth/login/passkey", &body).await);
        let offer = app.anonymous().ticket_challenge(&one).await;
        answer("nonsense", &offer, &honest).await.assert_error(401, "invalid_mfa_ticket");

        // Five wrong answers end a ticket, and its owner hears of it.
        let ticket = ticket().await;
        let mut stranger = honest.with_other_key();
        for _ in 0..5 {
            app.anonymous().verify_passkey(&ticket, &mut stranger).await.assert_error(403, "passkey_refused");
        }
        // Nor does one that is used or too old give a challenge.
        let used = app.ticket(BOB, PASSWORD).await;
        app.anonymous().verify_passkey(&used, &mut bobs.clone()).await.assert_status(200);
        let old = app.ticket(BOB, PASSWORD).await;
        app.clock.advance_seconds(299);
        let challenge = async |ticket: &str| {
            app.anonymous().post("/auth/mfa/passkey/options", &json!({ "ticket": ticket })).await
        };
        challenge(&old).await.assert_status(200);
        for spent in [&ticket, &used] {
            challenge(spent).await.assert_error(401, "invalid_mfa_ticket");
        }
        app.clock.advance_seconds(1);
        challenge(&old).await.assert_error(401, "invalid_mfa_ticket");
        let trail = app.audit().await;
        let failed: Vec<_> = trail.iter().filter(|event| event.action == "session.second_factor_failed").collect();
        assert_eq!(failed.len(), refused + 5);
        assert_eq!(failed[0].detail.as_deref(), Some(r#"{"method":"passkey"}"#));
        let mails = app.mails_to(ADA).await;
        assert_eq!(mails.iter().filter(|mail| mail.template == "suspicious_sign_in").count(), 1);
        // The passkey itself is as good as ever.
        app.anonymous().login_with_passkey(&mut honest.clone()).await.assert_status(200);
    }

    async fn of_a_step_up(app: App) {
        let (ada, honest, _) = app.user_with_passkey(ADA).await;
        let (bob, mut bobs, _) = app.user_with_passkey(BOB).await;
        let answer = app.anonymous().login_with_passkey(&mut honest.clone()).await.assert_status(200);
        let elsewhere = User::new(app.anonymous(), ADA, PASSWORD, &answer);
        let honest = honest.but(|it| it.counter = 10);
        for (what, mut liar) in lies(&honest).into_iter().chain([
            ("another key", honest.with_other_key()),
            ("another's passkey", bobs.but(|it| it.user_handle = honest.user_handle.clone())),
        ]) {
            if what != "webauthn.get" {
                assert_refused(what, ada.step_up_passkey(&mut liar).await);
            }
        }
        for (what, user) in [("another session", &elsewhere), ("another account", &bob)] {
            let offer = ada.challenge("/auth/step-up/passkey/options").await;
            assert_refused(what, user.post("/auth/step-up/passkey", &assertion(&mut honest.clone(), &offer)).await);
        }
        let offer = app.anonymous().challenge("/auth/login/passkey/options").await;
        assert_refused("another ceremony", ada.post("/auth/step-up/passkey", &assertion(&mut honest.clone(), &offer)).await);
        let offer = ada.challenge("/auth/step-up/passkey/options").await;
        assert_refused("as a sign-in", app.anonymous().post("/auth/login/passkey", &assertion(&mut honest.clone(), &offer)).await);
        assert_refused("of another", ada.step_up_passkey(&mut bobs).await);
        ada.step_up_passkey(&mut honest.clone()).await.assert_status(200);
    }

    async fn where_there_is_no_passkey(app: App) {
        let (mut ada, totp, _) = app.user_with_totp(ADA).await;
        let ticket = app.ticket(ADA, PASSWORD).await;
        app.anonymous().post("/auth/mfa/passkey/options", &json!({ "ticket": ticket })).await.assert_error(404, "not_found");
        ada.post("/auth/step-up/passkey/options", &json!(null)).await.assert_error(404, "not_found");
        app.anonymous().verify_totp(&ticket, &totp.code(app.now())).await.assert_status(200);
        // With both, either will do.
        let mut laptop = Authenticator::new();
        assert_eq!(ada.add_passkey("Laptop", &mut laptop).await.1.len(), 0);
        let methods = app.try_login(ADA, PASSWORD).await.json()["mfa"]["methods"].clone();
        assert_eq!(methods, json!(["passkey", "totp", "recovery_code"]));
        app.anonymous().verify_passkey(&app.ticket(ADA, PASSWORD).await, &mut laptop).await.assert_status(200);
        app.next_code();
        app.login_with_totp(ADA, PASSWORD, &totp).await;
    }

    async fn of_a_body_that_is_none(app: App) {
        let at = |path: &[&'static str]| [&["body", "credential"], path].concat();
        let laptop = Authenticator::new();
        let offer = app.anonymous().challenge("/auth/login/passkey/options").await;
        let good = assertion(&mut laptop.but(|it| it.user_handle = Some("AAAA".into())), &offer);
        let long = "A".repeat(60_000);
        for (pointer, value, kind, path) in [
            ("/credential/type", json!("Public Key"), "string_pattern_mismatch", at(&["type"])),
            ("/credential/id", json!("AAAAA"), "string_pattern_mismatch", at(&["id"])),
            ("/credential/id", json!("a+b/"), "string_pattern_mismatch", at(&["id"])),
            ("/credential/id", json!(&long[..1365]), "string_too_long", at(&["id"])),
            ("/credential/response/signature", json!(7), "string_type", at(&["response", "signature"])),
            ("/credential/response/signature", json!(&long[..2049]), "string_too_long", at(&["response", "signature"])),
            ("/credential/response/authenticatorData", json!(&long[..4097]), "string_too_long", at(&["response", "authenticatorData"])),
            ("/credential/response/clientDataJSON", json!(&long[..8193]), "string_too_long", at(&["response", "clientDataJSON"])),
            ("/credential/response/userHandle", json!(&long[..87]), "string_too_long", at(&["response", "userHandle"])),
            ("/challenge_id", json!("first"), "uuid_parsing", vec!["body", "challenge_id"]),
        ] {
            let mut body = good.clone();
            *body.pointer_mut(pointer).unwrap() = value;
            let answer = app.anonymous().post("/auth/login/passkey", &body).await.assert_violation(kind, &path);
            // It may be a credential: it is not repeated.
            assert!(path[1] == "challenge_id" || answer.json()["detail"][0]["input"].is_null(), "{answer:?}");
        }
        assert_refused("well-formed", app.anonymous().post("/auth/login/passkey", &good).await);
    }
}
