//! Credentials of third parties. The published operations answer with an envelope: `success`, `message`, `data`.

pub mod shapes;

use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use super::Tag;
use super::caller::{App, Bearer, Client, Guest, RevealingGuest};
use super::payload::{ApiSecret, Bounded, Cursor, Json, Label, Line, Name, Nullable, Patch, Path, Query};
use super::problem::{Fault, errors};
use crate::secret::Secret;
use crate::services::access_keys::Scope;
use crate::services::vault::{Change, Filter, Mistake, Page, PageEnd, SignRequest};
use crate::services::{self, vault};
use shapes::{
    ApiKey, ApiKeyChange, ApiKeyStatus, ApiRequest, ConnectionTest, NewApiKey, RevealedApiKey, SignRule,
    SignedApiRequest, SignedHeader,
};

/// Operations on stored credentials.
pub struct ApiKeysApi;

/// Gives each answer an envelope of its own, with the members that clients know.
macro_rules! envelope {
    ($(#[$doc:meta])* $name:ident, $data:ty, $message:literal) => {
        $(#[$doc])*
        #[derive(Object)]
        #[oai(example)]
        struct $name {
            /// Whether it went as wished
            success: bool,
            /// What happened, for a person
            message: String,
            data: $data,
        }

        impl Example for $name {
            fn example() -> Self {
                Self { success: true, message: $message.into(), data: <$data>::example() }
            }
        }
    };
}

envelope!(
    /// A stored credential
    ApiKeyEnvelope, ApiKey, "The credential is stored and works."
);
envelope!(
    /// Stored credentials
    ApiKeyListEnvelope, ApiKeyPage, "1 credential"
);
envelope!(
    /// A credential, revealed
    RevealedEnvelope, RevealedApiKey, "Keep it secret."
);
envelope!(
    /// A credential is gone
    RemovedEnvelope, Removed, "The credential is removed."
);
envelope!(
    /// What came of a test
    TestEnvelope, ConnectionTest, "The credential works."
);
envelope!(
    /// A signed request
    SignedEnvelope, SignedApiRequest, "Send the request as it is."
);

/// A piece of the list
#[derive(Debug, Object)]
#[oai(example)]
struct ApiKeyPage {
    /// The newest first
    api_keys: Vec<ApiKey>,
    /// Send it as `before` to read on; null at the end
    before: Nullable<String>,
}

impl Example for ApiKeyPage {
    fn example() -> Self {
        Self { api_keys: vec![ApiKey::example()], before: None.into() }
    }
}

/// What is gone
#[derive(Debug, Object)]
#[oai(example)]
struct Removed {
    /// Its id
    id: String,
}

impl Example for Removed {
    fn example() -> Self {
        Self { id: super::auth::EXAMPLE_ID.into() }
    }
}

errors!(ListErrors: 401, 403, 422);
errors!(GetErrors: 401, 403, 404, 422);
errors!(CreateErrors: 401, 408, 409, 413, 415, 422, 429);
errors!(UpdateErrors: 401, 404, 408, 409, 413, 415, 422, 429);
errors!(DeleteErrors: 401, 404, 422);
errors!(RevealErrors: 401, 403, 404, 422, 429);
errors!(TestErrors: 401, 403, 404, 422, 429);
errors!(SignErrors: 401, 403, 404, 408, 409, 413, 415, 422, 429);

#[OpenApi(tag = "Tag::ApiKeys")]
impl ApiKeysApi {
    /// Store a credential
    ///
    /// Sealed under a key of its own. What the connector can tell is wrong by looking is refused with 422. Then the connection
    /// is tested, unless `test` is false; a credential that does not work is stored all the same, and `success` and `message`
    /// say so. A key that may withdraw is stored with a warning, or refused where the operator wants it so.
    #[oai(path = "/api/v1/api-keys/", method = "post", operation_id = "api_key_create")]
    async fn create(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Bearer(caller): Bearer,
        body: Json<NewApiKey>,
    ) -> Result<Json<ApiKeyEnvelope>, CreateErrors> {
        let sent = body.0;
        let unless_null = |sent: Option<Nullable<ApiSecret>>| sent.and_then(|sent| sent.0);
        let (secret, api_secret) = (unless_null(sent.secret), unless_null(sent.api_secret));
        let (passphrase, api_passphrase) = (unless_null(sent.passphrase), unless_null(sent.api_passphrase));
        let renamed = renamed(sent.exchange.is_some(), api_secret.is_some(), api_passphrase.is_some());
        let Some(provider) = sent.provider.or(sent.exchange) else {
            let missing = Mistake { field: "provider".into(), message: "Field required".into() };
            return Err(Fault::Service(services::Error::InvalidFields(vec![missing])).into());
        };
        let asked = sent.test;
        let new = vault::NewApiKey {
            provider: provider.as_str().to_owned(),
            name: sent.name.into(),
            environment: given(sent.environment).map(|name| name.as_str().to_owned()),
            api_key: sent.api_key.into(),
            secret: secret.or(api_secret).map(Secret::from),
            passphrase: passphrase.or(api_passphrase).map(Secret::from),
            settings: given(sent.settings).unwrap_or_default().0,
            labels: texts(sent.labels.unwrap_or_default()),
            rules: rules(sent.sign_rules.unwrap_or_default()),
            expires_at: given(sent.expires_at).map(|instant| instant.0),
            test: sent.test,
        };
        let (row, tested) = app.store_api_key(&caller, new, &client).await.map_err(renamed)?;
        let success = tested.as_ref().is_none_or(vault::TestResult::works);
        let message = match &tested {
            None if asked => {
                "The credential is stored, but could not be tested now. Test it later.".to_owned()
            }
            None => "The credential is stored.".to_owned(),
            Some(result) if result.works() => {
                [vec!["The credential is stored and works."], result.warnings()].concat().join(" ")
            }
            Some(result) => format!("The credential is stored, but the test failed. {}", result.advice),
        };
        Ok(Json(ApiKeyEnvelope { success, message, data: ApiKey::new(row, &app) }))
    }

    /// List the credentials
    ///
    /// The caller's, the newest first, without their secrets.
    #[oai(path = "/api/v1/api-keys/", method = "get", operation_id = "api_key_list")]
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the operation")]
    async fn list(
        &self,
        app: App<'_>,
        Guest(visitor): Guest,
        /// Only those of this connector
        provider: Query<Option<Name>>,
        /// Only those of this environment
        environment: Query<Option<Name>>,
        /// Only those of which this is known
        status: Query<Option<ApiKeyStatus>>,
        /// Only those with this label
        label: Query<Option<Label>>,
        /// Where to read on: `before` of the answer before
        before: Query<Option<Cursor>>,
        /// At most so many
        #[oai(default = "page")]
        limit: Query<Bounded<1, 100>>,
    ) -> Result<Json<ApiKeyListEnvelope>, ListErrors> {
        visitor.demand(Scope::Read)?;
        let filter = Filter {
            provider: provider.0.map(|name| name.as_str().to_owned()),
            environment: environment.0.map(|name| name.as_str().to_owned()),
            status: status.0.map(|status| status_name(status).to_owned()),
            label: label.0.map(|label| label.as_str().to_owned()),
        };
        let before = before.0.map(|cursor| PageEnd { at: cursor.at, id: cursor.id.into() });
        let limit = u64::try_from(limit.get()).unwrap_or(1);
        let Page { api_keys, before } = app.list_api_keys(visitor.account(), filter, before, limit).await?;
        let message = match api_keys.len() {
            1 => "1 credential".to_owned(),
            count => format!("{count} credentials"),
        };
        let data = ApiKeyPage {
            api_keys: api_keys.into_iter().map(|row| ApiKey::new(row, &app)).collect(),
            before: before.map(|end| Cursor { at: end.at, id: end.id.0 }.encode()).into(),
        };
        Ok(Json(ApiKeyListEnvelope { success: true, message, data }))
    }

    /// Read a credential
    ///
    /// Without its secrets.
    #[oai(path = "/api/v1/api-keys/:id", method = "get", operation_id = "api_key_get")]
    async fn get(
        &self,
        app: App<'_>,
        Guest(visitor): Guest,
        /// Id of the credential
        id: Path<Uuid>,
    ) -> Result<Json<ApiKeyEnvelope>, GetErrors> {
        visitor.demand(Scope::Read)?;
        let row = app.get_api_key(visitor.account(), id.0.into()).await?;
        Ok(Json(ApiKeyEnvelope {
            success: true,
            message: "1 credential".into(),
            data: ApiKey::new(row, &app),
        }))
    }

    /// Change a credential
    ///
    /// Members that are not sent stay. With `api_key` a new credential takes the place of the old one, which nothing can open
    /// any more; it is not tested by itself. Of several that are sent at once, one is taken; the others get `changed_meanwhile`.
    #[oai(path = "/api/v1/api-keys/:id", method = "patch", operation_id = "api_key_update")]
    async fn update(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Bearer(caller): Bearer,
        /// Id of the credential
        id: Path<Uuid>,
        body: Json<ApiKeyChange>,
    ) -> Result<Json<ApiKeyEnvelope>, UpdateErrors> {
        let sent = body.0;
        let renamed = renamed(false, sent.api_secret.is_some(), sent.api_passphrase.is_some());
        let parts = [sent.api_key, sent.secret.or(sent.api_secret), sent.passphrase.or(sent.api_passphrase)];
        let new_parts =
            parts.iter().any(Option::is_some) || sent.environment.is_some() || sent.settings.is_some();
        let change = Change {
            name: sent.name.map(Line::into),
            labels: sent.labels.map(texts),
            rules: sent.sign_rules.map(rules),
            expires_at: sent.expires_at.change().map(|end| end.map(|instant| instant.0)),
            credential: new_parts.then(|| parts.map(|part: Option<ApiSecret>| part.map(Secret::from))),
            settings: sent.settings.map(|settings| settings.0),
            environment: sent.environment.map(|name| name.as_str().to_owned()),
        };
        let row = app.change_api_key(&caller, id.0.into(), change, &client).await.map_err(renamed)?;
        let message = "The credential is changed.".to_owned();
        Ok(Json(ApiKeyEnvelope { success: true, message, data: ApiKey::new(row, &app) }))
    }

    /// Remove a credential
    ///
    /// The key that alone opens it is destroyed.
    #[oai(path = "/api/v1/api-keys/:id", method = "delete", operation_id = "api_key_delete")]
    async fn remove(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Bearer(caller): Bearer,
        /// Id of the credential
        id: Path<Uuid>,
    ) -> Result<Json<RemovedEnvelope>, DeleteErrors> {
        app.remove_api_key(&caller, id.0.into(), &client).await?;
        let message = "The credential is removed.".to_owned();
        Ok(Json(RemovedEnvelope { success: true, message, data: Removed { id: id.0.to_string() } }))
    }

    /// Reveal a credential
    ///
    /// Needs a recent sign-in, with two factors as soon as the account has a second one; step up if the answer says so. Written
    /// down before the answer leaves, and told by mail on a device where nothing was revealed before. Sealed for a while after
    /// a recovery of the account.
    #[oai(path = "/api/v1/api-keys/:id/decrypt", method = "post", operation_id = "api_key_decrypt")]
    async fn decrypt(
        &self,
        app: App<'_>,
        client: Client<'_>,
        RevealingGuest(visitor): RevealingGuest,
        /// Id of the credential
        id: Path<Uuid>,
        /// What for; kept in the audit trail
        purpose: Query<Option<Label>>,
    ) -> Result<Json<RevealedEnvelope>, RevealErrors> {
        let purpose = purpose.0.map(|text| text.as_str().to_owned());
        let revealed = app.reveal_api_key(&visitor, id.0.into(), purpose, &client).await?;
        let text = |secret: Secret| secret.expose().to_owned();
        let data = RevealedApiKey {
            api_key: text(revealed.api_key),
            secret: revealed.secret.map(text).into(),
            passphrase: revealed.passphrase.map(text).into(),
        };
        Ok(Json(RevealedEnvelope { success: true, message: "Keep it secret.".into(), data }))
    }

    /// Test a connection
    ///
    /// Asks the service whether the credential works and what it may do; changes nothing there. `success` says whether it works.
    /// One test of a credential runs at a time.
    #[oai(path = "/api/v1/api-keys/:id/test-connection", method = "post", operation_id = "api_key_test")]
    async fn test(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Guest(visitor): Guest,
        /// Id of the credential
        id: Path<Uuid>,
    ) -> Result<Json<TestEnvelope>, TestErrors> {
        visitor.demand(Scope::Read)?;
        let (_, result) = app.test_api_key(&visitor, id.0.into(), &client).await?;
        let (success, message) = (result.works(), result.advice.clone());
        Ok(Json(TestEnvelope { success, message, data: result.into() }))
    }

    /// Sign a request
    ///
    /// The server signs one request with the stored credential, which never leaves: send the answer to the service as it is.
    /// The credential's `sign_rules` must allow method and path.
    #[oai(path = "/api/v1/api-keys/:id/sign", method = "post", operation_id = "api_key_sign")]
    async fn sign(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Guest(visitor): Guest,
        /// Id of the credential
        id: Path<Uuid>,
        body: Json<ApiRequest>,
    ) -> Result<Json<SignedEnvelope>, SignErrors> {
        let ApiRequest { method, path, query, body } = body.0;
        let request = SignRequest { method: method.into(), path, query: query.into(), body };
        let signed = app.sign_with_api_key(&visitor, id.0.into(), request, &client).await?;
        let request = signed.request;
        let data = SignedApiRequest {
            base_url: signed.base_url,
            method: request.method.to_string(),
            path: request.path,
            query: request.query,
            body: request.body,
            headers: request.headers.into_iter().map(|(name, value)| SignedHeader { name, value }).collect(),
        };
        Ok(Json(SignedEnvelope { success: true, message: "Send the request as it is.".into(), data }))
    }
}

/// Null is like an absent member.
fn given<T>(sent: Patch<T>) -> Option<T> {
    sent.change().flatten()
}

fn page() -> Bounded<1, 100> {
    Bounded::new(50).expect("50 is within 1 and 100")
}

fn texts(labels: Vec<Label>) -> Vec<String> {
    labels.into_iter().map(|label| label.as_str().to_owned()).collect()
}

fn rules(rules: Vec<SignRule>) -> Vec<vault::Rule> {
    rules.into_iter().map(vault::Rule::from).collect()
}

fn status_name(status: ApiKeyStatus) -> &'static str {
    match status {
        ApiKeyStatus::Untested => "untested",
        ApiKeyStatus::Working => "working",
        ApiKeyStatus::Failing => "failing",
        ApiKeyStatus::Expired => "expired",
    }
}

/// Names a mistake by the member that the client has sent.
fn renamed(provider: bool, secret: bool, passphrase: bool) -> impl Fn(services::Error) -> Fault {
    move |error| match error {
        services::Error::InvalidFields(mistakes) => {
            let name = |mistake: Mistake| match mistake.field.as_str() {
                "provider" if provider => Mistake { field: "exchange".into(), ..mistake },
                "secret" if secret => Mistake { field: "api_secret".into(), ..mistake },
                "passphrase" if passphrase => Mistake { field: "api_passphrase".into(), ..mistake },
                _ => mistake,
            };
            Fault::Service(services::Error::InvalidFields(mistakes.into_iter().map(name).collect()))
        }
        other => Fault::Service(other),
    }
}
