//! `latchkey kyc`

use std::io::Write as _;

use clap::{Subcommand, ValueEnum};
use entities::KycEventId;
use entities::kyc_event::State;

use crate::clock::rfc3339;
use crate::config::Config;
use crate::services::{Error, Services};

#[derive(Subcommand)]
pub enum Command {
    /// List webhooks of providers, the newest first
    Events {
        /// Only those in this state
        #[arg(long)]
        state: Option<Filter>,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1000))]
        limit: u64,
    },
    /// Print a webhook as it came; the audit trail says that it was read
    Show { id: KycEventId },
    /// Work once more on a webhook that was given up, or that was about nobody
    Retry { id: KycEventId },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Filter {
    Pending,
    Done,
    Unknown,
    Dead,
}

impl From<Filter> for State {
    fn from(filter: Filter) -> Self {
        match filter {
            Filter::Pending => Self::Pending,
            Filter::Done => Self::Done,
            Filter::Unknown => Self::Unknown,
            Filter::Dead => Self::Dead,
        }
    }
}

pub async fn run(command: Command, config: Config) -> Result<(), String> {
    let services = super::services(config).await?;
    let result = act(command, &services).await;
    services.db.close().await;
    result
}

async fn act(command: Command, services: &Services) -> Result<(), String> {
    let failed = |error: Error| error.to_string();
    match command {
        Command::Events { state, limit } => {
            for event in services.list_kyc_events(state.map(State::from), limit).await.map_err(failed)? {
                let (at, state) = (rfc3339(event.received_at), format!("{:?}", event.state).to_lowercase());
                let why = event.last_error.unwrap_or_default();
                println!("{}  {at}  {:16}  {state:8}  {why}", event.id, event.provider);
            }
        }
        Command::Show { id } => {
            let body = services.read_kyc_event(id).await.map_err(|error| match error {
                Error::NotFound => "there is no such event, or its person is gone".to_owned(),
                error => failed(error),
            })?;
            let mut out = std::io::stdout().lock();
            out.write_all(&body).and_then(|()| out.write_all(b"\n")).map_err(|error| error.to_string())?;
        }
        Command::Retry { id } => {
            if !services.retry_kyc_event(id).await.map_err(failed)? {
                return Err("there is no such event, or it was not given up".into());
            }
            println!("{id} is worked on once more");
        }
    }
    Ok(())
}
