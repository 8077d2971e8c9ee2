//! A challenge that an authenticator is to sign; taken away by the first answer.

use sea_orm::entity::prelude::*;

use crate::{AccountId, Timestamp, WebauthnChallengeId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webauthn_challenges")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: WebauthnChallengeId,
    /// Whose it is; nobody's yet where a passkey is to say who signs in.
    pub account_id: Option<AccountId>,
    /// The ceremony it was made for; no other takes it.
    pub purpose: String,
    /// State of the ceremony, encrypted.
    pub sealed: Vec<u8>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
