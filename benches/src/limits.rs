//! The limits: the least that any server must do for the same answer, measured beside it.

use std::hint::black_box;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use futures_util::future::join_all;
use poem::{Server, endpoint::make_sync, listener::TcpListener};
use tokio_postgres::{Client, NoTls, Statement};

use crate::CONNECTIONS;
use crate::load::{Meter, Sample, Wrong};
use crate::process::{self, Process};

/// The subcommand of this program that serves the empty handler.
pub const EMPTY_HANDLER: &str = "empty-handler";

/// Serves an empty handler with poem's own server until the process is ended.
pub async fn serve_empty_handler(address: SocketAddr) -> Result<()> {
    Server::new(TcpListener::bind(address)).run(make_sync(|_| ())).await?;
    Ok(())
}

/// This program again as the empty handler, a process of its own as the server is.
pub fn start_empty_handler() -> Result<Process> {
    let address = process::free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(EMPTY_HANDLER).arg(address.to_string());
    Ok(Process::start(&mut command, address, "/")?.0)
}

/// The server's floor: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Argon2id on every core, memory reused: the most sign-ins that this machine can check.
pub fn argon2id(window: Duration) -> Result<Sample> {
    let meter = Meter::default();
    let before = meter.read();
    let workers: Vec<_> = (0..cores()).map(|_| thread::spawn(move || hash_for(window))).collect();
    let (mut count, mut elapsed) = (0, Duration::ZERO);
    for worker in workers {
        let (hashes, took) = worker.join().map_err(|_| anyhow!("a hashing thread panicked"))??;
        count += hashes;
        // The mean of the threads: each finishes the hash that it began.
        elapsed += took / cores() as u32;
    }
    Ok(Sample { count, wrong: Wrong::new(), elapsed, cpu: meter.read() - before })
}

fn hash_for(window: Duration) -> Result<(u64, Duration)> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| anyhow!("{error}"))?;
    let mut memory = vec![Block::default(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let (password, salt, mut hash) = (b"a password of some length", b"sixteen bytes ok", [0; 32]);
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < window {
        argon2
            .hash_password_into_with_memory(password, salt, &mut hash, &mut memory)
            .map_err(|error| anyhow!("{error}"))?;
        black_box(hash);
        count += 1;
    }
    Ok((count, began.elapsed()))
}

/// Cores that this process may use.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// One-row commits on SQLite by one thread, as durable as the server's: WAL and `synchronous=FULL`.
pub struct SqliteCommits {
    connection: rusqlite::Connection,
}

impl SqliteCommits {
    /// A database of its own beside the server's, so that both ask the same disk.
    pub fn open(folder: &Path) -> Result<Self> {
        let connection = rusqlite::Connection::open(folder.join("limit.db"))?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE session (id INTEGER PRIMARY KEY, counter INTEGER NOT NULL) STRICT;",
        )?;
        for id in 0..CONNECTIONS as i64 {
            connection.execute("INSERT INTO session (id, counter) VALUES (?1, 0)", [id])?;
        }
        Ok(Self { connection })
    }

    pub fn version() -> &'static str {
        rusqlite::version()
    }

    pub fn run(&self, window: Duration) -> Result<Sample> {
        let mut update = self.connection.prepare("UPDATE session SET counter = counter + 1 WHERE id = ?1")?;
        let meter = Meter::default();
        let (began, before) = (Instant::now(), meter.read());
        let mut count = 0i64;
        while began.elapsed() < window {
            update.execute([count % CONNECTIONS as i64])?;
            count += 1;
        }
        let count = count.unsigned_abs();
        Ok(Sample { count, wrong: Wrong::new(), elapsed: began.elapsed(), cpu: meter.read() - before })
    }
}

/// One-row commits on PostgreSQL by as many connections as the load has.
pub struct PostgresCommits {
    clients: Vec<(Client, Statement)>,
    postmaster: u32,
}

impl PostgresCommits {
    /// Connects to `database`, whose `session` table it makes.
    pub async fn open(database: &str, postmaster: u32) -> Result<Self> {
        let setup = connect(database).await?;
        setup
            .batch_execute(&format!(
                "CREATE TABLE session (id integer PRIMARY KEY, counter bigint NOT NULL);
                 INSERT INTO session SELECT id, 0 FROM generate_series(0, {}) AS id;",
                CONNECTIONS - 1
            ))
            .await?;
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            let client = connect(database).await?;
            let update = client.prepare("UPDATE session SET counter = counter + 1 WHERE id = $1").await?;
            clients.push((client, update));
        }
        Ok(Self { clients, postmaster })
    }

    pub async fn run(&self, window: Duration) -> Result<Sample> {
        let meter = Meter { server: None, database: Some(self.postmaster) };
        let (began, before) = (Instant::now(), meter.read());
        let loops = (0i32..).zip(&self.clients).map(|(id, (client, update))| async move {
            let mut count = 0;
            while began.elapsed() < window {
                client.execute(update, &[&id]).await?;
                count += 1;
            }
            Ok::<u64, tokio_postgres::Error>(count)
        });
        let counts: Vec<u64> = join_all(loops).await.into_iter().collect::<Result<_, _>>()?;
        let count = counts.into_iter().sum();
        Ok(Sample { count, wrong: Wrong::new(), elapsed: began.elapsed(), cpu: meter.read() - before })
    }
}

/// A connection whose other half runs as a task.
pub async fn connect(database: &str) -> Result<Client> {
    let (client, connection) =
        tokio_postgres::connect(database, NoTls).await.context("connecting to PostgreSQL")?;
    // Its error reaches the client, which then fails too.
    tokio::spawn(async { connection.await.ok() });
    Ok(client)
}
