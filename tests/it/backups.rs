//! Backups: taken while people sign up, whole when they are put back, and in the way of nothing.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;

use crate::support::process::{Process, Site, credentials};
use crate::support::{Engine, PASSWORD, eventually};

/// As `docs/operations.md` says, beside servers.
pub async fn back_up(site: &Site, to: &Path) {
    let file = to.to_str().unwrap();
    match site.database.engine {
        Engine::Sqlite => drop(site.run(&["backup", file]).await.assert_success()),
        Engine::Postgres => {
            postgres("pg_dump", &["--format=custom", "--no-owner", "--file", file, site.database.url()])
                .await;
        }
    }
}

/// The same way back, where nothing is yet.
pub async fn restore(site: &Site, from: &Path) {
    let file = from.to_str().unwrap();
    match site.database.engine {
        Engine::Sqlite => drop(site.run(&["restore", file]).await.assert_success()),
        Engine::Postgres => {
            let into = ["--dbname", site.database.url(), file];
            let how = ["--exit-on-error", "--single-transaction", "--no-owner"];
            postgres("pg_restore", &[&how[..], &into].concat()).await;
        }
    }
}

async fn postgres(program: &str, arguments: &[&str]) {
    let output = tokio::process::Command::new(program).args(arguments).output().await.unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
}

/// People who sign up until they are told to stop, and those of them who were told that they have.
struct SignUps {
    stop: Arc<AtomicBool>,
    done: Arc<Mutex<Vec<String>>>,
    people: JoinSet<()>,
}

impl SignUps {
    fn begin(server: &Process) -> Self {
        let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<String>>>::default());
        let mut people = JoinSet::new();
        for person in 0..4 {
            let (client, stop, done) = (server.anonymous(), Arc::clone(&stop), Arc::clone(&done));
            people.spawn(async move {
                for turn in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let email = format!("person-{person}-{turn}@example.com");
                    client.post("/auth/signup", &credentials(&email, PASSWORD)).await.assert_status(200);
                    done.lock().unwrap().push(email);
                }
            });
        }
        Self { stop, done, people }
    }

    fn so_far(&self) -> Vec<String> {
        self.done.lock().unwrap().clone()
    }

    /// Waits for so many more.
    async fn more(&self, count: usize) {
        let before = self.so_far().len();
        eventually("more sign-ups", async || (self.so_far().len() >= before + count).then_some(())).await;
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.people.join_all().await;
    }
}

on_both_engines! {
    async fn whoever_was_acknowledged_before_a_backup_is_in_it(engine: Engine) {
        let site = Site::new(engine).await.with("REQUIRE_VERIFIED_EMAIL", "false");
        let server = site.start().await;
        let safe = tempfile::tempdir().unwrap();
        let file = safe.path().join("backup");
        let people = SignUps::begin(&server);
        people.more(20).await;
        let acknowledged = people.so_far();
        back_up(&site, &file).await;
        // Nobody was held up by it, and what comes later is not needed.
        people.more(8).await;
        people.end().await;
        let total = site.rows().await.count("accounts").await;
        let key = fs::read(site.database.directory.path().join("root.key")).unwrap();
        server.node.kill().await;

        let restored = Site::new(engine).await.with("REQUIRE_VERIFIED_EMAIL", "false");
        restore(&restored, &file).await;
        fs::write(restored.database.directory.path().join("root.key"), key).unwrap();
        let server = restored.start().await;
        assert!(restored.rows().await.count("accounts").await < total, "taken in the middle");
        for email in acknowledged {
            server.login(&email, PASSWORD).await;
        }
        let doctor = restored.run(&["doctor"]).await.stdout;
        assert!(doctor.contains("ok       keys"), "{doctor}");
    }
}

/// A server with an account, and a backup of it.
async fn site_with_backup() -> (Site, Process, tempfile::TempDir) {
    let site = Site::new(Engine::Sqlite).await;
    let server = site.start().await;
    site.verified(&server, "ada@example.com", PASSWORD).await;
    let safe = tempfile::tempdir().unwrap();
    back_up(&site, &safe.path().join("backup")).await;
    (site, server, safe)
}

