//! Mail to be sent, written in the transaction that gives rise to it.

use sea_orm::entity::prelude::*;

use crate::{AccountId, OutboxMessageId, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox_messages")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: OutboxMessageId,
    pub account_id: Option<AccountId>,
    /// Name of the template, for people who look at the queue.
    pub template: String,
    /// Recipient and content, encrypted, because links in it are keys; gone once sent.
    pub sealed: Option<Vec<u8>>,
    pub state: State,
    pub attempts: i32,
    /// When it is due, or when the claim of the worker that has it runs out.
    pub due_at: Timestamp,
    pub last_error: Option<String>,
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum State {
    #[sea_orm(string_value = "pending")]
    Pending,
    #[sea_orm(string_value = "sent")]
    Sent,
    /// Given up; an operator has to look.
    #[sea_orm(string_value = "dead")]
    Dead,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
