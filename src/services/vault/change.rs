//! Changing and removing what is stored.

use entities::{ApiKeyId, Timestamp, api_key};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, Set};
use serde_json::{Map, Value};

use super::super::audit::Action;
use super::super::limits::Limit;
use super::super::sessions::Caller;
use super::super::{Error, Origin, Services};
use super::store::{may_withdraw, name_taken};
use super::test::Judgement;
use super::{Rule, TestResult, Visitor, connector, hint, place};
use crate::secret::Secret;

/// What to change: `None` leaves it as it is.
#[derive(Default)]
pub struct Change {
    pub name: Option<String>,
    pub labels: Option<Vec<String>>,
    pub rules: Option<Vec<Rule>>,
    pub expires_at: Option<Option<Timestamp>>,
    /// A new credential, whole: key, secret, passphrase.
    pub credential: Option<[Option<Secret>; 3]>,
    /// With a new credential only.
    pub settings: Option<Map<String, Value>>,
    pub environment: Option<String>,
}

impl Services {
    /// Changes a record. A new credential takes the place of the old one, whose key is gone with it.
    pub async fn change_api_key(
        &self,
        caller: &Caller,
        id: ApiKeyId,
        change: Change,
        origin: &Origin,
    ) -> Result<api_key::Model, Error> {
        let owner = caller.state.account;
        // What may be done with the credential, and which it is, is as well protected as the account.
        if change.rules.is_some() || change.credential.is_some() {
            self.permit(caller, &self.recent())?;
        }
        let rate = self.config.limits.api_key_per_account;
        self.admit(vec![Limit::subject("api_key", &owner.to_string(), rate)]).await?;
        let old = self.api_key_of(self.db.reader(), owner, id).await?;
        // Only what this request changes. Others may change the rest meanwhile, for seconds while a connection is tested;
        // tests and signatures count on; and a new root key wraps the record's.
        let mut row = api_key::ActiveModel::default();
        let mut changed = vec![];
        if let Some(name) = change.name {
            row.name_key = Set(name.to_lowercase());
            row.name = Set(name);
            changed.push("name");
        }
        if let Some(labels) = change.labels {
            row.labels = Set(serde_json::json!(labels).to_string());
            changed.push("labels");
        }
        if let Some(rules) = change.rules {
            row.rules = Set(serde_json::json!(rules).to_string());
            changed.push("rules");
        }
        if let Some(expires_at) = change.expires_at {
            row.expires_at = Set(expires_at);
            changed.push("expires_at");
        }
        let (mut action, mut version) = (Action::ApiKeyChanged, old.version);
        if let Some([api_key, secret, passphrase]) = change.credential {
            let settings = match change.settings {
                Some(settings) => settings,
                None => serde_json::from_str(&old.settings).unwrap_or_default(),
            };
            let environment = change.environment.as_deref().unwrap_or(&old.environment);
            let parts = [api_key.as_ref(), secret.as_ref(), passphrase.as_ref()];
            let (connector, credential) = self.checked(&old.provider, Some(environment), parts, settings)?;
            if self.config.vault.refuse_withdrawal_keys {
                let nonce = self.sources.now().0;
                let result = self.try_connection(owner, id, connector, &credential, nonce).await?;
                if result.may_withdraw() {
                    let event = Visitor::Person(caller.clone()).event(Action::ApiKeyRefused, origin);
                    self.write_audit(event.detail(serde_json::json!({ "provider": old.provider }))).await?;
                    return Err(may_withdraw());
                }
            }
            (action, version) = (Action::ApiKeyReplaced, old.version + 1);
            let sealed = self.seal_credential(&place(owner, id, version), &credential).await?;
            row.version = Set(version);
            row.wrapped_key = Set(sealed.wrapped_key);
            row.sealed_api_key = Set(sealed.api_key);
            row.sealed_secret = Set(sealed.secret);
            row.sealed_passphrase = Set(sealed.passphrase);
            row.hint = Set(hint(credential.api_key.expose()));
            row.environment = Set(credential.environment);
            row.settings = Set(Value::Object(credential.settings).to_string());
            row.status = Set(Judgement::Untested.name().to_owned());
            (row.tested_at, row.outcome, row.report) = (Set(None), Set(None), Set(None));
            row.busy_until = Set(Timestamp(0));
            changed.push("credential");
        }
        if changed.is_empty() {
            return Ok(old);
        }
        row.updated_at = Set(self.sources.now());
        let detail = serde_json::json!({ "api_key": id.to_string(), "fields": changed, "version": version });
        let record = self.audit(Visitor::Person(caller.clone()).event(action, origin).detail(detail));
        let caller = caller.clone();
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    caller.lock(transaction).await?;
                    let mut update =
                        api_key::Entity::update_many().set(row).filter(api_key::Column::Id.eq(id));
                    if action == Action::ApiKeyReplaced {
                        // Sealed for the version after this one, whose environment and settings it was checked with.
                        update = update.filter(api_key::Column::Version.eq(old.version));
                    }
                    let done = update.exec(transaction).await.map_err(name_taken)?;
                    // Removed or replaced meanwhile: what was read is not there any more.
                    if done.rows_affected == 0 {
                        let left = api_key::Entity::find_by_id(id).count(transaction).await?;
                        return Err(if left == 0 { Error::NotFound } else { Error::ChangedMeanwhile });
                    }
                    record.write(transaction).await.map_err(Error::from)
                })
            })
            .await?;
        self.get_api_key(owner, id).await
    }

    /// Removes a record, and with it the only key that opens it.
    pub async fn remove_api_key(&self, caller: &Caller, id: ApiKeyId, origin: &Origin) -> Result<(), Error> {
        let owner = caller.state.account;
        let record = self.audit(
            Visitor::Person(caller.clone())
                .event(Action::ApiKeyRemoved, origin)
                .detail(serde_json::json!({ "api_key": id.to_string() })),
        );
        let (caller, noise) = (caller.clone(), self.sources.entropy.bytes::<64>().to_vec());
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    caller.lock(transaction).await?;
                    let mine = || {
                        Condition::all()
                            .add(api_key::Column::Id.eq(id))
                            .add(api_key::Column::AccountId.eq(owner))
                    };
                    // Overwritten first: a deleted row may lie in the file for a while.
                    let shredded = api_key::Entity::update_many()
                        .col_expr(api_key::Column::WrappedKey, Expr::value(noise))
                        .filter(mine())
                        .exec(transaction)
                        .await?;
                    if shredded.rows_affected == 0 {
                        return Err(Error::NotFound);
                    }
                    api_key::Entity::delete_many().filter(mine()).exec(transaction).await?;
                    record.write(transaction).await.map_err(Error::from)
                })
            })
            .await
    }

    /// The last test of a record, for its owner.
    #[must_use]
    pub fn last_test(&self, row: &api_key::Model) -> Option<TestResult> {
        // A connector that is gone can't say what its words meant.
        connector(row).ok().and_then(|_| TestResult::of(row))
    }
}
