//! What happens to machines: a database that stops answering, a disk that is full, a clock that jumps. The answer is
//! "later" or the right one, and what was acknowledged is there when it is over.

use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use serde_json::json;

use crate::api_keys::store;
use crate::kyc::{VERIFICATIONS, id_of};
use crate::support::line::Line;
use crate::support::process::{Process, Session, Site, credentials};
use crate::support::{Client, Engine, PASSWORD, PUBLIC_URL, counted, eventually};

const ADA: &str = "ada@example.com";

/// A server with four connections to its database, over a line.
async fn behind_a_line() -> (Site, Line, Process) {
    let site = Site::new(Engine::Postgres).await;
    let line = Line::start(&site.database).await;
    let url = line.url(&site.database);
    let site = site.with("DATABASE_URL", &url).with("DATABASE_CONNECTIONS", "4");
    let server = site.start().await;
    site.verified(&server, ADA, PASSWORD).await;
    (site, line, server)
}

#[tokio::test]
async fn a_database_that_stops_answering_costs_the_time_it_takes() {
    let (_site, line, server) = behind_a_line().await;
    let session = server.login(ADA, PASSWORD).await;
    line.hold();
    let ada = server.anonymous().bearer(&session.access);
    let asked: Vec<_> = (0..12)
        .map(|number| {
            let ada = ada.clone();
            tokio::spawn(async move {
                // One after the other: those that ask first are also refused first.
                tokio::time::sleep(std::time::Duration::from_millis(100 * number)).await;
                ada.patch("/auth/profile", &json!({ "full_name": format!("Ada {number}") })).await
            })
        })
        .collect();
    // Nobody waits for a connection for long, and those who ask for nothing of the database don't wait at all.
    eventually("somebody is told to come later", async || {
        let refused = asked.iter().any(tokio::task::JoinHandle::is_finished);
        ada.get("/livez").await.assert_status(200);
        refused.then_some(())
    })
    .await;
    line.release();
    let answers = join_all(asked).await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert!(!refused.is_empty());
    for answer in refused {
        assert!(answer.assert_error(503, "unavailable").retry_after() > 0);
    }
    // Those that held a connection went on where they were.
    assert!(!done.is_empty());
    let name = ada.get("/auth/profile").await.assert_status(200).json()["full_name"].clone();
    assert!(done.iter().any(|answer| answer.json()["full_name"] == name), "{name}");
    counted(
        "a database that stops answering",
        Engine::Postgres,
        "503 with Retry-After, or the right answer once it is back",
    );
}

/// Starts a server whose data is on a disk of three megabytes; answers where that is, as seen from here.
async fn on_a_small_disk(site: &Site) -> (Process, PathBuf) {
    let data = site.database.directory.path().join("small");
    std::fs::create_dir(&data).unwrap();
    let url = format!("sqlite://{}/latchkey.db", data.display());
    let script = format!("mount -t tmpfs -o size=3m,mode=700 tmpfs {} && exec \"$0\" serve", data.display());
    let wrapper = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", &script];
    let server = site.start_in(&wrapper, &[("LATCHKEY_DATABASE_URL", &url)]).await;
    let seen = format!("/proc/{}/root{}", server.node.id(), data.display());
    (server, seen.into())
}

