//! Copies of an SQLite database: taken while servers write to it, and put back where none is.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use sea_orm::sqlx::{self, ConnectOptions, Connection};

use crate::files::{self, Draft};

/// Why there is no copy, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{}: there is such a file already; it is left as it is", .0.display())]
    Exists(PathBuf),
    #[error("{}: a server or a command has this database open; stop it first", .0.display())]
    Held(PathBuf),
    #[error("{}: not a database of Latchkey, or a damaged one: {}", .0.display(), .1)]
    Unsound(PathBuf, String),
    #[error("{}: {}", .0.display(), .1)]
    Sql(PathBuf, sqlx::Error),
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
}

/// Says that the database is in use, for as long as the answer lives. `None` where files can't be locked.
pub fn hold(database: &Path) -> io::Result<Option<File>> {
    let lock = lock_file(database)?;
    match lock.try_lock_shared() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Err(io::Error::other("a backup is being restored here")),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Beside the database, and not it: SQLite has locks of its own on that, and it may be moved away while it is open.
fn lock_file(database: &Path) -> io::Result<File> {
    File::options().create(true).append(true).mode(0o600).open(database.with_extension("lock"))
}

/// Copies the database to a file that must not exist: as it stood at one moment, whatever is written meanwhile. Answers the
/// bytes of the copy.
pub async fn copy(database: &Path, to: &Path) -> Result<u64, Failure> {
    let draft = draft(to)?;
    let failed = |error| Failure::Sql(database.to_owned(), error);
    let mut source = SqliteConnectOptions::new().filename(database).connect().await.map_err(failed)?;
    let target = draft.path().to_string_lossy().into_owned();
    sqlx::query("VACUUM INTO ?").bind(target).execute(&mut source).await.map_err(failed)?;
    source.close().await.map_err(failed)?;
    publish(draft, to).await
}

/// Puts a copy in the place of a database, where none may be. Answers its bytes.
pub async fn restore(from: &Path, database: &Path) -> Result<u64, Failure> {
    let directory = files::directory_of(database);
    let failed = |error| Failure::Io(directory.to_owned(), error);
    files::private_directory(directory).map_err(failed)?;
    let lock = lock_file(database).map_err(failed)?;
    if let Err(TryLockError::WouldBlock) = lock.try_lock() {
        return Err(Failure::Held(database.to_owned()));
    }
    // What was not written to the old database yet must not get into the new one.
    for end in ["-wal", "-shm", "-journal"] {
        let mut rest = database.as_os_str().to_owned();
        rest.push(end);
        if Path::new(&rest).exists() {
            return Err(Failure::Exists(rest.into()));
        }
    }
    let draft = draft(database)?;
    // The mode of the draft stays.
    let mut source = File::open(from).map_err(|error| Failure::Io(from.to_owned(), error))?;
    let copied =
        File::options().write(true).open(draft.path()).and_then(|mut to| io::copy(&mut source, &mut to));
    copied.map_err(|error| Failure::Io(database.to_owned(), error))?;
    publish(draft, database).await.map_err(|failure| match failure {
        // It is as it came.
        Failure::Unsound(_, why) => Failure::Unsound(from.to_owned(), why),
        other => other,
    })
}

/// Has a name for what is to be written, if it is free.
fn draft(to: &Path) -> Result<Draft, Failure> {
    if to.symlink_metadata().is_ok() {
        return Err(Failure::Exists(to.to_owned()));
    }
    Draft::beside(to).map_err(|error| Failure::Io(to.to_owned(), error))
}

/// Looks at what was written, and gives it its name.
async fn publish(draft: Draft, to: &Path) -> Result<u64, Failure> {
    check(draft.path()).await.map_err(|why| Failure::Unsound(to.to_owned(), why))?;
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::Exists(to.to_owned()),
        _ => Failure::Io(to.to_owned(), error),
    };
    let bytes = fs::metadata(draft.path()).map_err(failed)?.len();
    draft.publish().map_err(failed)?;
    Ok(bytes)
}

/// Whether the file is whole and has a schema of ours.
async fn check(file: &Path) -> Result<(), String> {
    let words = |error: sqlx::Error| error.to_string();
    let options = SqliteConnectOptions::new().filename(file).read_only(true).immutable(true);
    let mut connection = options.connect().await.map_err(words)?;
    let found = sqlx::query_scalar::<_, String>("PRAGMA integrity_check(1)").fetch_one(&mut connection).await;
    match found.map_err(words)?.as_str() {
        "ok" => {}
        damage => return Err(damage.to_owned()),
    }
    let ours = "SELECT COUNT(*) FROM seaql_migrations";
    sqlx::query_scalar::<_, i64>(ours).fetch_one(&mut connection).await.map_err(words)?;
    connection.close().await.map_err(words)
}
