//! Accounts that come from elsewhere, with the password hashes that they had there.

use std::collections::HashSet;

use entities::{AccountId, Timestamp, account};
use sea_orm::sea_query::OnConflict;
use sea_orm::{EntityTrait, Set};

use super::super::audit::{Action, Actor, Event, Record};
use super::super::{Error, Services};
use super::addresses::reserved;

/// An account as another program knew it. The hash has been checked to be one that can be verified.
pub struct Import {
    pub email: String,
    pub email_key: String,
    pub password_hash: String,
    pub email_verified: bool,
    pub full_name: Option<String>,
    pub phone: Option<String>,
    pub avatar_url: Option<String>,
    pub created_at: Option<Timestamp>,
}

impl Services {
    /// Inserts the accounts whose addresses are nobody's yet, all in one transaction, and answers how many that were. To do it
    /// again changes nothing. Sends no mail.
    pub async fn import_accounts(&self, accounts: Vec<Import>) -> Result<usize, Error> {
        if accounts.is_empty() {
            return Ok(0);
        }
        let now = self.sources.now();
        let keys = accounts.iter().map(|import| import.email_key.clone()).collect();
        let (mut rows, records): (Vec<account::ActiveModel>, Vec<(AccountId, Record)>) = accounts
            .into_iter()
            .map(|import| {
                let id = self.sources.id();
                let record = self.audit(Event::new(Action::AccountImported, Actor::Operator).account(id));
                (row(id, import, now), (id, record))
            })
            .unzip();
        self.db
            .write(move |transaction| {
                Box::pin(async move {
                    let reserved = reserved(transaction, keys, now).await?;
                    rows.retain(|row| !row.email_key.try_as_ref().is_some_and(|key| reserved.contains(key)));
                    if rows.is_empty() {
                        return Ok(0);
                    }
                    let new: HashSet<AccountId> = account::Entity::insert_many(rows)
                        .on_conflict(OnConflict::column(account::Column::EmailKey).do_nothing().to_owned())
                        .exec_with_returning_keys(transaction)
                        .await?
                        .into_iter()
                        .collect();
                    let made = records.into_iter().filter(|(id, _)| new.contains(id));
                    Record::write_all(made.map(|(_, record)| record).collect(), transaction).await?;
                    Ok(new.len())
                })
            })
            .await
    }
}

fn row(id: AccountId, import: Import, now: Timestamp) -> account::ActiveModel {
    // Unconfirmed accounts are removed at some age. Theirs begins here, or they would be gone within the minute.
    let created_at = import.created_at.filter(|_| import.email_verified).unwrap_or(now);
    account::ActiveModel {
        id: Set(id),
        email: Set(import.email),
        email_key: Set(import.email_key),
        password_hash: Set(account::PasswordHash(import.password_hash)),
        email_verified_at: Set(import.email_verified.then_some(now)),
        full_name: Set(import.full_name),
        avatar_url: Set(import.avatar_url),
        phone: Set(import.phone),
        created_at: Set(created_at),
        updated_at: Set(now),
        ..Default::default()
    }
}
