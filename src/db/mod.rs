//! The doors to the database. Reads go through a pool; writes go through [`Db::write`], which on SQLite commits many at
//! once; what every request or many at once ask for goes through a [`Batcher`].

mod batch;
mod writer;

use std::path::Path;
use std::time::Duration;

use migration::{Migrator, MigratorTrait};
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    QueryResult, RuntimeErr, Statement, TransactionTrait, Value,
};

use crate::config::Config;
use crate::files;

pub use batch::{BatchError, Batcher, places};
pub use futures_util::future::BoxFuture;
pub use writer::Overloaded;

/// How long a statement may take, a connection may be waited for, and SQLite may wait for its lock.
const PATIENCE: Duration = Duration::from_secs(5);
/// Any number, as long as no other program locks it.
const MIGRATION_LOCK: i64 = 0x4c41_5443_484b_4559;
/// What events about statements are called in the log's directives.
const STATEMENTS: &str = "latchkey::db";

/// A database in use by this process. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    readers: DatabaseConnection,
    writer: Writer,
}

#[derive(Clone)]
enum Writer {
    /// SQLite has one writer at a time, so there is one, and whoever waits for it travels in the same commit.
    Grouped(writer::GroupCommit),
    /// PostgreSQL groups commits itself.
    Pooled,
}

impl Db {
    /// Connects to the configured database and makes the SQLite file if there is none. Does not touch the schema.
    pub async fn connect(config: &Config) -> Result<Self, DbErr> {
        let (url, connections) = (config.database_url(), config.database_connections);
        match config.sqlite_file() {
            Some(file) => Self::sqlite(url.expose(), &file, connections).await,
            None => Self::postgres(url.expose(), connections).await,
        }
    }

    async fn sqlite(url: &str, file: &Path, connections: u32) -> Result<Self, DbErr> {
        let failed = |error| DbErr::Conn(RuntimeErr::Internal(format!("{}: {error}", file.display())));
        if let Some(directory) = file.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            files::private_directory(directory).map_err(failed)?;
        }
        // SQLite would let the umask decide who reads it; its other files take after this one.
        match files::create_private(file, b"") {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        let writer = observed(Database::connect(sqlite_options(url, 1, true)).await?);
        let readers = observed(Database::connect(sqlite_options(url, connections.min(8), false)).await?);
        Ok(Self { readers, writer: Writer::Grouped(writer::GroupCommit::spawn(writer)) })
    }

    async fn postgres(url: &str, connections: u32) -> Result<Self, DbErr> {
        let mut options = common_options(url, connections);
        options.statement_timeout(PATIENCE).set_application_name("latchkey");
        Ok(Self { readers: observed(Database::connect(options).await?), writer: Writer::Pooled })
    }

    /// For statements that only read.
    #[must_use]
    pub fn reader(&self) -> &DatabaseConnection {
        &self.readers
    }

    #[must_use]
    pub fn engine(&self) -> DbBackend {
        self.readers.get_database_backend()
    }

