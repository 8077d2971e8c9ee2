//! Showing a secret to its owner: written down before the answer leaves, counted, and told by mail on a new device.

use entities::{ApiKeyId, account, api_key};
use sea_orm::{ConnectionTrait, EntityTrait, Statement, Value};

use super::super::access_keys::Scope;
use super::super::audit::Action;
use super::super::limits::Limit;
use super::super::{Error, Origin, Services};
use super::{Opened, TRIES, Visitor};
use crate::device;
use crate::plugins::mail::NoticeEvent;
use crate::secret::Secret;

/// A credential, for the answer and nothing else.
pub struct Revealed {
    pub row: api_key::Model,
    pub api_key: Secret,
    pub secret: Option<Secret>,
    pub passphrase: Option<Secret>,
}

impl Services {
    /// Shows a stored credential.
    pub async fn reveal_api_key(
        &self,
        visitor: &Visitor,
        id: ApiKeyId,
        purpose: Option<String>,
        origin: &Origin,
    ) -> Result<Revealed, Error> {
        visitor.demand(Scope::Decrypt)?;
        self.demand_unsealed(visitor.recovering_until())?;
        let owner = visitor.account();
        let mut row = self.api_key_of(self.db.reader(), owner, id).await?;
        let rate = self.config.limits.reveal_per_account;
        self.admit(vec![Limit::subject("reveal", &owner.to_string(), rate)]).await?;
        for _ in 0..TRIES {
            if let Some(revealed) = self.try_reveal(visitor, row, purpose.as_deref(), origin).await? {
                return Ok(revealed);
            }
            row = self.api_key_again(visitor, id).await?;
        }
        Err(Error::Overloaded)
    }

    /// Nothing if the use could not be marked.
    async fn try_reveal(
        &self,
        visitor: &Visitor,
        row: api_key::Model,
        purpose: Option<&str>,
        origin: &Origin,
    ) -> Result<Option<Revealed>, Error> {
        let owner = visitor.account();
        let Opened { api_key, secret, passphrase } = self.open_credential(&row).await?;

        let now = self.sources.now();
        let detail = serde_json::json!({
            "api_key": row.id.to_string(), "provider": row.provider, "version": row.version, "purpose": purpose,
        });
        let record = self.audit(visitor.event(Action::ApiKeyRevealed, origin).detail(visitor.detail(detail)));
        let fingerprint = device::fingerprint(owner, origin.user_agent.as_deref(), origin.ip);
        let (services, visitor, origin) = (self.clone(), visitor.clone(), origin.clone());
        let (id, version, name) = (row.id, row.version, row.name.clone());
        let marked = self
            .db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    let used = visitor.mark_use(transaction, id, version, now, "last_used_at = $1");
                    if used.await?.is_none() {
                        return Ok(false);
                    }
                    let engine = transaction.get_database_backend();
                    let first = "INSERT INTO seen_devices (account_id, fingerprint, first_seen_at, last_seen_at, revealed_at)
                           VALUES ($1, $2, $3, $3, $3)
                         ON CONFLICT (account_id, fingerprint) DO UPDATE SET revealed_at = $3
                           WHERE seen_devices.revealed_at IS NULL
                         RETURNING account_id";
                    let values: [Value; 3] = [owner.into(), fingerprint.into(), now.into()];
                    let new = transaction.query_all_raw(Statement::from_sql_and_values(engine, first, values)).await?;
                    if !new.is_empty() {
                        let account = account::Entity::find_by_id(owner).one(transaction).await?;
                        let account = account.ok_or(Error::InvalidAccessToken)?;
                        let notice = services.notice(&account, NoticeEvent::SecretRevealed { name }, &origin)?;
                        notice.write(transaction).await?;
                    }
                    record.write(transaction).await?;
                    Ok(true)
                })
            })
            .await?;
        if !marked {
            return Ok(None);
        }
        self.outbox.wake();
        Ok(Some(Revealed { row, api_key, secret, passphrase }))
    }
}
