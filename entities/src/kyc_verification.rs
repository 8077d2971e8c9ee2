//! One identity check, from its start at a provider to what it is worth.

use sea_orm::entity::prelude::*;

use crate::{AccountId, KycVerificationId, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "kyc_verifications")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: KycVerificationId,
    pub account_id: AccountId,
    /// Name of the provider.
    pub provider: String,
    /// As it is offered.
    pub level: String,
    pub status: String,
    /// Ours, as the vendor knows it.
    #[sea_orm(unique)]
    pub external_id: String,
    /// The vendor's; none until the vendor has answered.
    pub reference: Option<String>,
    /// What else it takes to ask the vendor.
    pub handle: Option<String>,
    /// What the person goes on with, in JSON, sealed.
    pub sealed: Option<Vec<u8>>,
    pub redirect_url: Option<String>,
    /// SHA-256 of the client's key.
    pub idempotency_key: Option<Vec<u8>>,
    /// The vendor's codes, a list in JSON.
    pub reasons: String,
    /// What was found in order, a list in JSON.
    pub checks: String,
    pub raw_status: Option<String>,
    /// What it is worth while it is approved.
    pub ial: i16,
    pub valid_until: Option<Timestamp>,
    /// What one reviewer wants, in JSON.
    pub proposal: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Given up then, unless it is decided.
    pub ends_at: Timestamp,
    pub poll_at: Option<Timestamp>,
    pub polls: i32,
    /// The vendor is being asked for it until then.
    pub busy_until: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
