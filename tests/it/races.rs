//! Many at the same moment, on PostgreSQL against two server processes.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join_all;
use latchkey::clock::{Clock, SystemClock};
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinHandle;

use crate::mfa_races::{ADA, ada};
use crate::support::gate::Gate;
use crate::support::process::{Connection, Process, Session, Site, credentials};
use crate::support::{Answer, Authenticator, Engine, PASSWORD, Totp, assertion, eventually};

/// The servers of a race: two beside each other on PostgreSQL; SQLite has one.
pub async fn servers(site: &Site) -> Vec<Process> {
    let mut servers = vec![site.start().await];
    if site.database.engine == Engine::Postgres {
        servers.push(site.start().await);
    }
    servers
}

/// Sends all of `bodies` at once, in turn to each of the servers, on connections that are open already. Whoever is told to
/// come back, because a hundred are more than a slow machine can serve in time, does.
pub async fn at_once(servers: &[Process], path: &str, bodies: Vec<Value>) -> Vec<Answer> {
    let start = Arc::new(Barrier::new(bodies.len()));
    let runs = bodies.into_iter().enumerate().map(|(number, body)| {
        let (start, address) = (Arc::clone(&start), servers[number % servers.len()].address);
        async move {
            let mut connection = Connection::open(address).await.unwrap();
            start.wait().await;
            loop {
                let answer = connection.post(path, &body).await.unwrap();
                if answer.status != 503 {
                    break answer;
                }
            }
        }
    });
    join_all(runs).await
}

fn distinct<T: Eq + std::hash::Hash>(all: impl IntoIterator<Item = T>) -> usize {
    all.into_iter().collect::<HashSet<T>>().len()
}

