//! How many statements an operation sends to the database. Each is a round trip on PostgreSQL.

use std::collections::HashSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use entities::account::Role;
use serde_json::json;

use crate::api_keys::store;
use crate::kyc::{VERIFICATIONS, settled};
use crate::kyc_drills::{KEY, Sent as Webhook};
use crate::support::statements::{Sent, Watch};
use crate::support::{App, Client, Engine, PASSWORD, User};

const ADA: &str = "ada@example.com";

/// Operations, and what each may send. Beginning and committing a transaction is not among it.
const COUNTS: &[(&str, usize)] = &[
    ("sign-up", 6),
    ("confirming an address", 4),
    ("login, the first", 7),
    ("login", 4),
    ("login, a wrong password", 3),
    ("login, an unknown address", 3),
    ("login, from a new device", 8),
    ("profile", 1),
    ("refresh", 2),
    ("refresh, a repetition", 4),
    ("change of the profile", 4),
    ("api key, create", 7),
    ("api keys, list", 2),
    ("api key, get", 2),
    ("api key, decrypt for the first time on a device", 8),
    ("api key, decrypt", 6),
    ("api key, sign", 5),
    ("identity check, begin", 7),
    ("webhook in", 2),
    ("search of an operator", 2),
    ("logout", 2),
    ("login, the first of a day", 5),
];

/// Parts of the statements that the server sends by itself, whenever it comes to it.
const BY_ITSELF: &[&str] = &[
    "LIMIT 500",
    "clock_timestamp()",
    "FROM \"server_keys\"",
    "UPDATE outbox_messages",
    "UPDATE \"outbox_messages\"",
    "UPDATE kyc_events",
    "UPDATE kyc_verifications SET polls",
    "\"kyc_verifications\".\"ends_at\" <=",
    "\"kyc_verifications\".\"valid_until\" <=",
    "\"kyc_verifications\".\"reference\" IS NULL",
    "\"accounts\".\"deletion_due_at\" <=",
];

/// A server, and what each operation of a journey through it sent.
pub struct Journey {
    pub app: App,
    pub operations: Vec<(&'static str, Vec<Sent>)>,
    all: HashSet<Sent>,
    watch: Watch,
}

impl Journey {
    /// With the limits that are there by default.
    async fn begin(engine: Engine) -> Self {
        let watch = Watch::start();
        let app = App::start(engine, |config| {
            config.limits.enabled = true;
            let secret = format!("whsec_{}", BASE64_STANDARD.encode(KEY));
            let settings = json!({ "webhook_secrets": [secret], "levels": { "full": "full" } });
            let settings = serde_json::from_value(settings).unwrap();
            config.kyc.providers.insert("standard_webhooks".into(), settings);
        });
        Self { app: app.await, operations: vec![], all: HashSet::new(), watch }
    }

    /// Does something, and keeps what was sent for it under this name.
    async fn count<T>(&mut self, name: &'static str, operation: impl AsyncFnOnce(&App) -> T) -> T {
        self.all.extend(self.watch.take());
        let answer = operation(&self.app).await;
        let mut sent = self.watch.take();
        self.all.extend(sent.iter().cloned());
        sent.retain(|sent| !BY_ITSELF.iter().any(|part| sent.sql.contains(part)));
        self.operations.push((name, sent));
        answer
    }

