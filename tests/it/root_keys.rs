//! The root key: changed under load and across a `kill -9`, missed when it is gone, and needed with a backup.
//!
//! `LATCHKEY_TEST_RECORDS` makes the rotation a longer drill.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use entities::{ApiKeyId, Timestamp, api_key};
use latchkey::clock::{Clock, Sources, SystemClock};
use latchkey::config::Config;
use latchkey::crypto::record::{Place, RecordKey};
use latchkey::crypto::root_ring::RootRing;
use latchkey::crypto::seal::Sealer;
use latchkey::entropy::Entropy;
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::api_keys::{KEY, SECRET, store};
use crate::backups::{back_up, restore};
use crate::support::process::{Process, Rows, Site};
use crate::support::transit::{TOKEN, Transit};
use crate::support::{Client, Engine, On, PASSWORD, Totp, User, counted, eventually};

const ADA: &str = "ada@example.com";
const BOB: &str = "bob@example.com";
const CAROL: &str = "carol@example.com";
const FIRST: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const SECOND: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
const TABLES: [(&str, &str); 4] = [
    ("server_keys", "sealed"),
    ("api_keys", "wrapped_key"),
    ("totp_authenticators", "sealed"),
    ("outbox_messages", "sealed"),
];

async fn user(site: &Site, server: &Process, email: &str) -> User {
    site.verified(server, email, PASSWORD).await;
    login(server, email).await
}

/// Somebody whose authenticator app has been confirmed with the code before the one that it shows.
async fn user_with_totp(site: &Site, server: &Process) -> Totp {
    let mut bob = user(site, server, BOB).await;
    eventually("a code that is not about to change", async || {
        (SystemClock.now().seconds() % 30 < 25).then_some(())
    })
    .await;
    bob.add_totp("Phone", Timestamp(SystemClock.now().0 - 30_000)).await.0
}

async fn login(server: &Process, email: &str) -> User {
    let body = json!({ "email": email, "password": PASSWORD });
    let answer = server.anonymous().post("/auth/login", &body).await.assert_status(200);
    User::new(server.anonymous(), email, PASSWORD, &answer)
}

async fn assert_revealed(client: &Client, path: &str) {
    let answer = client.post(&format!("{path}/decrypt"), &json!({})).await.assert_status(200).json();
    assert_eq!((&answer["data"]["api_key"], &answer["data"]["secret"]), (&json!(KEY), &json!(SECRET)));
}

/// Ids of the root keys that credentials are sealed under.
async fn roots(rows: &Rows) -> Vec<Vec<u8>> {
    rows.column("SELECT DISTINCT substr(wrapped_key, 2, 4) FROM api_keys").await
}

/// Stores the one credential that is there many times over, sealed as the server does it. Answers the paths.
async fn fill(site: &Site, rows: &Rows, count: u64) -> Vec<String> {
    let template = api_key::Entity::find().one(&rows.0).await.unwrap().unwrap();
    let config = Config { data_dir: site.database.directory.path().to_owned(), ..Config::default() };
    let sealer = Sealer::new(&RootRing::obtain(&config, Entropy).unwrap(), "vault", Entropy);
    let row = |number: u64| {
        let id: ApiKeyId = Sources::system().id();
        let place = Place { owner: template.account_id.0, record: id.0, version: 1 };
        let key = RecordKey::generate(Entropy);
        let seal = |field: &str, text: &str| key.seal(&place, field, text.as_bytes(), Entropy);
        api_key::Model {
            id,
            name: format!("Key {number}"),
            name_key: format!("key {number}"),
            wrapped_key: sealer.seal(&place.context(), key.bytes()),
            sealed_api_key: seal("api_key", KEY),
            sealed_secret: Some(seal("secret", SECRET)),
            ..template.clone()
        }
    };
    let mut paths = vec![];
    for start in (0..count).step_by(500) {
        let batch: Vec<_> = (start..count.min(start + 500)).map(row).collect();
        paths.extend(batch.iter().map(|row| format!("/api/v1/api-keys/{}", row.id)));
        let batch = batch.into_iter().map(|row| row.into_active_model().reset_all());
        api_key::Entity::insert_many(batch).exec_without_returning(&rows.0).await.unwrap();
    }
    paths
}

/// People who use credentials until they are told to stop; answers how often that went well. Nothing may go wrong.
struct Load {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    people: JoinSet<()>,
}

