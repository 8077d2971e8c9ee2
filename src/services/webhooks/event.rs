//! What is told to endpoints, and how it is put: ids and states, picked one by one from what goes into the audit trail.
//! Nothing of a person, and no reasons.

use std::time::Duration;

use entities::webhook_delivery::{self, State};
use entities::{AccountId, Timestamp, WebhookDeliveryId};
use serde_json::{Map, Value, json};
use strum::{EnumString, IntoStaticStr, VariantNames};

use super::super::audit::{Action, Event};
use crate::clock::rfc3339;

/// A delivery is given up after this time even if it was never tried, because its endpoint was paused or is not set up
/// any more.
pub(super) const LIFETIME: Duration = Duration::from_secs(3 * 86_400);

/// What endpoints can be told of. The text is stable: receivers tell events by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
pub enum EventType {
    #[strum(serialize = "user.created")]
    UserCreated,
    #[strum(serialize = "user.verified")]
    UserVerified,
    #[strum(serialize = "user.deleted")]
    UserDeleted,
    #[strum(serialize = "session.revoked")]
    SessionRevoked,
    #[strum(serialize = "kyc.updated")]
    KycUpdated,
    #[strum(serialize = "api_key.created")]
    ApiKeyCreated,
    #[strum(serialize = "api_key.tested")]
    ApiKeyTested,
    #[strum(serialize = "api_key.revealed")]
    ApiKeyRevealed,
    #[strum(serialize = "api_key.deleted")]
    ApiKeyDeleted,
}

impl EventType {
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// What an action means outside this server, if it means anything there.
    pub(super) fn of(action: Action) -> Option<Self> {
        Some(match action {
            Action::AccountCreated | Action::AccountImported => Self::UserCreated,
            Action::EmailVerified => Self::UserVerified,
            Action::AccountDeleted => Self::UserDeleted,
            // All that end sessions.
            Action::SessionEnded
            | Action::RefreshReused
            | Action::PasswordChanged
            | Action::PasswordReset
            | Action::AccountDisabled
            | Action::FactorsReset
            | Action::EmailRestored
            | Action::DeletionScheduled => Self::SessionRevoked,
            Action::VerificationChanged => Self::KycUpdated,
            Action::ApiKeyAdded => Self::ApiKeyCreated,
            Action::ApiKeyTested => Self::ApiKeyTested,
            Action::ApiKeyRevealed => Self::ApiKeyRevealed,
            Action::ApiKeyRemoved => Self::ApiKeyDeleted,
            _ => return None,
        })
    }
}

/// An event for some endpoints, before the transaction of its change. Whose account it is may become known in there.
#[derive(Debug, Clone)]
pub(in super::super) struct Announcement {
    kind: EventType,
    data: Map<String, Value>,
    to: Vec<(WebhookDeliveryId, String)>,
}

impl Announcement {
    pub fn new(kind: EventType, event: &Event<'_>, to: Vec<(WebhookDeliveryId, String)>) -> Self {
        let data = data(kind, event).into_iter().map(|(name, value)| (name.to_owned(), value));
        Self { kind, data: data.collect(), to }
    }

    /// The rows to write: one for each endpoint.
    pub fn rows(self, account: Option<AccountId>, at: Timestamp) -> Vec<webhook_delivery::Model> {
        let mut data = Map::new();
        data.insert("account_id".to_owned(), account.map(|id| id.to_string()).into());
        data.extend(self.data);
        let event = self.kind.name();
        let payload = payload(event, &data, at);
        let row = |(id, endpoint)| webhook_delivery::Model {
            id,
            endpoint,
            event: event.to_owned(),
            payload: payload.clone(),
            state: State::Pending,
            attempts: 0,
            due_at: at,
            ends_at: at + LIFETIME,
            last_error: None,
            created_at: at,
            finished_at: None,
        };
        self.to.into_iter().map(row).collect()
    }
}

/// The body of a webhook.
pub(super) fn payload(event: &str, data: &Map<String, Value>, at: Timestamp) -> String {
    json!({ "type": event, "timestamp": rfc3339(at), "data": data }).to_string()
}

