//! What happens to PostgreSQL: it is restarted, killed, paused, gone, and out of disk, all under load. Whoever asks meanwhile is
//! told to come later, and what was acknowledged is there when it is back.
//!
//! `LATCHKEY_TEST_OUTAGE_SECONDS` is how long each fault lasts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::cluster::Cluster;
use crate::support::people::{Person, Tally};
use crate::support::process::{Process, Site};
use crate::support::{Engine, PASSWORD, counted, eventually};

const PEOPLE: usize = 6;

/// What a database may cost once it is there again.
const BACK: Duration = Duration::from_secs(10);

/// A server on a database that will suffer, and people who use it all the time.
struct Load {
    site: Site,
    server: Process,
    tally: Arc<Tally>,
    lives: Vec<JoinHandle<Person>>,
    access: String,
}

impl Load {
    async fn on(cluster: &Cluster) -> Self {
        let site = Site::new(Engine::Postgres)
            .await
            .with("DATABASE_URL", &cluster.url())
            .with("VAULT__KEYS_PER_ACCOUNT", "100000")
            // Whoever waits for the database shows the same token again, and again.
            .with("TOKENS__REFRESH_GRACE_SECONDS", "60");
        let server = site.start().await;
        // As often as it takes.
        let tally = Arc::new(Tally::new(usize::MAX, Duration::from_millis(50)));
        let mut lives = vec![];
        for number in 0..PEOPLE {
            let person = Person::arrive(number, &site, &server, server.address, &tally).await;
            lives.push(tokio::spawn(person.live()));
        }
        site.verified(&server, "ada@example.com", PASSWORD).await;
        let access = server.login("ada@example.com", PASSWORD).await.access;
        let load = Self { site, server, tally, lives, access };
        load.answers().await;
        load
    }

    /// Waits until everybody together has got some more answers.
    async fn answers(&self) {
        let before = self.tally.answers();
        eventually("answers under load", async || {
            (self.tally.answers() >= before + 4 * PEOPLE as u64).then_some(())
        })
        .await;
    }

    /// Looks, for as long as a fault is to last, that nobody gets anything but "later", or the right answer. Answers how long
    /// somebody had to wait for it.
    async fn suffer(&self) -> f64 {
        let mut slowest = 0.0_f64;
        let seconds = std::env::var("LATCHKEY_TEST_OUTAGE_SECONDS").map_or(2, |text| text.parse().unwrap());
        let until = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < until {
            self.server.anonymous().get("/livez").await.assert_status(200);
            let asked = Instant::now();
            let answer = self.server.profile(&self.access).await;
            slowest = slowest.max(asked.elapsed().as_secs_f64());
            if answer.status == 503 {
                assert!(answer.assert_error(503, "unavailable").retry_after() > 0);
            } else {
                assert_eq!(answer.assert_status(200).json()["email"], "ada@example.com");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        slowest
    }

    /// How long the server takes to be what it was.
    async fn recover(&self) -> f64 {
        let began = Instant::now();
        let ada = self.server.anonymous().bearer(&self.access);
        eventually("a good answer, and a write", async || {
            let read = ada.get("/auth/profile").await.status == 200;
            let written = ada.patch("/auth/profile", &json!({ "full_name": "Ada" })).await.status == 200;
            (read && written).then_some(())
        })
        .await;
        let took = began.elapsed();
        assert!(took < BACK, "{took:?}");
        self.answers().await;
        took.as_secs_f64()
    }

    /// Lets everybody find what they were told is there; answers what was counted.
    async fn end(self) -> String {
        self.tally.end();
        for life in self.lives {
            life.await.expect("only the right answers, and 503").find_everything().await;
        }
        assert!(self.tally.refusals() > 0);
        assert_eq!(self.tally.cuts(), 0);
        assert!(!self.server.log().contains("panicked"), "{}", self.server.log());
        drop(self.site);
        format!("{} answers, {} refused with 503 and made again", self.tally.answers(), self.tally.refusals())
    }
}

#[tokio::test]
async fn a_database_that_restarts_stands_still_or_is_gone_costs_no_acknowledged_write() {
    let mut cluster = Cluster::start().await;
    let load = Load::on(&cluster).await;
    let (mut worst, mut slowest) = (0.0_f64, 0.0_f64);
    // In order, at once, and as the kernel does when memory is short.
    for signal in ["INT", "QUIT", "KILL"] {
        cluster.stop(signal).await;
        slowest = slowest.max(load.suffer().await);
        cluster.start_again().await;
        worst = worst.max(load.recover().await);
    }
    cluster.pause();
    slowest = slowest.max(load.suffer().await);
    cluster.go_on();
    worst = worst.max(load.recover().await);
    let words = format!(
        "{}, nothing acknowledged lost; no answer took longer than {slowest:.0} s; back {worst:.1} s after the database at the latest",
        load.end().await
    );
    counted("PostgreSQL restarted, killed, refusing connections and paused", Engine::Postgres, &words);
}

#[tokio::test]
async fn a_database_whose_disk_is_full_costs_no_acknowledged_write() {
    let cluster = Cluster::on_a_small_disk(96).await;
    let load = Load::on(&cluster).await;
    let filler = crate::faults::fill(&cluster.disk());
    let ada = load.server.anonymous().bearer(&load.access);
    // There is room left in the files that are there.
    let refused = eventually("a write that is refused", async || {
        let answer = ada.patch("/auth/profile", &json!({ "full_name": "Ada" })).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert!(refused.assert_error(503, "unavailable").retry_after() > 0);
    load.suffer().await;
    std::fs::remove_file(filler).unwrap();
    let took = load.recover().await;
    let words =
        format!("{}, nothing acknowledged lost; back {took:.1} s after there was room", load.end().await);
    counted("PostgreSQL on a full disk", Engine::Postgres, &words);
    assert!(cluster.log().contains("No space left on device"));
}
