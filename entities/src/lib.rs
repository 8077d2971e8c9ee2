//! The rows: SeaORM entities and id newtypes. No serde and no OpenAPI derives here, so that a row can't leak by accident.

pub mod account;
pub mod audit_event;
pub mod email_verification;
pub mod id;
pub mod outbox_message;
pub mod rate_limit;
pub mod server_key;
pub mod session;
pub mod timestamp;

pub use id::{AccountId, AuditEventId, EmailVerificationId, OutboxMessageId, ServerKeyId, SessionId};
pub use timestamp::Timestamp;
