//! What somebody holds between the right password and the second factor: good for nothing else.

use sea_orm::entity::prelude::*;

use crate::{AccountId, MfaTicketId, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mfa_tickets")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: MfaTicketId,
    pub account_id: AccountId,
    /// SHA-256 of the ticket.
    #[sea_orm(unique)]
    pub token_hash: Vec<u8>,
    /// Tells whether the password is still the one that was proved.
    pub password_tag: Vec<u8>,
    /// Answers tried so far.
    pub attempts: i32,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub used_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
