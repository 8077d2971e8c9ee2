//! `latchkey keys`

use clap::{Subcommand, ValueEnum};

use crate::clock::rfc3339;
use crate::config::{Config, SigningAlgorithm};
use crate::services::signing_keys::KeyStatus;

#[derive(Subcommand)]
pub enum Command {
    /// Show the keys that sign access tokens
    List,
    /// Publish a new key; it signs after a while, and the old one verifies until its last token has expired
    Rotate {
        /// Algorithm of the new key; the configured one when not given
        #[arg(long)]
        algorithm: Option<Algorithm>,
    },
    /// Change the root key and seal everything under the new one, beside running servers; goes on where it was interrupted
    RotateRoot {
        /// Then take the old root keys out of the key file
        #[arg(long)]
        retire: bool,
    },
    /// Take old root keys out of the key file, once nothing needs them
    RetireRoot,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Algorithm {
    #[value(name = "EdDSA", alias = "eddsa")]
    EdDsa,
    #[value(name = "ES256", alias = "es256")]
    Es256,
}

pub async fn run(command: &Command, config: Config) -> Result<(), String> {
    let configured = config.tokens.algorithm;
    let services = super::services(config).await?;
    match command {
        Command::RotateRoot { retire } => return super::root_keys::rotate(services, *retire).await,
        Command::RetireRoot => return super::root_keys::retire(services).await,
        Command::List | Command::Rotate { .. } => {}
    }
    if let Command::Rotate { algorithm } = command {
        let algorithm = match algorithm {
            Some(Algorithm::EdDsa) => SigningAlgorithm::EdDSA,
            Some(Algorithm::Es256) => SigningAlgorithm::ES256,
            None => configured,
        };
        let key = services.rotate_signing_key(algorithm).await.map_err(|error| error.to_string())?;
        println!("Published {}; it signs from {} on", key.kid, rfc3339(key.active_at));
    }
    for key in services.keys.status(services.sources.now()) {
        println!("{}", line(&key));
    }
    services.db.close().await;
    Ok(())
}

fn line(key: &KeyStatus) -> String {
    let until = key.retires_at.map_or_else(String::new, |at| format!("  until {}", rfc3339(at)));
    format!("{}  {:5}  {:9}  since {}{until}", key.kid, key.algorithm, key.state, rfc3339(key.active_at))
}
