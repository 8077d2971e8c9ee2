//! Copies SQLite's write-ahead log into the database beside the commits. Left to itself, SQLite has a commit do it once in
//! a while, and all that wait for that commit wait for two more requests to the disk (<https://www.sqlite.org/wal.html>, 3).

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};
use tokio::sync::mpsc;

/// Writes after which it is time; each puts some ten pages into the log.
const WRITES: usize = 100;
/// Pages (of 4 KiB) in the log from which on commits copy what is left. Only where nobody writes meanwhile is all of the log
/// copied, so that it starts from its beginning again; under constant writes it is these that bound it.
pub(super) const LOG_PAGES: u32 = 8192;

/// Tells the task when it is time.
pub(super) struct Checkpoints {
    due: mpsc::Sender<()>,
    writes: usize,
}

impl Checkpoints {
    /// Any connection will do: a checkpoint changes nothing that is in the database.
    pub(super) fn spawn(connection: DatabaseConnection) -> Self {
        let (due, mut wanted) = mpsc::channel(1);
        tokio::spawn(async move {
            while wanted.recv().await.is_some() {
                let done = checkpoint(&connection).await;
                if connection.get_sqlite_connection_pool().is_closed() {
                    return; // SQLite makes the last one itself.
                }
                if let Err(error) = done {
                    tracing::warn!(%error, "a checkpoint of the write-ahead log");
                    metrics::counter!("latchkey_background_failures_total", "task" => "checkpoint")
                        .increment(1);
                }
            }
        });
        Self { due, writes: 0 }
    }

    pub(super) fn count(&mut self, writes: usize) {
        self.writes += writes;
        // While one is wanted already, more is counted.
        if self.writes >= WRITES && self.due.try_send(()).is_ok() {
            self.writes = 0;
        }
    }
}

/// As much as readers allow, while others read and write.
async fn checkpoint(connection: &DatabaseConnection) -> Result<(), DbErr> {
    connection.execute_unprepared("PRAGMA wal_checkpoint(PASSIVE)").await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sea_orm::{Database, DbBackend, Statement};

    use super::super::writer::{GroupCommit, Overloaded};
    use super::*;

    #[derive(Debug)]
    struct Failed;

    impl From<DbErr> for Failed {
        fn from(_: DbErr) -> Self {
            Self
        }
    }

    impl From<Overloaded> for Failed {
        fn from(_: Overloaded) -> Self {
            Self
        }
    }

    async fn write(group: &GroupCommit, statement: &'static str) {
        group
            .write(move |transaction| {
                Box::pin(async move {
                    transaction.execute_unprepared(statement).await?;
                    Ok::<_, Failed>(())
                })
            })
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn writes_reach_the_database_without_a_commit_that_copies_them() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("test.db");
        let url = format!("sqlite://{}", file.display());
        let writer = Database::connect(super::super::sqlite_options(&url, 1, true)).await.unwrap();
        let readers = Database::connect(super::super::sqlite_options(&url, 1, false)).await.unwrap();
        let bound = Statement::from_string(DbBackend::Sqlite, "PRAGMA wal_autocheckpoint");
        let bound = writer.query_one_raw(bound).await.unwrap().unwrap();
        assert_eq!(bound.try_get_by_index::<u32>(0).unwrap(), LOG_PAGES);
        let group = GroupCommit::spawn(writer, &readers);
        write(&group, "CREATE TABLE kept (bytes BLOB)").await;
        for _ in 0..WRITES {
            write(&group, "INSERT INTO kept VALUES (zeroblob(4000))").await;
        }
        let written = WRITES as u64 * 4000;
        let reached = async {
            while file.metadata().unwrap().len() < written {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), reached).await.unwrap();
        group.close().await;
    }
}
