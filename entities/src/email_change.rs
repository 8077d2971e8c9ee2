//! A change of address: confirmed by a link to the new one, undone by a link to the old one.

use sea_orm::entity::prelude::*;

use crate::{AccountId, EmailChangeId, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "email_changes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: EmailChangeId,
    pub account_id: AccountId,
    pub old_email: String,
    pub old_email_key: String,
    pub new_email: String,
    pub new_email_key: String,
    /// SHA-256 of the token mailed to the new address.
    #[sea_orm(unique)]
    pub confirm_hash: Vec<u8>,
    /// SHA-256 of the token mailed to the old address once the change is made.
    #[sea_orm(unique)]
    pub revert_hash: Option<Vec<u8>>,
    pub created_at: Timestamp,
    /// When the confirmation stops working.
    pub expires_at: Timestamp,
    pub confirmed_at: Option<Timestamp>,
    /// When the way back closes; until then the old address is nobody else's.
    pub revert_until: Option<Timestamp>,
    pub reverted_at: Option<Timestamp>,
    /// Set when a newer change took its place.
    pub superseded_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
