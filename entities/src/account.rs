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
    pub role: Role,
    /// How well it is known who this is (NIST SP 800-63A), until `ial_until`.
    pub ial: i16,
    pub ial_until: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Model {
    /// How well it is known at this moment who this is.
    #[must_use]
    pub fn ial_at(&self, now: Timestamp) -> i16 {
        if self.ial_until.is_some_and(|until| until > now) { self.ial } else { 0 }
    }
}

/// What an account may do for others. Each may all that the ones before may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Role {
    /// Nothing.
    #[default]
    #[sea_orm(string_value = "user")]
    User,
    /// Decides identity checks.
    #[sea_orm(string_value = "reviewer")]
    Reviewer,
    /// Looks after accounts.
    #[sea_orm(string_value = "operator")]
    Operator,
}

impl Role {
    /// As it is stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Reviewer => "reviewer",
            Self::Operator => "operator",
        }
    }
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
