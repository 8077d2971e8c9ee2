//! A webhook in the inbox.

use sea_orm::entity::prelude::*;

use crate::{AccountId, KycEventId, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "kyc_events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: KycEventId,
    pub provider: String,
    /// SHA-256 of what is the same at each delivery.
    pub dedupe_key: Vec<u8>,
    /// Provider and reference: what is worked on in order.
    pub subject: String,
    /// Whose key it is sealed with. No foreign key: what the account leaves behind can't be read.
    pub account_id: Option<AccountId>,
    /// What it says of the verification, in JSON; none once it is done.
    pub event: Option<String>,
    /// As it came, under the person's key.
    pub sealed: Option<Vec<u8>>,
    pub state: State,
    pub attempts: i32,
    pub due_at: Timestamp,
    pub last_error: Option<String>,
    pub received_at: Timestamp,
    pub finished_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum State {
    #[sea_orm(string_value = "pending")]
    Pending,
    #[sea_orm(string_value = "done")]
    Done,
    /// Of a kind or a person that nobody knows here.
    #[sea_orm(string_value = "unknown")]
    Unknown,
    /// Given up.
    #[sea_orm(string_value = "dead")]
    Dead,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
