//! An event of the audit trail, as it is shown.

use std::collections::HashMap;

use entities::audit_event;
use poem_openapi::Object;
use poem_openapi::types::{Any, Example};
use serde_json::Value;

use super::super::auth::{EXAMPLE_ID, EXAMPLE_INSTANT};
use super::super::instant::Instant;
use super::super::payload::Nullable;

/// Something that happened
#[derive(Debug, Object)]
pub struct ExportedEvent {
    /// Its id
    id: String,
    /// When
    at: Instant,
    /// What, such as `session.created`
    action: String,
    /// Who did it: `account`, `anonymous`, `staff`, `operator` (at the command line) or `server`
    actor: String,
    /// In which session
    session_id: Nullable<String>,
    /// How well the person had signed in
    aal: Nullable<i16>,
    /// From which address
    ip: Nullable<String>,
    /// With what, as that called itself
    user_agent: Nullable<String>,
    /// Which request it was
    request_id: Nullable<String>,
    /// What else there is to know
    detail: Nullable<HashMap<String, Any<Value>>>,
}

impl From<audit_event::Model> for ExportedEvent {
    fn from(row: audit_event::Model) -> Self {
        let detail: Option<HashMap<String, Value>> =
            row.detail.and_then(|detail| serde_json::from_str(&detail).ok());
        let any = |detail: HashMap<String, Value>| detail.into_iter().map(|(name, value)| (name, Any(value)));
        Self {
            id: row.id.to_string(),
            at: Instant(row.at),
            action: row.action,
            actor: row.actor,
            session_id: row.session_id.map(|id| id.to_string()).into(),
            aal: row.aal.into(),
            ip: row.ip.into(),
            user_agent: row.user_agent.into(),
            request_id: row.request_id.into(),
            detail: detail.map(|detail| any(detail).collect()).into(),
        }
    }
}

impl Example for ExportedEvent {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID.into(),
            at: EXAMPLE_INSTANT,
            action: "session.created".into(),
            actor: "account".into(),
            session_id: Some(EXAMPLE_ID.to_owned()).into(),
            aal: Some(2).into(),
            ip: Some("203.0.113.7".to_owned()).into(),
            user_agent: Some("Mozilla/5.0 (X11; Linux x86_64; rv:145.0)".to_owned()).into(),
            request_id: Some(EXAMPLE_ID.to_owned()).into(),
            detail: Some(HashMap::from([("amr".to_owned(), Any("pwd otp mfa".into()))])).into(),
        }
    }
}
