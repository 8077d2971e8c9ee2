//! Webhooks of providers. What can't be proven leaves nothing behind but a count; what can is in the inbox before it is
//! answered, once, and worked on later.

use entities::kyc_event::{self, State};
use entities::{AccountId, Timestamp};
use sea_orm::{ConnectionTrait, DbErr, Statement, Value};
use sha2::{Digest, Sha256};

use super::super::{Error, Services};
use super::Configured;
use super::person::{PersonKey, open_event_key};
use crate::crypto::mac;
use crate::plugins::kyc::{Event, Webhook};
use crate::secret::Secret;

/// What became of a genuine webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Received {
    Accepted,
    Duplicate,
    /// Genuine, and of a kind that says nothing of a verification's state.
    Uninteresting,
    /// Genuine, but not to be understood.
    Unreadable,
}

/// A webhook as it came, with what may prove it besides its signature.
pub struct Delivery<'a> {
    /// The provider that the path names.
    pub provider: Option<&'a str>,
    pub webhook: Webhook<'a>,
    /// From `Authorization: Bearer` or the query.
    pub tokens: Vec<&'a str>,
}

impl Services {
    /// Takes a webhook in. The error says only that it is not a provider's.
    pub async fn receive_webhook(&self, delivery: &Delivery<'_>) -> Result<Received, Error> {
        let now = self.sources.now();
        let Some(configured) = self.sender(delivery, now) else {
            let named = delivery.provider.and_then(|name| self.kyc.provider(name));
            count(named.map_or("unknown", Configured::name), "refused");
            return Err(Error::InvalidWebhook);
        };
        let received = self.take_in(configured, &delivery.webhook, now).await?;
        count(configured.name(), received.into());
        if received == Received::Accepted {
            configured.wake.notify_one();
        }
        Ok(received)
    }

    /// Who has sent it, if that is proven.
    fn sender(&self, delivery: &Delivery<'_>, now: Timestamp) -> Option<&Configured> {
        let candidates = self.kyc.providers.iter().filter(|configured| match delivery.provider {
            Some(name) => configured.name() == name,
            None => true,
        });
        // A provider that signs is never believed without its signature, whatever else it sends.
        candidates.into_iter().find(|configured| {
            let about = configured.provider.about();
            if about.signature.is_empty() {
                let is_known = |token: &&str| {
                    let tokens = configured.settings.webhook_tokens.iter();
                    tokens.fold(false, |found, known| found | same(known, token))
                };
                return delivery.tokens.iter().any(is_known);
            }
            about.signature.iter().any(|header| delivery.webhook.header(header).is_some())
                && configured.settings.webhook_secrets.iter().any(|secret| {
                    configured.provider.verify(&delivery.webhook, secret, &configured.settings, now)
                })
        })
    }

    async fn take_in(
        &self,
        configured: &Configured,
        webhook: &Webhook<'_>,
        now: Timestamp,
    ) -> Result<Received, Error> {
        let provider = configured.name();
        let event = match configured.provider.read(webhook, &configured.settings) {
            Ok(event) => event,
            Err(unreadable) => {
                tracing::error!(provider, reason = %unreadable, "a genuine webhook can't be understood");
                let dedupe_key = Sha256::digest(webhook.body).to_vec();
                let last_error = Some(unreadable.to_string());
                let row = kyc_event::Model {
                    dedupe_key,
                    state: State::Dead,
                    last_error,
                    ..self.empty_event(provider, now)
                };
                return self.store(row, Received::Unreadable).await;
            }
        };
        self.accept(configured, &event, webhook.body, now).await
    }

    /// Takes in what a provider says.
    pub(super) async fn accept(
        &self,
        configured: &Configured,
        event: &Event,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Received, Error> {
        let provider = configured.name();
        let empty = self.empty_event(provider, now);
        let dedupe_key = Sha256::digest(&event.dedupe_key).to_vec();
        let Some(reference) =
            event.finding.as_ref().and(event.reference.as_deref().or(event.external_id.as_deref()))
        else {
            tracing::info!(provider, event = event.name, "a webhook that says nothing of a state");
            return self.store(kyc_event::Model { dedupe_key, ..empty }, Received::Uninteresting).await;
        };
        let subject = format!("{provider}:{reference}");
        let person = self.person_of(provider, event).await?;
        let sealed = person.as_ref().and_then(|person| {
            let key = open_event_key(&self.kyc.sealer, person)?;
            Some(key.seal(person.account, empty.id, body, self.sources.entropy))
        });
        let row = kyc_event::Model {
            dedupe_key,
            subject,
            account_id: person.map(|person| person.account),
            event: serde_json::to_string(event).ok(),
            sealed,
            state: State::Pending,
            finished_at: None,
            ..empty
        };
        self.store(row, Received::Accepted).await
    }

    fn empty_event(&self, provider: &str, now: Timestamp) -> kyc_event::Model {
        kyc_event::Model {
            id: self.sources.id(),
            provider: provider.to_owned(),
            dedupe_key: vec![],
            subject: String::new(),
            account_id: None,
            event: None,
            sealed: None,
            state: State::Unknown,
            attempts: 0,
            due_at: now,
            last_error: None,
            received_at: now,
            finished_at: Some(now),
        }
    }

    /// Stores it, unless it is there. A delivery that was repeated is a duplicate.
    async fn store(&self, row: kyc_event::Model, received: Received) -> Result<Received, Error> {
        let sql =
            "INSERT INTO kyc_events (id, provider, dedupe_key, subject, account_id, event, sealed, state,
                     attempts, due_at, last_error, received_at, finished_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $10, $9, $11)
                   ON CONFLICT (provider, dedupe_key) DO NOTHING RETURNING id";
        let values: [Value; 11] = [
            row.id.into(),
            row.provider.into(),
            row.dedupe_key.into(),
            row.subject.into(),
            row.account_id.into(),
            row.event.into(),
            row.sealed.into(),
            row.state.into(),
            row.received_at.into(),
            row.last_error.into(),
            row.finished_at.into(),
        ];
        let statement = Statement::from_sql_and_values(self.db.engine(), sql, values);
        let rows = self.db.write_one::<Error>(statement).await?;
        Ok(if rows.is_empty() { Received::Duplicate } else { received })
    }

    /// Whose verification an event is about, with the key of that person's events.
    async fn person_of(&self, provider: &str, event: &Event) -> Result<Option<PersonKey>, DbErr> {
        let sql = "SELECT v.account_id, k.sealed FROM kyc_verifications v
                   JOIN kyc_person_keys k ON k.account_id = v.account_id
                   WHERE v.provider = $1 AND (v.reference = $2 OR v.external_id = $3) LIMIT 1";
        let values: [Value; 3] =
            [provider.into(), event.reference.clone().into(), event.external_id.clone().into()];
        let row = self
            .db
            .reader()
            .query_one_raw(Statement::from_sql_and_values(self.db.engine(), sql, values))
            .await?;
        row.map(|row| {
            Ok(PersonKey {
                account: row.try_get::<AccountId>("", "account_id")?,
                sealed: row.try_get("", "sealed")?,
            })
        })
        .transpose()
    }
}

fn same(known: &Secret, token: &str) -> bool {
    mac::equal(known.expose().as_bytes(), token.as_bytes())
}

fn count(provider: &'static str, result: &'static str) {
    metrics::counter!("latchkey_kyc_webhooks_total", "provider" => provider, "result" => result).increment(1);
}
