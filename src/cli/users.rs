//! `latchkey users`

use clap::Subcommand;
use entities::AccountId;
use entities::account::{self, Role};
use sea_orm::Iterable;

use super::import;
use crate::api::payload::Email;
use crate::clock::rfc3339;
use crate::config::Config;
use crate::services::accounts::{AccountState, Filter, Selector};
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
    /// Say what somebody may do for others, from their next request on
    SetRole {
        account: Who,
        /// user, reviewer (decides identity checks) or operator (looks after accounts as well)
        #[arg(value_parser = role)]
        role: Role,
    },
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

fn role(text: &str) -> Result<Role, String> {
    let named = Role::iter().find(|role| role.name() == text);
    named.ok_or_else(|| "it is one of user, reviewer and operator".into())
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
            let page = services.list_accounts(&Filter::default(), after, limit).await.map_err(failed)?;
            for account in &page.accounts {
                let (state, role) = (AccountState::of(account).name(), account.role.name());
                println!("{}  {state:10}  {role:8}  {}", account.id, account.email);
            }
            if let Some(after) = page.after {
                println!("There are more: --after {after}");
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
        Command::SetRole { account, role } => {
            let account = find(services, &account).await?;
            let changed = services.set_role(account.id, role).await.map_err(failed)?;
            let (email, role) = (account.email, role.name());
            println!("{email} {} {role}", if changed { "is now" } else { "was already" });
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

fn show(account: &account::Model) {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    println!("id          {}", account.id);
    println!("email       {}", account.email);
    println!("state       {}", AccountState::of(account).name());
    println!("role        {}", account.role.name());
    println!("verified    {}", account.email_verified_at.map_or_else(|| "-".into(), rfc3339));
    println!("full name   {}", or_dash(&account.full_name));
    println!("phone       {}", or_dash(&account.phone));
    println!("created     {}", rfc3339(account.created_at));
    println!("updated     {}", rfc3339(account.updated_at));
}
