//! Storing a credential: looked at, tested if asked for, sealed.

use entities::{AccountId, ApiKeyId, Timestamp, api_key};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, SqlErr,
};
use serde_json::{Map, Value};

use super::super::audit::Action;
use super::super::limits::Limit;
use super::super::sessions::Caller;
use super::super::{Error, Origin, Services};
use super::test::Judgement;
use super::{Mistake, Rule, TestResult, Visitor, hint, place, tidy};
use crate::plugins::connectors::{Connector, Credential, Tri, find};
use crate::secret::Secret;

/// What the owner hands over.
pub struct NewApiKey {
    pub provider: String,
    pub name: String,
    pub environment: Option<String>,
    pub api_key: Secret,
    pub secret: Option<Secret>,
    pub passphrase: Option<Secret>,
    pub settings: Map<String, Value>,
    pub labels: Vec<String>,
    pub rules: Vec<Rule>,
    pub expires_at: Option<Timestamp>,
    pub test: bool,
}

impl Services {
    /// Stores a credential. Answers it, and what came of the test if there was one.
    pub async fn store_api_key(
        &self,
        caller: &Caller,
        new: NewApiKey,
        origin: &Origin,
    ) -> Result<(api_key::Model, Option<TestResult>), Error> {
        let owner = caller.state.account;
        if !new.rules.is_empty() {
            self.permit(caller, &self.recent())?;
        }
        let rate = self.config.limits.api_key_per_account;
        self.admit(vec![Limit::subject("api_key", &owner.to_string(), rate)]).await?;
        let (connector, credential) = self.checked(
            &new.provider,
            new.environment.as_deref(),
            [Some(&new.api_key), new.secret.as_ref(), new.passphrase.as_ref()],
            new.settings,
        )?;
        let now = self.sources.now();
        let id: ApiKeyId = self.sources.id();
        let refuse = self.config.vault.refuse_withdrawal_keys;
        let nonce = now.0;
        // Where a key that may withdraw is refused, it is tested before it is stored, asked or not.
        let tested = match refuse {
            true => Some(self.try_connection(owner, id, connector, &credential, nonce).await?),
            false => None,
        };
        if tested.as_ref().is_some_and(|result| result.may_withdraw()) {
            let refused = Visitor::Person(caller.clone());
            let event = refused.event(Action::ApiKeyRefused, origin);
            self.write_audit(event.detail(serde_json::json!({ "provider": new.provider }))).await?;
            return Err(may_withdraw());
        }
        let sealed = self.seal_credential(&place(owner, id, 1), &credential).await?;
        let row = api_key::Model {
            id,
            account_id: owner,
            provider: new.provider,
            environment: credential.environment.clone(),
            name_key: new.name.to_lowercase(),
            name: new.name,
            labels: serde_json::json!(new.labels).to_string(),
            settings: Value::Object(credential.settings.clone()).to_string(),
            rules: serde_json::json!(new.rules).to_string(),
            hint: hint(credential.api_key.expose()),
            version: 1,
            wrapped_key: sealed.wrapped_key,
            sealed_api_key: sealed.api_key,
            sealed_secret: sealed.secret,
            sealed_passphrase: sealed.passphrase,
            created_at: now,
            updated_at: now,
            expires_at: new.expires_at,
            last_used_at: None,
            tested_at: None,
            status: Judgement::Untested.name().to_owned(),
            outcome: None,
            report: None,
            nonce,
            busy_until: Timestamp(0),
        };
        let row = match &tested {
            Some(result) => result.applied_to(row),
            None => row,
        };
        let visitor = Visitor::Person(caller.clone());
        let record = self.audit(visitor.event(Action::ApiKeyAdded, origin).detail(
            serde_json::json!({ "api_key": id.to_string(), "provider": row.provider, "version": 1 }),
        ));
        let (caller, inserted, most) = (caller.clone(), row.clone(), self.config.vault.keys_per_account);
        self.db
            .write::<_, Error, _>(move |transaction| {
                Box::pin(async move {
                    caller.lock(transaction).await?;
                    let count = api_key::Entity::find().filter(api_key::Column::AccountId.eq(owner));
                    if count.count(transaction).await? >= most {
                        return Err(Error::LimitReached);
                    }
                    api_key::Entity::insert(inserted.into_active_model().reset_all())
                        .exec_without_returning(transaction)
                        .await
                        .map_err(name_taken)?;
                    record.write(transaction).await.map_err(Error::from)
                })
            })
            .await?;
        match tested {
            Some(result) => Ok((row, Some(result))),
            None if new.test => match self.test_stored(&visitor, row.clone(), origin).await {
                Ok((row, result)) => Ok((row, Some(result))),
                // It is stored all the same, and whoever repeats the request would find its name taken.
                Err(Error::RateLimited(_) | Error::Overloaded | Error::Unavailable(_)) => Ok((row, None)),
                Err(error) => Err(error),
            },
            None => Ok((row, None)),
        }
    }

