//! `latchkey backup` and `latchkey restore`

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::HumanBytes;

use crate::config::Config;
use crate::crypto::root_key_file::RootKeyFile;
use crate::db::backup;

const DUMP: &str = "\
database_url: PostgreSQL has a command of its own for this; it may run beside servers:
pg_dump --format=custom --no-owner --file=FILE 'postgres://…'";
const LOAD: &str = "\
database_url: PostgreSQL has a command of its own for this; the database must be empty, and no server run on it:
pg_restore --exit-on-error --single-transaction --no-owner --dbname='postgres://…' FILE";

#[derive(Args)]
pub struct Target {
    /// The file with the copy
    file: PathBuf,
}

/// Takes a copy, beside servers that write.
pub async fn back_up(target: &Target, config: &Config) -> Result<(), String> {
    let database = config.sqlite_file().ok_or(DUMP)?;
    super::demand_database(config)?;
    let bytes = backup::copy(&database, &target.file).await.map_err(|failure| failure.to_string())?;
    println!("{} has a copy of the database ({})", target.file.display(), HumanBytes(bytes));
    println!("The root key is not in it, and without that it is worth nothing: {}", root_key(config));
    Ok(())
}

/// Puts a copy in the place of the database.
pub async fn restore(target: &Target, config: &Config) -> Result<(), String> {
    let database = config.sqlite_file().ok_or(LOAD)?;
    let advice = |failure: backup::Failure| match &failure {
        backup::Failure::Exists(_) => format!("{failure}\n{}", move_away(&database)),
        _ => failure.to_string(),
    };
    let bytes = backup::restore(&target.file, &database).await.map_err(advice)?;
    println!("{} is the database now ({})", database.display(), HumanBytes(bytes));
    println!("It needs the root key of its time: {}. `latchkey doctor` says whether it is", root_key(config));
    Ok(())
}

fn root_key(config: &Config) -> String {
    match RootKeyFile::of(config) {
        Some(file) => file.path().display().to_string(),
        None => "the setting root_key".into(),
    }
}

fn move_away(database: &Path) -> String {
    let path = database.display();
    format!("stop the server and move the old database away first, with what belongs to it: mv {path}* …")
}
