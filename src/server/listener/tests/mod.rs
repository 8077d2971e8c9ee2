//! Raw sockets over loopback. Every timeout but the one under test is too long to matter, and tests wait for the
//! server's move, not for time to pass. One thread runs client and server, so a slow machine slows both.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod framing;
mod http2;
mod lifecycle;
mod timeouts;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::stream;
use poem::{Body, Request, Response, endpoint::make, http::StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Semaphore, mpsc},
    task::JoinHandle,
    time::interval,
};

use super::*;

/// Far longer than anything here should take, and shorter than the limits that are not under test.
const PATIENCE: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(120);
const SHORT: Duration = Duration::from_millis(80);

fn patient() -> HttpLimits {
    HttpLimits {
        header_timeout: LONG,
        idle_timeout: LONG,
        write_timeout: LONG,
        request_timeout: LONG,
        ..HttpLimits::default()
    }
}

/// Waits for what should happen soon.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("should have happened by now")
}

/// What the handlers of a [`TestServer`] and its test share.
struct Stage {
    /// Requests to `/hold` wait here for a permit.
    gate: Semaphore,
    /// The path of every request, when its handler begins.
    started: mpsc::UnboundedSender<String>,
    running: AtomicUsize,
    peak: AtomicUsize,
    /// Of the answers to `/endless`.
    parts: AtomicUsize,
}

/// Bytes.
const PART: usize = 65_536;

struct TestServer {
    address: SocketAddr,
    stage: Arc<Stage>,
    started: mpsc::UnboundedReceiver<String>,
    shutdown: CancellationToken,
    task: JoinHandle<ShutdownReport>,
}

impl TestServer {
    async fn start(limits: HttpLimits) -> Self {
        Self::start_with_grace(limits, LONG).await
    }

    async fn start_with_grace(limits: HttpLimits, grace: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, started) = mpsc::unbounded_channel();
        let stage = Arc::new(Stage {
            gate: Semaphore::new(0),
            started: sender,
            running: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            parts: AtomicUsize::new(0),
        });
        let app = make({
            let stage = Arc::clone(&stage);
            move |request| handle(Arc::clone(&stage), request)
        });
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(serve("test", listener, Arc::new(app), limits, shutdown.clone(), grace));
        Self { address, stage, started, shutdown, task }
    }

    async fn connect(&self) -> TcpStream {
        soon(TcpStream::connect(self.address)).await.unwrap()
    }

    async fn next_start(&mut self) -> String {
        soon(self.started.recv()).await.unwrap()
    }

    /// Connections are refused once the server has stopped accepting.
    async fn refuses(&self) {
        soon(async {
            while TcpStream::connect(self.address).await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    async fn stop(self) -> ShutdownReport {
        self.shutdown.cancel();
        soon(self.task).await.unwrap()
    }
}

async fn handle(stage: Arc<Stage>, request: Request) -> poem::Result<Response> {
    let path = request.uri().path().to_owned();
    let running = stage.running.fetch_add(1, Ordering::SeqCst) + 1;
    stage.peak.fetch_max(running, Ordering::SeqCst);
    let _ = stage.started.send(path.clone());
    let response = match path.as_str() {
        "/hold" => {
            stage.gate.acquire().await.unwrap().forget();
            "held".into()
        }
        "/echo" => request.into_body().into_vec().await.unwrap().into(),
        "/error" => Err(poem::Error::from_string("no such tea", StatusCode::IM_A_TEAPOT))?,
        "/panic" => panic!("on purpose"),
        "/endless" => {
            let stage = Arc::clone(&stage);
            let parts = stream::repeat_with(move || {
                stage.parts.fetch_add(1, Ordering::SeqCst);
                Ok::<_, io::Error>(vec![b'x'; PART])
            });
            Body::from_bytes_stream(parts).into()
        }
        _ => "hello".into(),
    };
    stage.running.fetch_sub(1, Ordering::SeqCst);
    Ok(response)
}

/// Reads until the peer closes; a reset counts as that.
async fn read_to_end(socket: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut bytes = Vec::new();
    soon(async { while let Ok(1..) = socket.read_buf(&mut bytes).await {} }).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads an answer whose body ends in `end`.
async fn read_answer(socket: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    soon(async {
        while !bytes.ends_with(end.as_bytes()) {
            let count = socket.read_buf(&mut bytes).await.unwrap();
            assert_ne!(count, 0, "closed after {:?}", String::from_utf8_lossy(&bytes));
        }
    })
    .await;
    String::from_utf8(bytes).unwrap()
}

async fn get(socket: &mut TcpStream, path: &str) {
    socket.write_all(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes()).await.unwrap();
}

/// Sends one `drop` after another until the server closes the connection.
async fn drip(socket: &mut TcpStream, drop: &[u8]) -> String {
    let (mut reader, mut writer) = socket.split();
    let mut tick = interval(SHORT / 8);
    let dripping = async {
        loop {
            tick.tick().await;
            if writer.write_all(drop).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        rest = read_to_end(&mut reader) => rest,
        () = dripping => unreachable!(),
    }
}
