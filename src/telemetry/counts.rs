//! The metrics: which there are, and the page that shows them. `docs/operations.md` has the same table, with what to do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use poem::{Response, Route};
use strum::Display;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::api::problem::Code;
use crate::config::Config;
use crate::server::listener::{self, HttpLimits};
use crate::services::Services;

/// Bounds of time histograms, in seconds.
const SECONDS: [f64; 12] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0];
/// Bounds of what counts things that travel together.
const SIZES: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];
/// How often what was measured is condensed, whether or not anybody looks.
const UPKEEP: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Display)]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One metric.
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    /// Its labels, separated by commas. Their values are never chosen by a client.
    pub labels: &'static str,
    pub meaning: &'static str,
}

macro_rules! metrics {
    ($($name:literal $kind:ident [$labels:literal] $meaning:literal;)*) => {
        /// Every metric there is.
        pub const ALL: &[Metric] =
            &[$(Metric { name: $name, kind: Kind::$kind, labels: $labels, meaning: $meaning },)*];
    };
}

metrics! {
    "latchkey_build_info" Gauge ["version"] "Always 1; the label is the release.";
    "latchkey_http_request_seconds" Histogram ["operation, status"] "Time from a whole request head to the answer.";
    "latchkey_http_problems_total" Counter ["code"] "Answers that are errors, by their code.";
    "latchkey_http_connections" Gauge ["listener"] "Open connections; the listener is `api` or `metrics`.";
    "latchkey_http_connections_limit" Gauge ["listener"] "Connections that may be open.";
    "latchkey_http_connections_evicted_total" Counter ["listener"] "Connections without a request that were closed because another client waited for the place.";
    "latchkey_http_more_requests" Gauge ["listener"] "Requests on connections that have one already; only over HTTP/2.";
    "latchkey_http_more_requests_limit" Gauge ["listener"] "Such requests that there may be.";
    "latchkey_limit_refusals_total" Counter ["limit, per"] "Attempts that a limit refused, per client `address` or per `subject`: an account, session, credential or host.";
    "latchkey_queue_waiting" Gauge ["queue"] "Work that waits in this process: `password` hashes, `write`s on SQLite, look-ups of a `session`, `refresh`es, `span`s of traces.";
    "latchkey_queue_limit" Gauge ["queue"] "Work that may wait.";
    "latchkey_queue_refusals_total" Counter ["queue"] "Work that was refused because the queue was full; `request`: one too many over HTTP/2.";
    "latchkey_password_hash_seconds" Histogram [""] "Time that one hash took, without its wait.";
    "latchkey_password_threads" Gauge [""] "Threads that hash.";
    "latchkey_password_threads_busy" Gauge [""] "Those of them that are at it.";
    "latchkey_db_connections" Gauge ["pool, state"] "Connections to the database, `used` or `idle`; the pool is `read` or `write` on SQLite, `shared` on PostgreSQL.";
    "latchkey_db_connections_limit" Gauge ["pool"] "Connections that there may be.";
    "latchkey_db_commit_seconds" Histogram [""] "Time of one commit on SQLite, with the work in it.";
    "latchkey_db_group_size" Histogram [""] "Writes that travelled in one commit on SQLite.";
    "latchkey_db_batch_size" Histogram ["batch"] "Requests that shared a statement: `session` or `refresh`.";
    "latchkey_background_failures_total" Counter ["task"] "Rounds of background work that failed; each is tried again.";
    "latchkey_mail_pending" Gauge [""] "Mails that wait, of all nodes.";
    "latchkey_mail_oldest_seconds" Gauge [""] "Age of the oldest mail that waits.";
    "latchkey_mail_dead" Gauge [""] "Mails given up.";
    "latchkey_mail_sent_total" Counter [""] "Mails sent by this node.";
    "latchkey_mail_retries_total" Counter [""] "Attempts that failed and are made again.";
    "latchkey_mail_dead_total" Counter [""] "Mails given up by this node.";
    "latchkey_webhooks_pending" Gauge [""] "Outgoing webhooks that wait, of all nodes.";
    "latchkey_webhooks_oldest_seconds" Gauge [""] "Age of the oldest that waits.";
    "latchkey_webhooks_dead" Gauge [""] "Outgoing webhooks given up.";
    "latchkey_webhooks_sent_total" Counter ["endpoint"] "Webhooks that an endpoint took.";
    "latchkey_webhooks_failed_total" Counter ["endpoint"] "Attempts that an endpoint did not take.";
    "latchkey_kyc_webhooks_total" Counter ["provider, result"] "Webhooks of providers, by what became of them.";
    "latchkey_kyc_backlog" Gauge [""] "Webhooks of providers that wait to be worked on, of all nodes.";
    "latchkey_kyc_oldest_seconds" Gauge [""] "How long the one that is due first has been there.";
    "latchkey_kyc_unknown_total" Counter ["provider"] "Webhooks about nobody here.";
    "latchkey_kyc_dead_total" Counter ["provider"] "Webhooks given up.";
    "latchkey_breach_checks_total" Counter ["outcome"] "Questions to the service that knows breached passwords. All outcomes but `listed` and `not_listed` let the password pass: `busy` (too many at once), `timeout`, `unreachable`, `status`, `too_large`, `malformed`.";
    "latchkey_transit_requests_total" Counter ["outcome"] "Requests to Transit: `answered`, `refused` or `unanswered`.";
    "latchkey_trace_spans_total" Counter ["outcome"] "Spans `sent`, `failed` because the collector did not take them, or `dropped` because too many waited.";
    "process_cpu_seconds_total" Counter [""] "CPU time used.";
    "process_resident_memory_bytes" Gauge [""] "Memory in use.";
    "process_virtual_memory_bytes" Gauge [""] "Address space in use.";
    "process_virtual_memory_max_bytes" Gauge [""] "Address space that may be used.";
    "process_open_fds" Gauge [""] "Open files and connections.";
    "process_max_fds" Gauge [""] "Files and connections that may be open.";
    "process_threads" Gauge [""] "Threads.";
    "process_start_time_seconds" Gauge [""] "When the process started, in seconds since 1970.";
}

