//! Sends what is due. Each endpoint has a worker of its own, so that one that is slow holds up no other.

use std::time::Duration;

use entities::Timestamp;
use entities::webhook_delivery::{self, Column, State};
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use reqwest::StatusCode;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult, QueryFilter, Statement,
    Value,
};
use time::PrimitiveDateTime;
use time::macros::format_description;
use tokio_util::sync::CancellationToken;

use super::super::clock_check::CLOCKS_AGREE;
use super::super::{Error, Services};
use super::{Endpoint, PATIENCE, ROWS, Reply};
use crate::db::columns;
use crate::entropy::Entropy;

/// How long a worker has a delivery to itself. Longer than an endpoint may take.
const CLAIM: Duration = PATIENCE.saturating_add(Duration::from_secs(60));
/// Deliveries to one endpoint under way at a time.
const AT_ONCE: usize = 8;
/// How often a worker looks for what is due.
const POLL: Duration = Duration::from_secs(1);
/// Waits between attempts, each longer by up to a fifth, so that what failed at once does not come back at once. Then a
/// delivery is given up, about a day after it was written.
const WAITS: [Duration; 6] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    LONGEST_WAIT,
];
/// An endpoint can't ask for more.
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 3600);
/// How long an endpoint that says it is gone is left alone.
const PAUSE: Duration = Duration::from_secs(86_400);

impl Services {
    /// Sends what is due until told to stop. What is under way is finished.
    pub async fn deliver_webhooks(&self, stop: CancellationToken) {
        join_all(self.webhooks.endpoints.iter().map(|endpoint| self.serve(endpoint, &stop))).await;
    }

    async fn serve(&self, endpoint: &Endpoint, stop: &CancellationToken) {
        let mut under_way = FuturesUnordered::new();
        while !stop.is_cancelled() {
            match self.claim_webhooks(endpoint, AT_ONCE.saturating_sub(under_way.len())).await {
                Ok(claimed) => {
                    under_way.extend(claimed.into_iter().map(|row| self.deliver_webhook(endpoint, row)));
                }
                Err(error) => {
                    metrics::counter!("latchkey_background_failures_total", "task" => "webhooks")
                        .increment(1);
                    tracing::warn!(?error, endpoint = endpoint.name, "webhooks can't be read");
                }
            }
            // One that takes long keeps its own place only.
            tokio::select! {
                Some(()) = under_way.next() => while let Some(Some(())) = under_way.next().now_or_never() {},
                () = tokio::time::sleep(POLL) => {}
                () = stop.cancelled() => {}
            }
        }
        under_way.collect::<()>().await;
    }

