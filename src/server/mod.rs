//! Builds the application from a configuration and serves it. The tests build it the same way.

mod background;
mod cors;
mod docs;
pub mod edge;
pub mod listener;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use poem::endpoint::BoxEndpoint;
use poem::http::Uri;
use poem::{Endpoint, EndpointExt, IntoEndpoint, Route};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::demands::Demands;
use crate::clock::Sources;
use crate::config::Config;
use crate::db::Db;
use crate::plugins::mail::{self, Transport};
use crate::services::Services;
use crate::telemetry::traces::Traces;
use crate::{api, files};

pub use listener::ShutdownReport;

/// A server that is ready to serve.
pub struct Server {
    pub services: Arc<Services>,
    pub address: SocketAddr,
    listener: TcpListener,
    transport: Arc<dyn Transport>,
    app: BoxEndpoint<'static>,
    /// Sends spans until the application is gone.
    spans: Option<JoinHandle<()>>,
}

impl Server {
    /// Opens the database, brings its schema up to date, makes what is missing and binds the port. The error is a line for
    /// the operator.
    pub async fn start(mut config: Config, sources: Sources) -> Result<Self, String> {
        files::private_directory(&config.data_dir)
            .map_err(|error| format!("data_dir: {}: {error}", config.data_dir.display()))?;
        let demands = Demands::new(&config.assurance.routes)?;
        let transport =
            mail::from_url(config.mail_url().expose()).map_err(|error| format!("mail_url: {error}"))?;
        let listener = TcpListener::bind(&config.listen)
            .await
            .map_err(|error| format!("listen: {}: {error}", config.listen))?;
        let address = listener.local_addr().map_err(|error| format!("listen: {error}"))?;
        // Port 0 means any; links and tokens name the one it became.
        config.listen = address.to_string();
        let config = Arc::new(config);
        let db = Db::connect(&config).await.map_err(|error| format!("database_url: {error}"))?;
        db.migrate().await.map_err(|error| schema_error(&error))?;
        let services = Arc::new(Services::start(Arc::clone(&config), db, sources).await?);
        let (traces, spans) = Traces::start(&services.config.traces)?.unzip();
        let app = routes(&services, demands, traces).boxed();
        Ok(Self { services, address, listener, transport, app, spans })
    }

    /// Where mail goes, in words, without credentials.
    #[must_use]
    pub fn mail_goes_to(&self) -> String {
        self.transport.describe()
    }

    /// Serves until `stop`, then finishes what is under way, within the configured bound, and closes the database.
    pub async fn run(self, stop: CancellationToken) -> ShutdownReport {
        let services = self.services;
        let background = background::start(&services, self.transport, &stop);
        let http = &services.config.http;
        let report = listener::serve(
            "api",
            self.listener,
            Arc::new(self.app),
            http_limits(http),
            stop,
            Duration::from_secs(http.shutdown_seconds),
        )
        .await;
        let bound = Duration::from_secs(http.shutdown_seconds);
        if tokio::time::timeout(bound, background.join_all()).await.is_err() {
            tracing::warn!("background work was cut short; what it had claimed will be done again");
        }
        if let Some(spans) = self.spans
            && tokio::time::timeout(bound, spans).await.is_err()
        {
            tracing::warn!("the last traces were not sent");
        }
        services.db.clone().close().await;
        report
    }
}

/// Why a schema can't be used, in words: the usual reason is a database that a newer release has migrated.
pub fn schema_error(error: &sea_orm::DbErr) -> String {
    let text = error.to_string();
    if text.contains("has been applied but its file is missing") {
        return "database_url: this database belongs to a newer release of Latchkey; upgrade this one".into();
    }
    format!("database_url: the schema can't be brought up to date: {text}")
}

fn routes(
    services: &Arc<Services>,
    demands: Demands,
    traces: Option<Traces>,
) -> edge::Edge<impl Endpoint + use<>> {
    // Nested at the root, they are asked for "/" too, before the routes beside them.
    let operations = api::service().into_endpoint().around(|operations, mut request| async move {
        if let Some(plain) = without_slash(request.uri()) {
            *request.uri_mut() = plain;
        }
        match request.uri().path() {
            "/" => docs::home().call(request).await,
            _ => operations.call(request).await.map(poem::IntoResponse::into_response),
        }
    });
    let routes = docs::add(api::pages::add(Route::new())).nest("/", operations);
    edge::Edge::new(routes, services, demands, traces)
}

/// Of a path that is published with a slash at its end, the spelling that the routes have.
fn without_slash(uri: &Uri) -> Option<Uri> {
    let plain = uri.path().strip_suffix('/').filter(|path| api::document::WITH_SLASH.contains(path))?;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{plain}{query}").parse().ok()
}

fn http_limits(http: &crate::config::Http) -> listener::HttpLimits {
    listener::HttpLimits {
        max_connections: http.max_connections,
        header_timeout: Duration::from_secs(http.header_timeout_seconds),
        idle_timeout: Duration::from_secs(http.idle_timeout_seconds),
        write_timeout: Duration::from_secs(http.write_timeout_seconds),
        // The body's own time limit answers first; this one is for what hangs.
        request_timeout: Duration::from_secs(http.body_timeout_seconds + 30),
        max_header_bytes: http.max_header_bytes,
        ..listener::HttpLimits::default()
    }
}
