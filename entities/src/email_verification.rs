//! A mailed link that confirms an address: hashed at rest, used once, short-lived.

use sea_orm::entity::prelude::*;

use crate::{AccountId, EmailVerificationId, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "email_verifications")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: EmailVerificationId,
    pub account_id: AccountId,
    /// SHA-256 of the mailed token.
    #[sea_orm(unique)]
    pub token_hash: Vec<u8>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub used_at: Option<Timestamp>,
    /// Set when a newer link took its place.
    pub superseded_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
