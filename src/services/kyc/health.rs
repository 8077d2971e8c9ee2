//! Whether identity checks work, for operators and monitors. Says nothing of anybody.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use entities::Timestamp;
use sea_orm::{ConnectionTrait, DbErr, Statement, Value};

use super::super::outbox::Backlog;
use super::super::{Error, Services};

/// How exactly the last contact is known.
const CONTACT_KNOWN: Duration = Duration::from_secs(60);
/// Waiting webhooks are counted up to this.
const MOST_COUNTED: u64 = 100_000;

#[derive(Debug, Clone)]
pub struct Health {
    pub providers: Vec<ProviderHealth>,
    /// Webhooks that wait to be worked on.
    pub backlog: u64,
    /// Since when the oldest of them waits.
    pub waiting_since: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub struct ProviderHealth {
    pub name: &'static str,
    /// When it last answered a request of ours, to the minute.
    pub last_contact_at: Option<Timestamp>,
    pub last_webhook_at: Option<Timestamp>,
}

/// When this node last wrote down that a provider had answered.
#[derive(Default)]
pub struct Contacts(Mutex<HashMap<&'static str, Timestamp>>);

impl Contacts {
    /// Whether it is time to write it down again.
    fn is_due(&self, provider: &'static str, now: Timestamp) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = known.get(provider).is_none_or(|last| now.since(*last) >= CONTACT_KNOWN);
        if due {
            known.insert(provider, now);
        }
        due
    }
}

impl Services {
    pub async fn kyc_health(&self) -> Result<Health, Error> {
        let one = async |sql: &str, values: Vec<Value>| {
            let statement = Statement::from_sql_and_values(self.db.engine(), sql, values);
            self.db.reader().query_one_raw(statement).await
        };
        let sql = format!(
            "SELECT COUNT(*) AS count FROM (SELECT 1 FROM kyc_events WHERE state = 'pending' LIMIT {MOST_COUNTED}) AS waiting"
        );
        let count: Option<i64> = one(&sql, vec![]).await?.map(|row| row.try_get("", "count")).transpose()?;
        // In the order of ids, which begin with the time.
        let sql = "SELECT received_at AS at FROM kyc_events WHERE state = 'pending' ORDER BY due_at LIMIT 1";
        let at = |row: sea_orm::QueryResult| row.try_get::<Option<Timestamp>>("", "at");
        let waiting_since = one(sql, vec![]).await?.map(at).transpose()?.flatten();
        let mut providers = vec![];
        for configured in &self.kyc.providers {
            let name = configured.name();
            let contact = "SELECT contacted_at AS at FROM kyc_contacts WHERE provider = $1";
            let webhook = "SELECT MAX(received_at) AS at FROM kyc_events WHERE provider = $1";
            providers.push(ProviderHealth {
                name,
                last_contact_at: one(contact, vec![name.into()]).await?.map(at).transpose()?.flatten(),
                last_webhook_at: one(webhook, vec![name.into()]).await?.map(at).transpose()?.flatten(),
            });
        }
        let backlog = count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
        Ok(Health { providers, backlog, waiting_since })
    }

    /// Webhooks that wait to be worked on, and those that were given up.
    pub async fn kyc_backlog(&self) -> Result<Backlog, DbErr> {
        // With its sign, the first is looked for among those that wait, and not in the index of all.
        Backlog::of(&self.db, "kyc_events", "+received_at").await
    }

    /// Writes down that a provider has answered. That it can't be written is no reason to fail.
    pub(super) async fn note_contact(&self, provider: &'static str) {
        let now = self.sources.now();
        if !self.kyc.contacts.is_due(provider, now) {
            return;
        }
        let sql = "INSERT INTO kyc_contacts (provider, contacted_at) VALUES ($1, $2)
                   ON CONFLICT (provider) DO UPDATE SET contacted_at = excluded.contacted_at";
        let statement = Statement::from_sql_and_values(self.db.engine(), sql, [provider.into(), now.into()]);
        if let Err(error) = self.db.write_one::<Error>(statement).await {
            tracing::warn!(?error, "a contact can't be written down");
        }
    }
}
