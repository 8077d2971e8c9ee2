//! One sign-in. The refresh token names the row and its counter, so no table of tokens grows.

use sea_orm::entity::prelude::*;

use crate::{AccountId, SessionId, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SessionId,
    pub account_id: AccountId,
    /// Which refresh token is the current one; each refresh adds one.
    pub counter: i64,
    /// When the counter last moved.
    pub rotated_at: Timestamp,
    /// Next moment at which a refresh is free under the limit (GCRA's theoretical arrival time).
    pub refresh_tat: Timestamp,
    pub created_at: Timestamp,
    /// The end, however busy the session is.
    pub expires_at: Timestamp,
    /// The end unless it is refreshed before.
    pub idle_expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    pub revoked_reason: Option<RevocationReason>,
    /// How the person signed in: NIST SP 800-63B assurance level.
    pub aal: i16,
    /// Authentication methods (RFC 8176), separated by spaces.
    pub amr: String,
    pub auth_time: Timestamp,
    /// How well it was known who the person is when the session was opened or refreshed last.
    pub ial: i16,
    pub ip: Option<String>,
    pub user_agent: Option<String>,
}

/// Why a session ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum RevocationReason {
    #[sea_orm(string_value = "logout")]
    Logout,
    #[sea_orm(string_value = "refresh_token_reused")]
    RefreshTokenReused,
    #[sea_orm(string_value = "password_changed")]
    PasswordChanged,
    #[sea_orm(string_value = "account_disabled")]
    AccountDisabled,
    /// By its owner, from a list.
    #[sea_orm(string_value = "ended_by_owner")]
    EndedByOwner,
    /// The account had more sessions than it may.
    #[sea_orm(string_value = "too_many_sessions")]
    TooManySessions,
    /// A forgotten password was replaced, an address taken back, or all factors removed.
    #[sea_orm(string_value = "account_recovered")]
    AccountRecovered,
    /// The account is to be deleted.
    #[sea_orm(string_value = "account_deleted")]
    AccountDeleted,
    /// By somebody who may do so for others.
    #[sea_orm(string_value = "ended_by_operator")]
    EndedByOperator,
}

impl RevocationReason {
    /// As it is stored.
    #[must_use]
    pub fn name(self) -> String {
        self.to_value()
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
