//! For every operation of the document: what it says to strangers, what it says to the wrong person, and, if it changes
//! something, the event it leaves in the audit trail. Or a reason, on a list that may only shrink.

use std::collections::BTreeSet;

use entities::{AccountId, audit_event};
use latchkey::clock::Clock;
use serde_json::json;

use crate::support::{App, Client, PASSWORD, User};

/// What must be shown of an operation. A proof is made of its test, so that none is on the list without one.
macro_rules! proofs {
    ($($operation:ident { $($kind:ident($app:ident) $body:block)* })*) => {
        /// Operation and kind.
        const PROVEN: &[(&str, &str)] = &[$($((stringify!($operation), stringify!($kind)),)*)*];

        $(mod $operation {
            use super::*;

            on_both_engines! {$(
                async fn $kind($app: App) $body
            )*}
        })*
    };
}

/// What needs no proof, and why. Entries are taken away, never added, unless an operation is new.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("account_create", "unauthenticated", "for strangers by purpose"),
    ("email_verification_resend", "unauthenticated", "for strangers by purpose"),
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
    let shown: Vec<(String, &str)> = PROVEN.iter().map(|(id, kind)| ((*id).to_owned(), *kind)).collect();
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
    assert_eq!(event.actor, "account");
    assert_eq!(event.account_id, account(&user.id));
    assert_eq!(event.session_id.map(|id| id.to_string()), user.claims()["sid"].as_str().map(str::to_owned));
    assert_eq!(event.aal, Some(1));
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
}
