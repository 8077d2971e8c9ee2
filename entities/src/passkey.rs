//! A WebAuthn credential.

use sea_orm::entity::prelude::*;

use crate::{AccountId, PasskeyId, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "passkeys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PasskeyId,
    pub account_id: AccountId,
    /// What its owner calls it.
    pub name: String,
    /// What the authenticator calls it.
    #[sea_orm(unique)]
    pub credential_id: Vec<u8>,
    /// Public key, counter and flags, in JSON.
    pub credential: String,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    /// Set when its counter went backwards: there may be a copy.
    pub suspected_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
