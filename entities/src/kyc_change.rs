//! One step of an identity check. The status follows from all of them.

use sea_orm::entity::prelude::*;

use crate::{KycChangeId, KycVerificationId, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "kyc_changes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: KycChangeId,
    pub verification_id: KycVerificationId,
    pub occurred_at: Timestamp,
    pub status: String,
    /// Whether it takes back a decision.
    pub explicit: bool,
    /// `provider`, `poll`, `person`, `reviewer` or `server`.
    pub source: String,
    /// A list in JSON.
    pub reasons: String,
    /// A list in JSON.
    pub checks: String,
    pub raw_status: String,
    pub created_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
