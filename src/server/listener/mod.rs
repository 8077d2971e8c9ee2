//! Accepts connections and speaks HTTP/1.1 and HTTP/2 (prior knowledge, no TLS) on them within [`HttpLimits`].
//!
//! hyper's own header timer starts only once the protocol is known, also counts the idle time between requests, and
//! costs every request a timer. So hyper's is off, and each connection keeps one lazy alarm for all its deadlines
//! (`connection.rs`): a request costs it a few readings of the clock.

mod connection;
mod exchange;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, future::Future, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper_util::{rt::TokioExecutor, server::conn::auto};
use metrics::{counter, gauge};
use poem::Endpoint;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::{Id, JoinError, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use connection::Connection;

/// How long to wait after the system refused a connection for want of descriptors or memory.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// How often a full server looks for a connection to close while somebody waits.
const MAKE_ROOM_INTERVAL: Duration = Duration::from_millis(50);

/// What the kernel keeps of an answer until the client takes it, in bytes; it doubles that for itself. Left alone it keeps
/// megabytes, of memory that is nobody's, for each client that does not read.
const SEND_BUFFER: usize = 128 * 1024;

/// Clients that the kernel lets wait for [`serve`] to accept them, where tokio asks for 128. Those beyond hear nothing and try
/// again after a second: enough for proxies that come back all at once, and so few that nobody is long behind a flood.
const BACKLOG: i32 = 512;

/// hyper's smallest buffer; it panics below.
const MIN_HEADER_BYTES: usize = 8 * 1024;

/// What one server, connection and request may take.
#[derive(Debug, Clone)]
pub struct HttpLimits {
    /// Connections open at once. When all are taken, the one that has had no request for longest is closed to make room;
    /// if all have one, clients wait in the kernel's queue. Over HTTP/2 a connection may have more requests than one: there
    /// are as many of those, on all connections together, and beyond them the answer is 503.
    pub max_connections: usize,
    /// Within this a whole request head must arrive, counted from the connection's start or, on HTTP/1.1, from the
    /// first byte after the last answer.
    pub header_timeout: Duration,
    /// Within this, counted from the last answer, the next request must begin. Stray bytes don't extend it by more
    /// than `header_timeout`.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of an answer, and how long a closing connection may linger.
    pub write_timeout: Duration,
    /// For receiving the body and producing the answer. Beyond it the answer is 408 when the body was being waited
    /// for, else 503.
    pub request_timeout: Duration,
    /// The size of a request head in bytes, at least 8 KiB. Beyond it the answer is 431, as it is (on HTTP/1.1) for
    /// more than 100 fields.
    pub max_header_bytes: usize,
    /// Requests in flight on one HTTP/2 connection.
    pub h2_max_concurrent_streams: u32,
    /// Streams the client opened and reset before they were looked at ("rapid reset", CVE-2023-44487); beyond this
    /// many the connection is closed.
    pub h2_max_pending_resets: usize,
    /// Streams this server had to reset for the client's mistakes (CVE-2025-8671); beyond this many the connection
    /// is closed.
    pub h2_max_error_resets: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(60),
            max_header_bytes: 16 * 1024,
            h2_max_concurrent_streams: 100,
            h2_max_pending_resets: 20,
            h2_max_error_resets: 128,
        }
    }
}

/// What became of the connections that were open when [`serve`] was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Closed in order: idle, or after their last answer.
    pub finished: usize,
    /// Cut because they were still open when the grace was over.
    pub aborted: usize,
}

/// What all connections of a server share.
struct Server<E> {
    app: Arc<E>,
    limits: HttpLimits,
    http: auto::Builder<TokioExecutor>,
    /// For requests on connections that have one already. What a request may hold is bounded, so their number has to be.
    more_requests: Arc<Semaphore>,
    /// How many of those there are.
    more_requests_now: metrics::Gauge,
}

