//! Outgoing webhooks: what happens is told to endpoints of the operator's, signed after Standard Webhooks. A delivery is a
//! row written in the transaction of the change that it tells of; workers claim, send, back off and retry. They may arrive
//! in another order, and more than once.

mod deliver;
mod event;
mod operate;

use std::sync::Arc;
use std::time::Duration;

use entities::webhook_delivery;
use entities::{Timestamp, WebhookDeliveryId};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode};
use sea_orm::{ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel};
use url::Url;

use super::Services;
use super::audit::Event;
use super::outbox::Backlog;
use crate::clock::Sources;
use crate::config::{Config, WebhookEndpoint};
use crate::crypto::webhook_key::WebhookKey;
use crate::outbound::{self, Guard};

pub(super) use event::Announcement;
pub use event::EventType;
pub use operate::{Replay, Tested};

const CONNECT: Duration = Duration::from_secs(5);
/// For a request and its whole answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// Of an answer, only its head matters.
const MAX_ANSWER: usize = 64 * 1024;
/// Rows in one statement.
const ROWS: usize = 500;

/// The endpoints, and the way to them.
pub struct Webhooks {
    endpoints: Vec<Endpoint>,
    client: Client,
    guard: Guard,
}

struct Endpoint {
    name: String,
    url: Url,
    /// Each signs; the first is the one to stay.
    keys: Vec<WebhookKey>,
    /// None stands for all.
    events: Vec<EventType>,
}

impl Endpoint {
    fn new(name: &str, settings: &WebhookEndpoint) -> Option<Self> {
        let keys = settings.secrets.iter().map(|secret| WebhookKey::parse(secret.expose()));
        let events = settings.events.iter().map(|event| event.parse().ok());
        Some(Self {
            name: name.to_owned(),
            url: settings.url.clone(),
            keys: keys.collect::<Option<_>>()?,
            events: events.collect::<Option<_>>()?,
        })
    }
}

/// What an endpoint said.
struct Reply {
    status: StatusCode,
    /// How long it asks to be left alone.
    retry_after: Option<Duration>,
}

impl Webhooks {
    /// The error is a line for the operator.
    pub fn open(config: &Config) -> Result<Arc<Self>, String> {
        let settings = &config.webhooks;
        let endpoints = settings.endpoints.iter().map(|(name, endpoint)| {
            Endpoint::new(name, endpoint)
                .ok_or_else(|| format!("webhooks.endpoints.{name}: its secrets or events can't be read"))
        });
        let guard = Guard::new(&settings.private_networks, &settings.ports);
        // A proxy would resolve names by itself, beyond the guard.
        let client = outbound::builder()?.connect_timeout(CONNECT).no_proxy();
        let client = client.dns_resolver(Arc::new(guard.clone())).build();
        Ok(Arc::new(Self {
            endpoints: endpoints.collect::<Result<_, _>>()?,
            client: client.map_err(|error| error.to_string())?,
            guard,
        }))
    }

    /// Whether nobody is to be told of anything.
    pub(super) fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    fn endpoint(&self, name: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.name == name)
    }

    /// What is to be told of an event; nothing, if nobody wants to hear of it.
    pub(super) fn announce(&self, event: &Event<'_>, sources: &Sources) -> Option<Announcement> {
        if self.endpoints.is_empty() {
            return None;
        }
        let kind = EventType::of(event.action)?;
        let wants = |endpoint: &&Endpoint| endpoint.events.is_empty() || endpoint.events.contains(&kind);
        let names = self.endpoints.iter().filter(wants).map(|endpoint| endpoint.name.clone());
        let to: Vec<(WebhookDeliveryId, String)> = names.map(|name| (sources.id(), name)).collect();
        (!to.is_empty()).then(|| Announcement::new(kind, event, to))
    }

    /// One attempt. The id stays the same for all of them; time and signature are of this one.
    async fn send(
        &self,
        endpoint: &Endpoint,
        id: WebhookDeliveryId,
        payload: &str,
        now: Timestamp,
    ) -> Result<Reply, String> {
        self.guard.admit(&endpoint.url).map_err(|refused| refused.to_string())?;
        let (id, seconds) = (message_id(id), now.seconds());
        let signatures: Vec<String> =
            endpoint.keys.iter().map(|key| key.sign(&id, seconds, payload)).collect();
        let request = self
            .client
            .post(endpoint.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signatures.join(" "))
            .body(payload.to_owned());
        let (status, headers) =
            outbound::knock(request, PATIENCE, MAX_ANSWER).await.map_err(|failure| failure.to_string())?;
        let asked = headers.get("retry-after").and_then(|value| value.to_str().ok());
        Ok(Reply { status, retry_after: asked.and_then(|asked| deliver::retry_after(asked, now)) })
    }
}

/// What receivers know a delivery by. Has no dot, which would end it in what is signed.
#[must_use]
pub fn message_id(id: WebhookDeliveryId) -> String {
    format!("msg_{id}")
}

/// Writes deliveries; without any, no statement.
pub(super) async fn write(
    rows: Vec<webhook_delivery::Model>,
    db: &impl ConnectionTrait,
) -> Result<(), DbErr> {
    for rows in rows.chunks(ROWS) {
        let rows = rows.iter().map(|row| row.clone().into_active_model().reset_all());
        webhook_delivery::Entity::insert_many(rows).exec_without_returning(db).await?;
    }
    Ok(())
}

impl Services {
    pub async fn webhook_backlog(&self) -> Result<Backlog, DbErr> {
        Backlog::of(&self.db, "webhook_deliveries", "created_at").await
    }
}
