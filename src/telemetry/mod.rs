//! Logs and metrics. No secret, no query string and no mail address goes into either.

pub mod counts;
pub mod traces;

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::config::{Log, LogFormat};

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
