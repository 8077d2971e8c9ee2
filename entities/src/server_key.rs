//! Keys of the server itself, shared by all nodes, sealed by the root key.

use sea_orm::entity::prelude::*;

use crate::{ServerKeyId, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "server_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ServerKeyId,
    pub purpose: Purpose,
    /// Name of the key inside tokens.
    #[sea_orm(unique)]
    pub kid: String,
    pub algorithm: String,
    /// The private part, encrypted; bound to id, purpose and kid.
    pub sealed: Vec<u8>,
    /// When it starts to sign; it verifies from the moment it exists.
    pub active_at: Timestamp,
    /// When it stops to verify.
    pub retires_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// What a key is for. A key has one purpose for life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Purpose {
    #[sea_orm(string_value = "access_token")]
    AccessToken,
    #[sea_orm(string_value = "refresh_token")]
    RefreshToken,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
