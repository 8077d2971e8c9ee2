//! For every operation of the document: what it says to strangers, what it says to the wrong person, and, if it changes
//! something, the event it leaves in the audit trail. Or a reason, on a list that may only shrink.

use std::collections::BTreeSet;

use entities::{AccountId, audit_event};
use latchkey::clock::Clock;
use serde_json::json;

use crate::support::{App, Client, PASSWORD, Totp, User};

/// What must be shown of an operation. A proof is made of its test, so that none is on the list without one.
macro_rules! proofs {
    ($($operation:ident { $($kind:ident($app:ident) $body:block)* })*) => {
        /// Operation and kind.
        pub(super) const PROVEN: &[(&str, &str)] = &[$($((stringify!($operation), stringify!($kind)),)*)*];

        $(mod $operation {
            use super::*;

            on_both_engines! {$(
                async fn $kind($app: App) $body
            )*}
        })*
    };
}

mod admin;
mod kyc;
mod passkeys;
mod recovery;
mod vault;

/// What needs no proof, and why. Entries are taken away, never added, unless an operation is new.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("account_create", "unauthenticated", "for strangers by purpose"),
    ("email_verification_resend", "unauthenticated", "for strangers by purpose"),
    ("password_reset_request", "unauthenticated", "for strangers by purpose"),
    ("passkey_options", "audit", "a challenge changes nothing"),
    ("passkey_login_options", "unauthenticated", "for strangers by purpose"),
    ("passkey_login_options", "audit", "a challenge changes nothing"),
    ("passkey_verify_options", "audit", "a challenge changes nothing"),
    ("passkey_step_up_options", "audit", "a challenge changes nothing"),
    ("connector_list", "wrong_owner", "belongs to nobody"),
    ("kyc_health", "unauthenticated", "for monitors"),
    ("kyc_health", "wrong_owner", "belongs to nobody"),
    ("kyc_webhook", "audit", "what it changes is written down when it is worked on"),
    ("kyc_provider_webhook", "audit", "what it changes is written down when it is worked on"),
    ("key_set_get", "unauthenticated", "public keys"),
    ("key_set_get", "wrong_owner", "belongs to nobody"),
    ("liveness_get", "unauthenticated", "for load balancers"),
    ("liveness_get", "wrong_owner", "belongs to nobody"),
    ("readiness_get", "unauthenticated", "for load balancers"),
    ("readiness_get", "wrong_owner", "belongs to nobody"),
];

#[test]
fn every_operation_is_proven_or_excused() {
    let document = latchkey::api::document::generate();
    let mut demanded = BTreeSet::new();
    for (method, operation) in
        document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap())
    {
        let id = operation["operationId"].as_str().unwrap().to_owned();
        let kinds = ["unauthenticated", "wrong_owner", "audit"];
        let changes = method != "get";
        demanded.extend(
            kinds.into_iter().filter(|kind| changes || *kind != "audit").map(|kind| (id.clone(), kind)),
        );
    }
    let files = [PROVEN, admin::PROVEN, kyc::PROVEN, passkeys::PROVEN, recovery::PROVEN, vault::PROVEN];
    let proven = files.into_iter().flatten();
    let shown: Vec<(String, &str)> = proven.map(|(id, kind)| ((*id).to_owned(), *kind)).collect();
    let excused: Vec<(String, &str)> =
        EXCEPTIONS.iter().map(|(id, kind, _)| ((*id).to_owned(), *kind)).collect();
    for case in &demanded {
        assert!(shown.contains(case) || excused.contains(case), "{case:?} is neither proven nor excused");
    }
    for case in shown.iter().chain(&excused) {
        assert!(demanded.contains(case), "nobody asks for {case:?}");
    }
    for case in &excused {
        assert!(!shown.contains(case), "{case:?} is proven: it needs no excuse");
    }
}

