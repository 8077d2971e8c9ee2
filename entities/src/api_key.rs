//! A credential of a third party, sealed.

use sea_orm::entity::prelude::*;

use crate::{AccountId, ApiKeyId, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ApiKeyId,
    pub account_id: AccountId,
    /// Name of the connector.
    pub provider: String,
    pub environment: String,
    /// What its owner calls it.
    pub name: String,
    /// The name in lower case, unique for its owner.
    pub name_key: String,
    /// A list of texts, in JSON.
    pub labels: String,
    /// What the connector needs beside the secrets: an object, in JSON.
    pub settings: String,
    /// What may be signed without revealing: a list of methods and paths, in JSON.
    pub rules: String,
    /// The last characters of the key.
    pub hint: String,
    /// Grows with each new credential under this id.
    pub version: i32,
    /// The key of this record alone, wrapped by the root key.
    pub wrapped_key: Vec<u8>,
    pub sealed_api_key: Vec<u8>,
    pub sealed_secret: Option<Vec<u8>>,
    pub sealed_passphrase: Option<Vec<u8>>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// Last revealed or signed with.
    pub last_used_at: Option<Timestamp>,
    pub tested_at: Option<Timestamp>,
    /// `untested`, `working` or `failing`: what the last test that could tell has told.
    pub status: String,
    /// Of the last test.
    pub outcome: Option<String>,
    /// What the last test said, in JSON.
    pub report: Option<String>,
    /// The greatest number used in a signature.
    pub nonce: i64,
    /// A test is under way until then.
    pub busy_until: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
