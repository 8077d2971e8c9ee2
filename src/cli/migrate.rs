//! `latchkey migrate`

use clap::Subcommand;

use crate::config::Config;
use crate::db::Db;

#[derive(Subcommand)]
pub enum Command {
    /// Apply what is missing; safe while servers run
    Up,
    /// Show what is applied and what is missing
    Status,
}

pub async fn run(command: &Command, config: &Config) -> Result<(), String> {
    let db = Db::connect(config).await.map_err(|error| format!("database_url: {error}"))?;
    if let Command::Up = command {
        db.migrate().await.map_err(|error| crate::server::schema_error(&error))?;
    }
    let (applied, pending) =
        db.migration_status().await.map_err(|error| crate::server::schema_error(&error))?;
    for name in applied {
        println!("applied  {name}");
    }
    for name in pending {
        println!("pending  {name}");
    }
    Ok(())
}