on_both_engines! {
    async fn a_hundred_refreshes_of_one_token_have_one_successor(site: Site) {
        let servers = servers(&site).await;
        site.verified(&servers[0], "ada@example.com", PASSWORD).await;
        let session = servers[0].login("ada@example.com", PASSWORD).await;

        let answers = at_once(&servers, "/auth/refresh", vec![json!({ "refresh_token": session.refresh }); 100]).await;
        let successors: Vec<Session> = answers.iter().map(Session::of).collect();
        assert_eq!(distinct(successors.iter().map(|session| &session.refresh)), 1);
        assert_eq!(distinct(successors.iter().map(|session| &session.access)), 1);
        assert_ne!(successors[0].refresh, session.refresh);

        let rows = site.rows().await;
        assert_eq!(rows.column::<i64>("SELECT counter FROM sessions").await, [1]);
        assert_eq!(rows.count("audit_events WHERE action = 'session.refreshed'").await, 1);
        assert_eq!(rows.count("audit_events WHERE action = 'session.refresh_repeated'").await, 99);
        servers[0].refresh(&successors[0].refresh).await.assert_status(200);
    }

    async fn a_hundred_uses_of_one_verification_token_have_one_success(site: Site) {
        let servers = servers(&site).await;
        servers[0].anonymous().post("/auth/signup", &credentials("ada@example.com", PASSWORD)).await.assert_status(200);
        let token = eventually("the mail", async || site.mails_to("ada@example.com").pop()).await.token();

        let answers = at_once(&servers, "/auth/verify-email", vec![json!({ "token": token }); 100]).await;
        let (good, bad): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
        assert_eq!(good.len(), 1);
        for answer in bad {
            answer.assert_error(400, "verification_token_used");
        }
        assert_eq!(site.rows().await.count("audit_events WHERE action = 'account.email_verified'").await, 1);
    }

    async fn fifty_sign_ups_of_one_address_make_one_account_with_one_link(site: Site) {
        let servers = servers(&site).await;
        let password = |number| format!("{PASSWORD} {number}");
        let bodies = (0..50).map(|number| credentials("ada@example.com", &password(number))).collect();
        for answer in at_once(&servers, "/auth/signup", bodies).await {
            let answer = answer.assert_status(200).json();
            assert_eq!((&answer["next_step"], &answer["session"]), (&json!("verify_email"), &Value::Null));
        }
        let rows = site.rows().await;
        assert_eq!(rows.count("accounts").await, 1);
        assert_eq!(rows.count("email_verifications").await, 1);

        rows.outbox_empty().await;
        let mails = site.mails_to("ada@example.com");
        assert_eq!(mails.len(), 50, "every sign-up sends a mail");
        let links = mails.iter().filter(|mail| mail.template == "verify_email");
        let bodies = links.map(|mail| json!({ "token": mail.token() })).collect();
        let answers = at_once(&servers, "/auth/verify-email", bodies).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);

        // And one of the passwords is the account's.
        let bodies = (0..50).map(|number| credentials("ada@example.com", &password(number))).collect();
        let answers = at_once(&servers, "/auth/login", bodies).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    }

    /// An attempt is counted before its hash is computed: guesses sent side by side gain nothing.
    async fn a_hundred_wrong_passwords_are_not_tried_beyond_the_limit(site: Site) {
        let site = site
            .with_limits()
            .with("LIMITS__LOGIN_PER_ACCOUNT", "10/36000")
            .with("LIMITS__LOGIN_PER_ADDRESS", "100000/36000");
        let servers = servers(&site).await;
        site.verified(&servers[0], "ada@example.com", PASSWORD).await;
        let before = hashes(&servers).await;

        let bodies = (0..100).map(|number| credentials("ada@example.com", &format!("wrong {PASSWORD} {number}")));
        let answers = at_once(&servers, "/auth/login", bodies.collect()).await;
        let (refused, limited): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 401);
        assert_eq!(refused.len(), 10);
        for answer in limited {
            assert!(answer.assert_error(429, "rate_limited").retry_after() > 0);
        }
        assert_eq!(hashes(&servers).await - before, 10.0);
    }

    async fn a_hundred_uses_of_one_passkey_answer_begin_one_session(site: Site) {
        let servers = servers(&site).await;
        let (client, mut laptop) = (servers[0].anonymous(), Authenticator::new());
        site.verified(&servers[0], "ada@example.com", PASSWORD).await;
        let session = servers[0].login("ada@example.com", PASSWORD).await;
        client.bearer(&session.access).try_add_passkey("Laptop", &mut laptop).await.assert_status(200);
        let rows = site.rows().await;
        let sessions = async || rows.count("sessions").await;

        let alone = assertion(&mut laptop, &client.challenge("/auth/login/passkey/options").await);
        assert_one_success(&at_once(&servers, "/auth/login/passkey", vec![alone; 100]).await);
        assert_eq!(sessions().await, 2);

        let login = client.post("/auth/login", &credentials("ada@example.com", PASSWORD)).await.json();
        let ticket = login["mfa"]["ticket"].as_str().unwrap();
        let mut second = assertion(&mut laptop, &client.ticket_challenge(ticket).await);
        second["ticket"] = json!(ticket);
        let answers = at_once(&servers, "/auth/mfa/passkey", vec![second; 100]).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        assert!(answers.iter().all(|answer| [200, 401].contains(&answer.status)), "{answers:?}");
        assert_eq!(sessions().await, 3);
        assert_eq!(rows.count("webauthn_challenges").await, 0);
    }

    async fn a_hundred_answers_to_one_challenge_make_one_passkey(site: Site) {
        let servers = servers(&site).await;
        site.verified(&servers[0], "ada@example.com", PASSWORD).await;
        let session = servers[0].login("ada@example.com", PASSWORD).await;
        let client = servers[0].anonymous().bearer(&session.access);
        let offer = client.challenge("/auth/passkeys/options").await;
        let start = Arc::new(Barrier::new(100));
        let answers = join_all((0..100).map(|number| {
            let credential = Authenticator::new().create(&offer["options"]);
            let body = json!({ "name": "Laptop", "challenge_id": offer["challenge_id"], "credential": credential });
            let (start, address) = (Arc::clone(&start), servers[number % servers.len()].address);
            let access = &session.access;
            async move {
                let mut connection = Connection::open(address).await.unwrap();
                start.wait().await;
                connection.call("POST", "/auth/passkeys", Some(access), &body).await.unwrap()
            }
        }))
        .await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        // Those that come later are told that the account has a second factor now.
        assert!(answers.iter().all(|answer| [200, 401, 403].contains(&answer.status)), "{answers:?}");
        let rows = site.rows().await;
        assert_eq!((rows.count("passkeys").await, rows.count("recovery_codes").await), (1, 10));
    }

    async fn of_two_password_changes_at_once_one_succeeds(site: Site) {
        let servers = servers(&site).await;
        site.verified(&servers[0], "ada@example.com", PASSWORD).await;
        let session = servers[0].login("ada@example.com", PASSWORD).await;
        let changes = (0..2).map(|number| {
            let client = servers[number % servers.len()].anonymous().bearer(&session.access);
            async move {
                let body = json!({ "current_password": PASSWORD, "new_password": format!("{PASSWORD} {number}") });
                client.post("/auth/password", &body).await.status
            }
        });
        let mut statuses = join_all(changes).await;
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 403]);
        let refused = "audit_events WHERE action = 'account.password_change_refused'";
        assert_eq!(site.rows().await.count(refused).await, 1);
    }

    /// Whatever happens at the moment of the change: afterwards the session that made it is the only one.
    async fn a_password_change_ends_all_other_sessions_however_busy(site: Site) {
        let servers = servers(&site).await;
        let server = |number: usize| &servers[number % servers.len()];
        site.verified(&servers[0], "ada@example.com", PASSWORD).await;
        let mine = servers[0].login("ada@example.com", PASSWORD).await;
        let others = join_all((0..16).map(|number| server(number).login("ada@example.com", PASSWORD))).await;

        let body = json!({ "current_password": PASSWORD, "new_password": "eight dark green kettles" });
        let change = async { servers[0].anonymous().bearer(&mine.access).post("/auth/password", &body).await };
        let refreshes = join_all(others.iter().enumerate().map(|(number, session)| async move {
            // Each refreshes until it is told that it may not.
            let mut session = session.clone();
            loop {
                let answer = server(number).refresh(&session.refresh).await;
                if answer.status != 200 {
                    return (session, answer);
                }
                session = Session::of(&answer);
            }
        }));
        let logins = join_all((0..8).map(|number| async move {
            server(number).anonymous().post("/auth/login", &credentials("ada@example.com", PASSWORD)).await
        }));
        let (changed, ended, logins) = tokio::join!(change, refreshes, logins);
        changed.assert_status(200);
        for (number, (session, answer)) in ended.into_iter().enumerate() {
            answer.assert_error(401, "invalid_refresh_token");
            server(number + 1).profile(&session.access).await.assert_error(401, "invalid_token");
        }
        for login in logins.iter().filter(|login| login.status == 200) {
            servers[0].profile(&Session::of(login).access).await.assert_error(401, "invalid_token");
        }
        servers[0].profile(&mine.access).await.assert_status(200);
        assert_eq!(site.rows().await.count("sessions WHERE revoked_at IS NULL").await, 1);
    }

    async fn servers_that_start_at_once_on_nothing_agree(engine: Engine) {
        let site = Site::new(engine).await;
        let (one, two, three) = tokio::join!(site.start(), site.start(), site.start());
        site.verified(&one, "ada@example.com", PASSWORD).await;
        let session = two.login("ada@example.com", PASSWORD).await;
        for server in [&one, &two, &three] {
            server.profile(&session.access).await.assert_status(200);
        }
        let successor = Session::of(&three.refresh(&session.refresh).await);
        one.profile(&successor.access).await.assert_status(200);
        let keys = join_all([&one, &two, &three].map(|server| async {
            server.anonymous().get("/.well-known/jwks.json").await.assert_status(200).json()
        }))
        .await;
        assert_eq!(keys[0]["keys"].as_array().unwrap().len(), 1);
        assert!(keys.iter().all(|set| *set == keys[0]));
        assert_eq!(site.rows().await.count("server_keys").await, 2);
    }
}