/// Serves `app` on `listener` until `shutdown` is cancelled; then takes no more connections, lets requests in flight
/// finish for at most `grace`, and cuts what is left.
///
/// An error of `app` is answered by its own response, a panic by 500. A handler is dropped where it waits when its
/// client goes away, its time is up or the grace is over.
///
/// What is counted of connections is counted under the listener's `name`.
pub async fn serve<E: Endpoint + 'static>(
    name: &'static str,
    listener: TcpListener,
    app: Arc<E>,
    limits: HttpLimits,
    shutdown: CancellationToken,
    grace: Duration,
) -> ShutdownReport {
    // Connections take after the socket they come from. Its queue is set by listening once more.
    let socket = socket2::SockRef::from(&listener);
    if let Err(error) = socket.set_send_buffer_size(SEND_BUFFER).and_then(|()| socket.listen(BACKLOG)) {
        tracing::warn!(%error, "send buffers and queue of the port are the system's");
    }
    let max_connections = limits.max_connections;
    let http = protocols(&limits);
    let more_requests = Arc::new(Semaphore::new(max_connections));
    let more_requests_now = gauge!("latchkey_http_more_requests", "listener" => name);
    let server = Arc::new(Server { app, limits, http, more_requests, more_requests_now });
    let connections = gauge!("latchkey_http_connections", "listener" => name);
    let evicted = counter!("latchkey_http_connections_evicted_total", "listener" => name);
    for limit in ["latchkey_http_connections_limit", "latchkey_http_more_requests_limit"] {
        gauge!(limit, "listener" => name).set(max_connections as f64);
    }

    // The accept loop alone owns the list of connections, so it needs no lock.
    let mut open: HashMap<Id, Arc<Connection<E>>> = HashMap::new();
    let mut tasks = JoinSet::new();
    // Only by accepting can one see that somebody waits; the one connection beyond the cap waits here, unread.
    let mut waiting: Option<(TcpStream, SocketAddr)> = None;
    let mut refused = false;
    let mut stop = pin!(shutdown.cancelled());
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(ended) = tasks.join_next_with_id() => forget(&mut open, &ended),
            socket = accept(|| listener.accept(), &mut refused), if waiting.is_none() => waiting = Some(socket),
            () = sleep(MAKE_ROOM_INTERVAL), if waiting.is_some() => {}
        }
        if tasks.len() < max_connections
            && let Some((tcp, remote)) = waiting.take()
        {
            let connection = Arc::new(Connection::new(Arc::clone(&server), &tcp, remote));
            let task = tasks.spawn(connection::drive(Arc::clone(&connection), tcp));
            open.insert(task.id(), connection);
        } else if waiting.is_some() && make_room(&open) {
            evicted.increment(1);
        }
        connections.set(tasks.len() as f64);
    }
    drop(waiting);
    drop(listener);

    let total = tasks.len();
    for connection in open.values() {
        connection.close();
    }
    let finishing = async {
        while let Some(ended) = tasks.join_next_with_id().await {
            forget(&mut open, &ended);
            connections.set(open.len() as f64);
        }
    };
    // Elapsing is no failure: what is left is aborted and counted below.
    let _ = timeout(grace, finishing).await;
    let aborted = tasks.len();
    tasks.shutdown().await;
    connections.set(0.0);
    ShutdownReport { finished: total - aborted, aborted }
}

fn protocols(limits: &HttpLimits) -> auto::Builder<TokioExecutor> {
    let max_header_bytes = limits.max_header_bytes.max(MIN_HEADER_BYTES);
    let mut http = auto::Builder::new(TokioExecutor::new());
    // `max_headers` stays at its default of 100: setting it makes hyper allocate the table for every request.
    http.http1().header_read_timeout(None).max_buf_size(max_header_bytes);
    // No keep-alive pings: they take a lock for every frame, and the alarm already finds dead peers.
    http.http2()
        .max_concurrent_streams(limits.h2_max_concurrent_streams)
        .max_header_list_size(u32::try_from(max_header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(limits.h2_max_pending_resets)
        .max_local_error_reset_streams(limits.h2_max_error_resets)
        // What a client may send ahead of the handlers: bodies are small here, and there are many connections.
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(64 * 1024);
    http
}

/// The next connection. `refused` remembers, between calls, that the system is out of resources, so that it is logged
/// once and not at every attempt.
async fn accept<T, F: Future<Output = io::Result<T>>>(
    mut attempt: impl FnMut() -> F,
    refused: &mut bool,
) -> T {
    loop {
        match attempt().await {
            Ok(socket) => {
                *refused = false;
                return socket;
            }
            // The client's doing, and only this client's.
            Err(error) if is_peer_error(&error) => {}
            Err(error) => {
                if !*refused {
                    tracing::error!(%error, "cannot accept connections; trying again");
                    *refused = true;
                }
                sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

fn is_peer_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn forget<E>(open: &mut HashMap<Id, Arc<Connection<E>>>, ended: &Result<(Id, ()), JoinError>) {
    let id = match ended {
        Ok((id, ())) => *id,
        Err(panicked) => {
            tracing::error!("a connection panicked");
            panicked.id()
        }
    };
    open.remove(&id);
}

/// Asks the connection that has been without a request for longest to close, if there is one. Silent clients count as well: else
/// those who open connections and say nothing would cost others theirs.
fn make_room<E>(open: &HashMap<Id, Arc<Connection<E>>>) -> bool {
    let free = open.values().filter_map(|connection| Some((connection.without_request_since()?, connection)));
    let longest = free.min_by_key(|(since, _)| *since);
    longest.is_some_and(|(_, connection)| {
        connection.make_room();
        true
    })
}
