//! `latchkey webhooks`

use clap::{Subcommand, ValueEnum};
use entities::WebhookDeliveryId;
use entities::webhook_delivery::{self, State};

use crate::clock::rfc3339;
use crate::config::Config;
use crate::services::webhooks::{Replay, Tested, message_id};
use crate::services::{Error, Services};

#[derive(Subcommand)]
pub enum Command {
    /// List deliveries, the newest first
    List {
        /// Only those in this state
        #[arg(long)]
        state: Option<Filter>,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1000))]
        limit: u64,
    },
    /// Send a delivery once more, or all that were given up, under the same ids
    Replay {
        /// Id of the delivery
        #[arg(required_unless_present = "dead", conflicts_with = "dead", value_parser = delivery)]
        id: Option<WebhookDeliveryId>,
        /// All that were given up
        #[arg(long)]
        dead: bool,
        /// Only those to this endpoint
        #[arg(long, value_name = "NAME", requires = "dead")]
        endpoint: Option<String>,
    },
    /// Send a `webhook.test` to an endpoint now, and say what it answers
    Test {
        /// Name of the endpoint in the settings
        name: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Filter {
    Pending,
    Sent,
    Dead,
}

/// An id, with `msg_` before it or without.
fn delivery(text: &str) -> Result<WebhookDeliveryId, String> {
    text.strip_prefix("msg_").unwrap_or(text).parse().map_err(|_| "not the id of a delivery".into())
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
        Command::List { state, limit } => {
            let state = state.map(|state| match state {
                Filter::Pending => State::Pending,
                Filter::Sent => State::Sent,
                Filter::Dead => State::Dead,
            });
            for delivery in services.list_webhooks(state, limit).await.map_err(failed)? {
                println!("{}", line(&delivery));
            }
        }
        Command::Replay { id, endpoint, .. } => {
            if let Some(name) = &endpoint {
                demand_endpoint(services, name)?;
            }
            let which = id.map_or(Replay::Dead { endpoint }, Replay::One);
            let count = services.replay_webhooks(&which).await.map_err(failed)?;
            if id.is_some() && count == 0 {
                return Err("there is no such delivery, or its endpoint is not set up any more".into());
            }
            println!("{count} to be sent once more; a running server does it");
        }
        Command::Test { name } => {
            demand_endpoint(services, &name)?;
            match services.test_webhook(&name).await.map_err(failed)? {
                Some(Tested::Answered { status, success: true }) => println!("{name} answers {status}"),
                Some(Tested::Answered { status, .. }) => return Err(format!("{name} answers {status}")),
                Some(Tested::Unanswered(why)) => return Err(format!("{name}: {why}")),
                None => {}
            }
        }
    }
    Ok(())
}

fn demand_endpoint(services: &Services, name: &str) -> Result<(), String> {
    let known: Vec<&str> = services.config.webhooks.endpoints.keys().map(String::as_str).collect();
    match known.contains(&name) {
        true => Ok(()),
        false if known.is_empty() => Err("no endpoint is set up (webhooks.endpoints)".into()),
        false => Err(format!("there is no endpoint {name}; there are {}", known.join(", "))),
    }
}

fn line(delivery: &webhook_delivery::Model) -> String {
    let state = match delivery.state {
        State::Pending => "pending",
        State::Sent => "sent",
        State::Dead => "dead",
    };
    let why = delivery.last_error.as_ref().map_or_else(String::new, |why| format!("  {why}"));
    format!(
        "{}  {state:7}  {}  {}  {}  attempts {}{why}",
        message_id(delivery.id),
        rfc3339(delivery.created_at),
        delivery.endpoint,
        delivery.event,
        delivery.attempts,
    )
}
