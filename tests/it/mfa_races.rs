//! What counts once counts once, also when it is shown a hundred times at the same moment to two processes.

use entities::Timestamp;
use latchkey::clock::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::races::{at_once, servers};
use crate::support::process::{Process, Site, credentials};
use crate::support::{Answer, Client, PASSWORD, Totp};

pub const ADA: &str = "ada@example.com";

/// Somebody with an authenticator app, signed in at aal 2: the client, the app, the recovery codes.
pub async fn ada(site: &Site, server: &Process) -> (Client, Totp, Vec<String>) {
    site.verified(server, ADA, PASSWORD).await;
    let client = server.anonymous().bearer(&server.login(ADA, PASSWORD).await.access);
    let totp = Totp::scan(
        &client.post("/auth/mfa/totp", &json!({ "name": "Phone" })).await.assert_status(200).json(),
    );
    // The code of the step before: that of this one is left for the test.
    let before = Timestamp(SystemClock.now().0 - 30_000);
    let path = format!("/auth/mfa/totp/{}/confirm", totp.id);
    let answer = client.post(&path, &json!({ "code": totp.code(before) })).await.assert_status(200).json();
    let codes =
        answer["recovery_codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned());
    (server.anonymous().bearer(answer["session"]["access_token"].as_str().unwrap()), totp, codes.collect())
}

async fn ticket(server: &Process) -> Value {
    let answer = server.anonymous().post("/auth/login", &credentials(ADA, PASSWORD)).await.assert_status(200);
    answer.json()["mfa"]["ticket"].clone()
}

#[track_caller]
fn assert_one(answers: &[Answer], codes: &[&str]) {
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert!(codes.iter().any(|code| answer.json()["error"] == *code), "{answer:?}");
    }
}

on_both_engines! {
    async fn a_hundred_uses_of_one_code_of_an_app_have_one_success(site: Site) {
        let servers = servers(&site).await;
        let (_, totp, _) = ada(&site, &servers[0]).await;
        let mut bodies = vec![];
        for number in 0..100 {
            let ticket = ticket(&servers[number % servers.len()]).await;
            bodies.push(json!({ "ticket": ticket, "method": "totp" }));
        }
        // One code for all of them, of the step that it is now.
        let code = totp.code(SystemClock.now());
        for body in &mut bodies {
            body["code"] = json!(code);
        }
        assert_one(&at_once(&servers, "/auth/mfa/verify", bodies).await, &["wrong_code"]);
        assert_eq!(site.rows().await.count("sessions WHERE aal = 2 AND amr = 'pwd otp mfa' AND counter = 0").await, 1);
    }

    async fn a_hundred_uses_of_one_recovery_code_have_one_success(site: Site) {
        let servers = servers(&site).await;
        let (_, _, codes) = ada(&site, &servers[0]).await;
        let mut bodies = vec![];
        for number in 0..100 {
            let ticket = ticket(&servers[number % servers.len()]).await;
            bodies.push(json!({ "ticket": ticket, "method": "recovery_code", "code": codes[0] }));
        }
        assert_one(&at_once(&servers, "/auth/mfa/verify", bodies).await, &["wrong_code"]);
        assert_eq!(site.rows().await.count("recovery_codes WHERE used_at IS NOT NULL").await, 1);
    }

    async fn a_hundred_uses_of_one_ticket_have_one_success(site: Site) {
        let servers = servers(&site).await;
        let (_, totp, codes) = ada(&site, &servers[0]).await;
        let ticket = ticket(&servers[0]).await;
        // Good answers all, no two of them the same.
        let answers = codes.iter().map(|code| ("recovery_code", code.clone()));
        let answers: Vec<_> = answers.chain([("totp", totp.code(SystemClock.now()))]).collect();
        let bodies = (0..100).map(|number| {
            let (method, code) = &answers[number % answers.len()];
            json!({ "ticket": ticket, "method": method, "code": code })
        });
        let answers = at_once(&servers, "/auth/mfa/verify", bodies.collect()).await;
        assert_one(&answers, &["invalid_mfa_ticket"]);
        assert_eq!(site.rows().await.count("mfa_tickets WHERE used_at IS NOT NULL").await, 1);
    }

    /// Wrong answers sent side by side gain nothing.
    async fn a_ticket_takes_five_answers_however_fast_they_come(site: Site) {
        let servers = servers(&site).await;
        let (_, totp, _) = ada(&site, &servers[0]).await;
        let ticket = ticket(&servers[0]).await;
        let wrong = totp.wrong_code(SystemClock.now());
        let body = json!({ "ticket": ticket, "method": "totp", "code": wrong });
        let answers = at_once(&servers, "/auth/mfa/verify", vec![body; 50]).await;
        let looked_at = answers.iter().filter(|answer| answer.json()["error"] == "wrong_code").count();
        assert_eq!(looked_at, 5);
        assert!(answers.iter().all(|answer| answer.status == 403 || answer.json()["error"] == "invalid_mfa_ticket"));
    }
}
