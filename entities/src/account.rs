//! A person's account.

use sea_orm::entity::prelude::*;

use crate::{AccountId, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "accounts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AccountId,
    /// As the person typed it; mail goes here.
    pub email: String,
    /// The canonical form that is unique: one mailbox, one account.
    #[sea_orm(unique)]
    pub email_key: String,
    pub password_hash: PasswordHash,
    pub email_verified_at: Option<Timestamp>,
    pub full_name: Option<String>,
    pub avatar_url: Option<String>,
    pub phone: Option<String>,
    /// Set by an operator; nothing signs in while it is.
    pub disabled_at: Option<Timestamp>,
    /// Language of mails (BCP 47).
    pub locale: Option<String>,
    /// Since when there is a second factor; a password alone signs nobody in while it is set.
    pub second_factor_at: Option<Timestamp>,
    /// After a recovery: until then the account counts as aal 1, and secrets stay sealed.
    pub recovering_until: Option<Timestamp>,
    /// When the account is deleted for good, unless its owner signs in before.
    pub deletion_due_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A PHC string, or what another program made until a sign-in replaces it. Its own type, so that printing a row does not print the hash.
#[derive(Clone, PartialEq, Eq, DeriveValueType)]
pub struct PasswordHash(pub String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[password hash]")
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
