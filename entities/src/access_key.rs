//! A key with which a server acts for an account.

use sea_orm::entity::prelude::*;

use crate::{AccessKeyId, AccountId, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "access_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AccessKeyId,
    pub account_id: AccountId,
    /// What its owner calls it.
    pub name: String,
    /// The last characters of the key.
    pub hint: String,
    #[sea_orm(unique)]
    pub token_hash: Vec<u8>,
    /// Names, separated by spaces.
    pub scopes: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
