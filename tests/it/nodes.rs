//! Several nodes on one PostgreSQL, behind a balancer and PgBouncer: a new release comes to one after the other under load,
//! and nobody is refused but for what a client tries again by itself.
//!
//! `LATCHKEY_TEST_OLD_BINARY` names the release that is replaced, this one by default (`LATCHKEY_TEST_OLD_NAME` is what
//! to call it), and `LATCHKEY_TEST_ROLL_SECONDS` how long load runs between two steps.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, TransactionTrait};
use serde_json::json;

use crate::api_keys::store;
use crate::kyc::VERIFICATIONS;
use crate::support::balancer::Balancer;
use crate::support::people::{Person, Tally};
use crate::support::pgbouncer::PgBouncer;
use crate::support::process::{Site, credentials};
use crate::support::{Client, Engine, PASSWORD, counted, eventually};

const PEOPLE: usize = 6;
/// How often a client tries again, as libraries do by default.
const TRIES: usize = 3;

fn seconds() -> Duration {
    let seconds = std::env::var("LATCHKEY_TEST_ROLL_SECONDS").map_or(1, |text| text.parse().unwrap());
    Duration::from_secs(seconds)
}

/// Waits until everybody together has got this many answers more, and for as long as the drill is to take.
async fn some_load(tally: &Tally) {
    let before = tally.answers();
    tokio::time::sleep(seconds()).await;
    eventually("answers under load", async || (tally.answers() >= before + 4 * PEOPLE as u64).then_some(()))
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
    let (tally, mut people) = (Arc::new(Tally::new(TRIES, Duration::ZERO)), vec![]);
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
    tally.end();
    for life in lives {
        life.await.expect("nobody is refused").find_everything().await;
    }
    let (answers, retries) = (tally.answers(), tally.refusals() + tally.cuts());
    let old = std::env::var("LATCHKEY_TEST_OLD_NAME").unwrap_or_else(|_| "itself".into());
    let words = format!("three nodes, from {old}: {answers} answers, {retries} tried again, none refused");
    counted("a release, node by node, behind PgBouncer", Engine::Postgres, &words);
    // An idle connection that a stopping server ends, once for each person and node, and no more.
    assert!(retries <= 2 * 3 * PEOPLE as u64, "{retries} of {answers} had to be tried again");
    for node in &fresh {
        assert!(!node.log().contains("ERROR"), "{}", node.log());
    }
}

/// Longer than any statement of a request may take.
#[tokio::test]
async fn a_start_waits_for_the_schema_as_long_as_it_takes() {
    let site = Site::new(Engine::Postgres).await;
    site.start().await.node.terminate().await;
    let rows = site.rows().await;
    let busy = rows.0.begin().await.unwrap();
    busy.execute_unprepared("LOCK TABLE seaql_migrations IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let (migrated, ()) = tokio::join!(site.run(&["migrate", "up"]), async {
        tokio::time::sleep(Duration::from_secs(7)).await;
        busy.commit().await.unwrap();
    });
    migrated.assert_success();
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