    /// The connector and the credential, if nothing is wrong with it; else every mistake.
    pub(super) fn checked(
        &self,
        provider: &str,
        environment: Option<&str>,
        [api_key, secret, passphrase]: [Option<&Secret>; 3],
        settings: Map<String, Value>,
    ) -> Result<(&'static dyn Connector, Credential), Error> {
        let Some(connector) = find(provider) else {
            let message = "There is no connector of this name; `GET /api/v1/connectors` lists them";
            return Err(Error::InvalidFields(vec![Mistake::new("provider", message)]));
        };
        let about = connector.about();
        let mut mistakes = vec![];
        let environment = match environment {
            None => about.environments[0].name,
            Some(name) => about.environment(name).map_or_else(
                || {
                    let known: Vec<&str> =
                        about.environments.iter().map(|environment| environment.name).collect();
                    let message = format!("This connector has the environments {}", known.join(", "));
                    mistakes.push(Mistake { field: "environment".to_owned(), message });
                    ""
                },
                |environment| environment.name,
            ),
        };
        let mut take = |name: &str, given: Option<&Secret>| {
            let given =
                given.map(|secret| tidy(secret.expose())).filter(|secret| !secret.expose().is_empty());
            let field = about.fields.iter().find(|field| field.name == name);
            match (&given, field) {
                (None, Some(field)) if field.required => mistakes.push(Mistake::new(name, "Field required")),
                (Some(_), None) => mistakes.push(Mistake::new(name, "This connector has no such field")),
                (Some(secret), Some(_)) => {
                    let in_pem = secret.expose().contains("PRIVATE KEY");
                    let control =
                        |letter: char| letter.is_control() && !(in_pem && matches!(letter, '\n' | '\r'));
                    if secret.expose().contains(control) {
                        mistakes.push(Mistake::new(name, "Control characters are not part of a credential"));
                    }
                }
                _ => {}
            }
            given
        };
        let taken = [take("api_key", api_key), take("secret", secret), take("passphrase", passphrase)];
        let [api_key, secret, passphrase] = taken;
        for field in about.fields.iter().filter(|field| field.required) {
            let missing =
                field.name.strip_prefix("settings.").is_some_and(|name| !settings.contains_key(name));
            if missing {
                mistakes.push(Mistake::new(field.name, "Field required"));
            }
        }
        for name in settings.keys() {
            let name = format!("settings.{name}");
            if !about.fields.iter().any(|field| field.name == name) {
                mistakes.push(Mistake::new("settings", "This connector does not have all of these settings"));
                break;
            }
        }
        let credential = Credential {
            environment: environment.to_owned(),
            api_key: api_key.unwrap_or_else(|| Secret::new(String::new())),
            secret,
            passphrase,
            settings,
        };
        if mistakes.is_empty() {
            let found = connector.check(&credential);
            mistakes.extend(found.iter().map(|mistake| Mistake::new(mistake.field, mistake.message)));
        }
        if mistakes.is_empty()
            && let Err(report) = self.vault.network.base_url(connector, &credential)
        {
            mistakes.push(Mistake::new("settings.base_url", report.advice.trim_end_matches('.')));
        }
        if mistakes.is_empty() { Ok((connector, credential)) } else { Err(Error::InvalidFields(mistakes)) }
    }

    /// Tests a credential that is not stored, or not yet. Counted like any other test.
    pub(super) async fn try_connection(
        &self,
        owner: AccountId,
        id: ApiKeyId,
        connector: &dyn Connector,
        credential: &Credential,
        nonce: i64,
    ) -> Result<TestResult, Error> {
        self.admit_test(owner, id, connector, credential).await?;
        Ok(self.run_test(connector, credential, nonce).await)
    }
}

pub(super) fn may_withdraw() -> Error {
    let message = "This key may withdraw. Take that permission away at the service, or make another key";
    Error::InvalidFields(vec![Mistake::new("api_key", message)])
}

pub(super) fn name_taken(error: sea_orm::DbErr) -> Error {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => Error::NameTaken,
        _ => Error::from(error),
    }
}

impl TestResult {
    pub(super) fn may_withdraw(&self) -> bool {
        self.permissions.withdraw == <&str>::from(Tri::Yes)
    }
}
