//! `latchkey serve`

use std::io::Write;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::clock::Sources;
use crate::config::Config;
use crate::server::Server;
use crate::telemetry;

pub async fn run(config: Config) -> Result<(), String> {
    telemetry::log(&config.log);
    let page = telemetry::counts::Page::begin(&config).await?;
    let server = Server::start(config, Sources::system()).await?;
    let metrics = page.map(|page| page.show(Arc::clone(&server.services))).transpose()?;
    announce(&server, metrics);
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone()));
    let report = server.run(stop).await;
    if report.aborted > 0 {
        eprintln!("Stopped; {} connections were cut short", report.aborted);
    } else {
        eprintln!("Stopped");
    }
    Ok(())
}

/// Where everything is, for the person who has just started it.
fn announce(server: &Server, metrics: Option<std::net::SocketAddr>) {
    let config = &server.services.config;
    let url = config.public_url();
    let mut lines = vec![
        format!("Latchkey {} listens on {}", env!("CARGO_PKG_VERSION"), server.address),
        format!("  API    {url}"),
        format!("  Docs   {url}/docs/"),
        format!("  Mails  {}", server.mail_goes_to()),
    ];
    if let Some(address) = metrics {
        lines.push(format!("  Metrics http://{address}/metrics"));
    }
    if !config.limits.enabled {
        lines.push("  Warning: limits are off".into());
    }
    // Whoever started the server may have stopped reading; that is no reason to die.
    let _ = writeln!(std::io::stdout(), "{}", lines.join("\n"));
}

/// Ctrl-C or SIGTERM. A second one ends the process at once.
async fn stop_on_signal(stop: CancellationToken) {
    signal().await;
    eprintln!("Stopping; once more to stop at once");
    stop.cancel();
    signal().await;
    std::process::exit(130);
}

async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}