#[track_caller]
fn assert_one_success(answers: &[Answer]) {
    let (good, bad): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(good.len(), 1);
    for answer in bad {
        answer.clone().assert_error(403, "passkey_refused");
    }
}

async fn hashes(servers: &[Process]) -> f64 {
    join_all(servers.iter().map(Process::hashes)).await.into_iter().sum()
}

#[tokio::test]
async fn what_one_node_ends_is_over_at_the_next_request_on_the_other() {
    let site = Site::new(Engine::Postgres).await;
    let (one, two) = (site.start().await, site.start().await);
    site.verified(&one, "ada@example.com", PASSWORD).await;

    let session = one.login("ada@example.com", PASSWORD).await;
    two.profile(&session.access).await.assert_status(200);
    one.anonymous().post("/auth/logout", &json!({ "access_token": session.access })).await.assert_status(200);
    two.profile(&session.access).await.assert_error(401, "invalid_token");
    two.refresh(&session.refresh).await.assert_error(401, "invalid_refresh_token");

    let session = two.login("ada@example.com", PASSWORD).await;
    one.profile(&session.access).await.assert_status(200);
    site.run(&["users", "disable", "ada@example.com"]).await.assert_success();
    for server in [&one, &two] {
        server.profile(&session.access).await.assert_error(401, "invalid_token");
        server.refresh(&session.refresh).await.assert_error(401, "invalid_refresh_token");
    }
}