/// Tokens that nobody may come in with, for operations that take one in the header.
async fn assert_refuses_strangers(app: &App, method: &str, path: &str) {
    // Whatever the body is: strangers learn nothing about it.
    for body in [json!({}), json!(null)] {
        app.anonymous().json(method, path, &body).await.assert_error(401, "unauthenticated");
        let answer = app.anonymous().bearer("e30.e30.e30").json(method, path, &body).await;
        assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"), "{answer:?}");
        answer.assert_error(401, "invalid_token");
    }
}

const REQUEST_ID: &str = "request-of-this-test";
const AGENT: &str = "Tester/1.0";

/// A client whose traces can be told apart.
fn marked(client: &Client) -> Client {
    client.with("x-request-id", REQUEST_ID).with("user-agent", AGENT)
}

/// The one event that the marked request left behind, which is complete and holds no secret.
async fn event(app: &App, action: &str, secrets: &[&str]) -> audit_event::Model {
    let trail = app.audit().await;
    let marked: Vec<_> =
        trail.into_iter().filter(|event| event.request_id.as_deref() == Some(REQUEST_ID)).collect();
    let event = App::only_event(marked, action);
    assert_eq!(event.at, app.clock.now());
    assert_eq!(event.ip.as_deref(), Some("127.0.0.1"));
    assert_eq!(event.user_agent.as_deref(), Some(AGENT));
    let whole = format!("{event:?}");
    for secret in secrets.iter().chain(&["example.com", PASSWORD]) {
        assert!(!whole.contains(secret), "{secret} in {whole}");
    }
    event
}

fn account(id: &str) -> Option<AccountId> {
    Some(id.parse().unwrap())
}

/// The event names the caller, the session and how it was signed in to.
fn assert_by(event: &audit_event::Model, user: &User) {
    assert_at(event, user, 1);
}

/// The same for a session at this level.
fn assert_at(event: &audit_event::Model, user: &User, aal: i16) {
    assert_eq!(event.actor, "account");
    assert_eq!(event.account_id, account(&user.id));
    assert_eq!(event.session_id.map(|id| id.to_string()), user.claims()["sid"].as_str().map(str::to_owned));
    assert_eq!(event.aal, Some(aal));
}

