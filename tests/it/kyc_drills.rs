//! Webhooks of providers on the worst night: many at once, servers that die, a worker that can't work.
//!
//! `LATCHKEY_TEST_WEBHOOK_KILLS` and `LATCHKEY_TEST_WEBHOOKS` make longer drills.

use std::collections::HashSet;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use latchkey::clock::{Clock, SystemClock};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::kyc::VERIFICATIONS;
use crate::races::servers;
use crate::support::process::{Process, Rows, Site};
use crate::support::{Answer, Client, Engine, PASSWORD, counted, eventually};

pub const KEY: &[u8; 32] = b"a key of a sender of webhooks 32";
const PATH: &str = "/api/kyc/webhook/standard_webhooks";
const STATUSES: [&str; 6] = ["pending", "in_review", "resubmission", "expired", "approved", "declined"];

pub fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

async fn site(engine: Engine) -> Site {
    let secret = format!("whsec_{}", BASE64_STANDARD.encode(KEY));
    Site::new(engine)
        .await
        .with("KYC__PROVIDERS__STANDARD_WEBHOOKS__WEBHOOK_SECRETS", &secret)
        .with("KYC__PROVIDERS__STANDARD_WEBHOOKS__LEVELS__FULL", "full")
}

/// Begins a verification of somebody new; answers what events must name.
async fn begin(site: &Site, server: &Process, email: &str) -> String {
    site.verified(server, email, PASSWORD).await;
    let session = server.login(email, PASSWORD).await;
    let body = json!({ "level": "full" });
    let answer = server.anonymous().bearer(&session.access).post(VERIFICATIONS, &body).await;
    answer.assert_status(200).json()["reference"].as_str().unwrap().to_owned()
}

/// A webhook of the sender's, signed.
#[derive(Clone)]
pub struct Sent {
    id: String,
    at: i64,
    body: String,
}

impl Sent {
    fn new(id: impl Into<String>, reference: &str, status: &str, ago: i64) -> Self {
        Self::at(id, reference, status, SystemClock.now().seconds() - ago)
    }

    pub fn at(id: impl Into<String>, reference: &str, status: &str, at: i64) -> Self {
        let data = json!({ "external_id": reference, "status": status });
        let body = json!({ "type": "verification.updated", "data": data }).to_string();
        Self { id: id.into(), at, body }
    }

    pub async fn to(&self, client: &Client) -> Answer {
        let message = format!("{}.{}.{}", self.id, self.at, self.body);
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY), message.as_bytes());
        let signature = format!("v1,{}", BASE64_STANDARD.encode(signature));
        let request = client
            .request("POST", PATH)
            .header("webhook-id", &self.id)
            .header("webhook-timestamp", self.at)
            .header("webhook-signature", signature);
        client.send(request, http_body_util::Full::new(hyper::body::Bytes::from(self.body.clone()))).await
    }
}

/// Waits until nothing is left to be worked on.
async fn drained(rows: &Rows) {
    eventually("an empty inbox", async || {
        (rows.count("kyc_events WHERE state = 'pending'").await == 0).then_some(())
    })
    .await;
}

async fn status_of(rows: &Rows, reference: &str) -> String {
    let sql = format!("SELECT status FROM kyc_verifications WHERE external_id = '{reference}'");
    rows.column::<String>(&sql).await.remove(0)
}

