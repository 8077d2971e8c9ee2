//! Logs and metrics. No secret, no query string and no mail address goes into either.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use poem::{Response, Route};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::config::{Config, Log, LogFormat};
use crate::server::listener::{self, HttpLimits};

/// Bounds of time histograms, in seconds.
const SECONDS: [f64; 12] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0];

/// Starts logging to standard error.
pub fn log(settings: &Log) {
    let filter: Targets = settings.level.parse().unwrap_or_default();
    // It announces at every start that there is nothing to do.
    let filter = filter.with_target("sea_orm_migration", tracing::Level::WARN);
    // It calls every wrong answer of a client an error, and shows all of it.
    let filter = filter.with_target("webauthn_rs", LevelFilter::OFF);
    let format = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let registry = tracing_subscriber::registry();
    // Set twice only by tests that start two servers.
    let _ = match settings.format {
        LogFormat::Human => registry.with(format.with_filter(filter)).try_init(),
        LogFormat::Json => registry
            .with(format.json().flatten_event(true).with_current_span(false).with_filter(filter))
            .try_init(),
    };
}

/// Starts counting. Without it, metrics cost next to nothing.
fn metrics() -> Result<PrometheusHandle, String> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| format!("metrics: {error}"))
}

/// Serves the counts on the address configured for them, if there is one.
pub async fn serve_metrics(config: &Config) -> Result<Option<SocketAddr>, String> {
    let Some(address) = &config.metrics_listen else { return Ok(None) };
    let failed = |error| format!("metrics_listen: {address}: {error}");
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let handle = metrics()?;
    let page = poem::endpoint::make_sync(move |_| {
        Response::builder().content_type("text/plain; version=0.0.4").body(handle.render())
    });
    let app = Arc::new(Route::new().at("/metrics", poem::get(page)));
    // Ends with the process: counts are read to the last.
    tokio::spawn(listener::serve(
        listener,
        app,
        HttpLimits::default(),
        CancellationToken::new(),
        Duration::ZERO,
    ));
    Ok(Some(address))
}