/// What an event tells beside the account.
fn data(kind: EventType, event: &Event<'_>) -> Vec<(&'static str, Value)> {
    let told = |name: &str| event.detail.as_ref().and_then(|detail| detail.get(name)).cloned();
    let known = |name: &str| told(name).unwrap_or_default();
    match kind {
        EventType::UserCreated | EventType::UserVerified | EventType::UserDeleted => vec![],
        EventType::SessionRevoked => {
            let own = || event.session.map(|(id, _)| id.to_string()).into();
            let (session, which) = match event.action {
                // The one in which it was done stays.
                Action::PasswordChanged => (Value::Null, "others"),
                Action::SessionEnded if told("kept").is_some() => (Value::Null, "others"),
                Action::SessionEnded if told("count").is_some() => (Value::Null, "all"),
                // Named in a list, or the one that was signed out.
                Action::SessionEnded => (told("session").unwrap_or_else(own), "one"),
                Action::RefreshReused => (own(), "one"),
                _ => (Value::Null, "all"),
            };
            vec![("session_id", session), ("sessions", which.into())]
        }
        EventType::KycUpdated => vec![
            ("verification_id", known("verification")),
            ("level", known("level")),
            ("status", known("to")),
            ("ial", known("ial")),
        ],
        EventType::ApiKeyCreated | EventType::ApiKeyRevealed => {
            vec![("api_key_id", known("api_key")), ("provider", known("provider"))]
        }
        EventType::ApiKeyTested => vec![
            ("api_key_id", known("api_key")),
            ("provider", known("provider")),
            ("outcome", known("outcome")),
        ],
        EventType::ApiKeyDeleted => vec![("api_key_id", known("api_key"))],
    }
}

#[cfg(test)]
mod tests {
    use entities::SessionId;
    use uuid::Uuid;

    use super::super::super::audit::Actor;
    use super::*;

    fn told(event: &Event<'_>) -> Value {
        let kind = EventType::of(event.action).expect("an event");
        let to = vec![(WebhookDeliveryId(Uuid::nil()), "crm".to_owned())];
        let rows = Announcement::new(kind, event, to).rows(event.account, Timestamp(0));
        serde_json::from_str(&rows[0].payload).expect("JSON")
    }

    #[test]
    fn a_payload_holds_ids_and_states_only() {
        let detail = json!({
            "note": "seen with ada@example.com", "reasons": ["FORGERY"], "raw_status": "RED", "reviewer": "bob",
            "verification": "v", "provider": "p", "level": "full", "from": "pending", "to": "approved", "ial": 2,
        });
        let event = Event::new(Action::VerificationChanged, Actor::Server)
            .account(AccountId(Uuid::nil()))
            .detail(detail);
        let expected = json!({
            "type": "kyc.updated", "timestamp": "1970-01-01T00:00:00Z",
            "data": {
                "account_id": "00000000-0000-0000-0000-000000000000",
                "verification_id": "v", "level": "full", "status": "approved", "ial": 2,
            },
        });
        assert_eq!(told(&event), expected);
    }

    #[test]
    fn it_is_said_which_sessions_have_ended() {
        let session = SessionId(Uuid::from_u128(1));
        let own = json!(session.to_string());
        for (action, detail, id, which) in [
            (Action::SessionEnded, json!({ "reason": "logout" }), own.clone(), "one"),
            (Action::SessionEnded, json!({ "session": "2" }), json!("2"), "one"),
            (Action::SessionEnded, json!({ "count": 3 }), Value::Null, "all"),
            (Action::SessionEnded, json!({ "count": 3, "kept": "1" }), Value::Null, "others"),
            (Action::RefreshReused, Value::Null, own, "one"),
            (Action::PasswordChanged, Value::Null, Value::Null, "others"),
            (Action::PasswordReset, Value::Null, Value::Null, "all"),
            (Action::AccountDisabled, Value::Null, Value::Null, "all"),
            (Action::FactorsReset, Value::Null, Value::Null, "all"),
            (Action::EmailRestored, Value::Null, Value::Null, "all"),
            (Action::DeletionScheduled, Value::Null, Value::Null, "all"),
        ] {
            let event = Event::new(action, Actor::Server).session(session, 1).detail(detail);
            let data = &told(&event)["data"];
            assert_eq!((&data["session_id"], &data["sessions"]), (&id, &json!(which)), "{action:?}");
        }
    }
}
