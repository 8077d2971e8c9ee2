//! Outgoing webhooks: each event arrives, signed, once the change is durable and not otherwise; what fails is tried again.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use entities::webhook_delivery::{self, State};
use entities::{AccountId, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use latchkey::config::{Config, WebhookEndpoint};
use latchkey::secret::Secret;
use latchkey::services::audit::{Action, Actor, Event};
use latchkey::services::kyc::NewVerification;
use latchkey::services::{Error, Origin};
use sea_orm::{ConnectionTrait, EntityTrait, QueryOrder};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::api_keys::{KEY, SECRET, store};
use crate::races::servers;
use crate::support::gate::waiting;
use crate::support::process::{Rows, Site, credentials};
use crate::support::receiver::{Delivery, Receiver, Reply};
use crate::support::{App, Engine, PASSWORD, PATIENCE, eventually};

const ADA: &str = "ada@example.com";
pub const FIRST: &str = "whsec_YmVmb3JlIHRoZSBoYXJ2ZXN0IGNhbmFyeSAxMjM0NTY=";
const SECOND: &str = "whsec_YWZ0ZXIgdGhlIGhhcnZlc3QgY2FuYXJ5IDEyMzQ1Njc=";
const DAY: Duration = Duration::from_secs(86_400);

pub fn endpoint(url: &str, secrets: &[&str], events: &[&str]) -> WebhookEndpoint {
    WebhookEndpoint {
        url: url.parse().unwrap(),
        secrets: secrets.iter().map(|secret| Secret::new((*secret).to_owned())).collect(),
        events: events.iter().map(|event| (*event).to_owned()).collect(),
    }
}

/// Sends all events to these, by name.
fn send_to(config: &mut Config, receivers: &[(&str, &Receiver)]) {
    config.webhooks.private_networks = vec!["127.0.0.0/8".parse().unwrap()];
    for (name, receiver) in receivers {
        config.webhooks.endpoints.insert((*name).to_owned(), endpoint(&receiver.url(), &[FIRST], &[]));
    }
}

async fn start(engine: Engine, receivers: &[(&str, &Receiver)]) -> App {
    App::start(engine, |config| send_to(config, receivers)).await
}

/// The same settings for a command or another process.
pub fn environment(receiver: &Receiver) -> Vec<(&'static str, String)> {
    vec![
        ("LATCHKEY_WEBHOOKS__ENDPOINTS__CRM__URL", receiver.url()),
        ("LATCHKEY_WEBHOOKS__ENDPOINTS__CRM__SECRETS", format!("{FIRST}, {SECOND}")),
        ("LATCHKEY_WEBHOOKS__ENDPOINTS__CRM__EVENTS", "user.created,user.deleted".to_owned()),
        ("LATCHKEY_WEBHOOKS__PRIVATE_NETWORKS", "127.0.0.0/8".to_owned()),
    ]
}

/// Whether a delivery is signed with this secret, by the rules of the specification.
pub fn is_signed(delivery: &Delivery, secret: &str) -> bool {
    let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let signed = [delivery.id(), delivery.header("webhook-timestamp"), &delivery.body].join(".");
    mac.update(signed.as_bytes());
    let expected = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
    delivery.header("webhook-signature").split(' ').any(|signature| signature == expected)
}

/// Writes events without doing what they tell of.
async fn happen(app: &App, count: usize) {
    for _ in 0..count {
        let account: AccountId = app.services.sources.id();
        let record = app.services.audit(Event::new(Action::AccountCreated, Actor::Server).account(account));
        app.services
            .db
            .write::<_, Error, _>(move |db| {
                Box::pin(async move { record.write(db).await.map_err(Error::from) })
            })
            .await
            .unwrap();
    }
}

pub async fn rows(app: &App) -> Vec<webhook_delivery::Model> {
    let query = webhook_delivery::Entity::find().order_by_asc(webhook_delivery::Column::Id);
    query.all(app.connection().await).await.unwrap()
}

/// Waits until the rows are like this.
async fn until(app: &App, what: &str, is_so: impl Fn(&webhook_delivery::Model) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let rows = rows(app).await;
        if rows.iter().all(&is_so) {
            return;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}: {rows:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the only delivery has failed for the `attempts`th time; answers when it is due again.
async fn failed(app: &App, attempts: i32) -> Timestamp {
    let claimed_until = app.now() + Duration::from_secs(75);
    until(app, "a failed attempt", |row| row.attempts == attempts && row.due_at != claimed_until).await;
    rows(app).await[0].due_at
}

async fn advance_to(app: &App, at: Timestamp) {
    app.clock.advance(at.since(app.now()));
}

on_both_engines! {
    async fn each_event_arrives_with_ids_and_states(engine: Engine) {
        let (receiver, some, binance) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
        binance.answer(Reply::status(500));
        let app = App::start(engine, |config| {
            send_to(config, &[("crm", &receiver)]);
            let few = endpoint(&some.url(), &[SECOND], &["user.deleted", "api_key.tested"]);
            config.webhooks.endpoints.insert("few".into(), few);
            config.vault.base_urls.insert("binance.live".into(), format!("http://{}", binance.address).parse().unwrap());
            config.kyc.demo = true;
        })
        .await;
        let ada = app.user(ADA).await;
        let (other, another) = (app.login(ADA, PASSWORD).await, app.login(ADA, PASSWORD).await);
        let sid = |user: &crate::support::User| user.claims()["sid"].clone();
        other.logout().await.assert_status(200);
        let end = |path: String| { let ada = ada.clone(); async move { ada.json("DELETE", &path, &Value::Null).await.assert_status(200) } };
        end(format!("/auth/sessions/{}", sid(&another).as_str().unwrap())).await;
        app.login(ADA, PASSWORD).await;
        end("/auth/sessions?keep_current=true".into()).await;

        let path = store(&ada, "Savings").await;
        let key = path.rsplit('/').next().unwrap().to_owned();
        ada.post(&format!("{path}/test-connection"), &json!({})).await.assert_status(200);
        ada.post(&format!("{path}/decrypt"), &json!({ "purpose": "to move it" })).await.assert_status(200);
        end(path).await;

        let caller = app.services.authenticate(&ada.access_token).await.unwrap();
        let origin = Origin { ip: "192.0.2.7".parse().unwrap(), user_agent: None, request_id: "r".into(), locale: None };
        let new = NewVerification { level: "full".into(), provider: None, redirect_url: None, idempotency_key: None };
        let (verification, _) = app.services.start_verification(&caller, new, &origin).await.unwrap();
        let verification = app.services.cancel_verification(&caller, verification.id, &origin).await.unwrap();

        ada.change_password(PASSWORD, "eight dark green kettles").await.assert_status(200);
        let account: AccountId = ada.id.parse().unwrap();
        app.services.set_disabled(account, true).await.unwrap();
        app.services.delete_account(account).await.unwrap();

        let received = receiver.expect(13).await;
        let told: Vec<Value> = received.iter().map(Delivery::json).collect();
        let data = |event: &str| -> Vec<&Value> {
            told.iter().filter(|told| told["type"] == event).map(|told| &told["data"]).collect()
        };
        let id = &ada.id;
        for event in ["user.created", "user.verified", "user.deleted"] {
            assert_eq!(data(event), [&json!({ "account_id": id })], "{event}");
        }
        // Not in an order of any kind.
        let ended: HashMap<String, usize> = data("session.revoked").into_iter().fold(HashMap::new(), |mut all, data| {
            assert_eq!(data["account_id"], **id);
            *all.entry(format!("{} {}", data["sessions"].as_str().unwrap(), data["session_id"])).or_default() += 1;
            all
        });
        let expected = [
            (format!("one {}", sid(&other)), 1), (format!("one {}", sid(&another)), 1), ("others null".into(), 2), ("all null".into(), 1),
        ];
        assert_eq!(ended, HashMap::from(expected));
        let key = json!({ "account_id": id, "api_key_id": key });
        let with = |more: &[(&str, &str)]| {
            let mut data = key.clone();
            more.iter().for_each(|(name, value)| data[*name] = json!(value));
            data
        };
        assert_eq!(data("api_key.created"), [&with(&[("provider", "binance")])]);
        assert_eq!(data("api_key.revealed"), [&with(&[("provider", "binance")])]);
        let outcome = data("api_key.tested")[0]["outcome"].as_str().unwrap();
        assert_eq!(data("api_key.tested"), [&with(&[("provider", "binance"), ("outcome", outcome)])]);
        assert_eq!(data("api_key.deleted"), [&key]);
        let checked = json!({
            "account_id": id, "verification_id": verification.id.to_string(), "level": "full", "status": verification.status, "ial": 0,
        });
        assert_eq!(data("kyc.updated"), [&checked]);

        let all = received.iter().map(|delivery| delivery.body.as_str()).collect::<String>();
        for secret in [ADA, PASSWORD, KEY, SECRET, &KEY[60..], "Savings", "to move it", "192.0.2.7", "127.0.0.1", &ada.access_token, FIRST] {
            assert!(!all.contains(secret), "{secret} in {all}");
        }
        for delivery in &received {
            assert_eq!(delivery.first_line, "POST /hooks?tenant=7 HTTP/1.1");
            assert_eq!(delivery.header("content-type"), "application/json");
            assert!(delivery.id().starts_with("msg_") && !delivery.id().contains('.'), "{delivery:?}");
            assert!(is_signed(delivery, FIRST) && !is_signed(delivery, SECOND), "{delivery:?}");
        }
        assert_eq!(received.iter().map(Delivery::id).collect::<HashSet<_>>().len(), 13);
        let few: BTreeSet<String> = some.expect(2).await.iter().map(|delivery| delivery.json()["type"].to_string()).collect();
        assert_eq!(few, BTreeSet::from(["\"api_key.tested\"".into(), "\"user.deleted\"".into()]));

        until(&app, "all sent", |row| row.state == State::Sent).await;
        assert_eq!((receiver.received().len(), some.received().len()), (13, 2));
    }

    async fn what_is_rolled_back_is_not_told(engine: Engine) {
        let receiver = Receiver::start().await;
        let app = start(engine, &[("crm", &receiver)]).await;
        let record = app.services.audit(Event::new(Action::AccountCreated, Actor::Server).account(app.services.sources.id()));
        let write = app.services.db.write::<(), Error, _>(move |db| Box::pin(async move {
            record.write(db).await?;
            Err(Error::NotFound)
        }));
        assert!(matches!(write.await, Err(Error::NotFound)));
        assert_eq!(rows(&app).await, []);
        happen(&app, 1).await;
        receiver.expect(1).await;
    }

    async fn without_endpoints_nothing_is_written(app: App) {
        app.user(ADA).await.logout().await.assert_status(200);
        assert_eq!(rows(&app).await, []);
    }

    async fn a_receiver_that_was_down_gets_it_later_under_the_same_id(engine: Engine) {
        let receiver = Receiver::start().await;
        let app = start(engine, &[("crm", &receiver)]).await;
        let address = receiver.address;
        drop(receiver);
        let written_at = app.now().seconds();
        happen(&app, 1).await;
        let due = failed(&app, 1).await;
        let row = rows(&app).await.remove(0);
        assert_eq!(row.last_error.as_deref(), Some("no connection, or it broke"));
        assert!((5000..=6000).contains(&due.since(app.now()).as_millis()), "{due:?}");

        let receiver = Receiver::start_at(address).await;
        receiver.answer(Reply { header: "Retry-After: 3600".into(), ..Reply::status(503) });
        advance_to(&app, due).await;
        let due = failed(&app, 2).await;
        assert_eq!(due.since(app.now()).as_secs(), 3600, "as long as it asks for");
        receiver.answer(Reply { length: 10_000_000, ..Reply::status(200) });
        advance_to(&app, due).await;
        until(&app, "sent", |row| row.state == State::Sent).await;

        let received = receiver.received();
        assert_eq!(received.len(), 2);
        assert!(received.iter().all(|delivery| delivery.id() == format!("msg_{}", row.id) && is_signed(delivery, FIRST)));
        assert_eq!(received[0].body, received[1].body);
        let at = |delivery: &Delivery| delivery.header("webhook-timestamp").parse::<i64>().unwrap();
        assert!(at(&received[0]) >= written_at + 5, "{received:?}");
        assert_eq!(at(&received[1]), app.now().seconds());
        assert_ne!(received[0].header("webhook-signature"), received[1].header("webhook-signature"));
        assert_eq!(rows(&app).await[0].last_error, None);
    }

    async fn a_redirect_is_not_followed(engine: Engine) {
        let (receiver, elsewhere) = (Receiver::start().await, Receiver::start().await);
        receiver.answer(Reply { header: format!("Location: {}", elsewhere.url()), ..Reply::status(307) });
        let app = start(engine, &[("crm", &receiver)]).await;
        happen(&app, 1).await;
        failed(&app, 1).await;
        assert_eq!(rows(&app).await[0].last_error.as_deref(), Some("status 307"));
        assert_eq!(elsewhere.received().len(), 0);
    }

    async fn an_endpoint_that_is_gone_is_left_alone_for_a_day(engine: Engine) {
        let (gone, other) = (Receiver::start().await, Receiver::start().await);
        gone.answer(Reply::status(410));
        let app = start(engine, &[("gone", &gone), ("other", &other)]).await;
        happen(&app, 1).await;
        gone.expect(1).await;
        let is_gone = |row: &webhook_delivery::Model| row.last_error.as_deref() == Some("status 410");
        eventually("the pause", async || rows(&app).await.iter().any(is_gone).then_some(())).await;
        // Another node knows of it, too.
        let sibling = app.sibling(|config| send_to(config, &[("gone", &gone), ("other", &other)])).await;
        happen(&sibling, 3).await;
        // What is under way would be sent again once its claim has run out.
        let sent = |row: &webhook_delivery::Model| row.endpoint == "other" && row.state == State::Sent;
        eventually("the others", async || (rows(&app).await.iter().filter(|row| sent(row)).count() == 4).then_some(())).await;
        app.clock.advance(DAY - Duration::from_secs(60));
        happen(&app, 1).await;
        other.expect(5).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(gone.received().len(), 1);

        gone.answer(Reply::status(200));
        app.clock.advance_seconds(61);
        until(&app, "all sent", |row| row.state == State::Sent).await;
        assert_eq!((gone.received().len(), other.received().len()), (6, 5));
    }

    async fn what_the_server_ends_by_itself_is_told_as_well(engine: Engine) {
        let receiver = Receiver::start().await;
        let app = App::start(engine, |config| {
            send_to(config, &[("crm", &receiver)]);
            config.tokens.sessions_per_account = 1;
        })
        .await;
        let ada = app.user(ADA).await;
        app.login(ADA, PASSWORD).await;
        let bob = app.sign_up("bob@example.com", PASSWORD).await.json()["user"]["id"].clone();
        receiver.expect(4).await;
        // What is under way would be sent again once its claim has run out.
        until(&app, "all sent", |row| row.state == State::Sent).await;
        app.clock.advance_seconds(31 * 86_400);
        app.services.reap().await.unwrap();
        let told = receiver.expect(5).await;
        let told: Vec<Value> = told.iter().map(Delivery::json).collect();
        let data = |event: &str| &told.iter().find(|told| told["type"] == event).unwrap()["data"];
        let ended = json!({ "account_id": ada.id, "session_id": ada.claims()["sid"], "sessions": "one" });
        assert_eq!(data("session.revoked"), &ended);
        assert_eq!(data("user.deleted"), &json!({ "account_id": bob }));
    }

    async fn what_was_given_up_is_sent_again_by_command(engine: Engine) {
        let receiver = Receiver::start().await;
        receiver.answer(Reply::status(500));
        let app = start(engine, &[("crm", &receiver)]).await;
        let environment = environment(&receiver);
        let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let run = async |arguments: &[&str]| app.database.run(&[&["webhooks"], arguments].concat(), &environment).await;
        happen(&app, 1).await;
        let started = app.now();
        for attempts in 1..=6 {
            let due = failed(&app, attempts).await;
            advance_to(&app, due).await;
        }
        until(&app, "a dead one", |row| row.state == State::Dead).await;
        assert!((17..=24).contains(&(app.now().since(started).as_secs() / 3600)));
        assert_eq!(receiver.received().len(), 7);
        let id = receiver.received()[0].id().to_owned();

        let list = run(&["list", "--state", "dead"]).await.assert_success().stdout;
        assert!(list.lines().count() == 1 && list.contains(&id) && list.contains("attempts 7  status 500"), "{list}");
        assert_eq!(run(&["list", "--state", "sent"]).await.assert_success().stdout, "");
        run(&["test", "crm"]).await.assert_failure("crm answers 500");
        run(&["test", "nobody"]).await.assert_failure("there is no endpoint nobody; there are crm");
        run(&["replay", "--dead", "--endpoint", "nobody"]).await.assert_failure("there is no endpoint nobody");
        run(&["replay", "01938f6e-2b7a-7c3d-9f10-5a4be1c2d3e4"]).await.assert_failure("no such delivery");
        assert_eq!(run(&["replay", "nonsense"]).await.code, Some(2));
        assert_eq!(run(&["replay"]).await.code, Some(2));

        receiver.answer(Reply::status(200));
        let replayed = run(&["replay", "--dead"]).await.assert_success().stdout;
        assert!(replayed.starts_with("1 to be sent"), "{replayed}");
        until(&app, "sent", |row| row.state == State::Sent).await;
        // And once more by its id, though it has arrived.
        run(&["replay", &id]).await.assert_success();
        until(&app, "sent", |row| row.state == State::Sent && row.attempts == 1).await;
        let received = receiver.expect(10).await;
        assert_eq!(received.iter().filter(|delivery| delivery.id() == id).count(), 9);
        let test = received.iter().find(|delivery| delivery.id() != id).unwrap();
        assert_eq!((&test.json()["type"], &test.json()["data"]), (&json!("webhook.test"), &json!({})));
        assert!(is_signed(test, FIRST) && is_signed(test, SECOND));
        let tested = run(&["test", "crm"]).await.assert_success().stdout;
        assert_eq!(tested, "crm answers 200\n");
    }

    async fn only_a_receiver_that_an_authority_vouches_for_is_told(engine: Engine) {
        let (receiver, authority) = Receiver::start_tls().await;
        let app = start(engine, &[]).await;
        let file = app.database.directory.path().join("authority.pem");
        tokio::fs::write(&file, authority).await.unwrap();
        let environment = environment(&receiver);
        let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let test = async |more: &[(&str, &str)]| app.database.run(&["webhooks", "test", "crm"], &[&environment, more].concat()).await;
        test(&[]).await.assert_failure("crm: no connection, or it broke");
        assert_eq!(receiver.received().len(), 0);
        let told = test(&[("SSL_CERT_FILE", file.to_str().unwrap())]).await.assert_success().stdout;
        assert_eq!((told.as_str(), receiver.received().len()), ("crm answers 204\n", 1));
    }

    async fn both_secrets_sign_along_a_rotation(engine: Engine) {
        let receiver = Receiver::start().await;
        let app = App::start(engine, |config| {
            send_to(config, &[]);
            config.webhooks.endpoints.insert("crm".into(), endpoint(&receiver.url(), &[SECOND, FIRST], &[]));
        })
        .await;
        happen(&app, 1).await;
        let delivery = receiver.expect(1).await.remove(0);
        assert!(is_signed(&delivery, FIRST) && is_signed(&delivery, SECOND));
        let signatures: Vec<&str> = delivery.header("webhook-signature").split(' ').collect();
        assert!(signatures.len() == 2 && signatures.iter().all(|signature| signature.starts_with("v1,")), "{signatures:?}");
    }

    async fn this_machine_is_not_asked_unless_it_is_opened(engine: Engine) {
        let receiver = Receiver::start().await;
        let port = receiver.address.port();
        let app = App::start(engine, |config| {
            config.webhooks.ports = vec![port];
            for (name, url) in [("address", receiver.url()), ("name", format!("https://localhost:{port}/"))] {
                config.webhooks.endpoints.insert(name.into(), endpoint(&url, &[FIRST], &[]));
            }
        })
        .await;
        happen(&app, 1).await;
        until(&app, "both to fail", |row| row.last_error.is_some()).await;
        let errors: BTreeSet<String> = rows(&app).await.into_iter().filter_map(|row| row.last_error).collect();
        let expected = ["The address is not public.", "no connection, or it broke"].map(String::from);
        assert_eq!(errors, BTreeSet::from(expected));
        assert_eq!(receiver.received().len(), 0);
    }

    async fn a_slow_endpoint_holds_up_no_other(engine: Engine) {
        let (slow, fast) = (Receiver::start().await, Receiver::start().await);
        slow.answer(Reply { after: Duration::from_secs(60), ..Reply::status(200) });
        let app = start(engine, &[("a-slow", &slow), ("fast", &fast)]).await;
        let started = Instant::now();
        happen(&app, 30).await;
        slow.expect(8).await;
        fast.expect(30).await;
        assert!(started.elapsed() < Duration::from_secs(14), "before the slow one is given up");
        // More than one at a time, and not all of them.
        assert_eq!(slow.received().len(), 8);
        let sent = rows(&app).await.into_iter().filter(|row| row.endpoint == "a-slow" && row.state == State::Sent);
        assert_eq!(sent.count(), 0);
    }

    async fn two_servers_send_each_webhook_once(site: Site) {
        let receiver = Receiver::start().await;
        let site = environment(&receiver).iter().fold(site, |site, (name, value)| {
            site.with(name.strip_prefix("LATCHKEY_").unwrap(), value)
        });
        let servers = servers(&site).await;
        futures_util::future::join_all((0..40).map(|number| {
            let client = servers[number % servers.len()].anonymous();
            async move { client.post("/auth/signup", &credentials(&format!("ada{number}@example.com"), PASSWORD)).await.assert_status(200) }
        }))
        .await;
        receiver.expect(40).await;
        let rows = site.rows().await;
        eventually("all sent", async || (rows.count("webhook_deliveries WHERE state <> 'sent'").await == 0).then_some(())).await;
        let received = receiver.received();
        assert_eq!(received.len(), 40);
        assert_eq!(received.iter().map(Delivery::id).collect::<HashSet<_>>().len(), 40);
        assert!(received.iter().all(|delivery| delivery.json()["type"] == "user.created" && is_signed(delivery, SECOND)));
        let mut sent = 0.0;
        for server in &servers {
            sent += server.metric("latchkey_webhooks_sent_total").await;
        }
        assert_eq!(sent, 40.0);
    }

    /// As a node has left it whose clock was a year ahead when the endpoint said that it is gone.
    async fn what_a_wrong_clock_has_put_off_is_sent(engine: Engine) {
        let receiver = Receiver::start().await;
        receiver.answer(Reply::status(410));
        let app = start(engine, &[("crm", &receiver)]).await;
        happen(&app, 1).await;
        let due = failed(&app, 1).await;
        app.services.reap().await.unwrap();
        assert_eq!(rows(&app).await[0].due_at, due, "a wait as it should be");
        receiver.answer(Reply::status(204));
        for (table, column) in [("webhook_deliveries", "due_at"), ("webhook_pauses", "paused_until")] {
            let year = format!("UPDATE {table} SET {column} = {column} + 31536000000");
            app.connection().await.execute_unprepared(&year).await.unwrap();
        }
        app.services.reap().await.unwrap();
        until(&app, "sent", |row| row.state == State::Sent).await;
    }

    async fn nothing_is_kept_for_ever(engine: Engine) {
        let receiver = Receiver::start().await;
        let app = start(engine, &[("crm", &receiver)]).await;
        happen(&app, 1).await;
        until(&app, "sent", |row| row.state == State::Sent).await;
        receiver.answer(Reply::status(500));
        // The second by its id.
        app.clock.advance_seconds(1);
        happen(&app, 1).await;
        until(&app, "a failed attempt", |row| row.state == State::Sent || row.last_error.is_some()).await;

        // Its endpoint is not set up any more.
        let app = app.restart(|_| {}).await;
        app.clock.advance(DAY * 3);
        app.services.reap().await.unwrap();
        let states: Vec<State> = rows(&app).await.iter().map(|row| row.state).collect();
        assert_eq!(states, [State::Sent, State::Dead]);
        app.clock.advance(DAY * 5);
        app.services.reap().await.unwrap();
        let kept = rows(&app).await;
        assert_eq!((kept.len(), kept[0].last_error.as_deref()), (1, Some("status 500")));
        app.clock.advance(DAY * 400);
        app.services.reap().await.unwrap();
        assert_eq!(rows(&app).await, []);
    }
}

/// Another node has sent it, and is about to say so.
#[tokio::test]
async fn what_is_sent_at_the_last_moment_is_not_given_up() {
    let receiver = Receiver::start().await;
    receiver.answer(Reply::status(500));
    let app = start(Engine::Postgres, &[("crm", &receiver)]).await;
    happen(&app, 1).await;
    failed(&app, 1).await;
    let [node, watch] = [Rows(app.database.connect().await), Rows(app.database.connect().await)];
    node.execute("UPDATE webhook_deliveries SET ends_at = 0").await;
    node.execute("BEGIN; UPDATE webhook_deliveries SET state = 'sent', finished_at = created_at").await;
    let (reaped, ()) = tokio::join!(app.services.reap(), async {
        waiting(&watch, 1).await;
        node.execute("COMMIT").await;
    });
    reaped.unwrap();
    assert_eq!(rows(&app).await[0].state, State::Sent);
}

#[test]
fn settings_that_can_not_work_stop_the_start() {
    let errors = |endpoint: WebhookEndpoint| {
        let mut config = Config::default();
        config.webhooks.endpoints.insert("crm".into(), endpoint);
        config.validate()
    };
    let good = "https://crm.example.com/hooks";
    assert_eq!(errors(endpoint(good, &[FIRST, SECOND], &["user.created"])), [] as [&str; 0]);
    for (endpoint, words) in [
        (endpoint("http://crm.example.com/", &[FIRST], &[]), "url: The URL must begin with https."),
        (endpoint("https://127.0.0.1/", &[FIRST], &[]), "url: The address is not public."),
        (endpoint("https://crm.example.com:8443/", &[FIRST], &[]), "url: The URL must use port 443."),
        (endpoint(good, &[], &[]), "secrets: expected one or two"),
        (endpoint(good, &[FIRST, SECOND, FIRST], &[]), "secrets: expected one or two"),
        (endpoint(good, &["whsec_canary"], &[]), "secrets: expected one or two"),
        (endpoint(good, &[FIRST], &["user.canary"]), "events: expected some of user.created, "),
    ] {
        let errors = errors(endpoint);
        assert!(
            errors.len() == 1 && errors[0].contains(&format!("webhooks.endpoints.crm.{words}")),
            "{errors:?}"
        );
        assert!(!errors[0].contains("canary"), "{errors:?}");
    }
    let mut config = Config::default();
    for number in 0..21 {
        config.webhooks.endpoints.insert(format!("crm-{number}"), endpoint(good, &[FIRST], &[]));
    }
    assert_eq!(config.validate(), ["webhooks.endpoints: expected 20 at most"]);
    config.webhooks.endpoints = [("CRM.1".to_owned(), endpoint(good, &[FIRST], &[]))].into();
    assert!(config.validate()[0].starts_with("webhooks.endpoints: names are of"));
}
