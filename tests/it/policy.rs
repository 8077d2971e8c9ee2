//! The one policy evaluator, seen from outside: every operation × everybody who may call it. An operation without a row
//! fails the build.

use std::collections::{BTreeSet, HashMap};

use entities::account::Role;
use serde_json::{Value, json};

use crate::support::{Answer, App, Client, PASSWORD, Totp, User};

/// Who is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Anybody, with or without a token.
    Public,
    /// Providers of identity checks, who sign.
    Webhook,
    /// Anybody; a token that is sent must be good.
    OptionalToken,
    /// Whoever is signed in.
    SignedIn,
    /// Whoever signed in of late, at the account's best level.
    Recent,
    /// Whoever signed in of late with two factors that count.
    TwoFactors,
    /// Reviewers and operators signed in with two factors.
    Reviewer,
    /// The same of late.
    RecentReviewer,
    /// Operators signed in with two factors.
    Operator,
    /// The same of late.
    RecentOperator,
}
use Access::{
    Operator, OptionalToken, Public, Recent, RecentOperator, RecentReviewer, Reviewer, SignedIn, TwoFactors,
    Webhook,
};

/// Every operation, with a body that is well-formed enough to get past the gate and to change nothing, where there is one.
const OPERATIONS: &[(&str, Access)] = &[
    ("account_create", Public),
    ("session_create", Public),
    ("session_refresh", Public),
    ("session_end", Public),
    ("session_step_up", SignedIn),
    ("profile_get", SignedIn),
    ("profile_update", SignedIn),
    ("password_change", Recent),
    ("email_verify", Public),
    ("email_verification_resend", Public),
    ("email_verification_get", OptionalToken),
    ("password_reset_request", Public),
    ("password_reset", Public),
    ("email_change_request", Recent),
    ("email_change_confirm", Public),
    ("email_change_revert", Public),
    ("mfa_get", SignedIn),
    ("mfa_verify", Public),
    ("totp_create", Recent),
    ("totp_confirm", Recent),
    ("totp_update", Recent),
    ("totp_delete", Recent),
    ("recovery_codes_create", Recent),
    ("remembered_device_list", SignedIn),
    ("remembered_device_delete", SignedIn),
    ("passkey_options", Recent),
    ("passkey_create", Recent),
    ("passkey_list", SignedIn),
    ("passkey_update", Recent),
    ("passkey_delete", Recent),
    ("passkey_login_options", Public),
    ("passkey_login", Public),
    ("passkey_verify_options", Public),
    ("passkey_verify", Public),
    ("passkey_step_up_options", SignedIn),
    ("passkey_step_up", SignedIn),
    ("session_list", SignedIn),
    ("session_delete", SignedIn),
    ("sessions_end", SignedIn),
    ("account_export", Recent),
    ("account_delete", Recent),
    ("connector_list", SignedIn),
    ("api_key_create", SignedIn),
    ("api_key_list", SignedIn),
    ("api_key_get", SignedIn),
    ("api_key_update", SignedIn),
    ("api_key_delete", SignedIn),
    ("api_key_decrypt", Recent),
    ("api_key_test", SignedIn),
    ("api_key_sign", SignedIn),
    ("access_key_create", TwoFactors),
    ("access_key_list", SignedIn),
    ("access_key_delete", SignedIn),
    ("kyc_health", Public),
    ("kyc_overview", OptionalToken),
    ("kyc_webhook", Webhook),
    ("kyc_provider_webhook", Webhook),
    ("verification_create", SignedIn),
    ("verification_list", SignedIn),
    ("verification_get", SignedIn),
    ("verification_cancel", SignedIn),
    ("review_list", Reviewer),
    ("review_get", Reviewer),
    ("review_decide", RecentReviewer),
    ("admin_user_list", Operator),
    ("admin_user_get", Operator),
    ("admin_user_audit", Operator),
    ("admin_user_disable", RecentOperator),
    ("admin_user_enable", RecentOperator),
    ("admin_user_end_sessions", RecentOperator),
    ("admin_user_set_role", RecentOperator),
    ("key_set_get", Public),
    ("liveness_get", Public),
    ("readiness_get", Public),
];

/// Everybody who may call, and what the gate says to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Anonymous,
    /// With a ticket in place of a token.
    Ticket,
    /// A fresh sign-in on a remembered device.
    Aal1,
    /// Two factors, too long ago.
    StaleAal2,
    FreshAal2,
    Disabled,
    Deleted,
    /// A fresh sign-in with a recovery code: two factors that count as one.
    Recovering,
    /// A sign-in on a remembered device from before the account recovered.
    RecoveringAal1,
    /// The only one who is no operator; called where that counts.
    WithoutRole,
}
use Who::*;

const EVERYBODY: [Who; 10] = [
    Anonymous,
    Ticket,
    Aal1,
    StaleAal2,
    FreshAal2,
    Disabled,
    Deleted,
    Recovering,
    RecoveringAal1,
    WithoutRole,
];