on_both_engines! {
    async fn fifty_deliveries_of_one_webhook_are_one_event(engine: Engine) {
        let site = site(engine).await;
        let servers = servers(&site).await;
        let reference = begin(&site, &servers[0], "ada@example.com").await;
        let sent = Sent::new("msg_1", &reference, "approved", 0);
        let clients: Vec<Client> = (0..50).map(|n| servers[n % servers.len()].anonymous()).collect();
        let answers = join_all(clients.iter().map(|client| sent.to(client))).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
        let rows = site.rows().await;
        drained(&rows).await;
        assert_eq!(rows.count("kyc_events").await, 1);
        assert_eq!(rows.count("kyc_changes").await, 1);
        assert_eq!(rows.count("audit_events WHERE action = 'verification.changed'").await, 1);
        assert_eq!(status_of(&rows, &reference).await, "approved");
    }

    /// What the events say is the same for all; only the order in which they come differs, and each comes twice.
    async fn any_order_ends_in_the_same_status(engine: Engine) {
        let site = site(engine).await;
        let servers = servers(&site).await;
        let story: Vec<(i64, &str)> = vec![
            (60, "pending"), (50, "in_review"), (40, "resubmission"), (30, "in_review"), (20, "approved"), (10, "in_review"),
        ];
        let mut references = vec![];
        for turn in 0..story.len() {
            let reference = begin(&site, &servers[0], &format!("person-{turn}@example.com")).await;
            let mut order: Vec<_> = story.iter().enumerate().collect();
            order.rotate_left(turn);
            if turn % 2 == 1 {
                order.reverse();
            }
            let sent: Vec<Sent> = order
                .iter()
                .map(|(number, (ago, status))| Sent::new(format!("msg_{turn}_{number}"), &reference, status, *ago))
                .collect();
            for (number, event) in sent.iter().chain(&sent).enumerate() {
                event.to(&servers[number % servers.len()].anonymous()).await.assert_status(200);
            }
            references.push(reference);
        }
        let rows = site.rows().await;
        drained(&rows).await;
        for reference in &references {
            assert_eq!(status_of(&rows, reference).await, "approved");
        }
        assert_eq!(rows.count("kyc_changes").await, i64::try_from(story.len() * references.len()).unwrap());
    }

    /// The server dies between taking a webhook in and working on it, or in the midst of that.
    async fn a_killed_server_loses_nothing_and_does_nothing_twice(engine: Engine) {
        let site = site(engine).await;
        let server = site.start().await;
        let reference = begin(&site, &server, "ada@example.com").await;
        server.node.kill().await;
        let rounds = number("LATCHKEY_TEST_WEBHOOK_KILLS", 6);
        let mut taken = HashSet::new();
        for round in 0..rounds {
            let server = site.start().await;
            let client = server.anonymous();
            let sent: Vec<Sent> = (0..8)
                .map(|n| Sent::new(format!("msg_{round}_{n}"), &reference, STATUSES[(round + n) % 6], 100 - n as i64))
                .collect();
            // It dies after another number of answers each time, the others under way.
            let answered = Semaphore::new(0);
            let (answers, ()) = tokio::join!(
                join_all(sent.iter().map(|event| async {
                    let taken_in = try_send(event, &client).await;
                    answered.add_permits(1);
                    taken_in.then(|| event.id.clone())
                })),
                async {
                    let enough = answered.acquire_many((round % sent.len()) as u32).await;
                    server.node.kill().await;
                    drop(enough);
                },
            );
            taken.extend(answers.into_iter().flatten());
        }
        let server = site.start().await;
        let rows = site.rows().await;
        // A claim of a server that died runs out after a minute; time passes for those rows.
        rows.execute("UPDATE kyc_events SET due_at = 0 WHERE state = 'pending'").await;
        drained(&rows).await;
        let events = rows.count("kyc_events").await;
        assert!(!taken.is_empty(), "no server answered anything");
        assert!(events >= i64::try_from(taken.len()).unwrap(), "{events} of {}", taken.len());
        assert_eq!(rows.count("kyc_events WHERE state <> 'done'").await, 0);
        assert_eq!(rows.count("kyc_changes").await, events);
        assert_eq!(rows.count("audit_events WHERE action = 'verification.changed'").await, events);
        let words = format!("{rounds} kills, {} webhooks acknowledged, {events} worked on, each once", taken.len());
        counted("kill -9 between taking a webhook in and working on it", engine, &words);
        drop(server);
    }

    /// A table that is away for a while stands for a worker that can't work. Webhooks are taken in all the same.
    async fn a_backlog_is_worked_off_in_order(engine: Engine) {
        let site = site(engine).await;
        let server = site.start().await;
        let count = number("LATCHKEY_TEST_WEBHOOKS", 400);
        let people = count / 40;
        let mut references = vec![];
        for person in 0..people {
            references.push(begin(&site, &server, &format!("person-{person}@example.com")).await);
        }
        let rows = site.rows().await;
        rows.execute("ALTER TABLE kyc_changes RENAME TO kyc_changes_away").await;
        let client = server.anonymous();
        let sends = (0..count).map(|n| {
            let (client, reference) = (&client, &references[n % people]);
            let status = if n >= count - people { "approved" } else { STATUSES[n % 3] };
            // A second later for each round, the last one now.
            let ago = i64::try_from((count - 1 - n) / people).unwrap() % 290;
            let sent = Sent::new(format!("msg_{n}"), reference, status, ago);
            async move {
                loop {
                    let answer = sent.to(client).await;
                    if answer.status != 503 {
                        break answer;
                    }
                }
            }
        });
        let answers: Vec<Answer> = stream::iter(sends).buffer_unordered(16).collect().await;
        assert!(answers.iter().all(|answer| answer.status == 200));
        assert_eq!(rows.count("kyc_events WHERE state = 'pending'").await, i64::try_from(count).unwrap());
        let health = client.get("/api/kyc/health").await.assert_status(200).json();
        assert_eq!(health["backlog"], json!(count));
        assert!(health["waiting_since"].is_string(), "{health}");
        rows.execute("ALTER TABLE kyc_changes_away RENAME TO kyc_changes").await;
        rows.execute("UPDATE kyc_events SET due_at = 0 WHERE state = 'pending'").await;
        let mut left = i64::try_from(count).unwrap();
        while left > 0 {
            left = eventually("some of it is worked off", async || {
                let pending = rows.count("kyc_events WHERE state = 'pending'").await;
                (pending < left).then_some(pending)
            })
            .await;
        }
        assert_eq!(rows.count("kyc_events WHERE state = 'done'").await, i64::try_from(count).unwrap());
        for reference in &references {
            assert_eq!(status_of(&rows, reference).await, "approved");
            // One after the other, in the order in which they came.
            let sql = format!(
                "SELECT finished_at FROM kyc_events WHERE subject = 'standard_webhooks:{reference}' ORDER BY id"
            );
            let times: Vec<i64> = rows.column(&sql).await;
            assert!(times.len() == count / people && times.is_sorted(), "{times:?}");
        }
        let health: Value = client.get("/api/kyc/health").await.json();
        assert_eq!((&health["backlog"], &health["waiting_since"]), (&json!(0), &Value::Null));
        let words = format!("{count} webhooks for {people} people while nothing was worked on; then all, in order");
        counted("a backlog of webhooks", engine, &words);
    }

    async fn what_was_given_up_is_worked_on_again_by_command(engine: Engine) {
        let site = site(engine).await;
        let server = site.start().await;
        let reference = begin(&site, &server, "ada@example.com").await;
        let rows = site.rows().await;
        rows.execute("ALTER TABLE kyc_changes RENAME TO kyc_changes_away").await;
        let sent = Sent::new("msg_1", &reference, "approved", 0);
        sent.to(&server.anonymous()).await.assert_status(200);
        server.node.kill().await;
        rows.execute("ALTER TABLE kyc_changes_away RENAME TO kyc_changes").await;
        let event: String = rows.column("SELECT event FROM kyc_events WHERE state = 'pending'").await.remove(0);
        // What this release can't read stands for all that can't be worked on.
        rows.execute("UPDATE kyc_events SET event = '{}', due_at = 0").await;
        let server = site.start().await;
        eventually("it is given up", async || (rows.count("kyc_events WHERE state = 'dead'").await == 1).then_some(())).await;
        assert_eq!(server.metric("latchkey_kyc_dead_total").await, 1.0);

        let run = async |arguments: &[&str]| site.run(&[&["kyc"], arguments].concat()).await;
        let list = run(&["events", "--state", "dead"]).await.assert_success().stdout;
        assert!(list.lines().count() == 1 && list.contains("unreadable event"), "{list}");
        let id = list.split(' ').next().unwrap();
        assert_eq!(run(&["events", "--state", "done"]).await.assert_success().stdout, "");
        let doctor = site.run(&["doctor"]).await.assert_failure("problem").stdout;
        assert!(doctor.contains("PROBLEM  webhooks of providers: 1 were given up, 0 wait"), "{doctor}");

        assert_eq!(rows.count("audit_events WHERE action = 'verification.event_read'").await, 0);
        assert_eq!(run(&["show", id]).await.assert_success().stdout, format!("{}\n", sent.body));
        assert_eq!(rows.count("audit_events WHERE action = 'verification.event_read'").await, 1);

        rows.execute(&format!("UPDATE kyc_events SET event = '{event}'")).await;
        run(&["retry", id]).await.assert_success();
        drained(&rows).await;
        assert_eq!(status_of(&rows, &reference).await, "approved");
        run(&["retry", id]).await.assert_failure("there is no such event, or it was not given up");
        // Without the person's key it can't be read any more.
        rows.execute("DELETE FROM kyc_person_keys").await;
        run(&["show", id]).await.assert_failure("there is no such event, or its person is gone");
        assert_eq!(rows.count("audit_events WHERE action = 'verification.event_read'").await, 1);
        assert_eq!(run(&["show", "nonsense"]).await.code, Some(2));
    }
}

/// Whether it was acknowledged; a server that dies acknowledges nothing, a living one everything.
async fn try_send(sent: &Sent, client: &Client) -> bool {
    if tokio::net::TcpStream::connect(client.address).await.is_err() {
        return false;
    }
    let (sent, client) = (sent.clone(), client.clone());
    match tokio::time::timeout(Duration::from_secs(10), tokio::spawn(async move { sent.to(&client).await }))
        .await
    {
        Ok(Ok(answer)) => {
            answer.assert_status(200);
            true
        }
        _ => false,
    }
}
