//! The server on each engine, with its accounts and the limit of its commits.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use url::Url;

use crate::Plan;
use crate::accounts::{Account, Refresh, sign_up};
use crate::limits::{PostgresCommits, SqliteCommits, connect};
use crate::load::{Meter, Sample};
use crate::process::{self, Process};

/// Accounts whose sessions are refreshed; the others keep theirs.
const CHAINS: usize = crate::CONNECTIONS;

/// Lines of the servers' logs that are shown.
const MAX_COMPLAINTS: usize = 40;

enum Commits {
    Sqlite(SqliteCommits),
    Postgres(PostgresCommits),
}

/// A running server on one engine.
pub struct Engine {
    pub name: &'static str,
    pub version: String,
    pub server: Process,
    pub accounts: Rc<[Account]>,
    pub chains: Vec<Refresh>,
    /// The parent of the database's processes.
    pub postmaster: Option<u32>,
    commits: Commits,
    program: PathBuf,
    database: String,
    data: PathBuf,
}

impl Engine {
    /// A server on a new SQLite file below `folder`.
    pub async fn sqlite(program: &Path, folder: &Path, plan: &Plan) -> Result<Self> {
        let data = folder.join("sqlite");
        fs::create_dir_all(&data)?;
        let commits = Commits::Sqlite(SqliteCommits::open(&data)?);
        let database = format!("sqlite://{}", data.join("latchkey.db").display());
        let version = SqliteCommits::version().to_owned();
        Self::start("SQLite", version, commits, None, program, database, data, plan).await
    }

    /// A server on a new database of the cluster at `cluster`.
    pub async fn postgres(program: &Path, folder: &Path, cluster: &str, plan: &Plan) -> Result<Self> {
        let data = folder.join("postgres");
        fs::create_dir_all(&data)?;
        let admin = connect(cluster).await?;
        // A ratio to commits that may be lost would say nothing.
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            let value: String = admin.query_one(&format!("SHOW {setting}"), &[]).await?.get(0);
            ensure!(value == "on", "PostgreSQL runs with {setting}={value}: its commits are not durable");
        }
        for name in ["latchkey_bench", "latchkey_limit"] {
            admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).await?;
            admin.batch_execute(&format!("CREATE DATABASE {name}")).await?;
        }
        let version = admin.query_one("SHOW server_version", &[]).await?.get(0);
        let backend: i32 = admin.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
        let postmaster =
            process::parent(u32::try_from(backend)?).context("PostgreSQL runs on another machine")?;
        let database = |name: &str| -> Result<String> {
            let mut url = Url::parse(cluster)?;
            url.set_path(name);
            Ok(url.into())
        };
        let commits =
            Commits::Postgres(PostgresCommits::open(&database("latchkey_limit")?, postmaster).await?);
        let database = database("latchkey_bench")?;
        Self::start("PostgreSQL", version, commits, Some(postmaster), program, database, data, plan).await
    }

    #[expect(clippy::too_many_arguments, reason = "the two functions above are its only callers")]
    async fn start(
        name: &'static str,
        version: String,
        commits: Commits,
        postmaster: Option<u32>,
        program: &Path,
        database: String,
        data: PathBuf,
        plan: &Plan,
    ) -> Result<Self> {
        let address = process::free_address()?;
        let mut command = process::server_command(program, address, &database, &data)?;
        let (server, _) = Process::start(&mut command, address, "/readyz")?;
        eprintln!("{name}: process {}, signing up {} accounts", server.pid(), plan.accounts + CHAINS);
        let mut accounts = sign_up(address, plan.accounts + CHAINS).await?;
        let chains = accounts.split_off(plan.accounts).into_iter().map(Refresh::new).collect();
        Ok(Self {
            name,
            version,
            server,
            accounts: accounts.into(),
            chains,
            postmaster,
            commits,
            program: program.to_owned(),
            database,
            data,
        })
    }

    pub fn meter(&self) -> Meter {
        Meter { server: Some(self.server.pid()), database: self.postmaster }
    }

    /// One-row commits through the engine's raw driver.
    pub async fn commits(&self, window: Duration) -> Result<Sample> {
        match &self.commits {
            Commits::Sqlite(limit) => limit.run(window),
            Commits::Postgres(limit) => limit.run(window).await,
        }
    }

    /// What the rate of [`Self::commits`] is called.
    pub fn commits_name(&self) -> &'static str {
        match &self.commits {
            Commits::Sqlite(_) => "one-row commits, 1 thread",
            Commits::Postgres(_) => "one-row commits, 64 connections",
        }
    }

    /// The URL of the server's database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The server's binary.
    pub fn program(&self) -> &Path {
        &self.program
    }

    fn command(&self) -> Result<Command> {
        process::server_command(&self.program, self.server.address, &self.database, &self.data)
    }

    /// Stops the server and starts it on the same database; answers the time until `path` answered 200.
    pub fn restart(mut self, path: &str) -> Result<(Self, Duration)> {
        let mut command = self.command()?;
        let address = self.server.address;
        self.server.stop()?;
        let (server, took) = Process::start(&mut command, address, path)?;
        self.server = server;
        Ok((self, took))
    }
}

/// What the servers of a run had to say, but for their good-byes.
pub fn complaints(folder: &Path) -> Vec<String> {
    let logs = ["sqlite", "postgres"].map(|engine| folder.join(engine).join(process::LOG));
    let lines = logs.iter().filter_map(|log| fs::read_to_string(log).ok()).flat_map(|log| {
        log.lines().filter(|line| !line.starts_with("Stop")).map(str::to_owned).collect::<Vec<_>>()
    });
    lines.take(MAX_COMPLAINTS).collect()
}

/// Size of a file in bytes.
pub fn size(program: &Path) -> Result<f64> {
    let size = fs::metadata(program)?.len();
    if size == 0 {
        bail!("{} is empty", program.display());
    }
    Ok(size as f64)
}
