//! What an operator does about webhooks: looks, sends again what was given up, tries an endpoint.

use entities::webhook_delivery::{self, Column, State};
use entities::{Timestamp, WebhookDeliveryId};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    Statement,
};
use serde_json::Map;

use super::super::{Error, Services};
use super::event::{LIFETIME, payload};
use super::{Endpoint, ROWS};
use crate::db::in_state;

/// What to send once more.
#[derive(Debug, Clone)]
pub enum Replay {
    /// Whatever has become of it.
    One(WebhookDeliveryId),
    /// All that were given up, or those to one endpoint.
    Dead { endpoint: Option<String> },
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tested {
    Answered { status: u16, success: bool },
    Unanswered(String),
}

impl Services {
    /// Deliveries, the newest first.
    pub async fn list_webhooks(
        &self,
        state: Option<State>,
        limit: u64,
    ) -> Result<Vec<webhook_delivery::Model>, Error> {
        let mut query = webhook_delivery::Entity::find().order_by_desc(Column::Id).limit(limit);
        if let Some(state) = state {
            query = query.filter(in_state(&state));
        }
        Ok(query.all(self.db.reader()).await?)
    }

    /// Has deliveries sent once more under their ids, from the first attempt on; answers how many. Whoever asks for that has
    /// mended the endpoint, so a pause ends. Those to endpoints that are not set up stay.
    pub async fn replay_webhooks(&self, which: &Replay) -> Result<u64, Error> {
        let names = self.webhooks.endpoints.iter().map(|endpoint| endpoint.name.as_str());
        let condition = Condition::all().add(Column::Endpoint.is_in(names));
        let condition = match which {
            Replay::One(id) => condition.add(Column::Id.eq(*id)),
            Replay::Dead { endpoint: None } => condition.add(in_state(&State::Dead)),
            Replay::Dead { endpoint: Some(name) } => {
                condition.add(in_state(&State::Dead)).add(Column::Endpoint.eq(name))
            }
        };
        let mut total = 0;
        loop {
            let query =
                webhook_delivery::Entity::find().select_only().columns([Column::Id, Column::Endpoint]);
            let query = query.filter(condition.clone()).limit(ROWS as u64);
            let found: Vec<(WebhookDeliveryId, String)> = query.into_tuple().all(self.db.reader()).await?;
            let count = found.len();
            total += count as u64;
            if count > 0 {
                self.renew_webhooks(found).await?;
            }
            if count < ROWS {
                return Ok(total);
            }
        }
    }

    async fn renew_webhooks(&self, rows: Vec<(WebhookDeliveryId, String)>) -> Result<(), Error> {
        let now = self.sources.now();
        let (ids, mut endpoints): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        endpoints.sort();
        endpoints.dedup();
        self.db
            .write(move |transaction| {
                Box::pin(async move {
                    webhook_delivery::Entity::update_many()
                        .col_expr(Column::State, Expr::value(State::Pending))
                        .col_expr(Column::Attempts, Expr::value(0))
                        .col_expr(Column::DueAt, Expr::value(now))
                        .col_expr(Column::EndsAt, Expr::value(now + LIFETIME))
                        .col_expr(Column::LastError, Expr::value(None::<String>))
                        .col_expr(Column::FinishedAt, Expr::value(None::<Timestamp>))
                        .filter(Column::Id.is_in(ids))
                        .exec(transaction)
                        .await?;
                    for endpoint in endpoints {
                        resume(transaction, &endpoint).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// Sends a `webhook.test` now. Nothing, if there is no such endpoint. A success ends a pause.
    pub async fn test_webhook(&self, name: &str) -> Result<Option<Tested>, Error> {
        let Some(endpoint) = self.webhooks.endpoint(name) else { return Ok(None) };
        let now = self.sources.now();
        let payload = payload("webhook.test", &Map::new(), now);
        let tested = match self.webhooks.send(endpoint, self.sources.id(), &payload, now).await {
            Ok(reply) => {
                Tested::Answered { status: reply.status.as_u16(), success: reply.status.is_success() }
            }
            Err(why) => Tested::Unanswered(why),
        };
        if matches!(tested, Tested::Answered { success: true, .. }) {
            self.resume_endpoint(endpoint).await?;
        }
        Ok(Some(tested))
    }

    async fn resume_endpoint(&self, endpoint: &Endpoint) -> Result<(), Error> {
        let name = endpoint.name.clone();
        self.db
            .write(move |transaction| {
                Box::pin(async move { resume(transaction, &name).await.map_err(Error::from) })
            })
            .await
    }
}

async fn resume(db: &impl ConnectionTrait, endpoint: &str) -> Result<(), DbErr> {
    let sql = "DELETE FROM webhook_pauses WHERE endpoint = $1";
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [endpoint.into()]))
        .await
        .map(drop)
}
