//! An event on its way to an endpoint of the operator's, written in the transaction that gives rise to it. Holds ids and
//! states, nothing of a person.

use sea_orm::entity::prelude::*;

pub use crate::outbox_message::State;
use crate::{Timestamp, WebhookDeliveryId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_deliveries")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: WebhookDeliveryId,
    /// Name of the endpoint in the settings.
    pub endpoint: String,
    /// What happened, such as `user.created`.
    pub event: String,
    /// The body, as it is signed and sent.
    pub payload: String,
    pub state: State,
    pub attempts: i32,
    /// When it is due, or when the claim of the worker that has it runs out.
    pub due_at: Timestamp,
    /// When it is given up, whatever has happened.
    pub ends_at: Timestamp,
    pub last_error: Option<String>,
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