/// Writes until nothing fits any more.
pub fn fill(disk: &Path) -> PathBuf {
    use std::io::Write as _;
    let path = disk.join("filler");
    let mut file = std::fs::File::create(&path).unwrap();
    for size in [4096, 1] {
        let error = loop {
            match file.write_all(&vec![0; size]) {
                Ok(()) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }
    path
}

/// Whoever asked the machine that is gone waits in vain, and so would a pool for its connections.
#[tokio::test]
async fn a_database_that_vanishes_is_replaced_by_the_next() {
    let (_site, line, server) = behind_a_line().await;
    let ada = server.anonymous().bearer(&server.login(ADA, PASSWORD).await.access);
    // So many that each connection is in use when it happens.
    let change = async |number: usize| {
        ada.patch("/auth/profile", &json!({ "full_name": format!("Ada {number}") })).await
    };
    line.hold();
    let asked = join_all((0..12).map(change));
    let gone = async {
        let used = || server.metric("latchkey_db_connections{pool=\"shared\",state=\"used\"}");
        eventually("all connections in use", async || (used().await >= 4.0).then_some(())).await;
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        line.fail_over();
    };
    let (answers, ()) = tokio::join!(asked, gone);
    for answer in answers {
        assert!(answer.assert_error(503, "unavailable").retry_after() > 0);
    }
    eventually("the new one", async || (change(99).await.status == 200).then_some(())).await;
    let profile = ada.get("/auth/profile").await.assert_status(200).json();
    assert_eq!(profile["full_name"], "Ada 99");
}

/// Bytes, of the small disk.
const ROOM: u64 = 300 * 1024;

#[tokio::test]
async fn a_full_disk_refuses_writes_and_loses_none() {
    let site = Site::new(Engine::Sqlite).await;
    let (server, disk) = on_a_small_disk(&site).await;
    site.verified(&server, ADA, PASSWORD).await;
    let session = server.login(ADA, PASSWORD).await;
    let ada = server.anonymous().bearer(&session.access);
    let filler = fill(&disk);
    // Room for some writes, so that the last one that fits and the first one that does not are among them.
    let file = std::fs::File::options().write(true).open(&filler).unwrap();
    file.set_len(file.metadata().unwrap().len() - ROOM).unwrap();
    drop(file);
    let mut stored = vec![];
    let refused = loop {
        let name = format!("Key {}", stored.len());
        let body = json!({ "provider": "github", "name": name, "api_key": format!("ghp_{:036}", stored.len()), "test": false });
        let answer = ada.post("/api/v1/api-keys/", &body).await;
        if answer.status != 200 {
            break answer;
        }
        stored.push(name);
        assert!(stored.len() < 2000);
    };
    assert!(!stored.is_empty());
    assert!(refused.assert_error(503, "unavailable").retry_after() > 0);
    let bob = server.anonymous().post("/auth/signup", &credentials("bob@example.com", PASSWORD)).await;
    assert!(bob.assert_error(503, "unavailable").retry_after() > 0);
    // Who only reads is served.
    ada.get("/auth/profile").await.assert_status(200);

    std::fs::remove_file(filler).unwrap();
    // A write that fails by itself, alone, and others after it.
    let again = json!({ "provider": "github", "name": stored[0], "api_key": format!("ghp_{:036}", 0), "test": false });
    ada.post("/api/v1/api-keys/", &again).await.assert_status(409);
    let session = Session::of(&server.refresh(&session.refresh).await);
    let ada = ada.bearer(&session.access);
    site.verified(&server, "bob@example.com", PASSWORD).await;
    store(&ada, "Afterwards").await;
    stored.push("Afterwards".into());
    let mut found = vec![];
    let mut path = "/api/v1/api-keys/?limit=100".to_owned();
    loop {
        let page = ada.get(&path).await.assert_status(200).json();
        let rows = page["data"]["api_keys"].as_array().unwrap();
        found.extend(rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["data"]["next_cursor"].as_str() else { break };
        path = format!("/api/v1/api-keys/?limit=100&cursor={next}");
    }
    found.sort();
    stored.sort();
    assert_eq!(found, stored);
    let copy = tempfile::tempdir().unwrap();
    for name in ["latchkey.db", "latchkey.db-wal"] {
        std::fs::copy(disk.join(name), copy.path().join(name)).unwrap();
    }
    let copy = format!("sqlite://{}/latchkey.db", copy.path().display());
    // What is there for those who come after a kill.
    let rows = site.rows_of(&copy).await;
    assert_eq!(rows.column::<String>("PRAGMA integrity_check").await, ["ok"]);
    assert_eq!(rows.count("api_keys").await as usize, stored.len());
    assert_eq!(rows.count("accounts WHERE email_verified_at IS NOT NULL").await, 2);
    let words = format!(
        "{} writes until it was full and after, all there; writes 503 meanwhile, reads served",
        stored.len()
    );
    counted("a full disk", Engine::Sqlite, &words);
}

/// The clock of a server process, to be set while it runs.
struct Watch(PathBuf);

impl Watch {
    fn new(site: &Site) -> Self {
        let watch = Self(site.database.directory.path().join("clock"));
        watch.set("+0");
        watch
    }

    fn set(&self, offset: &str) {
        std::fs::write(&self.0, offset).unwrap();
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let library =
            std::env::var("LATCHKEY_TEST_FAKETIME").expect("LATCHKEY_TEST_FAKETIME: use scripts/test");
        vec![
            ("LD_PRELOAD", library),
            ("FAKETIME_TIMESTAMP_FILE", self.0.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    async fn start(&self, site: &Site) -> Process {
        let settings = self.settings();
        site.start_with(&settings.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>())
            .await
    }
}

on_both_engines! {
    async fn a_clock_that_jumps_loses_nothing_and_lets_nobody_in(site: Site) {
        let watch = Watch::new(&site);
        let server = watch.start(&site).await;
        site.verified(&server, ADA, PASSWORD).await;
        let mut facts = vec![];
        // Whoever signs in at one time is served at that time, and what they wrote is there at every other.
        for (turn, offset) in ["+0", "-1h", "+0", "+5m", "+0", "+1y", "+0"].into_iter().enumerate() {
            watch.set(offset);
            let session = server.login(ADA, PASSWORD).await;
            let ada = server.anonymous().bearer(&session.access);
            let name = format!("Key {turn}");
            store(&ada, &name).await;
            facts.push(name);
            let successor = Session::of(&server.refresh(&session.refresh).await);
            server.profile(&successor.access).await.assert_status(200);
            let list = ada.get("/api/v1/api-keys/?limit=100").await.assert_status(200).json();
            let mut names: Vec<&str> =
                list["data"]["api_keys"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
            names.sort_unstable();
            assert_eq!(names, facts, "{offset}");
        }
        // A session of today is over in a year, and that of a year from now is none today.
        let today = server.login(ADA, PASSWORD).await;
        watch.set("+1y");
        server.profile(&today.access).await.assert_error(401, "invalid_token");
        server.refresh(&today.refresh).await.assert_error(401, "invalid_refresh_token");
        let future = server.login(ADA, PASSWORD).await;
        watch.set("+0");
        server.profile(&future.access).await.assert_error(401, "invalid_token");
        assert_eq!(server.anonymous().get("/readyz").await.status, 200);
        counted("a clock that jumps by −1 h, +5 min and +1 year", site.database.engine, "all that was written is there at each time");
    }
}

/// One node of several has lost its clock: it must not remove what the others need, nor end approvals.
#[tokio::test]
async fn a_node_that_is_ahead_of_its_database_removes_nothing() {
    let site = Site::new(Engine::Postgres).await.with("KYC__DEMO", "true");
    let watch = Watch::new(&site);
    let server = watch.start(&site).await;
    site.verified(&server, ADA, PASSWORD).await;
    let session = server.login(ADA, PASSWORD).await;
    let ada = server.anonymous().bearer(&session.access);
    let check = ada.post(VERIFICATIONS, &json!({ "level": "basic" })).await.assert_status(200).json();
    let page = check["url"].as_str().unwrap().strip_prefix(PUBLIC_URL).unwrap();
    server.anonymous().submit(page, "decision=approve").await.assert_status(200);
    let check = format!("{VERIFICATIONS}/{}", id_of(&check));
    let status = async |ada: &Client| {
        ada.get(&check).await.assert_status(200).json()["verification"]["status"].clone()
    };
    eventually("an approval", async || (status(&ada).await == "approved").then_some(())).await;
    watch.set("+1y");
    // It looks for what has ended as soon as it starts.
    let ahead = watch.start(&site).await;
    eventually("a warning", async || {
        ahead.log().contains("clock differs from the database's; nothing is removed").then_some(())
    })
    .await;
    for task in ["reaper", "kyc_polls"] {
        let failures = format!("latchkey_background_failures_total{{task=\"{task}\"}}");
        eventually(task, async || (ahead.metric(&failures).await > 0.0).then_some(())).await;
    }
    let settings = watch.settings();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let doctor = site.run_with(&["doctor"], &settings).await.assert_failure("problem").stdout;
    assert!(doctor.contains("PROBLEM  clock: 315"), "{doctor}");
    watch.set("+0");
    let session = Session::of(&server.refresh(&session.refresh).await);
    assert_eq!(status(&server.anonymous().bearer(&session.access)).await, "approved");
    assert!(site.run_with(&["doctor"], &settings).await.stdout.contains("ok       clock"));
}
