//! Several nodes on one PostgreSQL, behind a balancer and PgBouncer: a new release comes to one after the other under load,
//! and nobody is refused but for what a client tries again by itself.
//!
//! `LATCHKEY_TEST_OLD_BINARY` names the release that is replaced, this one by default (`LATCHKEY_TEST_OLD_NAME` is what
//! to call it), and `LATCHKEY_TEST_ROLL_SECONDS` how long load runs between two steps.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::api_keys::{API_KEYS, KEY, SECRET, store};
use crate::kyc::VERIFICATIONS;
use crate::support::balancer::Balancer;
use crate::support::pgbouncer::PgBouncer;
use crate::support::process::{Connection, Process, Session, Site, credentials};
use crate::support::{Answer, Client, Engine, PASSWORD, counted, eventually};

const PEOPLE: usize = 6;
/// How often a client tries again, as libraries do by default.
const TRIES: usize = 3;

/// What all people together have met.
#[derive(Default)]
struct Tally {
    answers: AtomicU64,
    /// Tried again because a connection had ended, or the server said "later".
    retries: AtomicU64,
    over: AtomicBool,
}

/// Somebody who uses the service without pause, over the balancer.
struct Person {
    email: String,
    balancer: SocketAddr,
    connection: Option<Connection>,
    session: Session,
    stored: Vec<String>,
    names: usize,
    tally: Arc<Tally>,
}

impl Person {
    async fn arrive(
        number: usize,
        site: &Site,
        server: &Process,
        balancer: SocketAddr,
        tally: &Arc<Tally>,
    ) -> Self {
        let email = format!("person-{number}@example.com");
        site.verified(server, &email, PASSWORD).await;
        let session = server.login(&email, PASSWORD).await;
        Self {
            email,
            balancer,
            connection: None,
            session,
            stored: vec![],
            names: 0,
            tally: Arc::clone(tally),
        }
    }

    /// A request as a client with a connection that is kept open makes it.
    async fn call(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        for _ in 0..TRIES {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => Connection::open(self.balancer).await.unwrap(),
            };
            let access = self.session.access.clone();
            match connection.call(method, path, Some(&access), body).await {
                Ok(answer) if answer.status == 503 => assert!(answer.retry_after() > 0),
                Ok(answer) => {
                    self.tally.answers.fetch_add(1, Ordering::Relaxed);
                    let goes = answer.header("connection").is_some_and(|value| value == "close");
                    self.connection = (!goes).then_some(connection);
                    return answer;
                }
                Err(_) => {}
            }
            self.tally.retries.fetch_add(1, Ordering::Relaxed);
        }
        panic!("{method} {path} was refused {TRIES} times in a row");
    }

    async fn live(mut self) -> Self {
        for turn in 0.. {
            if self.tally.over.load(Ordering::Relaxed) {
                break;
            }
            match turn % 8 {
                0 => {
                    let body = json!({ "refresh_token": self.session.refresh });
                    self.session = Session::of(&self.call("POST", "/auth/refresh", &body).await);
                }
                2 => {
                    self.names += 1;
                    let body = json!({ "full_name": format!("Name {}", self.names) });
                    self.call("PATCH", "/auth/profile", &body).await.assert_status(200);
                }
                4 => self.store().await,
                6 => {
                    let path = self.stored.last().unwrap().clone();
                    self.reveal(&path).await;
                }
                _ => {
                    let profile =
                        self.call("GET", "/auth/profile", &Value::Null).await.assert_status(200).json();
                    assert_eq!(profile["email"], self.email.as_str());
                    let name = (self.names > 0).then(|| format!("Name {}", self.names));
                    assert_eq!(profile["full_name"], json!(name));
                }
            }
        }
        self
    }

    async fn store(&mut self) {
        let name = format!("Key {}", self.stored.len());
        let body =
            json!({ "provider": "binance", "name": name, "api_key": KEY, "secret": SECRET, "test": false });
        let answer = self.call("POST", API_KEYS, &body).await;
        let id = match answer.status {
            // The first try had arrived, only its answer had not.
            409 => {
                let list = self.call("GET", API_KEYS, &Value::Null).await.assert_status(200).json();
                let rows = list["data"]["api_keys"].as_array().unwrap().clone();
                rows.into_iter().find(|row| row["name"] == name.as_str()).unwrap()["id"].clone()
            }
            _ => answer.assert_status(200).json()["data"]["id"].clone(),
        };
        self.stored.push(format!("{API_KEYS}{}", id.as_str().unwrap()));
    }

    async fn reveal(&mut self, path: &str) {
        let answer =
            self.call("POST", &format!("{path}/decrypt"), &json!({})).await.assert_status(200).json();
        assert_eq!((&answer["data"]["api_key"], &answer["data"]["secret"]), (&json!(KEY), &json!(SECRET)));
    }
}

fn seconds() -> Duration {
    let seconds = std::env::var("LATCHKEY_TEST_ROLL_SECONDS").map_or(1, |text| text.parse().unwrap());
    Duration::from_secs(seconds)
}

/// Waits until everybody together has got this many answers more, and for as long as the drill is to take.
async fn some_load(tally: &Tally) {
    let before = tally.answers.load(Ordering::Relaxed);
    tokio::time::sleep(seconds()).await;
    eventually("answers under load", async || {
        (tally.answers.load(Ordering::Relaxed) >= before + 4 * PEOPLE as u64).then_some(())
    })
    .await;
}

/// Guesses passwords until the limit says stop; answers how many were let through.
async fn guess(client: &Client) -> usize {
    for guesses in 0..100 {
        let answer = client.post("/auth/login", &credentials("target@example.com", "not the password")).await;
        if answer.status == 429 {
            return guesses;
        }
        answer.assert_error(401, "invalid_credentials");
    }
    panic!("nothing limits guesses");
}

