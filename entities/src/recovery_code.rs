//! A code that stands in for a lost second factor, once.

use sea_orm::entity::prelude::*;

use crate::{AccountId, RecoveryCodeId, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "recovery_codes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RecoveryCodeId,
    pub account_id: AccountId,
    /// SHA-256 of the code; with 120 random bits it can't be searched.
    pub code_hash: Vec<u8>,
    pub created_at: Timestamp,
    pub used_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
