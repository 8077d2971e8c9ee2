//! The audit trail: who did what to whom, from where, with which assurance. Never a secret, never a mail address.

use sea_orm::entity::prelude::*;

use crate::{AccountId, AuditEventId, SessionId, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AuditEventId,
    pub at: Timestamp,
    /// What happened, `noun.verb`.
    pub action: String,
    /// Who did it: `account`, `anonymous`, `staff`, `operator` (at the command line) or `server`.
    pub actor: String,
    /// The account it happened to, where there is one. No foreign key: the trail outlives the account.
    pub account_id: Option<AccountId>,
    pub session_id: Option<SessionId>,
    pub aal: Option<i16>,
    pub ip: Option<String>,
    pub user_agent: Option<String>,
    pub request_id: Option<String>,
    /// A JSON object with what else there is to know.
    pub detail: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