    /// The engine as people write it.
    #[must_use]
    pub fn engine_name(&self) -> &'static str {
        match self.writer {
            Writer::Grouped(_) => "SQLite",
            Writer::Pooled => "PostgreSQL",
        }
    }

    /// Runs `work` in a transaction and answers once it is durable. An error rolls back what `work` did and nothing
    /// else. Nothing that leaves the process may happen in it: others wait in line.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbErr> + From<Overloaded> + Send + 'static,
        F: for<'c> FnOnce(&'c DatabaseTransaction) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
    {
        match &self.writer {
            Writer::Grouped(group) => group.write(work).await,
            Writer::Pooled => {
                let transaction = self.readers.begin().await?;
                match work(&transaction).await {
                    Ok(answer) => transaction.commit().await.map(|()| answer).map_err(E::from),
                    Err(error) => {
                        transaction.rollback().await?;
                        Err(error)
                    }
                }
            }
        }
    }

    /// Runs one statement that is a transaction by itself, and answers its rows once it is durable.
    pub async fn write_one<E>(&self, statement: Statement) -> Result<Vec<QueryResult>, E>
    where
        E: From<DbErr> + From<Overloaded> + Send + 'static,
    {
        match &self.writer {
            Writer::Grouped(group) => {
                group
                    .write(move |transaction| {
                        Box::pin(async move { transaction.query_all_raw(statement).await.map_err(E::from) })
                    })
                    .await
            }
            // No BEGIN and COMMIT: one round trip in place of three.
            Writer::Pooled => Ok(self.readers.query_all_raw(statement).await?),
        }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), DbErr> {
        self.readers.query_one_raw(Statement::from_string(self.engine(), "SELECT 1")).await.map(drop)
    }

    /// Applies what is missing of the schema. Several nodes may start at once: one migrates, the others wait.
    pub async fn migrate(&self) -> Result<(), DbErr> {
        match &self.writer {
            Writer::Grouped(group) => {
                // In one transaction: a process that dies leaves all of it or nothing.
                let lock = group.connection().begin_with_options(writer::immediate()).await?;
                Migrator::up(&lock, None).await?;
                lock.commit().await
            }
            Writer::Pooled => {
                let lock = self.readers.begin().await?;
                let statement = format!(
                    "SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"
                );
                lock.execute_unprepared(&statement).await?;
                Migrator::up(&self.readers, None).await?;
                lock.commit().await
            }
        }
    }

    /// Names of migrations: those applied and those that wait.
    pub async fn migration_status(&self) -> Result<(Vec<String>, Vec<String>), DbErr> {
        let names = |found: Vec<sea_orm_migration::Migration>| {
            found.iter().map(|one| one.name().to_owned()).collect()
        };
        let applied = Migrator::get_applied_migrations_read_only(&self.readers).await?;
        let pending = Migrator::get_pending_migrations_read_only(&self.readers).await?;
        Ok((names(applied), names(pending)))
    }

    /// Lets what is queued finish and closes the connections.
    pub async fn close(self) {
        if let Writer::Grouped(group) = &self.writer {
            group.close().await;
        }
        if let Err(error) = self.readers.close().await {
            tracing::warn!(%error, "closing the database");
        }
    }
}

/// Tells developers who listen at `trace` of each statement: its text and the kinds of its values, never the values.
fn observed(mut connection: DatabaseConnection) -> DatabaseConnection {
    if tracing::enabled!(target: STATEMENTS, tracing::Level::TRACE) {
        connection.set_metric_callback(|done| {
            let values = done.statement.values.iter().flat_map(|values| values.iter());
            let values: Vec<_> = values.map(Value::array_type).collect();
            tracing::trace!(target: STATEMENTS, sql = done.statement.sql.as_str(), engine = ?done.statement.db_backend, ?values, "a statement");
        });
    }
    connection
}

fn common_options(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .connect_timeout(PATIENCE)
        .idle_timeout(Some(Duration::from_secs(300)))
        // A ping before each use would double the round trips.
        .test_before_acquire(false)
        .test_before_acquire_if_idle_for(Duration::from_secs(10))
        .record_stmt_in_spans(false)
        .sqlx_logging(false);
    options
}

fn sqlite_options(url: &str, connections: u32, writes: bool) -> ConnectOptions {
    let mut options = common_options(url, connections);
    options.idle_timeout(None::<Duration>).max_lifetime(None::<Duration>).test_before_acquire(false);
    options.map_sqlx_sqlite_opts(move |sqlite| {
        sqlite
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // Every acknowledged write survives a power cut.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(PATIENCE)
            // What a savepoint may have to put back is kept in memory, not in a file.
            .pragma("temp_store", "MEMORY")
            .pragma("query_only", if writes { "OFF" } else { "ON" })
    });
    options
}
