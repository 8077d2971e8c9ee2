//! A PostgreSQL server of a test's own: to be stopped, paused and starved.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::PathBuf;
use std::process::Stdio;

use sea_orm::{ConnectionTrait, Statement};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::database::{admin_url, connect};
use super::eventually;

pub struct Cluster {
    programs: String,
    /// Who runs it, which is never root.
    user: u32,
    group: u32,
    directory: TempDir,
    port: u16,
    process: Option<Child>,
}

/// Reads and writes of a disk that is too small are what they are elsewhere; only its WAL comes in smaller pieces.
const INITDB: &str =
    "--username=latchkey_test --auth=trust --encoding=UTF8 --locale=C --no-sync --wal-segsize=1";

impl Cluster {
    /// Starts one, with the programs and by the user of the one that all tests share.
    pub async fn start() -> Self {
        let mut cluster = Self::prepare().await;
        let initdb = format!("exec {}/initdb -D data {INITDB}", cluster.programs);
        let made = cluster.shell(&initdb).stdout(Stdio::null()).status().await.unwrap();
        assert!(made.success());
        cluster.start_again().await;
        cluster
    }

    /// Starts one whose files are on a disk of its own of so many MiB. As a service manager does, it starts the server anew
    /// when it has ended.
    pub async fn on_a_small_disk(mebibytes: u32) -> Self {
        let mut cluster = Self::prepare().await;
        let (programs, port) = (&cluster.programs, cluster.port);
        let (user, group) = (cluster.user, cluster.group);
        let serve = format!(
            "{programs}/initdb -D data {INITDB} && while :; do {programs}/postgres -D data -p {port} {OPTIONS}; sleep 0.2; done"
        );
        let mount = format!("mount -t tmpfs -o size={mebibytes}m,mode=700 tmpfs disk");
        // Root becomes the other user behind the mount; anybody else keeps the right to mount in a namespace of their own.
        let (unshare, script) = if own_user() == 0 {
            let other =
                format!("setpriv --reuid={user} --regid={group} --clear-groups --pdeathsig KILL sh -c");
            (
                vec!["--mount"],
                format!("{mount} && chown {user}:{group} disk && cd disk && exec {other} '{serve}'"),
            )
        } else {
            let own = vec!["--user", "--map-current-user", "--keep-caps", "--mount"];
            (own, format!("{mount} && cd disk && {serve}"))
        };
        std::fs::create_dir(cluster.directory.path().join("disk")).unwrap();
        let log = std::fs::File::create(cluster.directory.path().join("log")).unwrap();
        let mut command = Command::new("unshare");
        command.args(unshare).args(["sh", "-c", &script]).current_dir(cluster.directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        cluster.process = Some(command.spawn().unwrap());
        cluster.is_up().await;
        cluster
    }

    async fn prepare() -> Self {
        let admin = connect(&admin_url()).await;
        let ask = async |sql: &str| -> String {
            let row = admin.query_one_raw(Statement::from_string(admin.get_database_backend(), sql)).await;
            row.unwrap().unwrap().try_get_by_index(0).unwrap()
        };
        let programs = ask("SELECT setting FROM pg_config WHERE name = 'BINDIR'").await;
        let data = std::fs::metadata(ask("SHOW data_directory").await).unwrap();
        let directory = TempDir::with_prefix("latchkey-cluster-").unwrap();
        chown(directory.path(), Some(data.uid()), Some(data.gid())).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { programs, user: data.uid(), group: data.gid(), directory, port, process: None }
    }

    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(self.directory.path()).stdin(Stdio::null());
        if own_user() == 0 {
            command.uid(self.user).gid(self.group);
        }
        command
    }

    pub fn url(&self) -> String {
        format!("postgres://latchkey_test@127.0.0.1:{}/postgres", self.port)
    }

    async fn is_up(&self) {
        let ready = format!("{}/pg_isready -q -h 127.0.0.1 -p {}", self.programs, self.port);
        eventually("PostgreSQL", async || self.shell(&ready).status().await.unwrap().success().then_some(()))
            .await;
    }

    /// Starts the server where it was stopped.
    pub async fn start_again(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.directory.path().join("log"));
        let mut command =
            self.shell(&format!("exec {}/postgres -D data -p {} {OPTIONS}", self.programs, self.port));
        self.process = Some(command.stdout(Stdio::null()).stderr(log.unwrap()).spawn().unwrap());
        self.is_up().await;
    }

    /// Stops the server: `INT` ends every connection in order, `QUIT` at once, `KILL` as a lack of memory does.
    pub async fn stop(&mut self, signal: &str) {
        let mut process = self.process.take().expect("it runs");
        send(signal, &[process.id().unwrap()]);
        process.wait().await.unwrap();
    }

    /// Every process of the server stands still: connections are accepted by the kernel, and nobody answers.
    pub fn pause(&self) {
        send("STOP", &self.processes());
    }

    pub fn go_on(&self) {
        send("CONT", &self.processes());
    }

    fn processes(&self) -> Vec<u32> {
        let first = self.process.as_ref().unwrap().id().unwrap();
        let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap();
        // The parent first, so that it starts no other meanwhile.
        [first].into_iter().chain(children.split_whitespace().map(|id| id.parse().unwrap())).collect()
    }

    /// The small disk, as seen from here.
    pub fn disk(&self) -> PathBuf {
        let process = self.process.as_ref().unwrap().id().unwrap();
        format!("/proc/{process}/root{}", self.directory.path().join("disk").display()).into()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.process.as_ref().is_some_and(|process| process.id().is_some()) {
            send("KILL", &self.processes());
        }
    }
}

const OPTIONS: &str = "-h 127.0.0.1 -k \"\" -c max_wal_size=8MB -c min_wal_size=2MB";

fn own_user() -> u32 {
    std::fs::metadata("/proc/self").unwrap().uid()
}

/// To processes that may have ended meanwhile.
fn send(signal: &str, processes: &[u32]) {
    let mut command = std::process::Command::new("kill");
    command.arg(format!("-{signal}")).args(processes.iter().map(u32::to_string)).stderr(Stdio::null());
    command.status().unwrap();
}