/// A sign-in that has proved the old password, and not yet committed its session, while the password is changed.
#[tokio::test]
async fn a_sign_in_with_the_old_password_does_not_outlive_the_change() {
    let site = Site::new(Engine::Postgres).await;
    let (one, two) = (site.start().await, site.start().await);
    site.verified(&one, "ada@example.com", PASSWORD).await;
    let mine = one.login("ada@example.com", PASSWORD).await;

    let gate = Gate::close(&site, "INSERT", "sessions").await;
    let thief = two.anonymous();
    let login =
        tokio::spawn(
            async move { thief.post("/auth/login", &credentials("ada@example.com", PASSWORD)).await },
        );
    gate.waiting(1).await;
    let owner = one.anonymous().bearer(&mine.access);
    let body = json!({ "current_password": PASSWORD, "new_password": "eight dark green kettles" });
    let mut change =
        tokio::spawn(async move { owner.post("/auth/password", &body).await.assert_status(200) });
    tokio::select! {
        done = &mut change => drop(done.unwrap()),
        () = gate.waiting(2) => {}
    }
    gate.open().await;
    let session = Session::of(&login.await.unwrap());
    if !change.is_finished() {
        change.await.unwrap();
    }
    one.profile(&session.access).await.assert_error(401, "invalid_token");
    two.refresh(&session.refresh).await.assert_error(401, "invalid_refresh_token");
}

/// The same with an operator who disables the account.
#[tokio::test]
async fn a_sign_in_does_not_outlive_a_disablement_at_the_same_moment() {
    let site = Site::new(Engine::Postgres).await;
    let server = site.start().await;
    site.verified(&server, "ada@example.com", PASSWORD).await;

    let gate = Gate::close(&site, "INSERT", "sessions").await;
    let client = server.anonymous();
    let login =
        tokio::spawn(
            async move { client.post("/auth/login", &credentials("ada@example.com", PASSWORD)).await },
        );
    gate.waiting(1).await;
    {
        let mut disable = std::pin::pin!(site.run(&["users", "disable", "ada@example.com"]));
        let done = tokio::select! {
            done = &mut disable => Some(done),
            () = gate.waiting(2) => None,
        };
        gate.open().await;
        let done = match done {
            Some(done) => done,
            None => disable.await,
        };
        done.assert_success();
    }
    let session = Session::of(&login.await.unwrap());
    server.profile(&session.access).await.assert_error(401, "invalid_token");
    server.refresh(&session.refresh).await.assert_error(401, "invalid_refresh_token");
    // Nor does it come back with the account.
    site.run(&["users", "enable", "ada@example.com"]).await.assert_success();
    server.profile(&session.access).await.assert_error(401, "invalid_token");
    server.refresh(&session.refresh).await.assert_error(401, "invalid_refresh_token");
}

fn log_in(server: &Process) -> JoinHandle<Answer> {
    let client = server.anonymous();
    tokio::spawn(async move { client.post("/auth/login", &credentials(ADA, PASSWORD)).await })
}

/// Two servers of which the second wants passwords hashed at a higher cost.
async fn servers_of_two_costs(site: &Site) -> (Process, Process) {
    (site.start().await, site.start_with(&[("LATCHKEY_HASHING__ITERATIONS", "3")]).await)
}

#[tokio::test]
async fn a_password_that_is_being_hashed_anew_is_the_right_one() {
    for (path, body) in [
        ("/auth/login", credentials(ADA, PASSWORD)),
        ("/auth/step-up", json!({ "method": "password", "secret": PASSWORD })),
        (
            "/auth/password",
            json!({ "current_password": PASSWORD, "new_password": "eight dark green kettles" }),
        ),
    ] {
        let site = Site::new(Engine::Postgres).await;
        let (one, two) = servers_of_two_costs(&site).await;
        site.verified(&one, ADA, PASSWORD).await;
        let client = one.anonymous().bearer(&one.login(ADA, PASSWORD).await.access);

        let gate = Gate::close(&site, "UPDATE", "accounts").await;
        let elsewhere = log_in(&two);
        gate.waiting(1).await;
        let here = tokio::spawn(async move { client.post(path, &body).await });
        gate.waiting(2).await;
        gate.open().await;
        elsewhere.await.unwrap().assert_status(200);
        here.await.unwrap().assert_status(200);
        let rehashed = "audit_events WHERE action = 'account.password_rehashed'";
        assert_eq!(site.rows().await.count(rehashed).await, 1, "{path}");
    }
}

