//! One connection: what it is doing, since when, and the alarm that ends it.

use std::{
    future::{Future, poll_fn},
    io::{self, IoSlice},
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use poem::{
    Addr, Endpoint,
    http::Version,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, TryAcquireError},
    time::{Instant, sleep_until, timeout},
};

use super::{Server, exchange};

/// In place of a time: not now.
const NEVER: u64 = u64::MAX;

/// How long to go on reading what a client sends of a request that has been answered early.
const LINGER: Duration = Duration::from_secs(5);

/// How many bytes of what is no request, such as a head without an end: to throw them away costs others as much as to read them.
const LINGER_BYTES: u64 = 1024 * 1024;

/// The state of a connection, kept by its socket, its requests and its driver.
///
/// The fields are independent hints for the alarm, which looks again before it acts; hence relaxed atomics and no
/// lock. Times are nanoseconds since `opened`.
pub(super) struct Connection<E> {
    pub(super) server: Arc<Server<E>>,
    pub(super) local: LocalAddr,
    pub(super) remote: RemoteAddr,
    opened: Instant,
    /// Requests whose answer has not been handed over in full.
    in_flight: AtomicUsize,
    /// When a head began to arrive, a request began, or a part of an answer was produced.
    last_event: AtomicU64,
    /// A head is arriving, or the first one is due.
    awaiting_head: AtomicBool,
    http2: AtomicBool,
    /// Since when the client has taken nothing of what is there to be written, or [`NEVER`].
    blocked_since: AtomicU64,
    /// Take no more requests. Set from anywhere, acted on by the driver.
    closing: AtomicBool,
    /// Another one needs the place; don't wait for a head.
    unwanted: AtomicBool,
    driver: AtomicWaker,
    /// How many bytes to go on reading at most, if the last request was answered without having been read to its end; else 0.
    unread: AtomicU64,
    /// What the protocol left of the socket of such a request.
    leftover: Mutex<Option<TcpStream>>,
}

impl<E> Connection<E> {
    pub(super) fn new(server: Arc<Server<E>>, tcp: &TcpStream, remote: SocketAddr) -> Self {
        // For speed only; a socket that refuses is about to fail anyway.
        let _ = tcp.set_nodelay(true);
        let local = tcp.local_addr().map(Addr::from).unwrap_or_default();
        Self {
            server,
            local: LocalAddr(local),
            remote: RemoteAddr(remote.into()),
            opened: Instant::now(),
            in_flight: AtomicUsize::new(0),
            last_event: AtomicU64::new(0),
            awaiting_head: AtomicBool::new(true),
            http2: AtomicBool::new(false),
            blocked_since: AtomicU64::new(NEVER),
            closing: AtomicBool::new(false),
            unwanted: AtomicBool::new(false),
            driver: AtomicWaker::new(),
            unread: AtomicU64::new(0),
            leftover: Mutex::new(None),
        }
    }

    /// Asks the connection to finish what is in flight and close.
    pub(super) fn close(&self) {
        self.closing.store(true, Relaxed);
        self.driver.wake();
    }

    /// Asks a connection without a request to close, even if a head has begun to arrive.
    pub(super) fn make_room(&self) {
        self.unwanted.store(true, Relaxed);
        self.close();
    }

    /// Since when the connection has been waiting for a request or the end of its head, if it is.
    pub(super) fn without_request_since(&self) -> Option<Instant> {
        let free = self.in_flight.load(Relaxed) == 0 && !self.is_blocked() && !self.closing.load(Relaxed);
        free.then(|| self.opened + self.last_event())
    }

    /// A part of an answer was produced.
    pub(super) fn progressed(&self) {
        self.last_event.store(self.now(), Relaxed);
    }

    /// A request was given up before the end of its body.
    pub(super) fn abandoned(&self) {
        self.unread.store(u64::MAX, Relaxed);
    }

    /// Answers how many others are in flight.
    fn began(&self, version: Version) -> usize {
        let others = self.in_flight.fetch_add(1, Relaxed);
        self.awaiting_head.store(false, Relaxed);
        self.unread.store(0, Relaxed);
        self.http2.store(version == Version::HTTP_2, Relaxed);
        self.progressed();
        others
    }

    fn received(&self) {
        // HTTP/2 frames may be pings and window updates, which don't announce a request.
        if self.is_idle() && !self.http2.load(Relaxed) {
            self.awaiting_head.store(true, Relaxed);
            self.progressed();
        }
    }

    fn wrote<T>(&self, result: &Poll<T>) {
        let was_blocked = self.is_blocked();
        if result.is_pending() && !was_blocked {
            self.blocked_since.store(self.now(), Relaxed);
        } else if result.is_ready() && was_blocked {
            self.blocked_since.store(NEVER, Relaxed);
        }
    }

    fn is_blocked(&self) -> bool {
        self.blocked_since.load(Relaxed) != NEVER
    }

    fn awaits_head(&self) -> bool {
        self.in_flight.load(Relaxed) == 0 && self.awaiting_head.load(Relaxed)
    }

    fn is_idle(&self) -> bool {
        self.in_flight.load(Relaxed) == 0 && !self.awaiting_head.load(Relaxed) && !self.is_blocked()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_nanos()).unwrap_or(NEVER)
    }

    fn last_event(&self) -> Duration {
        Duration::from_nanos(self.last_event.load(Relaxed))
    }

    /// When the connection must be over, unless something happens before.
    fn due(&self) -> Instant {
        let limits = &self.server.limits;
        let patience = if self.in_flight.load(Relaxed) > 0 {
            // The request's own timeout answers first; this is for an answer that an HTTP/2 client's closed window
            // holds up, which the socket doesn't notice.
            limits.request_timeout + limits.write_timeout
        } else if self.closing.load(Relaxed) {
            limits.write_timeout
        } else if self.awaiting_head.load(Relaxed) {
            limits.header_timeout
        } else {
            limits.idle_timeout
        };
        let due = self.opened + self.last_event() + patience;
        match self.blocked_since.load(Relaxed) {
            NEVER => due,
            since => due.min(self.opened + Duration::from_nanos(since) + limits.write_timeout),
        }
    }
}

