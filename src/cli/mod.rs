//! The command line.

mod backup;
mod doctor;
pub mod import;
mod keys;
mod kyc;
mod migrate;
mod openapi;
mod root_keys;
mod serve;
mod users;
mod webhooks;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::clock::Sources;
use crate::config::{self, Config};
use crate::db::Db;
use crate::services::Services;

/// Accounts and sessions for an application, behind one OpenAPI contract.
#[derive(Parser)]
#[command(
    name = "latchkey",
    version,
    arg_required_else_help = true,
    after_help = "Settings come from the environment (LATCHKEY_LISTEN, LATCHKEY_DATABASE_URL, …) over latchkey.toml over \
                  defaults.\nStart with `latchkey serve` and open http://127.0.0.1:8080/docs/."
)]
pub struct Cli {
    /// File with settings
    #[arg(long, global = true, value_name = "FILE", env = "LATCHKEY_CONFIG")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve,
    /// Bring the database's schema up to date, or show where it stands
    #[command(subcommand)]
    Migrate(migrate::Command),
    /// Write openapi.yaml from the code, or check that it is current
    Openapi(openapi::Args),
    /// List or rotate the keys that sign access tokens, or change the root key
    #[command(subcommand)]
    Keys(keys::Command),
    /// List, show, disable, enable, delete or import accounts, and remove lost second factors
    #[command(subcommand)]
    Users(users::Command),
    /// List webhooks, send again what was given up, or try an endpoint
    #[command(subcommand)]
    Webhooks(webhooks::Command),
    /// Look into what providers of identity checks have sent
    #[command(subcommand)]
    Kyc(kyc::Command),
    /// Copy the database (SQLite) to a new file, while servers run
    Backup(backup::Target),
    /// Put a copy in the place of the database (SQLite); no server may run, and no database be there
    Restore(backup::Target),
    /// Check configuration, database, keys and mail, and say how to mend what is wrong
    Doctor,
}

/// Runs a command. The error is what to tell the operator.
pub async fn run(cli: Cli) -> Result<(), String> {
    if let Command::Openapi(args) = &cli.command {
        return openapi::run(args);
    }
    let (file, named) = match cli.config {
        Some(file) => (file, true),
        None => (PathBuf::from("latchkey.toml"), false),
    };
    if let Command::Doctor = cli.command {
        return doctor::run(&file, named).await;
    }
    let config = config::load(&file, named).map_err(|errors| errors.to_string())?;
    match cli.command {
        Command::Serve => serve::run(config).await,
        Command::Migrate(command) => migrate::run(&command, &config).await,
        Command::Backup(target) => backup::back_up(&target, &config).await,
        Command::Restore(target) => backup::restore(&target, &config).await,
        Command::Keys(command) => keys::run(&command, config).await,
        Command::Users(command) => users::run(command, config).await,
        Command::Kyc(command) => kyc::run(command, config).await,
        Command::Webhooks(command) => webhooks::run(command, config).await,
        Command::Openapi(_) | Command::Doctor => unreachable!("handled above"),
    }
}

/// A command in the wrong directory must not make a database there and find it empty.
fn demand_database(config: &Config) -> Result<(), String> {
    match config.sqlite_file() {
        Some(file) if !file.exists() => Err(format!(
            "there is no database at {}; run this where the server runs, with its settings, or start it first",
            file.display()
        )),
        _ => Ok(()),
    }
}

/// The services on an existing database, for commands that work beside a running server.
async fn services(config: Config) -> Result<Services, String> {
    demand_database(&config)?;
    let db = Db::connect(&config).await.map_err(|error| format!("database_url: {error}"))?;
    db.migrate().await.map_err(|error| crate::server::schema_error(&error))?;
    Services::start(config.into(), db, Sources::system()).await
}
