//! Keys with which servers act for an account.

use entities::access_key;
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};
use uuid::Uuid;

use super::Tag;
use super::auth::{EXAMPLE_ID, EXAMPLE_INSTANT};
use super::caller::{App, Bearer, Client, KeyMaker};
use super::instant::Instant;
use super::mfa::Success;
use super::payload::{Json, Line, Nullable, Patch, Path};
use super::problem::errors;
use crate::services::access_keys::Scope;

/// Operations on access keys.
pub struct AccessKeysApi;

/// What an access key is for
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Enum)]
#[oai(rename_all = "snake_case")]
enum AccessScope {
    /// List and test stored credentials
    Read,
    /// Sign requests that the owner allows
    Sign,
    /// Reveal stored credentials
    Decrypt,
}

impl From<AccessScope> for Scope {
    fn from(scope: AccessScope) -> Self {
        match scope {
            AccessScope::Read => Self::Read,
            AccessScope::Sign => Self::Sign,
            AccessScope::Decrypt => Self::Decrypt,
        }
    }
}

/// A key of a server
#[derive(Debug, Object)]
#[oai(example)]
pub struct AccessKey {
    /// Its id
    id: String,
    /// What its owner calls it
    name: String,
    /// Its last characters
    hint: String,
    /// What it is for
    scopes: Vec<String>,
    /// When it was made
    created_at: Instant,
    /// When it ends; null for no end
    expires_at: Nullable<Instant>,
    /// When it was last used, to the minute
    last_used_at: Nullable<Instant>,
}

impl From<access_key::Model> for AccessKey {
    fn from(row: access_key::Model) -> Self {
        Self {
            id: row.id.to_string(),
            name: row.name,
            hint: row.hint,
            scopes: row.scopes.split(' ').map(str::to_owned).collect(),
            created_at: Instant(row.created_at),
            expires_at: row.expires_at.map(Instant).into(),
            last_used_at: row.last_used_at.map(Instant).into(),
        }
    }
}

impl Example for AccessKey {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID.into(),
            name: "Trading bot".into(),
            hint: "9f3a".into(),
            scopes: vec!["read".into(), "sign".into()],
            created_at: EXAMPLE_INSTANT,
            expires_at: None.into(),
            last_used_at: None.into(),
        }
    }
}

/// Access keys, in order of their making
#[derive(Debug, Object)]
#[oai(example)]
struct AccessKeys {
    /// At most 50
    access_keys: Vec<AccessKey>,
}

impl Example for AccessKeys {
    fn example() -> Self {
        Self { access_keys: vec![AccessKey::example()] }
    }
}

/// A key to be made
#[derive(Debug, Object)]
#[oai(example)]
struct NewAccessKey {
    /// What to call it
    #[oai(validator(min_length = 1, max_length = 64))]
    name: Line,
    /// What it is for
    #[oai(validator(min_items = 1, max_items = 3, unique_items))]
    scopes: Vec<AccessScope>,
    /// When it is to end; null for no end
    expires_at: Patch<Instant>,
}

impl Example for NewAccessKey {
    fn example() -> Self {
        Self {
            name: "Trading bot".into(),
            scopes: vec![AccessScope::Read, AccessScope::Sign],
            expires_at: Patch::Set(EXAMPLE_INSTANT),
        }
    }
}

/// A key that works from now on
#[derive(Debug, Object)]
#[oai(example)]
struct AccessKeyCreated {
    /// Always true
    success: bool,
    /// The key
    access_key: AccessKey,
    /// Its text, for `Authorization: Bearer`; shown this once
    token: String,
}

impl Example for AccessKeyCreated {
    fn example() -> Self {
        Self { success: true, access_key: AccessKey::example(), token: "lk_…".into() }
    }
}

errors!(CreateErrors: 401, 408, 409, 413, 415, 422);
errors!(ListErrors: 401);
errors!(RevokeErrors: 401, 404, 422);

#[OpenApi(tag = "Tag::ApiKeys")]
impl AccessKeysApi {
    /// Make an access key
    ///
    /// For a server that acts for the caller without anybody being signed in: `Authorization: Bearer lk_…` on operations
    /// below `/api/v1/api-keys/` and `/api/v1/connectors`. It reveals no secrets unless it is given `decrypt`. Needs a recent
    /// sign-in with two factors. The owner gets a mail.
    #[oai(path = "/api/v1/access-keys", method = "post", operation_id = "access_key_create")]
    async fn create(
        &self,
        app: App<'_>,
        client: Client<'_>,
        KeyMaker(caller): KeyMaker,
        body: Json<NewAccessKey>,
    ) -> Result<Json<AccessKeyCreated>, CreateErrors> {
        let NewAccessKey { name, scopes, expires_at } = body.0;
        let scopes: Vec<Scope> = scopes.into_iter().map(Scope::from).collect();
        let expires_at = expires_at.change().flatten().map(|instant| instant.0);
        let (row, token) = app.create_access_key(&caller, name.into(), &scopes, expires_at, &client).await?;
        Ok(Json(AccessKeyCreated { success: true, access_key: row.into(), token }))
    }

    /// List the access keys
    ///
    /// The caller's, without their texts.
    #[oai(path = "/api/v1/access-keys", method = "get", operation_id = "access_key_list")]
    async fn list(&self, app: App<'_>, Bearer(caller): Bearer) -> Result<Json<AccessKeys>, ListErrors> {
        let keys = app.list_access_keys(&caller).await?;
        Ok(Json(AccessKeys { access_keys: keys.into_iter().map(AccessKey::from).collect() }))
    }

    /// Take an access key away
    ///
    /// It stops working at the next request, on every node.
    #[oai(path = "/api/v1/access-keys/:id", method = "delete", operation_id = "access_key_delete")]
    async fn revoke(
        &self,
        app: App<'_>,
        client: Client<'_>,
        Bearer(caller): Bearer,
        /// Id of the access key
        id: Path<Uuid>,
    ) -> Result<Json<Success>, RevokeErrors> {
        app.revoke_access_key(&caller, id.0.into(), &client).await?;
        Ok(Json(Success { success: true }))
    }
}