proofs! {
    account_create {
        wrong_owner(app) {
            let ada = app.user("ada@example.com").await;
            let answer = app.sign_up("ADA@example.com", "a password of somebody else").await.json();
            assert_ne!(answer["user"]["id"], ada.id);
            let mail = app.mail_to("ADA@example.com").await;
            assert_eq!(mail.template, "account_exists");
            assert!(!mail.raw.contains("token="), "{}", mail.raw);
            app.try_login("ada@example.com", "a password of somebody else").await.assert_error(401, "invalid_credentials");
            app.login("ada@example.com", PASSWORD).await;
            ada.profile().await.assert_status(200);
        }
        audit(app) {
            let body = json!({ "email": "ada@example.com", "password": PASSWORD });
            let answer = marked(&app.anonymous()).post("/auth/signup", &body).await.assert_status(200).json();
            let created = event(&app, "account.created", &[]).await;
            assert_eq!((created.actor.as_str(), created.account_id), ("anonymous", account(answer["user"]["id"].as_str().unwrap())));
            app.verify(&app.mail_to("ada@example.com").await.token()).await.assert_status(200);
            app.clock.advance_seconds(1);
            marked(&app.anonymous()).post("/auth/signup", &body).await.assert_status(200);
            let repeated = event(&app, "account.sign_up_repeated", &[]).await;
            assert_eq!((repeated.actor.as_str(), repeated.account_id), ("anonymous", created.account_id));
        }
    }

    profile_get {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "GET", "/auth/profile").await;
        }
        wrong_owner(app) {
            let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
            for path in ["/auth/profile".to_owned(), format!("/auth/profile?id={0}&user_id={0}", ada.id)] {
                let profile = bob.get(&path).await.assert_status(200).json();
                assert_eq!((&profile["id"], &profile["email"]), (&json!(bob.id), &json!("bob@example.com")));
            }
        }
    }

    profile_update {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "PATCH", "/auth/profile").await;
        }
        wrong_owner(app) {
            let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
            let before = ada.profile().await.json();
            let change = json!({ "id": ada.id, "user_id": ada.id, "email": "ada@example.com", "full_name": "Bob" });
            let changed = bob.patch("/auth/profile", &change).await.assert_status(200).json();
            assert_eq!((&changed["id"], &changed["email"]), (&json!(bob.id), &json!("bob@example.com")));
            assert_eq!(ada.profile().await.json(), before);
        }
        audit(app) {
            let ada = app.user("ada@example.com").await;
            let change = json!({ "full_name": "Ada Lovelace", "phone": null });
            marked(&ada).patch("/auth/profile", &change).await.assert_status(200);
            let updated = event(&app, "account.profile_updated", &["Lovelace", &ada.access_token]).await;
            assert_by(&updated, &ada);
            assert_eq!(updated.detail.as_deref(), Some(r#"{"fields":["full_name","phone"]}"#));
        }
    }

    password_change {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "POST", "/auth/password").await;
        }
        wrong_owner(app) {
            app.verified("ada@example.com", "the password of ada").await;
            let bob = app.user("bob@example.com").await;
            let answer = bob.change_password("the password of ada", "chosen by bob for ada").await;
            answer.assert_error(403, "wrong_current_password");
            bob.change_password(PASSWORD, "chosen by bob for bob").await.assert_status(200);
            app.login("ada@example.com", "the password of ada").await.profile().await.assert_status(200);
        }
        audit(app) {
            let ada = app.user("ada@example.com").await;
            let body = json!({ "current_password": PASSWORD, "new_password": "eight dark green kettles" });
            marked(&ada).post("/auth/password", &body).await.assert_status(200);
            let changed = event(&app, "account.password_changed", &["kettles", &ada.access_token]).await;
            assert_by(&changed, &ada);
        }
    }

    session_create {
        unauthenticated(app) {
            app.verified("ada@example.com", PASSWORD).await;
            for (email, password) in [("ada@example.com", "not this one"), ("nobody@example.com", PASSWORD)] {
                app.try_login(email, password).await.assert_error(401, "invalid_credentials");
            }
        }
        wrong_owner(app) {
            app.verified("ada@example.com", "the password of ada").await;
            app.verified("bob@example.com", "the password of bob").await;
            app.try_login("ada@example.com", "the password of bob").await.assert_error(401, "invalid_credentials");
            let bob = app.login("bob@example.com", "the password of bob").await;
            assert_eq!(bob.profile().await.json()["email"], "bob@example.com");
        }
        audit(app) {
            app.verified("ada@example.com", PASSWORD).await;
            let body = json!({ "email": "ada@example.com", "password": PASSWORD });
            let answer = marked(&app.anonymous()).post("/auth/login", &body).await.assert_status(200);
            let ada = User::new(app.anonymous(), "ada@example.com", PASSWORD, &answer);
            let created = event(&app, "session.created", &[&ada.access_token, &ada.refresh_token]).await;
            assert_by(&created, &ada);
            assert_eq!(created.detail.as_deref(), Some(r#"{"amr":"pwd"}"#));

            let body = json!({ "email": "ada@example.com", "password": "canary of a guess" });
            marked(&app.anonymous()).post("/auth/login", &body).await.assert_status(401);
            let failed = event(&app, "session.sign_in_failed", &["canary"]).await;
            assert_eq!((failed.actor.as_str(), failed.account_id, failed.session_id), ("anonymous", account(&ada.id), None));
            assert_eq!(failed.detail.as_deref(), Some(r#"{"reason":"invalid_credentials"}"#));
        }
    }

    session_refresh {
        unauthenticated(app) {
            let ada = app.user("ada@example.com").await;
            for token in ["nonsense", &ada.access_token, &ada.refresh_token[1..]] {
                app.try_refresh(token).await.assert_error(401, "invalid_refresh_token");
            }
            app.try_refresh(&ada.refresh_token).await.assert_status(200);
        }
        wrong_owner(app) {
            let (ada, mut bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
            // The session of one in the token of the other: the MAC notices.
            let spliced = format!("{}{}", &ada.refresh_token[..34], &bob.refresh_token[34..]);
            app.try_refresh(&spliced).await.assert_error(401, "invalid_refresh_token");
            // Whoever asks, the answer is for the session of the token.
            let body = json!({ "refresh_token": ada.refresh_token });
            let answer = bob.post("/auth/refresh", &body).await.assert_status(200).json();
            assert_eq!(answer["user"]["email"], "ada@example.com");
            bob.refresh().await;
            assert_eq!(bob.profile().await.json()["email"], "bob@example.com");
        }
        audit(app) {
            let ada = app.user("ada@example.com").await;
            let refresh = async || {
                app.clock.advance_seconds(6);
                marked(&app.anonymous()).post("/auth/refresh", &json!({ "refresh_token": ada.refresh_token })).await
            };
            let secrets = [ada.access_token.as_str(), &ada.refresh_token];
            refresh().await.assert_status(200);
            assert_by(&event(&app, "session.refreshed", &secrets).await, &ada);
            refresh().await.assert_status(200);
            assert_by(&event(&app, "session.refresh_repeated", &secrets).await, &ada);
            refresh().await.assert_status(401);
            assert_by(&event(&app, "session.refresh_reused", &secrets).await, &ada);
        }
    }

    session_end {
        unauthenticated(app) {
            let ada = app.user("ada@example.com").await;
            let (head, _) = ada.access_token.rsplit_once('.').unwrap();
            for token in ["nonsense", &ada.refresh_token, head, &format!("{head}."), &format!("{head}.AAAA")] {
                let answer = app.anonymous().post("/auth/logout", &json!({ "access_token": token })).await;
                answer.assert_error(401, "invalid_token");
            }
            ada.profile().await.assert_status(200);
        }
        wrong_owner(app) {
            let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
            let elsewhere = app.login("bob@example.com", PASSWORD).await;
            bob.logout().await.assert_status(200);
            ada.profile().await.assert_status(200);
            elsewhere.profile().await.assert_status(200);
        }
        audit(app) {
            let ada = app.user("ada@example.com").await;
            for _ in 0..2 {
                marked(&ada).post("/auth/logout", &json!({ "access_token": ada.access_token })).await.assert_status(200);
            }
            // Ending it twice is one end.
            let ended = event(&app, "session.ended", &[&ada.access_token, &ada.refresh_token]).await;
            assert_by(&ended, &ada);
            assert_eq!(ended.detail.as_deref(), Some(r#"{"reason":"logout"}"#));
        }
    }

    email_verify {
        unauthenticated(app) {
            app.sign_up("ada@example.com", PASSWORD).await;
            for token in ["nonsense", &"A".repeat(43)] {
                app.verify(token).await.assert_error(400, "invalid_verification_token");
            }
            app.try_login("ada@example.com", PASSWORD).await.assert_error(403, "email_not_verified");
        }
        wrong_owner(app) {
            app.sign_up("ada@example.com", PASSWORD).await;
            let bob = app.sign_up("bob@example.com", PASSWORD).await.json();
            let verified = app.verify(&app.mail_to("bob@example.com").await.token()).await.assert_status(200).json();
            assert_eq!((&verified["user_id"], &verified["email"]), (&bob["user"]["id"], &json!("bob@example.com")));
            app.try_login("ada@example.com", PASSWORD).await.assert_error(403, "email_not_verified");
        }
        audit(app) {
            let id = app.sign_up("ada@example.com", PASSWORD).await.json()["user"]["id"].clone();
            let token = app.mail_to("ada@example.com").await.token();
            marked(&app.anonymous()).post("/auth/verify-email", &json!({ "token": token })).await.assert_status(200);
            let verified = event(&app, "account.email_verified", &[&token]).await;
            assert_eq!((verified.actor.as_str(), verified.account_id), ("account", account(id.as_str().unwrap())));
        }
    }

    email_verification_resend {
        wrong_owner(app) {
            app.sign_up("ada@example.com", PASSWORD).await;
            app.sign_up("bob@example.com", PASSWORD).await;
            let token = app.mail_to("ada@example.com").await.token();
            app.anonymous().post("/auth/resend-verification", &json!({ "email": "bob@example.com" })).await.assert_status(200);
            assert_eq!(app.mails_to("bob@example.com").await.len(), 2);
            assert_eq!(app.mails_to("ada@example.com").await.len(), 1);
            app.verify(&token).await.assert_status(200);
        }
        audit(app) {
            let id = app.sign_up("ada@example.com", PASSWORD).await.json()["user"]["id"].clone();
            app.mail_to("ada@example.com").await;
            let body = json!({ "email": "ada@example.com" });
            marked(&app.anonymous()).post("/auth/resend-verification", &body).await.assert_status(200);
            let token = app.mail_to("ada@example.com").await.token();
            let sent = event(&app, "account.verification_sent", &[&token]).await;
            assert_eq!((sent.actor.as_str(), sent.account_id), ("anonymous", account(id.as_str().unwrap())));
        }
    }

    email_verification_get {
        unauthenticated(app) {
            app.user("ada@example.com").await;
            app.clock.advance_seconds(3601);
            let path = "/auth/verification-status?email=ada@example.com";
            assert_eq!(app.anonymous().get(path).await.assert_status(200).json()["status"], "unknown");
            // Credentials that are sent must be good.
            app.anonymous().bearer("e30.e30.e30").get(path).await.assert_error(401, "invalid_token");
        }
        wrong_owner(app) {
            let (mut ada, mut bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
            app.clock.advance_seconds(3601);
            ada.refresh().await;
            bob.refresh().await;
            let path = "/auth/verification-status?email=ada@example.com";
            assert_eq!(ada.get(path).await.json()["status"], "verified");
            let answer = bob.get(path).await.assert_status(200).json();
            assert_eq!((&answer["status"], &answer["is_verified"]), (&json!("unknown"), &json!(false)));
        }
    }

    session_step_up {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "POST", "/auth/step-up").await;
        }
        wrong_owner(app) {
            app.verified("ada@example.com", "the password of ada").await;
            let bob = app.user("bob@example.com").await;
            let body = json!({ "method": "password", "secret": "the password of ada" });
            bob.post("/auth/step-up", &body).await.assert_error(403, "wrong_current_password");
        }
        audit(app) {
            let ada = app.user("ada@example.com").await;
            let body = json!({ "method": "password", "secret": PASSWORD });
            marked(&ada).post("/auth/step-up", &body).await.assert_status(200);
            assert_by(&event(&app, "session.raised", &[&ada.access_token]).await, &ada);
        }
    }

    mfa_get {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "GET", "/auth/mfa").await;
        }
        wrong_owner(app) {
            app.user_with_totp("ada@example.com").await;
            let bob = app.user("bob@example.com").await;
            assert_eq!(bob.get("/auth/mfa").await.assert_status(200).json()["enabled"], false);
        }
    }

    totp_create {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "POST", "/auth/mfa/totp").await;
        }
        wrong_owner(app) {
            let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
            let body = json!({ "name": "Phone", "account_id": ada.id });
            let enrolment = bob.post("/auth/mfa/totp", &body).await.assert_status(200).json();
            assert!(enrolment["otpauth_uri"].as_str().unwrap().contains("bob%40example.com"), "{enrolment}");
        }
        audit(app) {
            let ada = app.user("ada@example.com").await;
            let answer = marked(&ada).post("/auth/mfa/totp", &json!({ "name": "Phone" })).await.assert_status(200).json();
            let secret = answer["secret"].as_str().unwrap();
            assert_by(&event(&app, "totp.enrolled", &[secret]).await, &ada);
        }
    }

    totp_confirm {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "POST", &format!("/auth/mfa/totp/{UNKNOWN}/confirm")).await;
        }
        wrong_owner(app) {
            let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
            let enrolment = ada.post("/auth/mfa/totp", &json!({ "name": "Phone" })).await.json();
            let totp = Totp::scan(&enrolment);
            let body = json!({ "code": totp.code(app.now()) });
            for id in [totp.id.as_str(), UNKNOWN] {
                bob.post(&format!("/auth/mfa/totp/{id}/confirm"), &body).await.assert_error(404, "not_found");
            }
            ada.post(&format!("/auth/mfa/totp/{}/confirm", totp.id), &body).await.assert_status(200);
        }
        audit(app) {
            let ada = app.user("ada@example.com").await;
            let totp = Totp::scan(&ada.post("/auth/mfa/totp", &json!({ "name": "Phone" })).await.json());
            let path = format!("/auth/mfa/totp/{}/confirm", totp.id);
            marked(&ada).post(&path, &json!({ "code": totp.wrong_code(app.now()) })).await.assert_status(403);
            assert_by(&event(&app, "totp.refused", &[]).await, &ada);
            marked(&ada).post(&path, &json!({ "code": totp.code(app.now()) })).await.assert_status(200);
            assert_by(&event(&app, "totp.added", &[]).await, &ada);
        }
    }

    totp_update {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "PATCH", &format!("/auth/mfa/totp/{UNKNOWN}")).await;
        }
        wrong_owner(app) {
            let (ada, totp, _) = app.user_with_totp("ada@example.com").await;
            let bob = app.user("bob@example.com").await;
            for id in [totp.id.as_str(), UNKNOWN] {
                let answer = bob.patch(&format!("/auth/mfa/totp/{id}"), &json!({ "name": "Mine" })).await;
                answer.assert_error(404, "not_found");
            }
            assert_eq!(ada.get("/auth/mfa").await.json()["totp"][0]["name"], "Phone");
        }
        audit(app) {
            let (ada, totp, _) = app.user_with_totp("ada@example.com").await;
            let path = format!("/auth/mfa/totp/{}", totp.id);
            marked(&ada).patch(&path, &json!({ "name": "Old phone" })).await.assert_status(200);
            assert_at(&event(&app, "totp.renamed", &["Old phone"]).await, &ada, 2);
        }
    }

    totp_delete {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "DELETE", &format!("/auth/mfa/totp/{UNKNOWN}")).await;
        }
        wrong_owner(app) {
            let (ada, totp, _) = app.user_with_totp("ada@example.com").await;
            let bob = app.user("bob@example.com").await;
            for id in [totp.id.as_str(), UNKNOWN] {
                bob.json("DELETE", &format!("/auth/mfa/totp/{id}"), &json!(null)).await.assert_error(404, "not_found");
            }
            assert_eq!(ada.get("/auth/mfa").await.json()["enabled"], true);
        }
        audit(app) {
            let (ada, totp, _) = app.user_with_totp("ada@example.com").await;
            let path = format!("/auth/mfa/totp/{}", totp.id);
            marked(&ada).json("DELETE", &path, &json!(null)).await.assert_status(200);
            assert_at(&event(&app, "totp.removed", &[]).await, &ada, 2);
        }
    }

    recovery_codes_create {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "POST", "/auth/mfa/recovery-codes").await;
        }
        wrong_owner(app) {
            let (_, _, codes) = app.user_with_totp("ada@example.com").await;
            let (bob, _, _) = app.user_with_totp("bob@example.com").await;
            bob.post("/auth/mfa/recovery-codes", &json!(null)).await.assert_status(200);
            let ticket = app.ticket("ada@example.com", PASSWORD).await;
            app.anonymous().verify_recovery_code(&ticket, &codes[0]).await.assert_status(200);
        }
        audit(app) {
            let (ada, _, _) = app.user_with_totp("ada@example.com").await;
            let answer = marked(&ada).post("/auth/mfa/recovery-codes", &json!(null)).await.assert_status(200).json();
            let code = answer["recovery_codes"][0].as_str().unwrap();
            assert_at(&event(&app, "recovery_codes.replaced", &[code]).await, &ada, 2);
        }
    }

    mfa_verify {
        unauthenticated(app) {
            let (_, totp, _) = app.user_with_totp("ada@example.com").await;
            for ticket in ["nonsense", &"A".repeat(43)] {
                let answer = app.anonymous().verify_totp(ticket, &totp.code(app.now())).await;
                answer.assert_error(401, "invalid_mfa_ticket");
            }
        }
        wrong_owner(app) {
            let (_, adas, _) = app.user_with_totp("ada@example.com").await;
            let (_, bobs, _) = app.user_with_totp("bob@example.com").await;
            let ticket = app.ticket("ada@example.com", PASSWORD).await;
            app.anonymous().verify_totp(&ticket, &bobs.code(app.now())).await.assert_error(403, "wrong_code");
            let answer = app.anonymous().verify_totp(&ticket, &adas.code(app.now())).await.assert_status(200).json();
            assert_eq!(answer["user"]["email"], "ada@example.com");
        }
        audit(app) {
            let (_, totp, _) = app.user_with_totp("ada@example.com").await;
            let ticket = app.ticket("ada@example.com", PASSWORD).await;
            let wrong = totp.wrong_code(app.now());
            marked(&app.anonymous()).verify_totp(&ticket, &wrong).await.assert_status(403);
            let failed = event(&app, "session.second_factor_failed", &[&wrong, &ticket]).await;
            assert_eq!(failed.actor, "anonymous");
            let code = totp.code(app.now());
            let answer = marked(&app.anonymous()).verify_totp(&ticket, &code).await.assert_status(200);
            let ada = User::new(app.anonymous(), "ada@example.com", PASSWORD, &answer);
            assert_at(&event(&app, "session.created", &[&code, &ticket, &ada.access_token]).await, &ada, 2);
        }
    }

    remembered_device_list {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "GET", "/auth/mfa/devices").await;
        }
        wrong_owner(app) {
            remember(&app, "ada@example.com").await;
            let bob = app.user("bob@example.com").await;
            assert_eq!(bob.get("/auth/mfa/devices").await.assert_status(200).json()["devices"], json!([]));
        }
    }

    remembered_device_delete {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "DELETE", &format!("/auth/mfa/devices/{UNKNOWN}")).await;
        }
        wrong_owner(app) {
            let (ada, id) = remember(&app, "ada@example.com").await;
            let bob = app.user("bob@example.com").await;
            for id in [id.as_str(), UNKNOWN] {
                let answer = bob.json("DELETE", &format!("/auth/mfa/devices/{id}"), &json!(null)).await;
                answer.assert_error(404, "not_found");
            }
            assert_eq!(ada.get("/auth/mfa/devices").await.json()["devices"].as_array().unwrap().len(), 1);
        }
        audit(app) {
            let (ada, id) = remember(&app, "ada@example.com").await;
            let path = format!("/auth/mfa/devices/{id}");
            marked(&ada).json("DELETE", &path, &json!(null)).await.assert_status(200);
            assert_at(&event(&app, "device.forgotten", &[]).await, &ada, 2);
        }
    }

    session_list {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "GET", "/auth/sessions").await;
        }
        wrong_owner(app) {
            let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
            let list = bob.get("/auth/sessions").await.assert_status(200).json();
            let ids: Vec<_> = list["sessions"].as_array().unwrap().iter().map(|session| session["id"].clone()).collect();
            assert_eq!(ids, [bob.claims()["sid"].clone()]);
            assert_ne!(ada.claims()["sid"], bob.claims()["sid"]);
        }
    }

    session_delete {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "DELETE", &format!("/auth/sessions/{UNKNOWN}")).await;
        }
        wrong_owner(app) {
            let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
            for id in [ada.claims()["sid"].as_str().unwrap(), UNKNOWN] {
                bob.json("DELETE", &format!("/auth/sessions/{id}"), &json!(null)).await.assert_error(404, "not_found");
            }
            ada.profile().await.assert_status(200);
        }
        audit(app) {
            let ada = app.user("ada@example.com").await;
            let other = app.login("ada@example.com", PASSWORD).await;
            let id = other.claims()["sid"].as_str().unwrap().to_owned();
            marked(&ada).json("DELETE", &format!("/auth/sessions/{id}"), &json!(null)).await.assert_status(200);
            let ended = event(&app, "session.ended", &[&other.access_token]).await;
            assert_by(&ended, &ada);
            let detail = format!(r#"{{"session":"{id}","reason":"ended_by_owner"}}"#);
            assert_eq!(ended.detail.as_deref(), Some(detail.as_str()));
        }
    }

    sessions_end {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "DELETE", "/auth/sessions").await;
        }
        wrong_owner(app) {
            let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
            bob.json("DELETE", "/auth/sessions", &json!(null)).await.assert_status(200);
            bob.profile().await.assert_error(401, "invalid_token");
            ada.profile().await.assert_status(200);
        }
        audit(app) {
            let ada = app.user("ada@example.com").await;
            app.login("ada@example.com", PASSWORD).await;
            marked(&ada).json("DELETE", "/auth/sessions", &json!(null)).await.assert_status(200);
            let ended = event(&app, "session.ended", &[]).await;
            assert_by(&ended, &ada);
            assert_eq!(ended.detail.as_deref(), Some(r#"{"count":2,"reason":"ended_by_owner"}"#));
        }
    }

    account_export {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "GET", "/auth/account/export").await;
        }
        wrong_owner(app) {
            let ada = app.user("ada@example.com").await;
            let bob = app.user("bob@example.com").await;
            let export = bob.get("/auth/account/export").await.assert_status(200).text();
            assert!(export.contains("bob@example.com") && !export.contains("ada@example.com"), "{export}");
            assert!(!export.contains(&ada.id), "{export}");
        }
    }

    account_delete {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "DELETE", "/auth/account").await;
        }
        wrong_owner(app) {
            let (ada, bob) = (app.user("ada@example.com").await, app.user("bob@example.com").await);
            bob.json("DELETE", "/auth/account", &json!({ "id": ada.id })).await.assert_status(200);
            app.clock.advance_seconds(8 * 86_400);
            app.services.reap().await.unwrap();
            app.login("ada@example.com", PASSWORD).await.profile().await.assert_status(200);
            app.try_login("bob@example.com", PASSWORD).await.assert_error(401, "invalid_credentials");
        }
        audit(app) {
            let ada = app.user("ada@example.com").await;
            marked(&ada).json("DELETE", "/auth/account", &json!(null)).await.assert_status(200);
            assert_by(&event(&app, "account.deletion_scheduled", &[&ada.access_token]).await, &ada);
        }
    }
}

/// An id that nothing has.
const UNKNOWN: &str = "01938f6e-2b7a-7c3d-9f10-5a4be1c2d3e4";

/// Somebody signed in on a device that is remembered, and the device's id.
async fn remember(app: &App, email: &str) -> (User, String) {
    let (_, totp, _) = app.user_with_totp(email).await;
    let ticket = app.ticket(email, PASSWORD).await;
    let body =
        json!({ "ticket": ticket, "method": "totp", "code": totp.code(app.now()), "remember_device": true });
    let answer = app.anonymous().post("/auth/mfa/verify", &body).await.assert_status(200);
    let user = User::new(app.anonymous(), email, PASSWORD, &answer);
    let devices = user.get("/auth/mfa/devices").await.json();
    (user, devices["devices"][0]["id"].as_str().unwrap().to_owned())
}