/// What the gate says: `None` lets in.
fn expected(access: Access, who: Who) -> Option<&'static str> {
    match (access, who) {
        (Public, _) | (OptionalToken, Anonymous) => None,
        (Webhook, _) => Some("invalid_webhook"),
        (_, Anonymous) => Some("unauthenticated"),
        (_, Ticket | Disabled | Deleted) => Some("invalid_token"),
        (Operator | RecentOperator | Reviewer | RecentReviewer, WithoutRole) => Some("insufficient_role"),
        (OptionalToken | SignedIn, _) => None,
        (Recent, FreshAal2 | Recovering | WithoutRole) => None,
        (TwoFactors, FreshAal2 | WithoutRole) | (RecentOperator | RecentReviewer, FreshAal2) => None,
        (Operator | Reviewer, FreshAal2 | StaleAal2) => None,
        (Recent | TwoFactors | Operator | RecentOperator | Reviewer | RecentReviewer, _) => {
            Some("insufficient_user_authentication")
        }
    }
}

fn operations() -> Vec<(String, String, String, bool)> {
    let document = latchkey::api::document::generate();
    let mut all = vec![];
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            let has_body = !operation["requestBody"].is_null();
            all.push((id, method.to_uppercase(), path.clone(), has_body));
        }
    }
    // Those that share an account first: the others move the clock on.
    all.sort_by_key(|(.., has_body)| !has_body);
    all
}

#[test]
fn every_operation_has_a_row() {
    let there: BTreeSet<String> = operations().into_iter().map(|(id, ..)| id).collect();
    let listed: BTreeSet<String> = OPERATIONS.iter().map(|(id, _)| (*id).to_owned()).collect();
    assert_eq!(there, listed);
    assert_eq!(listed.len(), OPERATIONS.len());
}

/// Calls an operation with a body that breaks its schema, so that whoever is let in changes nothing; or, where it takes no
/// body, about an id that nothing has.
async fn call(client: &Client, method: &str, path: &str, has_body: bool) -> Answer {
    let path = path.replace("{id}", "01938f6e-2b7a-7c3d-9f10-5a4be1c2d3e4").replace("{provider}", "sumsub");
    let body = if has_body { json!([]) } else { Value::Null };
    client.json(method, &path, &body).await
}

/// Somebody in one of the states. Each has an account of their own.
async fn client(app: &App, who: Who, email: &str) -> Client {
    if who == Anonymous {
        return app.anonymous();
    }
    let (mut ada, totp, codes) = app.user_with_totp(email).await;
    let id = ada.id.parse().unwrap();
    let client = match who {
        Anonymous => unreachable!("has no account"),
        Ticket => app.anonymous().bearer(&app.ticket(email, PASSWORD).await),
        Aal1 => remembered(app, email, &totp).await,
        StaleAal2 => {
            app.clock.advance_seconds(601);
            (*ada).clone()
        }
        FreshAal2 | WithoutRole => {
            ada.step_up(&totp, app.now()).await;
            (*ada).clone()
        }
        Disabled => {
            app.services.set_disabled(id, true).await.unwrap();
            (*ada).clone()
        }
        Deleted => {
            app.services.delete_account(id).await.unwrap();
            (*ada).clone()
        }
        Recovering => {
            let ticket = app.ticket(email, PASSWORD).await;
            let answer = app.anonymous().verify_recovery_code(&ticket, &codes[0]).await.assert_status(200);
            (*User::new(app.anonymous(), email, PASSWORD, &answer)).clone()
        }
        RecoveringAal1 => {
            let client = remembered(app, email, &totp).await;
            let ticket = app.ticket(email, PASSWORD).await;
            app.anonymous().verify_recovery_code(&ticket, &codes[0]).await.assert_status(200);
            client
        }
    };
    if who != WithoutRole {
        app.set_role(&ada, Role::Operator).await;
    }
    client
}

/// A fresh sign-in that skipped the second factor.
async fn remembered(app: &App, email: &str, totp: &Totp) -> Client {
    let ticket = app.ticket(email, PASSWORD).await;
    let body =
        json!({ "ticket": ticket, "method": "totp", "code": totp.code(app.now()), "remember_device": true });
    let token =
        app.anonymous().post("/auth/mfa/verify", &body).await.assert_status(200).json()["device_token"]
            .clone();
    let body = json!({ "email": email, "password": PASSWORD, "device_token": token });
    let answer = app.anonymous().post("/auth/login", &body).await.assert_status(200);
    (*User::new(app.anonymous(), email, PASSWORD, &answer)).clone()
}

on_both_engines! {
    async fn the_gate_of_every_operation_lets_in_whom_it_should(app: App) {
        let mut wrong = vec![];
        for who in EVERYBODY {
            let mut clients: HashMap<String, Client> = HashMap::new();
            for (id, method, path, has_body) in operations() {
                let (_, access) = *OPERATIONS.iter().find(|(listed, _)| *listed == id).unwrap();
                if who == WithoutRole && !matches!(access, Operator | RecentOperator | Reviewer | RecentReviewer) {
                    continue;
                }
                // A clean start where an operation without a body would really be done.
                let email = format!("{who:?}.{}@example.com", if has_body { "many" } else { id.as_str() }).to_lowercase();
                if !clients.contains_key(&email) {
                    clients.insert(email.clone(), client(&app, who, &email).await);
                }
                let client = &clients[&email];
                let answer = call(client, &method, &path, has_body).await;
                let error = serde_json::from_slice::<Value>(&answer.body).ok();
                let error = error.and_then(|body| Some(body.get("error")?.as_str()?.to_owned()));
                let refusal = error.filter(|error| answer.status == 401 || error == "insufficient_role");
                if refusal.as_deref() != expected(access, who) {
                    wrong.push(format!("{id} for {who:?}: {} {refusal:?}", answer.status));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
