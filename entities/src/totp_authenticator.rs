//! An app that shows time-based codes (RFC 6238).

use sea_orm::entity::prelude::*;

use crate::{AccountId, Timestamp, TotpAuthenticatorId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "totp_authenticators")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TotpAuthenticatorId,
    pub account_id: AccountId,
    /// What its owner calls it.
    pub name: String,
    /// The shared secret, encrypted; bound to account and row.
    pub sealed: Vec<u8>,
    pub created_at: Timestamp,
    /// When a first code proved that the app has the secret; it counts for nothing before.
    pub confirmed_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    /// The newest time step whose code was taken. Each step counts once, so only later ones do.
    pub last_step: i64,
    /// Wrong codes in a row.
    pub failures: i32,
    /// Set after too many of them (NIST SP 800-63B, 3.2.2).
    pub disabled_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