    /// All that was sent so far, by operations and by the server itself.
    pub fn all(mut self) -> (App, HashSet<Sent>) {
        self.all.extend(self.watch.take());
        (self.app, self.all)
    }
}

pub async fn journey(engine: Engine) -> Journey {
    let mut journey = Journey::begin(engine).await;
    journey.count("sign-up", async |app| app.sign_up(ADA, PASSWORD).await).await;
    let token = journey.app.mail_to(ADA).await.token();
    journey.count("confirming an address", async |app| app.verify(&token).await.assert_status(200)).await;
    journey.count("login, the first", async |app| app.login(ADA, PASSWORD).await).await;
    let mut ada: User = journey.count("login", async |app| app.login(ADA, PASSWORD).await).await;
    let wrong = async |app: &App| app.try_login(ADA, "not this one").await.assert_status(401);
    journey.count("login, a wrong password", wrong).await;
    let unknown = async |app: &App| app.try_login("nobody@example.com", PASSWORD).await.assert_status(401);
    journey.count("login, an unknown address", unknown).await;
    let elsewhere = async |app: &App| {
        let client = app.anonymous().with("user-agent", "Firefox/140.0");
        client.post("/auth/login", &json!({ "email": ADA, "password": PASSWORD })).await.assert_status(200)
    };
    journey.count("login, from a new device", elsewhere).await;
    journey.count("profile", async |_| ada.profile().await.assert_status(200)).await;
    let before = ada.refresh_token.clone();
    journey.count("refresh", async |_| ada.refresh().await).await;
    let again = async |app: &App| app.try_refresh(&before).await.assert_status(200);
    journey.count("refresh, a repetition", again).await;
    let change = json!({ "full_name": "Ada" });
    journey
        .count("change of the profile", async |_| {
            ada.patch("/auth/profile", &change).await.assert_status(200)
        })
        .await;
    vault(&mut journey, &ada).await;
    webhook(&mut journey, &ada).await;
    let operator = journey.app.staff(Role::Operator).await;
    let search = async |_: &App| operator.get("/api/v1/admin/users?email=ada").await.assert_status(200);
    journey.count("search of an operator", search).await;
    journey.count("logout", async |_| ada.logout().await.assert_status(200)).await;
    journey.app.clock.advance_seconds(86_400);
    journey.count("login, the first of a day", async |app| app.login(ADA, PASSWORD).await).await;
    journey
}

async fn vault(journey: &mut Journey, ada: &Client) {
    let body = json!({
        "provider": "binance", "name": "Savings", "api_key": crate::api_keys::KEY, "secret": crate::api_keys::SECRET,
        "test": false, "sign_rules": [{ "method": "GET", "path": "/api/v3/*" }],
    });
    let create = async |_: &App| ada.post("/api/v1/api-keys/", &body).await.assert_status(200).json();
    let stored = journey.count("api key, create", create).await;
    store(ada, "Another").await;
    let path = format!("/api/v1/api-keys/{}", stored["data"]["id"].as_str().unwrap());
    journey.count("api keys, list", async |_| ada.get("/api/v1/api-keys/").await.assert_status(200)).await;
    journey.count("api key, get", async |_| ada.get(&path).await.assert_status(200)).await;
    let decrypt = async |_: &App| ada.post(&format!("{path}/decrypt"), &json!({})).await.assert_status(200);
    journey.count("api key, decrypt for the first time on a device", decrypt).await;
    journey.count("api key, decrypt", decrypt).await;
    let request = json!({ "method": "GET", "path": "/api/v3/account", "query": "" });
    let sign = async |_: &App| ada.post(&format!("{path}/sign"), &request).await.assert_status(200);
    journey.count("api key, sign", sign).await;
}

async fn webhook(journey: &mut Journey, ada: &User) {
    let body = json!({ "level": "full", "provider": "standard_webhooks" });
    let begin = async |_: &App| ada.post(VERIFICATIONS, &body).await.assert_status(200).json();
    let session = journey.count("identity check, begin", begin).await;
    let reference = session["reference"].as_str().unwrap();
    let sent = Webhook::at("msg_1", reference, "in_review", journey.app.now().seconds());
    let deliver = async |app: &App| sent.to(&app.anonymous()).await.assert_status(200);
    deliver(&journey.app).await;
    settled(ada, &session, "in_review").await;
    // It sends the same once more, and then nobody works on it.
    journey.count("webhook in", deliver).await;
}

on_both_engines! {
    async fn each_operation_sends_few(engine: Engine) {
        let operations = journey(engine).await.operations;
        for ((name, sent), expected) in operations.iter().zip(COUNTS) {
            assert_eq!((*name, sent.len()), *expected, "{sent:#?}");
        }
        assert_eq!(operations.len(), COUNTS.len());
    }
}