impl Load {
    /// `newcomer` stores further credentials; the owner of `paths` may have as many as an account can.
    fn begin(client: &Client, paths: &[String], newcomer: &Client) -> Self {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut people = JoinSet::new();
        for person in 0..3_usize {
            let (client, newcomer, paths) = (client.clone(), newcomer.clone(), paths.to_vec());
            let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
            people.spawn(async move {
                for turn in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // All over the table: what has its turn first, last, and in between.
                    let path = &paths[(turn * 7919 + person * 104_729) % paths.len()];
                    assert_revealed(&client, path).await;
                    match turn % 5 {
                        0 => {
                            let body = json!({ "labels": [format!("turn {turn}")] });
                            client.patch(path, &body).await.assert_status(200);
                        }
                        1 => {
                            let path = store(&newcomer, &format!("New {person} {turn}")).await;
                            assert_revealed(&newcomer, &path).await;
                        }
                        _ => {}
                    }
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self { stop, count, people }
    }

    /// Waits until everybody has been busy for a while.
    async fn go_on(&self) {
        let before = self.count.load(Ordering::Relaxed);
        eventually("more reveals", async || (self.count.load(Ordering::Relaxed) > before + 10).then_some(()))
            .await;
    }

    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.people.join_all().await;
        self.count.load(Ordering::Relaxed)
    }
}

/// Runs a command to its end, however long that takes.
async fn run_long(site: &Site, arguments: &[&str]) -> String {
    let output = site.command(arguments).output().await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

on_both_engines! {
    async fn a_rotation_refuses_nothing_and_goes_on_after_a_kill(site: Site) {
        let records = std::env::var("LATCHKEY_TEST_RECORDS").map_or(2000, |text| text.parse().unwrap());
        let site = site.with("VAULT__KEYS_PER_ACCOUNT", "100000").with("ASSURANCE__RECENT_SECONDS", "86400");
        let file = site.database.directory.path().join("root.key");
        let server = site.start().await;
        let totp = user_with_totp(&site, &server).await;
        let ada = user(&site, &server, ADA).await;
        let carol = user(&site, &server, CAROL).await;
        let mut paths = vec![store(&ada, "First").await];
        let rows = site.rows().await;
        paths.extend(fill(&site, &rows, records).await);
        let old = std::fs::read_to_string(&file).unwrap();
        let load = Load::begin(&ada, &paths, &carol);
        load.go_on().await;

        // Killed as soon as something is under the new key, when most is not.
        let mut rotation = site.command(&["keys", "rotate-root"]).stdout(Stdio::null()).spawn().unwrap();
        let mix = eventually("a first batch", async || {
            let roots = roots(&rows).await;
            (roots.len() > 1).then_some(roots)
        })
        .await;
        rotation.kill().await.unwrap();
        assert_eq!(mix.len(), 2);
        let begun = std::fs::read_to_string(&file).unwrap();
        assert_eq!((begun.lines().count(), begun.lines().nth(1)), (2, Some(old.trim())));
        load.go_on().await;
        assert_eq!(roots(&rows).await.len(), 2, "killed in the middle");

        // Too early to do without the old key.
        let alone = [("LATCHKEY_ROOT_KEY", begun.lines().next().unwrap())];
        site.run_with(&["serve"], &alone).await.assert_failure("root_key: rows of");
        let said = run_long(&site, &["keys", "rotate-root"]).await;
        assert!(said.contains("going on") && said.contains("nothing is left"), "{said}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), begun, "no third key");
        load.go_on().await;
        let said = run_long(&site, &["keys", "retire-root"]).await;
        assert!(said.contains("gone from the key file"), "{said}");
        let new = std::fs::read_to_string(&file).unwrap();
        assert_eq!(new.trim(), begun.lines().next().unwrap());
        assert_eq!(roots(&rows).await.len(), 1);
        load.go_on().await;
        let requests = load.end().await;
        assert!(requests > 40);
        for action in ["root_key.rotation_begun", "root_key.rotated", "root_key.retired"] {
            let count = rows.count(&format!("audit_events WHERE action = '{action}' AND actor = 'operator'")).await;
            assert!(count > 0, "{action}");
        }

        // The server that ran all the time, and one that begins now, do everything with the new key alone.
        assert!(!server.log().contains("ERROR"), "{}", server.log());
        sign_in_with_totp(&server, &totp).await;
        assert_eq!(server.node.terminate().await, Some(0));
        let server = site.start().await;
        let ada = login(&server, ADA).await;
        for path in paths.iter().step_by(paths.len() / 20) {
            assert_revealed(&ada, path).await;
        }
        server.node.kill().await;

        std::fs::write(&file, old).unwrap();
        let refused = site.run(&["serve"]).await.assert_failure("root_key: rows of server_keys are sealed under another root key");
        assert!(refused.stderr.lines().count() == 1 && refused.stderr.contains("root.key"), "{refused:?}");
        std::fs::write(&file, new).unwrap();
        site.start().await;
        let words = format!("{records} stored credentials, {requests} requests beside it, none refused or wrong");
        counted("the root key changed under load, across a kill -9", site.database.engine, &words);
    }

    async fn keys_in_the_settings_change_by_restarts(engine: Engine) {
        let site = Site::on(engine).await;
        let first = [("LATCHKEY_ROOT_KEY", FIRST)];
        let both = [("LATCHKEY_ROOT_KEY", SECOND), ("LATCHKEY_PREVIOUS_ROOT_KEYS", FIRST)];
        let second = [("LATCHKEY_ROOT_KEY", SECOND)];
        let run = async |arguments: &[&str], keys: &[(&str, &str)]| site.run_with(arguments, keys).await;
        let server = site.start_with(&first).await;
        let ada = user(&site, &server, ADA).await;
        let path = store(&ada, "Savings").await;
        let enrolment = ada.post("/auth/mfa/totp", &json!({ "name": "Phone" })).await.assert_status(200).json();
        assert!(enrolment["secret"].is_string());
        server.node.terminate().await;
        // A mail that waits, because its server is down.
        let down = [first[0], ("LATCHKEY_MAIL_URL", "smtp://127.0.0.1:1?tls=none")];
        let server = site.start_with(&down).await;
        server.anonymous().post("/auth/forgot-password", &json!({ "email": ADA })).await.assert_status(200);
        let rows = site.rows().await;
        eventually("a mail that waits", async || {
            (rows.count("outbox_messages WHERE sealed IS NOT NULL AND template = 'reset_password'").await == 1).then_some(())
        })
        .await;
        server.node.terminate().await;
        let sealed = async |table: &str, column: &str| {
            rows.column::<Vec<u8>>(&format!("SELECT {column} FROM {table} WHERE {column} IS NOT NULL ORDER BY id")).await
        };
        let mut before = vec![];
        for (table, column) in TABLES {
            before.push(sealed(table, column).await);
        }

        let advice = run(&["keys", "rotate-root"], &first).await.assert_failure("openssl rand -base64 32");
        assert!(advice.stderr.contains("previous_root_keys"), "{advice:?}");
        run(&["keys", "rotate-root"], &second).await.assert_failure("another root key");
        for (previous, words) in [
            (FIRST, "previous_root_keys: the same root key is there twice"),
            ("canary", "previous_root_keys: expected 32 random bytes"),
        ] {
            let keys = [first[0], ("LATCHKEY_PREVIOUS_ROOT_KEYS", previous)];
            let refused = run(&["serve"], &keys).await.assert_failure(words);
            assert!(!refused.stderr.contains("canary") && !refused.stderr.contains(FIRST), "{refused:?}");
        }

        let server = site.start_with(&[both[0], both[1], down[1]]).await;
        let ada = login(&server, ADA).await;
        assert_revealed(&ada, &path).await;
        let said = run(&["keys", "rotate-root"], &both).await.assert_success().stdout;
        assert!(said.contains("nothing is left") && said.contains("previous_root_keys can be taken away"), "{said}");
        assert_revealed(&ada, &path).await;
        run(&["keys", "retire-root"], &both).await.assert_failure("previous_root_keys");
        server.node.terminate().await;
        run(&["serve"], &first).await.assert_failure("root_key: rows of server_keys");

        // A start that lacks what one row needs names its table.
        for ((table, column), old) in TABLES.into_iter().zip(&before) {
            let new = sealed(table, column).await;
            assert_ne!(&new, old, "{table}");
            let put = async |from: &[u8], to: &[u8]| {
                let (from, to) = (literal(engine, from), literal(engine, to));
                rows.execute(&format!("UPDATE {table} SET {column} = {to} WHERE {column} = {from}")).await;
            };
            put(&new[0], &old[0]).await;
            let refused = run(&["serve"], &second).await.assert_failure(&format!("root_key: rows of {table} are"));
            assert!(refused.stderr.contains("previous_root_keys"), "{refused:?}");
            run(&["doctor"], &second).await.assert_failure("problem");
            put(&old[0], &new[0]).await;
        }

        let server = site.start_with(&second).await;
        let ada = login(&server, ADA).await;
        assert_revealed(&ada, &path).await;
        rows.execute("UPDATE outbox_messages SET due_at = 0 WHERE state = 'pending'").await;
        rows.outbox_empty().await;
        assert!(site.mails_to(ADA).iter().any(|mail| mail.template == "reset_password"));
    }

    async fn a_row_that_does_not_open_is_named_and_left(site: Site) {
        let server = site.start().await;
        let ada = user(&site, &server, ADA).await;
        let path = store(&ada, "Savings").await;
        let altered = store(&ada, "Altered").await;
        let id = altered.rsplit('/').next().unwrap();
        let rows = site.rows().await;
        let wrapped: Vec<u8> = rows.column("SELECT wrapped_key FROM api_keys WHERE name = 'Altered'").await.remove(0);
        let mut broken = wrapped.clone();
        *broken.last_mut().unwrap() ^= 1;
        let value = literal(site.database.engine, &broken);
        rows.execute(&format!("UPDATE api_keys SET wrapped_key = {value} WHERE name = 'Altered'")).await;
        let failed = site.run(&["keys", "rotate-root"]).await.assert_failure("values do not open, because they were altered or moved (1)");
        assert!(failed.stderr.contains(&format!("api_keys {id}")), "{failed:?}");
        assert_revealed(&ada, &path).await;
        assert!(rows.column::<Vec<u8>>("SELECT wrapped_key FROM api_keys").await.contains(&broken));
        site.run(&["keys", "retire-root"]).await.assert_failure("do not open");
        ada.json("DELETE", &altered, &Value::Null).await.assert_status(200);
        let said = site.run(&["keys", "rotate-root", "--retire"]).await.assert_success().stdout;
        assert!(said.contains("gone from the key file"), "{said}");
        assert_revealed(&ada, &path).await;
    }

    async fn transit_wraps_the_keys_of_credentials(site: Site) {
        let server = site.start().await;
        let ada = user(&site, &server, ADA).await;
        let local = store(&ada, "Before").await;
        assert_eq!(server.node.terminate().await, Some(0));

        let transit = Transit::start().await;
        let settings = [("LATCHKEY_VAULT__TRANSIT_URL", transit.url.as_str()), ("LATCHKEY_VAULT__TRANSIT_TOKEN", TOKEN)];
        let server = site.start_with(&settings).await;
        let ada = login(&server, ADA).await;
        // What the root key wrapped before still opens; what is new is wrapped by Transit.
        assert_revealed(&ada, &local).await;
        let remote = store(&ada, "After").await;
        assert_revealed(&ada, &remote).await;
        let rows = site.rows().await;
        let heads = async || {
            let mut heads: Vec<Vec<u8>> = rows.column("SELECT DISTINCT substr(wrapped_key, 1, 5) FROM api_keys").await;
            heads.sort();
            heads
        };
        let before = heads().await;
        assert_eq!((before.len(), &before[1][..]), (2, &[2, 0, 0, 0, 1][..]));

        // A new version in Transit: all goes under it, and the older ones can be switched off there.
        transit.rotate();
        site.run_with(&["keys", "rotate-root", "--retire"], &settings).await.assert_success();
        assert_eq!(heads().await, [[2, 0, 0, 0, 2]]);
        transit.retire();
        for path in [&local, &remote] {
            assert_revealed(&ada, path).await;
        }

        // Its outage is no fault of the record, and is over when it is over.
        transit.seal(true);
        ada.post(&format!("{remote}/decrypt"), &json!({})).await.assert_status(503);
        for outcome in ["answered", "refused"] {
            let asked = format!("latchkey_transit_requests_total{{outcome=\"{outcome}\"}}");
            assert!(server.metric(&asked).await > 0.0, "{outcome}");
        }
        site.run_with(&["keys", "list"], &settings).await.assert_success();
        let doctor = async || site.run_with(&["doctor"], &settings).await.stdout;
        assert!(doctor().await.contains("PROBLEM  Transit: the root key can't be reached"));
        transit.seal(false);
        assert!(doctor().await.contains("ok       Transit"));
        assert_revealed(&ada, &remote).await;
        assert_eq!(rows.count("audit_events WHERE action = 'api_key.unreadable'").await, 0);

        // Moved to another record it does not open.
        rows.execute(
            "UPDATE api_keys SET wrapped_key = (SELECT wrapped_key FROM api_keys WHERE name = 'Before') WHERE name = 'After'",
        )
        .await;
        ada.post(&format!("{remote}/decrypt"), &json!({})).await.assert_status(500);
        assert_eq!(rows.count("audit_events WHERE action = 'api_key.unreadable'").await, 1);
        assert_revealed(&ada, &local).await;
        assert!(!server.log().contains(TOKEN));
        server.node.kill().await;

        for (name, value, words) in [
            ("LATCHKEY_VAULT__TRANSIT_TOKEN", "hvs.wrong", "vault.transit_token: it may not read the key"),
            ("LATCHKEY_VAULT__TRANSIT_KEY", "other", "vault.transit_key: there is no key other"),
            ("LATCHKEY_VAULT__TRANSIT_KEY", "a/b", "vault.transit_key: expected letters"),
            ("LATCHKEY_VAULT__TRANSIT_TOKEN", "", "vault.transit_url: goes with vault.transit_token"),
            ("LATCHKEY_VAULT__TRANSIT_URL", "http://192.0.2.1/v1/transit", "vault.transit_url: expected an https URL"),
        ] {
            let settings = [settings[0], settings[1], (name, value)];
            let refused = site.run_with(&["serve"], &settings).await.assert_failure(words);
            assert!(!refused.stderr.contains("hvs."), "{refused:?}");
        }
        // Without Transit, or once it has retired what a row is under.
        site.run(&["serve"]).await.assert_failure("root_key: rows of api_keys");
        transit.rotate();
        transit.retire();
        site.run_with(&["serve"], &settings).await.assert_failure("root_key: rows of api_keys");
    }

    async fn a_backup_opens_with_the_root_key_of_its_time_and_with_no_other(site: Site) {
        let server = site.start().await;
        let mut ada = user(&site, &server, ADA).await;
        let path = store(&ada, "Savings").await;
        let totp = user_with_totp(&site, &server).await;
        let key = site.database.directory.path().join("root.key");
        let safe = tempfile::tempdir().unwrap();
        let (backup, kept) = (safe.path().join("backup"), std::fs::read_to_string(&key).unwrap());
        // While the server runs, as the README says.
        back_up(&site, &backup).await;
        // What comes later is not in it: another root key, and a credential.
        site.run(&["keys", "rotate-root", "--retire"]).await.assert_success();
        store(&ada, "Later").await;
        let other = std::fs::read_to_string(&key).unwrap();
        server.node.kill().await;

        let restored = Site::new(site.database.engine).await;
        restore(&restored, &backup).await;
        let key = restored.database.directory.path().join("root.key");
        for wrong in [Some(other.as_str()), Some(SECOND), None] {
            match wrong {
                Some(wrong) => std::fs::write(&key, wrong).unwrap(),
                None => std::fs::remove_file(&key).unwrap(),
            }
            for command in [&["serve"][..], &["keys", "list"], &["keys", "rotate-root"]] {
                restored.run(command).await.assert_failure("root_key: rows of server_keys");
            }
        }
        std::fs::write(&key, kept).unwrap();
        let server = restored.start().await;
        // Whoever was signed in still is.
        let answer = server.refresh(&ada.refresh_token).await.assert_status(200);
        ada = User::new(server.anonymous(), ADA, PASSWORD, &answer);
        assert_revealed(&ada, &path).await;
        let list = ada.get("/api/v1/api-keys/").await.assert_status(200).json();
        assert_eq!(list["data"]["api_keys"].as_array().map(Vec::len), Some(1), "{list}");
        sign_in_with_totp(&server, &totp).await;
    }
}

async fn sign_in_with_totp(server: &Process, totp: &Totp) {
    let body = json!({ "email": BOB, "password": PASSWORD });
    let login = server.anonymous().post("/auth/login", &body).await.assert_status(200).json();
    let code = totp.code(SystemClock.now());
    let body = json!({ "ticket": login["mfa"]["ticket"], "method": "totp", "code": code });
    server.anonymous().post("/auth/mfa/verify", &body).await.assert_status(200);
}

/// Bytes in SQL.
fn literal(engine: Engine, bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match engine {
        Engine::Sqlite => format!("x'{hex}'"),
        Engine::Postgres => format!("'\\x{hex}'::bytea"),
    }
}