/// The same with a second factor: neither ticket is for a hash that is gone.
#[tokio::test]
async fn tickets_given_out_while_a_password_is_hashed_anew_are_good() {
    let site = Site::new(Engine::Postgres).await;
    let (one, two) = servers_of_two_costs(&site).await;
    let (_, totp, codes) = ada(&site, &one).await;

    let gate = Gate::close(&site, "UPDATE", "accounts").await;
    let elsewhere = log_in(&two);
    gate.waiting(1).await;
    let here = log_in(&one);
    gate.waiting(2).await;
    gate.open().await;
    let code = totp.code(SystemClock.now());
    for (login, method, code) in [(elsewhere, "totp", &code), (here, "recovery_code", &codes[0])] {
        let ticket = login.await.unwrap().assert_status(200).json()["mfa"]["ticket"].clone();
        let body = json!({ "ticket": ticket, "method": method, "code": code });
        one.anonymous().post("/auth/mfa/verify", &body).await.assert_status(200);
    }
}

/// Somebody proves the password once more while a second factor is being confirmed.
#[tokio::test]
async fn a_password_is_too_little_once_there_is_a_second_factor() {
    let site = Site::new(Engine::Postgres).await;
    let server = site.start().await;
    site.verified(&server, ADA, PASSWORD).await;
    let client = server.anonymous().bearer(&server.login(ADA, PASSWORD).await.access);
    let enrolment = client.post("/auth/mfa/totp", &json!({ "name": "Phone" })).await.assert_status(200);
    let totp = Totp::scan(&enrolment.json());

    let gate = Gate::close(&site, "UPDATE", "accounts").await;
    let phone = client.clone();
    let confirm = tokio::spawn(async move {
        let path = format!("/auth/mfa/totp/{}/confirm", totp.id);
        phone.post(&path, &json!({ "code": totp.code(SystemClock.now()) })).await
    });
    gate.waiting(1).await;
    let step_up = tokio::spawn(async move {
        client.post("/auth/step-up", &json!({ "method": "password", "secret": PASSWORD })).await
    });
    gate.waiting(2).await;
    gate.open().await;
    confirm.await.unwrap().assert_status(200);
    let refused = step_up.await.unwrap().assert_error(401, "insufficient_user_authentication");
    assert_eq!(refused.json()["acr_values"], "aal2");
}

/// Whoever was signing in when the account's end was asked for came before it.
#[tokio::test]
async fn a_sign_in_from_before_a_deletion_does_not_take_it_back() {
    let site = Site::new(Engine::Postgres).await;
    let server = site.start().await;
    site.verified(&server, ADA, PASSWORD).await;
    let client = server.anonymous().bearer(&server.login(ADA, PASSWORD).await.access);

    let gate = Gate::close(&site, "UPDATE", "accounts").await;
    let deletion = tokio::spawn(async move { client.json("DELETE", "/auth/account", &Value::Null).await });
    gate.waiting(1).await;
    let login = log_in(&server);
    gate.waiting(2).await;
    gate.open().await;
    deletion.await.unwrap().assert_status(200);
    login.await.unwrap().assert_error(401, "invalid_credentials");
    assert_eq!(site.rows().await.count("accounts WHERE deletion_due_at IS NOT NULL").await, 1);
}

/// A second sign-up wants to replace the account at the moment its address is confirmed. Neither may fail, and the
/// confirmed account stays.
#[tokio::test]
async fn an_address_that_is_being_confirmed_is_not_signed_up_anew() {
    let site = Site::new(Engine::Postgres).await;
    let (one, two) = (site.start().await, site.start().await);
    one.anonymous().post("/auth/signup", &credentials("ada@example.com", PASSWORD)).await.assert_status(200);
    let token = eventually("the mail", async || site.mails_to("ada@example.com").pop()).await.token();

    let gate = Gate::close(&site, "UPDATE", "email_verifications").await;
    let client = one.anonymous();
    let verify =
        tokio::spawn(async move { client.post("/auth/verify-email", &json!({ "token": token })).await });
    gate.waiting(1).await;
    let client = two.anonymous();
    let again = tokio::spawn(async move {
        client.post("/auth/signup", &credentials("ada@example.com", "eight dark green kettles")).await
    });
    gate.waiting(2).await;
    gate.open().await;
    verify.await.unwrap().assert_status(200);
    again.await.unwrap().assert_status(200);
    one.login("ada@example.com", PASSWORD).await;
}
