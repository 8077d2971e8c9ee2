//! One row per limited thing, whatever the traffic: GCRA keeps a single instant.

use sea_orm::entity::prelude::*;

use crate::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rate_limits")]
pub struct Model {
    /// Hash of the limit's name and what it counts; no address is stored in clear.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: Vec<u8>,
    /// Theoretical arrival time of the next request.
    pub tat: Timestamp,
    /// Milliseconds that one request costs; for a wait that grows, the wait now in force.
    pub cost: i64,
    /// Milliseconds that may be spent ahead.
    pub burst: i64,
    /// Whether the last request was within the limit.
    pub allowed: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
