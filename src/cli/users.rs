//! `latchkey users`

use clap::Subcommand;
use entities::{AccountId, account};

use super::import;
use crate::api::payload::Email;
use crate::clock::rfc3339;
use crate::config::Config;
use crate::services::accounts::Selector;
use crate::services::{Error, Services};

#[derive(Subcommand)]
pub enum Command {
    /// List accounts in order of creation
    List {
        /// Start after the account with this id
        #[arg(long, value_name = "ID")]
        after: Option<AccountId>,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1000))]
        limit: u64,
    },
    /// Show one account
    Show { account: Who },
    /// Keep an account from signing in, and end its sessions now
    Disable { account: Who },
    /// Let a disabled account sign in again
    Enable { account: Who },
    /// Remove all second factors of somebody who has lost them; ends the sessions, and tells the owner by mail
    ResetFactors {
        account: Who,
        /// Do it; without this, only say whose would be removed
        #[arg(long)]
        yes: bool,
    },
    /// Delete an account and all that hangs on it; the audit trail stays
    Delete {
        account: Who,
        /// Do it; without this, only say what would be deleted
        #[arg(long)]
        yes: bool,
    },
    /// Import accounts from elsewhere with their password hashes, a JSON object in each line
    Import(import::ImportArgs),
}

/// An e-mail address or an id.
#[derive(Clone, Debug)]
pub struct Who(Selector);

impl std::str::FromStr for Who {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse() {
            return Ok(Self(Selector::Id(id)));
        }
        let email: Email = text.parse().map_err(|error| format!("neither an id nor an address: {error}"))?;
        Ok(Self(Selector::EmailKey(email.key().to_owned())))
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
        Command::List { after, limit } => {
            let accounts = services.list_accounts(after, limit).await.map_err(failed)?;
            for account in &accounts {
                println!("{}  {:10}  {}", account.id, state(account), account.email);
            }
            if accounts.len() as u64 == limit {
                println!("There may be more: --after {}", accounts[accounts.len() - 1].id);
            }
        }
        Command::Show { account } => show(&find(services, &account).await?),
        Command::Disable { account } => {
            let account = find(services, &account).await?;
            let changed = services.set_disabled(account.id, true).await.map_err(failed)?;
            println!(
                "{} {}",
                account.email,
                if changed { "is disabled; its sessions have ended" } else { "was disabled already" }
            );
        }
        Command::Enable { account } => {
            let account = find(services, &account).await?;
            let changed = services.set_disabled(account.id, false).await.map_err(failed)?;
            println!("{} {}", account.email, if changed { "is enabled" } else { "was not disabled" });
        }
        Command::ResetFactors { account, yes } => {
            let account = find(services, &account).await?;
            if !yes {
                show(&account);
                return Err("nothing is removed yet; repeat with --yes".into());
            }
            let removed = services.reset_factors(account.id).await.map_err(failed)?;
            println!(
                "{} {}",
                account.email,
                if removed {
                    "has no second factor any more; its sessions have ended"
                } else {
                    "had no second factor"
                }
            );
        }
        Command::Delete { account, yes } => {
            let account = find(services, &account).await?;
            if !yes {
                show(&account);
                return Err("nothing is deleted yet; repeat with --yes".into());
            }
            services.delete_account(account.id).await.map_err(failed)?;
            println!("{} is deleted", account.email);
        }
        Command::Import(args) => import::run(&args, services).await?,
    }
    Ok(())
}

async fn find(services: &Services, who: &Who) -> Result<account::Model, String> {
    let found = services.find_account(&who.0).await.map_err(|error| error.to_string())?;
    found.ok_or_else(|| "there is no such account".into())
}

fn state(account: &account::Model) -> &'static str {
    match account {
        account::Model { disabled_at: Some(_), .. } => "disabled",
        account::Model { email_verified_at: None, .. } => "unverified",
        _ => "active",
    }
}

fn show(account: &account::Model) {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    println!("id          {}", account.id);
    println!("email       {}", account.email);
    println!("state       {}", state(account));
    println!("verified    {}", account.email_verified_at.map_or_else(|| "-".into(), rfc3339));
    println!("full name   {}", or_dash(&account.full_name));
    println!("phone       {}", or_dash(&account.phone));
    println!("created     {}", rfc3339(account.created_at));
    println!("updated     {}", rfc3339(account.updated_at));
}