    /// Takes deliveries that are due for this worker alone. Should it die, they are due again when the claim runs out.
    async fn claim_webhooks(
        &self,
        endpoint: &Endpoint,
        most: usize,
    ) -> Result<Vec<webhook_delivery::Model>, Error> {
        if most == 0 {
            return Ok(vec![]);
        }
        let now = self.sources.now();
        let skip = match self.db.engine() {
            DbBackend::Postgres => "FOR UPDATE SKIP LOCKED",
            _ => "",
        };
        let sql = format!(
            "UPDATE webhook_deliveries SET due_at = $1, attempts = attempts + 1 WHERE id IN (
               SELECT id FROM webhook_deliveries WHERE endpoint = $2 AND state = 'pending' AND due_at <= $3
                 AND NOT EXISTS (SELECT 1 FROM webhook_pauses p WHERE p.endpoint = $2
                   AND p.paused_until > $3 AND p.paused_until <= $4)
               ORDER BY due_at LIMIT {most} {skip}) RETURNING {}",
            columns::<webhook_delivery::Entity>()
        );
        // One that is longer comes from a clock that was ahead.
        let longest_pause = now + PAUSE + 2 * CLOCKS_AGREE;
        let values: [Value; 4] =
            [(now + CLAIM).into(), endpoint.name.clone().into(), now.into(), longest_pause.into()];
        let statement = Statement::from_sql_and_values(self.db.engine(), sql, values);
        let rows = self.db.write_one::<Error>(statement).await?;
        rows.iter()
            .map(|row| webhook_delivery::Model::from_query_result(row, "").map_err(Error::from))
            .collect()
    }

    async fn deliver_webhook(&self, endpoint: &Endpoint, delivery: webhook_delivery::Model) {
        let sent = self.webhooks.send(endpoint, delivery.id, &delivery.payload, self.sources.now()).await;
        let id = delivery.id;
        if let Err(error) = self.finish_webhook(endpoint, delivery, sent).await {
            // It is due again when the claim runs out: a second copy under the same id, rather than none.
            tracing::warn!(?error, delivery = %id, "what became of a webhook can't be stored");
        }
    }

    async fn finish_webhook(
        &self,
        endpoint: &Endpoint,
        delivery: webhook_delivery::Model,
        sent: Result<Reply, String>,
    ) -> Result<(), Error> {
        let (now, name) = (self.sources.now(), endpoint.name.clone());
        // Of two workers, when a claim has run out, the later one goes on.
        let update = webhook_delivery::Entity::update_many()
            .filter(Column::Id.eq(delivery.id))
            .filter(Column::Attempts.eq(delivery.attempts))
            .filter(Column::State.eq(State::Pending));
        let gone = matches!(&sent, Ok(reply) if reply.status == StatusCode::GONE);
        let update = match failure(sent) {
            None => {
                metrics::counter!("latchkey_webhooks_sent_total", "endpoint" => name.clone()).increment(1);
                update
                    .col_expr(Column::State, Expr::value(State::Sent))
                    .col_expr(Column::FinishedAt, Expr::value(now))
                    .col_expr(Column::LastError, Expr::value(None::<String>))
            }
            Some((why, asked)) => {
                metrics::counter!("latchkey_webhooks_failed_total", "endpoint" => name.clone()).increment(1);
                let (attempts, entropy) = (delivery.attempts, self.sources.entropy);
                let wait = back_off(attempts, entropy).map(|wait| wait.max(asked));
                let update = update.col_expr(Column::LastError, Expr::value(why.clone()));
                match wait {
                    Some(wait) => {
                        tracing::warn!(delivery = %delivery.id, endpoint = name, attempts, error = why,
                            again_in = wait.as_secs(), "webhook not sent");
                        update.col_expr(Column::DueAt, Expr::value(now + wait))
                    }
                    None => {
                        tracing::error!(delivery = %delivery.id, endpoint = name, error = why, "webhook given up");
                        update
                            .col_expr(Column::State, Expr::value(State::Dead))
                            .col_expr(Column::FinishedAt, Expr::value(now))
                    }
                }
            }
        };
        self.db
            .write(move |transaction| {
                Box::pin(async move {
                    update.exec(transaction).await?;
                    if gone {
                        pause(transaction, name, now + PAUSE).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// For the reaper. Nothing waits longer than for an endpoint that says it is gone.
    pub(in super::super) async fn bring_webhooks_forward(&self) -> Result<(), Error> {
        for Endpoint { name, .. } in &self.webhooks.endpoints {
            let waiting = "endpoint = $3 AND state = 'pending'";
            self.bring_forward("webhook_deliveries", waiting, vec![name.clone().into()], PAUSE).await?;
        }
        Ok(())
    }

    /// Gives up what can't be sent: for too long an endpoint was paused, or is not set up any more. What has just been sent
    /// after all stays so.
    pub(in super::super) async fn give_up_webhooks(&self) -> Result<(), Error> {
        let sql = format!(
            "UPDATE webhook_deliveries SET state = 'dead', finished_at = $1,
               last_error = COALESCE(last_error, 'never tried') WHERE id IN (
               SELECT id FROM webhook_deliveries WHERE state = 'pending' AND ends_at <= $1 LIMIT {ROWS})
               AND state = 'pending' AND ends_at <= $1 RETURNING id"
        );
        loop {
            let values: [Value; 1] = [self.sources.now().into()];
            let statement = Statement::from_sql_and_values(self.db.engine(), &sql, values);
            let given_up = self.db.write_one::<Error>(statement).await?.len();
            if given_up > 0 {
                tracing::error!(given_up, "webhooks given up that could not be sent in time");
            }
            if given_up < ROWS {
                return Ok(());
            }
        }
    }
}

/// Why an attempt failed and how long the endpoint asks to be left alone; nothing, if it did not fail.
fn failure(sent: Result<Reply, String>) -> Option<(String, Duration)> {
    match sent {
        Err(why) => Some((why, Duration::ZERO)),
        Ok(reply) if reply.status.is_success() => None,
        Ok(reply) if reply.status == StatusCode::GONE => Some((status(&reply), PAUSE)),
        Ok(reply) => Some((status(&reply), reply.retry_after.unwrap_or_default().min(LONGEST_WAIT))),
    }
}

fn status(reply: &Reply) -> String {
    format!("status {}", reply.status.as_u16())
}

/// How long to wait after so many attempts; nothing after the last.
fn back_off(attempts: i32, entropy: Entropy) -> Option<Duration> {
    let wait = *WAITS.get(usize::try_from(attempts.checked_sub(1)?).ok()?)?;
    let jitter = wait / 5 * u32::from(u16::from_be_bytes(entropy.bytes())) / u32::from(u16::MAX);
    Some(wait + jitter)
}

/// `Retry-After`: seconds, or a date.
pub(super) fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let form = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let at = PrimitiveDateTime::parse(text.trim(), &form).ok()?.assume_utc().unix_timestamp();
    Some(Duration::from_secs(u64::try_from(at.saturating_sub(now.seconds())).unwrap_or(0)))
}

async fn pause(db: &impl ConnectionTrait, endpoint: String, until: Timestamp) -> Result<(), DbErr> {
    tracing::error!(endpoint, "the endpoint says that it is gone (410): nothing is sent to it for a day");
    let sql = "INSERT INTO webhook_pauses (endpoint, paused_until) VALUES ($1, $2)
               ON CONFLICT (endpoint) DO UPDATE SET paused_until = excluded.paused_until";
    let values: [Value; 2] = [endpoint.into(), until.into()];
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end_after_about_a_day() {
        let mut total = Duration::ZERO;
        for (attempt, wait) in (1..).zip(WAITS) {
            let chosen = back_off(attempt, Entropy).expect("another attempt");
            assert!((wait..=wait + wait / 5).contains(&chosen), "{attempt}: {chosen:?}");
            total += chosen;
        }
        assert!((17 * 3600..=24 * 3600).contains(&total.as_secs()), "{total:?}");
        for attempts in [0, 7, 8, i32::MAX, i32::MIN] {
            assert_eq!(back_off(attempts, Entropy), None, "{attempts}");
        }
    }

    #[test]
    fn an_endpoint_may_ask_for_seconds_or_name_a_moment() {
        let now = Timestamp(1_445_412_420_000);
        for (text, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(60)),
            ("Wed, 21 Oct 2015 07:26:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn only_2xx_is_a_success() {
        let reply = |status, retry_after: Option<u64>| {
            Ok(Reply {
                status: StatusCode::from_u16(status).expect("a status"),
                retry_after: retry_after.map(Duration::from_secs),
            })
        };
        for status in [200, 201, 202, 204] {
            assert_eq!(failure(reply(status, None)), None);
        }
        for (status, asked, wait) in [
            (301, None, Duration::ZERO),
            (307, None, Duration::ZERO),
            (404, None, Duration::ZERO),
            (410, Some(1), PAUSE),
            (429, Some(90), Duration::from_secs(90)),
            (503, Some(u64::MAX), LONGEST_WAIT),
        ] {
            assert_eq!(failure(reply(status, asked)), Some((format!("status {status}"), wait)));
        }
        assert_eq!(failure(Err("broken".into())), Some(("broken".into(), Duration::ZERO)));
    }
}
