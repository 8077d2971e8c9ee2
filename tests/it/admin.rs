//! Operators look after other people's accounts.

use std::sync::Arc;

use entities::Timestamp;
use entities::account::Role;
use latchkey::clock::{Clock, SystemClock};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::api_keys::{SECRET, store};
use crate::races::servers;
use crate::support::process::{Connection, Process, Site};
use crate::support::{Answer, App, Client, PASSWORD, Totp, User, claims};

const ADA: &str = "ada@example.com";
const USERS: &str = "/api/v1/admin/users";
const UNKNOWN: &str = "01938f6e-2b7a-7c3d-9f10-5a4be1c2d3e4";

fn path(user: &User, operation: &str) -> String {
    format!("{USERS}/{}{operation}", user.id)
}

/// Everything there is to do to an account: method, end of the path, body.
fn operations() -> [(&'static str, &'static str, Value); 6] {
    let reason = json!({ "reason": "Ticket 4711" });
    [
        ("GET", "", Value::Null),
        ("GET", "/audit", Value::Null),
        ("POST", "/disable", reason.clone()),
        ("POST", "/enable", reason),
        ("POST", "/end-sessions", Value::Null),
        ("PATCH", "/role", json!({ "role": "user" })),
    ]
}

async fn set_role(operator: &User, user: &User, role: &str) -> Answer {
    operator.patch(&path(user, "/role"), &json!({ "role": role })).await
}

/// Addresses that a query finds, and where to go on.
async fn find(operator: &User, query: &str) -> (Vec<String>, Value) {
    let answer = operator.get(&format!("{USERS}?{query}")).await.assert_status(200).json();
    let users = answer["users"].as_array().unwrap();
    (users.iter().map(|user| user["email"].as_str().unwrap().to_owned()).collect(), answer["after"].clone())
}

/// Two operators who demote each other at the same moment, until the second request is under way before the first is done.
pub async fn one_too_many(app: &App) -> Answer {
    let (eve, mallory) = (app.staff(Role::Operator).await, app.staff(Role::Operator).await);
    crate::support::eventually("two at the same moment", async || {
        app.set_role(&eve, Role::Operator).await;
        app.set_role(&mallory, Role::Operator).await;
        let (one, other) =
            tokio::join!(set_role(&eve, &mallory, "user"), set_role(&mallory, &eve, "reviewer"));
        assert!(one.status == 200 || other.status == 200, "{one:?} {other:?}");
        [one, other].into_iter().find(|answer| answer.status == 409)
    })
    .await
}

/// Somebody with an authenticator app, signed in at aal 2 to a server process: the access token and the id.
async fn with_two_factors(site: &Site, server: &Process, email: &str) -> (String, String) {
    site.verified(server, email, PASSWORD).await;
    let client = server.anonymous().bearer(&server.login(email, PASSWORD).await.access);
    let enrolment =
        client.post("/auth/mfa/totp", &json!({ "name": "Phone" })).await.assert_status(200).json();
    let totp = Totp::scan(&enrolment);
    let code = totp.code(Timestamp(SystemClock.now().0));
    let confirm = format!("/auth/mfa/totp/{}/confirm", totp.id);
    let answer = client.post(&confirm, &json!({ "code": code })).await.assert_status(200).json();
    let token = answer["session"]["access_token"].as_str().unwrap().to_owned();
    let id = claims(&token)["sub"].as_str().unwrap().to_owned();
    (token, id)
}

