//! The same for passkeys.

use serde_json::json;

use super::*;
use crate::support::{Authenticator, assertion, base64url};

const ADA: &str = "ada@example.com";
const BOB: &str = "bob@example.com";

proofs! {
    passkey_list {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "GET", "/auth/passkeys").await;
        }
        wrong_owner(app) {
            app.user_with_passkey(ADA).await;
            let bob = app.user(BOB).await;
            assert_eq!(bob.get("/auth/passkeys").await.assert_status(200).json(), json!({ "passkeys": [] }));
        }
    }

    passkey_options {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "POST", "/auth/passkeys/options").await;
        }
        wrong_owner(app) {
            let (ada, _, _) = app.user_with_passkey(ADA).await;
            let bob = app.user(BOB).await;
            let body = json!({ "user_id": ada.id });
            let offer = bob.post("/auth/passkeys/options", &body).await.assert_status(200).json();
            assert_eq!((&offer["options"]["user"]["name"], &offer["options"]["excludeCredentials"]), (&json!(BOB), &json!([])));
        }
    }

    passkey_create {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "POST", "/auth/passkeys").await;
        }
        wrong_owner(app) {
            let (ada, bob) = (app.user(ADA).await, app.user(BOB).await);
            let offer = ada.challenge("/auth/passkeys/options").await;
            let mut laptop = Authenticator::new();
            let credential = laptop.create(&offer["options"]);
            let body = json!({ "name": "Laptop", "challenge_id": offer["challenge_id"], "credential": credential });
            bob.post("/auth/passkeys", &body).await.assert_error(403, "passkey_refused");
            app.anonymous().login_with_passkey(&mut laptop).await.assert_error(403, "passkey_refused");
            app.login(ADA, PASSWORD).await;
            app.login(BOB, PASSWORD).await;
        }
        audit(app) {
            let ada = app.user(ADA).await;
            let mut laptop = Authenticator::new();
            let mut liar = laptop.but(|it| it.verified = false);
            marked(&ada).try_add_passkey("Laptop", &mut liar).await.assert_status(403);
            assert_by(&event(&app, "passkey.refused", &["Laptop"]).await, &ada);
            let answer = marked(&ada).try_add_passkey("Laptop", &mut laptop).await.assert_status(200).json();
            let code = answer["recovery_codes"][0].as_str().unwrap();
            assert_by(&event(&app, "passkey.added", &["Laptop", code, &ada.access_token]).await, &ada);
            assert_by(&event(&app, "recovery_codes.replaced", &[code]).await, &ada);
            assert_at(&event(&app, "session.raised", &[code]).await, &ada, 2);
        }
    }

    passkey_update {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "PATCH", &format!("/auth/passkeys/{UNKNOWN}")).await;
        }
        wrong_owner(app) {
            let (ada, _, _) = app.user_with_passkey(ADA).await;
            let bob = app.user(BOB).await;
            for id in [passkey_of(&ada).await.as_str(), UNKNOWN] {
                let answer = bob.patch(&format!("/auth/passkeys/{id}"), &json!({ "name": "Mine" })).await;
                answer.assert_error(404, "not_found");
            }
            assert_eq!(ada.get("/auth/passkeys").await.json()["passkeys"][0]["name"], "Laptop");
        }
        audit(app) {
            let (ada, _, _) = app.user_with_passkey(ADA).await;
            let path = format!("/auth/passkeys/{}", passkey_of(&ada).await);
            marked(&ada).patch(&path, &json!({ "name": "Old laptop" })).await.assert_status(200);
            assert_at(&event(&app, "passkey.renamed", &["Old laptop"]).await, &ada, 2);
        }
    }

    passkey_delete {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "DELETE", &format!("/auth/passkeys/{UNKNOWN}")).await;
        }
        wrong_owner(app) {
            let (ada, mut laptop, _) = app.user_with_passkey(ADA).await;
            let bob = app.user(BOB).await;
            for id in [passkey_of(&ada).await.as_str(), UNKNOWN] {
                bob.json("DELETE", &format!("/auth/passkeys/{id}"), &json!(null)).await.assert_error(404, "not_found");
            }
            app.anonymous().login_with_passkey(&mut laptop).await.assert_status(200);
        }
        audit(app) {
            let (ada, _, _) = app.user_with_passkey(ADA).await;
            let path = format!("/auth/passkeys/{}", passkey_of(&ada).await);
            marked(&ada).json("DELETE", &path, &json!(null)).await.assert_status(200);
            assert_at(&event(&app, "passkey.removed", &["Laptop"]).await, &ada, 2);
        }
    }

    passkey_login_options {
        wrong_owner(app) {
            let mut offers = vec![];
            let (ada, _, _) = app.user_with_passkey(ADA).await;
            for client in [&app.anonymous(), &*ada] {
                let mut offer = client.challenge("/auth/login/passkey/options").await;
                offer["challenge_id"] = json!(null);
                offer["options"]["challenge"] = json!(null);
                offers.push(offer);
            }
            assert_eq!(offers[0], offers[1]);
            assert!(!offers[0].to_string().contains(ADA), "{}", offers[0]);
        }
    }

    passkey_login {
        unauthenticated(app) {
            let (_, laptop, _) = app.user_with_passkey(ADA).await;
            let mut unknown = Authenticator::new().but(|it| it.user_handle = laptop.user_handle.clone());
            app.anonymous().login_with_passkey(&mut unknown).await.assert_error(403, "passkey_refused");
            app.anonymous().login_with_passkey(&mut laptop.with_other_key()).await.assert_error(403, "passkey_refused");
        }
        wrong_owner(app) {
            let (_, adas, _) = app.user_with_passkey(ADA).await;
            let (_, mut bobs, _) = app.user_with_passkey(BOB).await;
            let mut forged = bobs.but(|it| it.user_handle = adas.user_handle.clone());
            app.anonymous().login_with_passkey(&mut forged).await.assert_error(403, "passkey_refused");
            let answer = app.anonymous().login_with_passkey(&mut bobs).await.assert_status(200).json();
            assert_eq!(answer["user"]["email"], BOB);
        }
        audit(app) {
            let (_, mut laptop, _) = app.user_with_passkey(ADA).await;
            marked(&app.anonymous()).login_with_passkey(&mut laptop.with_other_key()).await.assert_status(403);
            let failed = event(&app, "session.sign_in_failed", &[]).await;
            assert_eq!(failed.actor, "anonymous");
            let answer = marked(&app.anonymous()).login_with_passkey(&mut laptop).await.assert_status(200);
            let ada = User::new(app.anonymous(), ADA, PASSWORD, &answer);
            assert_eq!(failed.account_id, account(&ada.id));
            assert_at(&event(&app, "session.created", &[&ada.access_token, &ada.refresh_token]).await, &ada, 2);
        }
    }

    passkey_verify_options {
        unauthenticated(app) {
            app.user_with_passkey(ADA).await;
            for ticket in ["nonsense", &"A".repeat(43)] {
                let answer = app.anonymous().post("/auth/mfa/passkey/options", &json!({ "ticket": ticket })).await;
                answer.assert_error(401, "invalid_mfa_ticket");
            }
        }
        wrong_owner(app) {
            let (_, adas, _) = app.user_with_passkey(ADA).await;
            let (bob, bobs, _) = app.user_with_passkey(BOB).await;
            // The ticket counts, not who sends it.
            let offer = bob.ticket_challenge(&app.ticket(ADA, PASSWORD).await).await;
            let allowed = offer["options"]["allowCredentials"].to_string();
            assert!(allowed.contains(&base64url(&adas.id)) && !allowed.contains(&base64url(&bobs.id)), "{allowed}");
        }
    }

    passkey_verify {
        unauthenticated(app) {
            let (_, mut laptop, _) = app.user_with_passkey(ADA).await;
            let offer = app.anonymous().ticket_challenge(&app.ticket(ADA, PASSWORD).await).await;
            let mut body = assertion(&mut laptop, &offer);
            for ticket in ["nonsense", &"A".repeat(43)] {
                body["ticket"] = json!(ticket);
                app.anonymous().post("/auth/mfa/passkey", &body).await.assert_error(401, "invalid_mfa_ticket");
            }
        }
        wrong_owner(app) {
            let (_, mut adas, _) = app.user_with_passkey(ADA).await;
            let (_, mut bobs, _) = app.user_with_passkey(BOB).await;
            let ticket = app.ticket(ADA, PASSWORD).await;
            app.anonymous().verify_passkey(&ticket, &mut bobs).await.assert_error(403, "passkey_refused");
            let answer = app.anonymous().verify_passkey(&ticket, &mut adas).await.assert_status(200).json();
            assert_eq!(answer["user"]["email"], ADA);
        }
        audit(app) {
            let (_, mut laptop, _) = app.user_with_passkey(ADA).await;
            let ticket = app.ticket(ADA, PASSWORD).await;
            marked(&app.anonymous()).verify_passkey(&ticket, &mut laptop.with_other_key()).await.assert_status(403);
            assert_eq!(event(&app, "session.second_factor_failed", &[&ticket]).await.actor, "anonymous");
            let answer = marked(&app.anonymous()).verify_passkey(&ticket, &mut laptop).await.assert_status(200);
            let ada = User::new(app.anonymous(), ADA, PASSWORD, &answer);
            assert_at(&event(&app, "session.created", &[&ticket, &ada.access_token]).await, &ada, 2);
        }
    }

    passkey_step_up_options {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "POST", "/auth/step-up/passkey/options").await;
        }
        wrong_owner(app) {
            app.user_with_passkey(ADA).await;
            let bob = app.user(BOB).await;
            bob.post("/auth/step-up/passkey/options", &json!(null)).await.assert_error(404, "not_found");
        }
    }

    passkey_step_up {
        unauthenticated(app) {
            assert_refuses_strangers(&app, "POST", "/auth/step-up/passkey").await;
        }
        wrong_owner(app) {
            let (ada, _, _) = app.user_with_passkey(ADA).await;
            let (bob, mut bobs, _) = app.user_with_passkey(BOB).await;
            ada.step_up_passkey(&mut bobs).await.assert_error(403, "passkey_refused");
            bob.step_up_passkey(&mut bobs).await.assert_status(200);
        }
        audit(app) {
            let (ada, mut laptop, _) = app.user_with_passkey(ADA).await;
            marked(&ada).step_up_passkey(&mut laptop.with_other_key()).await.assert_status(403);
            assert_at(&event(&app, "session.step_up_refused", &[]).await, &ada, 2);
            marked(&ada).step_up_passkey(&mut laptop).await.assert_status(200);
            assert_at(&event(&app, "session.raised", &[&ada.access_token]).await, &ada, 2);
        }
    }
}

async fn passkey_of(user: &User) -> String {
    user.get("/auth/passkeys").await.json()["passkeys"][0]["id"].as_str().unwrap().to_owned()
}
