//! How full queues and pools are, for the metrics. Nothing is looked at while nobody can ask.

use std::time::Duration;

use entities::Timestamp;
use metrics::{counter, gauge};
use tokio_util::sync::CancellationToken;

use super::{Error, Services};

/// How often the queues in the database are counted.
const EVERY: Duration = Duration::from_secs(10);

impl Services {
    /// Gives counters of what is set up their zero: the first event must be seen as a rise.
    pub fn begin_counting(&self) {
        for provider in self.kyc.providers() {
            counter!("latchkey_kyc_dead_total", "provider" => provider.name()).increment(0);
            counter!("latchkey_kyc_unknown_total", "provider" => provider.name()).increment(0);
        }
    }

    /// What this process has at hand, as of now.
    pub fn measure(&self) {
        self.db.measure();
        self.hasher.measure();
        self.sessions.measure();
        self.refreshes.measure();
    }

    /// Counts the queues in the database until told to stop.
    pub async fn count_queues(&self, stop: CancellationToken) {
        while self.config.metrics_listen.is_some() {
            if let Err(error) = self.count_each().await {
                counter!("latchkey_background_failures_total", "task" => "counts").increment(1);
                tracing::warn!(?error, "the queues can't be counted");
            }
            if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
                return;
            }
        }
    }

    async fn count_each(&self) -> Result<(), Error> {
        let mail = self.mail_backlog().await?;
        gauge!("latchkey_mail_pending").set(mail.pending as f64);
        gauge!("latchkey_mail_dead").set(mail.dead as f64);
        gauge!("latchkey_mail_oldest_seconds").set(self.age(mail.since));
        if !self.webhooks.is_empty() {
            let webhooks = self.webhook_backlog().await?;
            gauge!("latchkey_webhooks_pending").set(webhooks.pending as f64);
            gauge!("latchkey_webhooks_dead").set(webhooks.dead as f64);
            gauge!("latchkey_webhooks_oldest_seconds").set(self.age(webhooks.since));
        }
        if !self.kyc.providers().is_empty() {
            let health = self.kyc_health().await?;
            gauge!("latchkey_kyc_backlog").set(health.backlog as f64);
            gauge!("latchkey_kyc_oldest_seconds").set(self.age(health.waiting_since));
        }
        Ok(())
    }

    fn age(&self, since: Option<Timestamp>) -> f64 {
        since.map_or(0.0, |since| self.sources.now().since(since).as_secs_f64())
    }
}
