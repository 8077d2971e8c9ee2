//! The key that a person's events are sealed with. Goes with the account.

use sea_orm::entity::prelude::*;

use crate::{AccountId, KycPersonKeyId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "kyc_person_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: KycPersonKeyId,
    #[sea_orm(unique)]
    pub account_id: AccountId,
    /// Under the root key.
    pub sealed: Vec<u8>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