on_both_engines! {
    async fn accounts_are_found_by_address_role_and_state(app: App) {
        // Ids of one moment have no order.
        let later = || app.clock.advance_seconds(1);
        let operator = app.staff(Role::Operator).await;
        later();
        let ada = app.user(ADA).await;
        later();
        app.sign_up("Adam@Example.com", PASSWORD).await;
        later();
        let bob = app.user("bob_x@example.com").await;
        later();
        let carl = app.user("carl@example.com").await;
        later();
        let reviewer = app.staff(Role::Reviewer).await;
        operator.post(&path(&bob, "/disable"), &json!({ "reason": "Ticket 4711" })).await.assert_status(200);
        carl.json("DELETE", "/auth/account", &Value::Null).await.assert_status(200);

        let (everybody, end) = find(&operator, "").await;
        let adam = "Adam@example.com";
        let expected = [&operator.email, ADA, adam, &bob.email, &carl.email, &reviewer.email];
        assert_eq!((everybody.as_slice(), end), (expected.map(str::to_owned).as_slice(), Value::Null));
        for (query, expected) in [
            ("email=AD", vec![ADA, adam]),
            ("email=ada%40example.com", vec![ADA]),
            ("email=ada%40example.com.x", vec![]),
            // No patterns.
            ("email=%25", vec![]),
            ("email=bob%5F", vec![&bob.email]),
            ("email=bobbx", vec![]),
            ("role=operator", vec![&operator.email]),
            ("role=reviewer", vec![&reviewer.email]),
            ("role=user&state=active", vec![ADA]),
            ("state=active", vec![&operator.email, ADA, &reviewer.email]),
            ("state=unverified", vec![adam]),
            ("state=disabled", vec![&bob.email]),
            ("state=deleting", vec![&carl.email]),
            ("state=disabled&email=ada", vec![]),
        ] {
            assert_eq!(find(&operator, query).await.0, expected, "{query}");
        }

        let (mut read, mut after) = (vec![], Value::Null);
        loop {
            let from = after.as_str().map(|id| format!("&after={id}")).unwrap_or_default();
            let (users, next) = find(&operator, &format!("limit=2{from}")).await;
            assert_eq!(users.len(), 2);
            read.extend(users);
            after = next;
            if after.is_null() {
                break;
            }
        }
        assert_eq!(read, everybody);
        assert_eq!(find(&operator, &format!("email=ad&after={}", ada.id)).await.0, [adam]);

        let wrong = [
            ("limit=0", "greater_than_equal", "limit"),
            ("limit=101", "less_than_equal", "limit"),
            ("role=root", "enum", "role"),
            ("state=gone", "enum", "state"),
            ("after=1", "uuid_parsing", "after"),
            ("email=", "string_pattern_mismatch", "email"),
            ("email=a%00", "string_pattern_mismatch", "email"),
        ];
        for (query, kind, name) in wrong {
            operator.get(&format!("{USERS}?{query}")).await.assert_violation(kind, &["query", name]);
        }
    }

    async fn an_account_is_shown_without_what_it_holds(app: App) {
        let operator = app.staff(Role::Operator).await;
        let (ada, _, _) = app.user_with_totp(ADA).await;
        store(&ada, "Savings").await;
        ada.patch("/auth/profile", &json!({ "phone": "+4930123456" })).await.assert_status(200);
        let answer = operator.get(&path(&ada, "")).await.assert_status(200);
        let shown = answer.json();
        let members: Vec<&str> = shown.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = [
            "api_keys", "created_at", "deletion_due_at", "disabled_at", "email", "email_confirmed_at", "ial", "ial_until", "id",
            "role", "second_factor", "sessions", "state", "updated_at",
        ];
        assert_eq!(members.iter().copied().collect::<std::collections::BTreeSet<_>>(), expected.into());
        assert_eq!(
            [&shown["id"], &shown["email"], &shown["role"], &shown["state"], &shown["second_factor"]],
            [&json!(ada.id), &json!(ADA), &json!("user"), &json!("active"), &json!(true)]
        );
        assert_eq!([&shown["sessions"], &shown["api_keys"], &shown["ial"]], [&json!(1), &json!(1), &json!(0)]);
        assert_eq!([&shown["ial_until"], &shown["disabled_at"], &shown["deletion_due_at"]], [&Value::Null; 3]);
        for secret in ["argon2", "+4930123456", SECRET, "Savings"] {
            assert!(!answer.text().contains(secret), "{secret}");
        }

        let due = app.now().0 + 1000;
        let sql = format!("UPDATE accounts SET ial = 1, ial_until = {due} WHERE email_key = '{ADA}'");
        use sea_orm::ConnectionTrait;
        app.connection().await.execute_unprepared(&sql).await.unwrap();
        assert_eq!(operator.get(&path(&ada, "")).await.json()["ial"], 1);
        app.clock.advance_seconds(2);
        let later = operator.get(&path(&ada, "")).await.json();
        assert_eq!((&later["ial"], &later["ial_until"]), (&json!(0), &Value::Null));
        for (method, operation, body) in operations() {
            let path = format!("{USERS}/{UNKNOWN}{operation}");
            operator.json(method, &path, &body).await.assert_error(404, "not_found");
        }
    }

    async fn a_role_counts_from_the_next_request_on_every_node(app: App) {
        let operator = app.staff(Role::Operator).await;
        let (ada, _, _) = app.user_with_totp(ADA).await;
        let other = app.sibling(|_| {}).await;
        let there = Client::new(other.address).bearer(&ada.access_token);
        for (role, status) in [("reviewer", 403), ("operator", 200), ("operator", 200), ("user", 403)] {
            let answer = set_role(&operator, &ada, role).await.assert_status(200).json();
            assert_eq!((&answer["id"], &answer["role"]), (&json!(ada.id), &json!(role)));
            assert_eq!(there.get(USERS).await.status, status, "{role}");
            assert_eq!(ada.get(USERS).await.status, status, "{role}");
            app.clock.advance_seconds(1);
        }
        let changes: Vec<_> = app.audit().await.into_iter().filter(|event| event.action == "account.role_changed").collect();
        // The same role once more is no change.
        assert_eq!(changes.len(), 3);
        let detail: Value = serde_json::from_str(changes[1].detail.as_deref().unwrap()).unwrap();
        assert_eq!(detail, json!({ "by": operator.id, "from": "reviewer", "to": "operator" }));
    }

    async fn an_operator_needs_two_factors_and_of_late_for_changes(app: App) {
        let ada = app.user(ADA).await;
        let alone = app.user("alone@example.com").await;
        app.set_role(&alone, Role::Operator).await;
        let operator = app.staff(Role::Operator).await;
        for (method, operation, body) in operations() {
            let refused = alone.json(method, &path(&ada, operation), &body).await;
            let refused = refused.assert_error(401, "insufficient_user_authentication").json();
            assert_eq!((&refused["acr_values"], &refused["step_up_url"]), (&json!("aal2"), &Value::Null), "{operation}");
        }
        app.clock.advance_seconds(601);
        for (method, operation, body) in operations() {
            let answer = operator.json(method, &path(&ada, operation), &body).await;
            if method == "GET" {
                answer.assert_status(200);
            } else {
                let refused = answer.assert_error(401, "insufficient_user_authentication").json();
                assert_eq!((&refused["acr_values"], &refused["max_age"]), (&Value::Null, &json!(600)), "{operation}");
            }
        }
        ada.profile().await.assert_status(200);
    }

    async fn users_and_reviewers_are_refused(app: App) {
        let ada = app.user(ADA).await;
        for role in [Role::User, Role::Reviewer] {
            let other = app.staff(role).await;
            for (method, operation, body) in operations() {
                let refused = other.json(method, &path(&ada, operation), &body).await;
                assert_eq!(refused.assert_error(403, "insufficient_role").json()["required_role"], "operator");
            }
            // Not even about themselves.
            set_role(&other, &other, "operator").await.assert_error(403, "insufficient_role");
            other.get(USERS).await.assert_error(403, "insufficient_role");
        }
        ada.profile().await.assert_status(200);
    }

    async fn nobody_decides_about_themselves(app: App) {
        let operator = app.staff(Role::Operator).await;
        app.staff(Role::Operator).await;
        for (method, operation, body) in operations().into_iter().filter(|(method, ..)| *method != "GET") {
            operator.json(method, &path(&operator, operation), &body).await.assert_error(403, "own_case");
        }
        operator.get(&path(&operator, "")).await.assert_status(200);
        assert!(app.audit().await.iter().all(|event| event.actor != "staff"));
    }

    async fn the_last_operator_stays(app: App) {
        let operator = app.staff(Role::Operator).await;
        let latchkey = async |arguments: &[&str]| app.database.run(&[&["users"], arguments].concat(), &[]).await;
        for arguments in [["set-role", &operator.id, "user"].as_slice(), &["disable", &operator.id]] {
            latchkey(arguments).await.assert_failure("last operator");
        }
        // One who can't act is no other.
        let other = app.staff(Role::Operator).await;
        latchkey(&["disable", &other.id]).await.assert_success();
        latchkey(&["set-role", &operator.id, "reviewer"]).await.assert_failure("last operator");
        latchkey(&["set-role", &other.id, "user"]).await.assert_success();
        latchkey(&["enable", &other.id]).await.assert_success();
        operator.get(USERS).await.assert_status(200);

        let third = app.staff(Role::Operator).await;
        set_role(&third, &operator, "user").await.assert_status(200);
        operator.get(USERS).await.assert_error(403, "insufficient_role");
    }

    /// By three operators in a circle, so that one would be left in any case.
    async fn whoever_is_demoted_meanwhile_demotes_nobody(app: App) {
        let three = [app.staff(Role::Operator).await, app.staff(Role::Operator).await, app.staff(Role::Operator).await];
        let [one, two, three] = &three;
        let (a, b, c) = tokio::join!(set_role(one, two, "user"), set_role(two, three, "user"), set_role(three, one, "user"));
        let done = [&a, &b, &c].into_iter().filter(|answer| answer.status == 200).count();
        assert!((1..=2).contains(&done), "{a:?} {b:?} {c:?}");
        for refused in [a, b, c].into_iter().filter(|answer| answer.status != 200) {
            assert!([403, 409].contains(&refused.status), "{refused:?}");
        }
        let operators = app.services.list_accounts(
            &latchkey::services::accounts::Filter { role: Some(Role::Operator), ..Default::default() }, None, 10,
        ).await.unwrap();
        assert_eq!(operators.accounts.len(), 3 - done);
    }

    async fn of_two_operators_who_demote_each_other_one_stays(site: Site) {
        let servers = servers(&site).await;
        let mut operators = vec![];
        for email in ["eve@example.com", "mallory@example.com"] {
            operators.push(with_two_factors(&site, &servers[0], email).await);
            let done = site.run(&["users", "set-role", email, "operator"]).await.assert_success().stdout;
            assert!(done.contains("is now operator"), "{done}");
        }
        let rows = site.rows().await;
        for round in 0..10 {
            rows.execute("UPDATE accounts SET role = 'operator', disabled_at = NULL").await;
            let start = Arc::new(Barrier::new(2));
            let run = |number: usize| {
                let (start, address) = (Arc::clone(&start), servers[number % servers.len()].address);
                let ((token, _), (_, victim)) = (operators[number].clone(), operators[1 - number].clone());
                async move {
                    let mut connection = Connection::open(address).await.unwrap();
                    start.wait().await;
                    let path = format!("{USERS}/{victim}/role");
                    connection.call("PATCH", &path, Some(&token), &json!({ "role": "user" })).await.unwrap()
                }
            };
            let (one, other) = tokio::join!(run(0), run(1));
            let (won, lost) = if one.status == 200 { (one, other) } else { (other, one) };
            won.assert_status(200);
            // Second at the gate already, or only behind it.
            assert!(["insufficient_role", "last_operator"].iter().any(|code| lost.json()["error"] == *code), "{round}: {lost:?}");
            assert_eq!(rows.count("accounts WHERE role = 'operator'").await, 1);
        }
    }

    async fn a_disabled_person_is_signed_out_at_once_and_told(app: App) {
        let operator = app.staff(Role::Operator).await;
        let ada = app.user(ADA).await;
        let other = app.sibling(|_| {}).await;
        let there = Client::new(other.address).bearer(&ada.access_token);
        there.get("/auth/profile").await.assert_status(200);
        let reason = json!({ "reason": "Reported as taken over" });
        for _ in 0..2 {
            let shown = operator.post(&path(&ada, "/disable"), &reason).await.assert_status(200).json();
            assert_eq!((&shown["state"], &shown["sessions"]), (&json!("disabled"), &json!(0)));
            assert!(shown["disabled_at"].is_string());
        }
        there.get("/auth/profile").await.assert_error(401, "invalid_token");
        ada.profile().await.assert_error(401, "invalid_token");
        app.try_refresh(&ada.refresh_token).await.assert_error(401, "invalid_refresh_token");
        app.try_login(ADA, PASSWORD).await.assert_error(403, "account_disabled");
        let event = App::only_event(app.audit().await, "account.disabled");
        assert_eq!(event.actor, "staff");
        let detail: Value = serde_json::from_str(event.detail.as_deref().unwrap()).unwrap();
        assert_eq!(detail, json!({ "by": operator.id, "reason": "Reported as taken over" }));
        app.mail_of(ADA, "account_disabled").await;

        let shown = operator.post(&path(&ada, "/enable"), &reason).await.assert_status(200).json();
        assert_eq!((&shown["state"], &shown["disabled_at"]), (&json!("active"), &Value::Null));
        app.mail_of(ADA, "account_enabled").await;
        app.login(ADA, PASSWORD).await;
        // Once each: the second time changed nothing.
        let about = |template: &str, mails: &[crate::support::Mail]| mails.iter().filter(|mail| mail.template == template).count();
        let mails = app.mails_to(ADA).await;
        assert_eq!((about("account_disabled", &mails), about("account_enabled", &mails)), (1, 1));
        for body in [json!({}), json!({ "reason": "" }), json!({ "reason": "x".repeat(501) }), json!({ "reason": "a\nb" })] {
            operator.post(&path(&ada, "/disable"), &body).await.assert_status(422);
        }
    }

    async fn sessions_are_ended_by_somebody_else(app: App) {
        let operator = app.staff(Role::Operator).await;
        let ada = app.user(ADA).await;
        let other = app.login(ADA, PASSWORD).await;
        let bob = app.user("bob@example.com").await;
        let end = async || operator.post(&path(&ada, "/end-sessions"), &Value::Null).await.assert_status(200).json();
        assert_eq!(end().await, json!({ "success": true, "ended": 2 }));
        assert_eq!(end().await, json!({ "success": true, "ended": 0 }));
        for gone in [&ada, &other] {
            gone.profile().await.assert_error(401, "invalid_token");
        }
        bob.profile().await.assert_status(200);
        let event = App::only_event(app.audit().await, "session.ended");
        let detail: Value = serde_json::from_str(event.detail.as_deref().unwrap()).unwrap();
        assert_eq!(detail, json!({ "by": operator.id, "count": 2, "reason": "ended_by_operator" }));
        app.login(ADA, PASSWORD).await.profile().await.assert_status(200);
    }

    async fn a_trail_is_read_in_pages_and_says_who_has_read_it(app: App) {
        let operator = app.staff(Role::Operator).await;
        let ada = app.user(ADA).await;
        app.user("bob@example.com").await;
        app.clock.advance_seconds(1);
        operator.with("user-agent", "Console/1.0").post(&path(&ada, "/end-sessions"), &Value::Null).await.assert_status(200);
        app.clock.advance_seconds(1);
        let whole = operator.get(&path(&ada, "/audit")).await.assert_status(200).json();
        let events = whole["events"].as_array().unwrap();
        assert_eq!((&events[0]["action"], &events[0]["actor"]), (&json!("session.ended"), &json!("staff")));
        assert_eq!((&events[0]["detail"]["by"], &events[0]["user_agent"]), (&json!(operator.id), &json!("Console/1.0")));
        assert!(events.iter().any(|event| event["action"] == "account.created"));
        assert_eq!(whole["before"], Value::Null);

        let read = App::only_event(app.audit().await, "audit.read");
        assert_eq!((read.actor.as_str(), read.account_id), ("staff", Some(ada.id.parse().unwrap())));
        assert_eq!(read.detail, Some(json!({ "by": operator.id }).to_string()));
        let (mut pages, mut before) = (vec![], format!("before={}", events[0]["id"].as_str().unwrap()));
        loop {
            let page = operator.get(&path(&ada, &format!("/audit?limit=1&{before}"))).await.assert_status(200).json();
            pages.extend(page["events"].as_array().unwrap().clone());
            match page["before"].as_str() {
                Some(id) => before = format!("before={id}"),
                None => break,
            }
        }
        assert_eq!(pages, events[1..]);

        // Its owner learns of it, but not where the operator was.
        let export = app.login(ADA, PASSWORD).await.get("/auth/account/export").await.assert_status(200).json();
        let by_staff: Vec<_> = export["events"].as_array().unwrap().iter().filter(|event| event["actor"] == "staff").collect();
        assert!(by_staff.len() > 2);
        assert!(by_staff.iter().all(|event| event["ip"].is_null() && event["user_agent"].is_null()), "{by_staff:?}");

        // The trail outlives the account.
        app.clock.advance_seconds(1);
        app.services.delete_account(ada.id.parse().unwrap()).await.unwrap();
        operator.get(&path(&ada, "")).await.assert_error(404, "not_found");
        let left = operator.get(&path(&ada, "/audit?limit=2")).await.assert_status(200).json();
        assert_eq!(left["events"][0]["action"], "account.deleted");
    }

    async fn the_command_line_gives_roles(app: App) {
        let (ada, _, _) = app.user_with_totp(ADA).await;
        let latchkey = async |arguments: &[&str]| app.database.run(&[&["users"], arguments].concat(), &[]).await;
        ada.get(USERS).await.assert_error(403, "insufficient_role");
        assert!(latchkey(&["set-role", ADA, "operator"]).await.assert_success().stdout.contains("is now operator"));
        ada.get(USERS).await.assert_status(200);
        assert!(latchkey(&["set-role", &ada.id, "operator"]).await.assert_success().stdout.contains("was already operator"));
        assert!(latchkey(&["show", ADA]).await.assert_success().stdout.contains("role        operator"));
        let list = latchkey(&["list"]).await.assert_success().stdout;
        assert!(list.contains("active") && list.contains("operator") && list.trim().ends_with(ADA), "{list}");
        assert_eq!(latchkey(&["set-role", ADA, "root"]).await.code, Some(2));
        latchkey(&["set-role", "nobody@example.com", "user"]).await.assert_failure("no such account");
        let event = App::only_event(app.audit().await, "account.role_changed");
        assert_eq!((event.actor.as_str(), event.session_id), ("operator", None));
        assert_eq!(event.detail.as_deref(), Some(r#"{"from":"user","to":"operator"}"#));
    }
}
