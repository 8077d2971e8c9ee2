//! The doors to the database. Reads go through a pool; writes go through [`Db::write`], which on SQLite commits many at
//! once; what every request or many at once ask for goes through a [`Batcher`].

pub mod backup;
mod batch;
mod checkpoint;
mod silence;
mod writer;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use entities::Timestamp;
use metrics::gauge;
use migration::{Migrator, MigratorTrait};
use sea_orm::sea_query::Expr;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{Connection, Database as Engine, Error as SqlxError, Pool};
use sea_orm::{
    ActiveEnum, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction,
    DbBackend, DbErr, EntityTrait, IdenStatic, Iterable, QueryResult, RuntimeErr, Statement,
    TransactionTrait, Value,
};
use tokio::sync::mpsc;

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
    /// Keeps a restore from putting another SQLite file in the place of the one that is open.
    _held: Option<Arc<File>>,
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
        files::private_directory(files::directory_of(file)).map_err(failed)?;
        let held = backup::hold(file).map_err(failed)?;
        // SQLite would let the umask decide who reads it; its other files take after this one.
        match files::create_private(file, b"") {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        let writer = observed(Database::connect(sqlite_options(url, 1, true)).await?);
        let readers = observed(Database::connect(sqlite_options(url, connections.min(8), false)).await?);
        Ok(Self {
            writer: Writer::Grouped(writer::GroupCommit::spawn(writer, &readers)),
            readers,
            _held: held.map(Arc::new),
        })
    }

    async fn postgres(url: &str, connections: u32) -> Result<Self, DbErr> {
        let mut options = common_options(url, connections);
        options.statement_timeout(PATIENCE).set_application_name("latchkey");
        // sqlx asks a connection that comes back whether it is well, and waits for ever: after a fail-over, for a machine that
        // is gone. While answers stay away it is asked here first, within a time.
        options.map_sqlx_postgres_pool_opts(|pool| {
            pool.after_release(|connection, _| {
                Box::pin(async move {
                    if !silence::lately() {
                        return Ok(true);
                    }
                    let asked = tokio::time::timeout(PATIENCE, connection.ping()).await;
                    asked.unwrap_or(Err(SqlxError::PoolTimedOut)).map(|()| true)
                })
            })
        });
        Ok(Self { readers: observed(Database::connect(options).await?), writer: Writer::Pooled, _held: None })
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
                in_time(async {
                    let transaction = self.readers.begin().await?;
                    match work(&transaction).await {
                        Ok(answer) => transaction.commit().await.map(|()| answer).map_err(E::from),
                        Err(error) => {
                            transaction.rollback().await?;
                            Err(error)
                        }
                    }
                })
                .await
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
            Writer::Pooled => in_time(async { Ok(self.readers.query_all_raw(statement).await?) }).await,
        }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), DbErr> {
        self.readers.query_one_raw(Statement::from_string(self.engine(), "SELECT 1")).await.map(drop)
    }

    /// How far this machine's clock is from the database's. SQLite has none of its own.
    pub async fn clock_skew(&self, now: Timestamp) -> Result<Duration, DbErr> {
        if self.engine() == DbBackend::Sqlite {
            return Ok(Duration::ZERO);
        }
        let sql = "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT AS now";
        let row = in_time(self.readers.query_one_raw(Statement::from_string(self.engine(), sql))).await?;
        let there: i64 = row.ok_or_else(|| DbErr::RecordNotFound("now".into()))?.try_get("", "now")?;
        Ok(Duration::from_millis(there.abs_diff(now.0)))
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
                // On this connection, which may take its time; and all of it or nothing.
                Migrator::up(&lock, None).await?;
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

    /// Shows in the metrics how many connections are used, and what waits for them.
    pub fn measure(&self) {
        match &self.writer {
            Writer::Grouped(group) => {
                measure_pool("read", self.readers.get_sqlite_connection_pool());
                measure_pool("write", group.connection().get_sqlite_connection_pool());
                group.measure();
            }
            Writer::Pooled => measure_pool("shared", self.readers.get_postgres_connection_pool()),
        }
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

/// The columns of a table that this release knows, for `RETURNING`. Never `*`: once a newer release has added a column,
/// PostgreSQL refuses plans whose rows look otherwise than before.
pub fn columns<E: EntityTrait>() -> String {
    E::Column::iter().map(|column| column.as_str().to_owned()).collect::<Vec<_>>().join(", ")
}

/// Rows in a state, which is said in so many words: with a value in its place, indexes of the few that are in one are not used.
pub fn in_state<S: ActiveEnum<Value = String>>(state: &S) -> Expr {
    Expr::cust(format!("state = '{}'", state.to_value()))
}

/// Gives up what takes longer than the database may take: it does not answer, and won't say so.
pub async fn in_time<T, E: From<DbErr>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = tokio::time::timeout(2 * PATIENCE, &mut work).await {
        return done;
    }
    // Before the connection is given back, not after.
    silence::noticed();
    let late = |_| DbErr::Conn(RuntimeErr::Internal("no answer in time".into()));
    tokio::time::timeout(PATIENCE, work).await.map_err(late)?
}

fn measure_pool<D: Engine>(name: &'static str, pool: &Pool<D>) {
    let (open, idle) = (pool.size() as usize, pool.num_idle());
    gauge!("latchkey_db_connections", "pool" => name, "state" => "used")
        .set(open.saturating_sub(idle) as f64);
    gauge!("latchkey_db_connections", "pool" => name, "state" => "idle").set(idle as f64);
    gauge!("latchkey_db_connections_limit", "pool" => name)
        .set(f64::from(pool.options().get_max_connections()));
}

fn measure_queue<T>(name: &'static str, queue: &mpsc::Sender<T>) {
    let (limit, free) = (queue.max_capacity(), queue.capacity());
    gauge!("latchkey_queue_waiting", "queue" => name).set((limit - free) as f64);
    gauge!("latchkey_queue_limit", "queue" => name).set(limit as f64);
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
            .pragma("wal_autocheckpoint", checkpoint::LOG_PAGES.to_string())
            .pragma("query_only", if writes { "OFF" } else { "ON" })
    });
    // When a COMMIT fails, SQLite rolls back by itself and sqlx still counts a transaction: what it would begin next were
    // savepoints, and nothing would ever be committed. A connection that still counts one after its ROLLBACK is closed.
    options.map_sqlx_sqlite_pool_opts(|pool| {
        pool.after_release(|connection, _| {
            Box::pin(async move {
                if !connection.is_in_transaction() {
                    return Ok(true);
                }
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
    });
    options
}