#[tokio::test]
async fn a_backup_overwrites_nothing_and_is_for_nobody_else() {
    let (site, _server, safe) = site_with_backup().await;
    let file = safe.path().join("backup");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let content = fs::read(&file).unwrap();
    let again = ["backup", file.to_str().unwrap()];
    site.run(&again).await.assert_failure("there is such a file already");
    assert!(fs::read(&file).unwrap() == content);
    let nowhere = safe.path().join("away/backup");
    site.run(&["backup", nowhere.to_str().unwrap()]).await.assert_failure("No such file or directory");
    assert_eq!(fs::read_dir(safe.path()).unwrap().count(), 1, "nothing is left over");

    let empty = Site::new(Engine::Sqlite).await;
    let other = safe.path().join("other");
    empty.run(&["backup", other.to_str().unwrap()]).await.assert_failure("there is no database at");
    assert!(!other.exists());
}

#[tokio::test]
async fn a_restore_replaces_nothing_and_waits_for_servers_to_end() {
    let (site, server, safe) = site_with_backup().await;
    let file = safe.path().join("backup");
    let arguments = ["restore", file.to_str().unwrap()];
    let directory = site.database.directory.path();
    let (database, away) = (directory.join("latchkey.db"), directory.join("old"));
    fs::create_dir(&away).unwrap();
    let refused = async |words: &str| drop(site.run(&arguments).await.assert_failure(words));

    // Whether or not the file was moved, the server has it.
    refused("has this database open").await;
    fs::rename(&database, away.join("latchkey.db")).unwrap();
    refused("has this database open").await;
    fs::rename(away.join("latchkey.db"), &database).unwrap();
    server.node.kill().await;

    let before = fs::read(&database).unwrap();
    refused("there is such a file already").await;
    assert!(fs::read(&database).unwrap() == before);
    // A log of the old database would be played into the new one.
    fs::rename(&database, away.join("latchkey.db")).unwrap();
    assert!(directory.join("latchkey.db-wal").exists());
    refused("latchkey.db-wal: there is such a file already").await;
    for rest in ["latchkey.db-wal", "latchkey.db-shm"] {
        fs::rename(directory.join(rest), away.join(rest)).unwrap();
    }

    let lock = File::open(directory.join("latchkey.lock")).unwrap();
    lock.lock().unwrap();
    site.run(&["serve"]).await.assert_failure("a backup is being restored here");
    drop(lock);
    assert!(!database.exists());
    let said = site.run(&arguments).await.assert_success().stdout;
    assert!(said.contains("root.key"), "{said}");
    assert_eq!(fs::metadata(&database).unwrap().permissions().mode() & 0o777, 0o600);
    let server = site.start().await;
    server.login("ada@example.com", PASSWORD).await;
}

#[tokio::test]
async fn what_is_damaged_or_something_else_is_not_put_in_place() {
    let (_site, _server, safe) = site_with_backup().await;
    let good = fs::read(safe.path().join("backup")).unwrap();
    let mut damaged = good.clone();
    // A page in the middle, of which nothing is right.
    let middle = good.len() / 2 / 4096 * 4096;
    damaged[middle..middle + 4096].fill(0xa5);
    let foreign = safe.path().join("foreign");
    sea_orm::Database::connect(format!("sqlite://{}?mode=rwc", foreign.display()))
        .await
        .unwrap()
        .close()
        .await
        .unwrap();
    for content in
        [damaged, good[..good.len() / 2].to_vec(), b"anything".to_vec(), fs::read(foreign).unwrap()]
    {
        let site = Site::new(Engine::Sqlite).await;
        let file = safe.path().join("bad");
        fs::write(&file, content).unwrap();
        let refused = site.run(&["restore", file.to_str().unwrap()]).await;
        refused.assert_failure("bad: not a database of Latchkey, or a damaged one");
        let left =
            fs::read_dir(site.database.directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["latchkey.lock"], "nothing of it is left over");
    }
    let site = Site::new(Engine::Sqlite).await;
    site.run(&["restore", "/nowhere/backup"]).await.assert_failure("No such file or directory");
}

#[tokio::test]
async fn on_postgresql_the_commands_name_its_own() {
    let site = Site::new(Engine::Postgres).await;
    site.run(&["backup", "file"]).await.assert_failure("pg_dump --format=custom --no-owner");
    site.run(&["restore", "file"])
        .await
        .assert_failure("pg_restore --exit-on-error --single-transaction --no-owner");
    assert!(!site.database.directory.path().join("file").exists());
}