/// A request in flight, from its head to the end of its answer's body.
pub(super) struct InFlight<E> {
    connection: Arc<Connection<E>>,
    /// None for the first request of a connection, which always has a place.
    place: Option<Result<OwnedSemaphorePermit, TryAcquireError>>,
}

impl<E> InFlight<E> {
    fn begin(connection: &Arc<Connection<E>>, version: Version) -> Self {
        let first = connection.began(version) == 0;
        let server = &connection.server;
        let place = (!first).then(|| Arc::clone(&server.more_requests).try_acquire_owned());
        if let Some(Ok(_)) = place {
            server.more_requests_now.increment(1.0);
        }
        Self { connection: Arc::clone(connection), place }
    }

    pub(super) fn connection(&self) -> &Arc<Connection<E>> {
        &self.connection
    }

    /// There are too many others.
    pub(super) fn is_surplus(&self) -> bool {
        matches!(self.place, Some(Err(_)))
    }
}

impl<E> Drop for InFlight<E> {
    fn drop(&mut self) {
        if let Some(Ok(_)) = self.place {
            self.connection.server.more_requests_now.decrement(1.0);
        }
        self.connection.in_flight.fetch_sub(1, Relaxed);
    }
}

/// Speaks HTTP on `tcp` until either side is done or a deadline has passed.
pub(super) async fn drive<E: Endpoint + 'static>(connection: Arc<Connection<E>>, tcp: TcpStream) {
    speak(&connection, tcp).await;
    // To close a socket that holds unread bytes resets it, and the client may lose the answer (RFC 9112, section 9.6).
    let leftover = connection.leftover.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(tcp) = leftover {
        // On the heap: an array would be part of every connection's task.
        let mut scratch = vec![0; 16 * 1024];
        let mut rest = tcp.take(connection.unread.load(Relaxed));
        let drained = async { while let Ok(1..) = rest.read(&mut scratch).await {} };
        let _ = timeout(LINGER, drained).await;
    }
}

async fn speak<E: Endpoint + 'static>(connection: &Arc<Connection<E>>, tcp: TcpStream) {
    let limits = &connection.server.limits;
    let service = service_fn({
        let connection = Arc::clone(connection);
        move |request| exchange::answer(InFlight::begin(&connection, request.version()), request)
    });
    let socket = TokioIo::new(Socket { tcp: Some(tcp), connection: Arc::clone(connection) });
    let mut http = pin!(connection.server.http.serve_connection(socket, service));
    // Set to the earliest deadline seen; when it rings early, it is set again. Steady traffic never touches it.
    let mut alarm = pin!(sleep_until(connection.due()));
    let mut told_to_close = false;
    poll_fn(|cx| {
        connection.driver.register(cx.waker());
        loop {
            // First of all, so that what has already arrived is answered even on a connection about to close.
            if let Poll::Ready(result) = http.as_mut().poll(cx) {
                if let Err(error) = result {
                    tracing::debug!(remote = %connection.remote, error, "connection failed");
                    connection.unread.store(LINGER_BYTES, Relaxed);
                }
                return Poll::Ready(());
            }
            if connection.unwanted.load(Relaxed) && connection.awaits_head() {
                connection.unread.store(0, Relaxed);
                return Poll::Ready(());
            }
            if connection.closing.load(Relaxed) && !told_to_close {
                told_to_close = true;
                if connection.in_flight.load(Relaxed) == 0 {
                    connection.progressed();
                }
                http.as_mut().graceful_shutdown();
                continue;
            }
            let due = connection.due();
            if due < alarm.deadline() {
                alarm.as_mut().reset(due);
            }
            ready!(alarm.as_mut().poll(cx));
            let (now, due) = (Instant::now(), connection.due());
            if now < due {
                // A request may end on another thread without waking this one, so don't oversleep its idle timeout.
                alarm.as_mut().reset(due.min(now + limits.idle_timeout));
            } else if connection.is_idle() && !told_to_close {
                connection.closing.store(true, Relaxed);
            } else {
                tracing::debug!(remote = %connection.remote, "connection timed out");
                connection.unread.store(0, Relaxed);
                return Poll::Ready(());
            }
        }
    })
    .await;
}

/// The socket, reporting to its connection.
struct Socket<E> {
    tcp: Option<TcpStream>,
    connection: Arc<Connection<E>>,
}

impl<E> Socket<E> {
    fn tcp(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.tcp.as_mut().expect("it is taken only on drop"))
    }
}

impl<E> Drop for Socket<E> {
    fn drop(&mut self) {
        let Some(tcp) = self.tcp.take() else { return };
        if self.connection.is_blocked() {
            // Else the kernel would go on for minutes offering the rest to a client that doesn't read.
            let _ = tcp.set_zero_linger();
        } else if self.connection.unread.load(Relaxed) > 0 {
            *self.connection.leftover.lock().unwrap_or_else(PoisonError::into_inner) = Some(tcp);
        }
    }
}

impl<E> AsyncRead for Socket<E> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = self.tcp().poll_read(cx, buf);
        if buf.filled().len() > before {
            self.connection.received();
        }
        result
    }
}

impl<E> AsyncWrite for Socket<E> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = self.tcp().poll_write(cx, buf);
        self.connection.wrote(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = self.tcp().poll_write_vectored(cx, bufs);
        self.connection.wrote(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_shutdown(cx)
    }
}
