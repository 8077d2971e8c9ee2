//! Group commit for SQLite. One task owns the only writing connection. It takes all that waits, runs each job behind its
//! own savepoint in one transaction, commits once, and only then answers: acknowledged means durable, and the disk is
//! asked once for many.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures_util::FutureExt;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, RuntimeErr, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use tokio::sync::{mpsc, oneshot};

use super::BoxFuture;
use super::checkpoint::Checkpoints;

/// Jobs that may wait for the writer.
const QUEUE: usize = 1024;
/// Jobs that travel in one commit at most, so that the first does not wait for ever.
const GROUP: usize = 128;
/// What the metrics call the queue.
const NAME: &str = "write";

/// Too much waits for the database; try again later.
#[derive(Debug, Clone, Copy)]
pub struct Overloaded;

impl Overloaded {
    /// Counts that the queue of this name was full.
    pub(super) fn of(queue: &'static str) -> Self {
        metrics::counter!("latchkey_queue_refusals_total", "queue" => queue).increment(1);
        Self
    }
}

/// Runs a job and gives back what to do after the commit; `None` when nobody waits for the answer any more.
type Job = Box<dyn for<'c> FnOnce(&'c DatabaseTransaction) -> BoxFuture<'c, Option<Done>> + Send>;

struct Done {
    keep: bool,
    answer: Box<dyn FnOnce(Result<(), DbErr>) + Send>,
}

#[derive(Clone)]
pub struct GroupCommit {
    connection: DatabaseConnection,
    queue: mpsc::Sender<Job>,
}

impl GroupCommit {
    pub fn spawn(connection: DatabaseConnection, readers: &DatabaseConnection) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        tokio::spawn(run(connection.clone(), jobs, Checkpoints::spawn(readers.clone())));
        Self { connection, queue }
    }

    /// Shows in the metrics how many jobs wait, of how many that may.
    pub fn measure(&self) {
        super::measure_queue(NAME, &self.queue);
    }

    /// The connection itself, for the time before requests are served.
    pub fn connection(&self) -> &DatabaseConnection {
        &self.connection
    }

    pub async fn close(&self) {
        // A job at the end of the queue: once it is answered, all before it are.
        let (done, finished) = oneshot::channel();
        let last: Job = Box::new(move |_| {
            let answer = Box::new(move |_| {
                let _ = done.send(());
            });
            Box::pin(async move { Some(Done { keep: true, answer }) })
        });
        if self.queue.send(last).await.is_ok() {
            let _ = finished.await;
        }
        if let Err(error) = self.connection.clone().close().await {
            tracing::warn!(%error, "closing the database");
        }
    }

    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbErr> + From<Overloaded> + Send + 'static,
        F: for<'c> FnOnce(&'c DatabaseTransaction) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel::<Result<T, E>>();
        let job: Job = Box::new(move |transaction| {
            Box::pin(async move {
                if sender.is_closed() {
                    return None;
                }
                let result = work(transaction).await;
                let keep = result.is_ok();
                let answer = Box::new(move |committed: Result<(), DbErr>| {
                    let _ = sender.send(committed.map_err(E::from).and(result));
                });
                Some(Done { keep, answer })
            })
        });
        self.queue.try_send(job).map_err(|_| Overloaded::of(NAME))?;
        receiver.await.unwrap_or_else(|_| Err(lost("the write did not finish").into()))
    }
}

async fn run(connection: DatabaseConnection, mut jobs: mpsc::Receiver<Job>, mut checkpoints: Checkpoints) {
    let mut group = Vec::with_capacity(GROUP);
    while jobs.recv_many(&mut group, GROUP).await > 0 {
        let writes = group.len();
        metrics::histogram!("latchkey_db_group_size").record(writes as f64);
        let started = Instant::now();
        commit(&connection, group.drain(..)).await;
        metrics::histogram!("latchkey_db_commit_seconds").record(started.elapsed().as_secs_f64());
        checkpoints.count(writes);
    }
}

/// A transaction that has the lock from its start: one that starts by reading could find another process's write in its
/// way.
pub(super) fn immediate() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    }
}

async fn commit(connection: &DatabaseConnection, jobs: impl ExactSizeIterator<Item = Job>) {
    let transaction = match connection.begin_with_options(immediate()).await {
        Ok(transaction) => transaction,
        Err(error) => {
            tracing::error!(%error, "begin");
            return; // Dropping the jobs answers them.
        }
    };
    let alone = jobs.len() == 1;
    let mut answers = Vec::with_capacity(jobs.len());
    let mut outcome = Ok(());
    for job in jobs {
        match step(&transaction, job, alone).await {
            Ok(done) => answers.extend(done),
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    let outcome = match outcome {
        // A job alone that failed has nothing beside it to keep.
        Ok(()) if alone && answers.iter().all(|done| !done.keep) => transaction.rollback().await,
        Ok(()) => transaction.commit().await,
        Err(error) => transaction.rollback().await.and(Err(error)),
    };
    if let Err(error) = &outcome {
        tracing::error!(%error, "commit");
    }
    for done in answers {
        (done.answer)(outcome.clone());
    }
}

/// One job behind a savepoint. Savepoints nest until the commit, which spares a RELEASE for each.
async fn step(transaction: &DatabaseTransaction, job: Job, alone: bool) -> Result<Option<Done>, DbErr> {
    if !alone {
        transaction.execute_unprepared("SAVEPOINT job").await?;
    }
    let done = AssertUnwindSafe(job(transaction)).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a write panicked");
        None
    });
    let keep = done.as_ref().is_some_and(|done| done.keep);
    if !keep && !alone {
        transaction.execute_unprepared("ROLLBACK TO job").await?;
    }
    Ok(done)
}

fn lost(what: &str) -> DbErr {
    DbErr::Conn(RuntimeErr::Internal(what.to_owned()))
}
