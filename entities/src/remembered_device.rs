//! A device on which the second factor may be skipped for a while; a session that did so has aal 1.

use sea_orm::entity::prelude::*;

use crate::{AccountId, RememberedDeviceId, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "remembered_devices")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RememberedDeviceId,
    pub account_id: AccountId,
    /// SHA-256 of the token that the device keeps.
    #[sea_orm(unique)]
    pub token_hash: Vec<u8>,
    pub ip: Option<String>,
    pub user_agent: Option<String>,
    pub created_at: Timestamp,
    pub last_used_at: Timestamp,
    pub expires_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