#[tokio::test]
async fn a_release_comes_to_one_node_after_the_other_under_load() {
    let mut site = Site::new(Engine::Postgres).await.with_limits();
    for limit in [
        "LOGIN_PER_ADDRESS",
        "SIGNUP_PER_ADDRESS",
        "REFRESH_PER_SESSION",
        "REVEAL_PER_ACCOUNT",
        "API_KEY_PER_ACCOUNT",
    ] {
        site = site.with(&format!("LIMITS__{limit}"), "100000/60");
    }
    // None comes back while the drill lasts.
    site = site.with("LIMITS__LOGIN_PER_ACCOUNT", "5/86400");
    let bouncer = PgBouncer::start(&site.database).await;
    let url = bouncer.url(&site.database);
    let site = site.with("DATABASE_URL", &url).with("VAULT__KEYS_PER_ACCOUNT", "100000");
    let old = std::env::var("LATCHKEY_TEST_OLD_BINARY").ok().map(PathBuf::from);
    let start_old = async || match &old {
        Some(program) => site.start_program(program).await,
        None => site.start().await,
    };
    // All at once, on nothing.
    let (one, two, three) = tokio::join!(start_old(), start_old(), start_old());
    let balancer = Balancer::start().await;
    let (tally, mut people) = (Arc::new(Tally::default()), vec![]);
    for number in 0..PEOPLE {
        people.push(Person::arrive(number, &site, &one, balancer.address, &tally).await);
    }
    site.verified(&two, "target@example.com", PASSWORD).await;
    assert_eq!(guess(&one.anonymous()).await, 5);
    let nodes = [one, two, three];
    nodes.iter().for_each(|node| balancer.add(node.address));
    let lives: Vec<_> = people.into_iter().map(|person| tokio::spawn(person.live())).collect();

    let mut fresh = vec![];
    for mut node in nodes {
        some_load(&tally).await;
        let next = site.start().await;
        balancer.add(next.address);
        balancer.remove(node.address);
        node.ask_to_stop().await;
        assert_eq!(node.node.ended().await, Some(0));
        // What it knows of guesses is in the database.
        assert_eq!(guess(&next.anonymous()).await, 0);
        fresh.push(next);
    }
    some_load(&tally).await;
    tally.over.store(true, Ordering::Relaxed);
    for life in lives {
        let mut person = life.await.expect("nobody is refused");
        assert!(!person.stored.is_empty());
        for path in person.stored.clone() {
            person.reveal(&path).await;
        }
    }
    let (answers, retries) = (tally.answers.load(Ordering::Relaxed), tally.retries.load(Ordering::Relaxed));
    let old = std::env::var("LATCHKEY_TEST_OLD_NAME").unwrap_or_else(|_| "itself".into());
    let words = format!("three nodes, from {old}: {answers} answers, {retries} tried again, none refused");
    counted("a release, node by node, behind PgBouncer", Engine::Postgres, &words);
    // An idle connection that a stopping server ends, once for each person and node, and no more.
    assert!(retries <= 2 * 3 * PEOPLE as u64, "{retries} of {answers} had to be tried again");
    for node in &fresh {
        assert!(!node.log().contains("ERROR"), "{}", node.log());
    }
}

#[tokio::test]
async fn a_schema_of_a_newer_release_is_refused_and_left_alone() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let site = Site::new(engine).await;
        site.start().await.node.terminate().await;
        let rows = site.rows().await;
        rows.execute("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_future', 0)").await;
        let words = "this database belongs to a newer release of Latchkey; upgrade this one";
        for command in [&["serve"][..], &["migrate", "up"], &["users", "list"]] {
            site.run(command).await.assert_failure(words);
        }
        assert!(site.run(&["doctor"]).await.assert_failure("problem").stdout.contains(words));
        assert_eq!(rows.count("seaql_migrations WHERE version = 'm9999_future'").await, 1);
    }
}

on_both_engines! {
    /// What a migration may do beside an older node: it adds. Prepared statements are in use when that happens.
    async fn columns_that_a_newer_release_adds_harm_no_older_node(site: Site) {
        let site = site.with("KYC__DEMO", "true");
        let server = site.start().await;
        let rows = site.rows().await;
        let tables = match site.database.engine {
            Engine::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
            Engine::Postgres => "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'",
        };
        for turn in 0..3 {
            let email = format!("person-{turn}@example.com");
            // Often enough that every connection of the pool has met each statement.
            site.verified(&server, &email, PASSWORD).await;
            let session = server.login(&email, PASSWORD).await;
            let client = server.anonymous().bearer(&session.access);
            for number in 0..12 {
                store(&client, &format!("Key {number}")).await;
                let path = format!("/auth/profile?{number}");
                client.get(&path).await.assert_status(200);
            }
            let refreshes = (0..12).map(|_| server.refresh(&session.refresh));
            for answer in join_all(refreshes).await {
                answer.assert_status(200);
            }
            let begun = client.post(VERIFICATIONS, &json!({ "level": "full" })).await.assert_status(200).json();
            client.post(&format!("{}/{}/cancel", VERIFICATIONS, begun["verification"]["id"].as_str().unwrap()), &json!({}))
                .await
                .assert_status(200);
            for table in rows.column::<String>(tables).await {
                rows.execute(&format!("ALTER TABLE {table} ADD COLUMN later_{turn} TEXT")).await;
            }
        }
        assert!(!server.log().contains("cached plan"), "{}", server.log());
    }
}
