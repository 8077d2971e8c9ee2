//! A mailed link by which a forgotten password is replaced: hashed at rest, used once, short-lived.

use sea_orm::entity::prelude::*;

use crate::{AccountId, PasswordResetId, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "password_resets")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PasswordResetId,
    pub account_id: AccountId,
    /// SHA-256 of the mailed token.
    #[sea_orm(unique)]
    pub token_hash: Vec<u8>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub used_at: Option<Timestamp>,
    /// Set when a newer link took its place, or the password was changed otherwise.
    pub superseded_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