/// The page of all metrics. Counting begins with it, and it is shown once there is a server to count.
pub struct Page {
    listener: TcpListener,
    handle: PrometheusHandle,
}

impl Page {
    /// `None` when no address is configured for it; then metrics cost next to nothing.
    pub async fn begin(config: &Config) -> Result<Option<Self>, String> {
        let Some(address) = &config.metrics_listen else { return Ok(None) };
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| format!("metrics_listen: {address}: {error}"))?;
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_size".into()), &SIZES))
            .and_then(PrometheusBuilder::install_recorder)
            .map_err(|error| format!("metrics: {error}"))?;
        describe();
        Ok(Some(Self { listener, handle }))
    }

    /// Shows it until the process ends: counts are read to the last.
    pub fn show(self, services: Arc<Services>) -> Result<SocketAddr, String> {
        let address = self.listener.local_addr().map_err(|error| format!("metrics_listen: {error}"))?;
        services.begin_counting();
        let handle = self.handle.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP).await;
                handle.run_upkeep();
            }
        });
        let process = metrics_process::Collector::default();
        let page = poem::endpoint::make_sync(move |_| {
            services.measure();
            process.collect();
            Response::builder().content_type("text/plain; version=0.0.4").body(self.handle.render())
        });
        let app = Arc::new(Route::new().at("/metrics", poem::get(page)));
        tokio::spawn(listener::serve(
            "metrics",
            self.listener,
            app,
            HttpLimits::default(),
            CancellationToken::new(),
            Duration::ZERO,
        ));
        Ok(address)
    }
}

/// Gives each its text, and counters that somebody waits for their zero: the first event must be seen as a rise.
fn describe() {
    for metric in ALL {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.meaning),
            Kind::Gauge => describe_gauge!(metric.name, metric.meaning),
            Kind::Histogram => describe_histogram!(metric.name, metric.meaning),
        }
        if metric.kind == Kind::Counter && metric.labels.is_empty() {
            counter!(metric.name).increment(0);
        }
    }
    for code in Code::ALL {
        counter!("latchkey_http_problems_total", "code" => code.name()).increment(0);
    }
    gauge!("latchkey_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}
