//! Clients that are silent, slow, greedy or mad, one kind after the other, while somebody goes on working: that person gets the
//! right answers, and memory stays below what docs/operations.md says.
//!
//! `LATCHKEY_TEST_ATTACK_SECONDS` is how long each kind goes on, and `LATCHKEY_TEST_PROGRAM` names the server, a release build of
//! this one where latency is to be read.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::support::process::{Connection, Process, Site, credentials};
use crate::support::{Engine, PASSWORD, PATIENCE, counted};

/// `http.max_connections`.
const MAX_CONNECTIONS: u32 = 1024;

/// What a client does, again and again, until its connection ends or it has had enough. It expects nothing.
type Turn = fn(SocketAddr) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + Send>>;

/// Each with the number of clients that are at it.
const KINDS: [(&str, usize, Turn); 10] = [
    ("silent connections", 3000, |address| Box::pin(stay_silent(address))),
    ("bodies byte by byte", 100, |address| Box::pin(drip(address))),
    ("answers not read", 100, |address| Box::pin(read_nothing(address))),
    ("half bodies over HTTP/2", 150, |address| Box::pin(send_half_bodies(address))),
    ("rapid resets", 4, |address| Box::pin(send(address, resets()))),
    ("endless continuations", 4, |address| Box::pin(send(address, continuations()))),
    ("60 MB packed in a head", 4, |address| Box::pin(send(address, packed_head()))),
    ("heads of 10 MB", 4, |address| Box::pin(send(address, long_head()))),
    ("JSON 100 deep", 8, |address| Box::pin(nest(address))),
    ("a flood of sign-ins", 400, |address| Box::pin(guess(address))),
];

async fn stay_silent(address: SocketAddr) -> std::io::Result<()> {
    TcpStream::connect(address).await?.read_u8().await.map(|_| ())
}

async fn drip(address: SocketAddr) -> std::io::Result<()> {
    let mut tcp = TcpStream::connect(address).await?;
    tcp.write_all(b"POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n").await?;
    tcp.write_all(b"Content-Length: 60000\r\n\r\n").await?;
    loop {
        tcp.write_all(b" ").await?;
        sleep(Duration::from_millis(50)).await;
    }
}

async fn read_nothing(address: SocketAddr) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    let mut tcp = socket.connect(address).await?;
    tcp.write_all(&b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n".repeat(50)).await?;
    sleep(Duration::from_secs(2)).await;
    Ok(())
}

async fn send_half_bodies(address: SocketAddr) -> std::io::Result<()> {
    let tcp = TcpStream::connect(address).await?;
    let (mut client, connection) = h2::client::handshake(tcp).await.map_err(std::io::Error::other)?;
    let connection = tokio::spawn(connection);
    let mut bodies = vec![];
    for _ in 0..100 {
        client = client.ready().await.map_err(std::io::Error::other)?;
        let request = hyper::Request::post(format!("http://{address}/auth/login"))
            .header("content-type", "application/json");
        let (answer, mut body) =
            client.send_request(request.body(()).unwrap(), false).map_err(std::io::Error::other)?;
        body.send_data(Bytes::from_static(&[b' '; 60_000]), false).map_err(std::io::Error::other)?;
        bodies.push((answer, body));
    }
    connection.await?.map_err(std::io::Error::other)
}

/// Says all of it, and reads until the server closes.
async fn send(address: SocketAddr, what: Vec<u8>) -> std::io::Result<()> {
    let (mut receiver, mut sender) = TcpStream::connect(address).await?.into_split();
    let listening = tokio::spawn(async move {
        let mut scrap = vec![0; 16 * 1024];
        while let Ok(1..) = receiver.read(&mut scrap).await {}
    });
    let said = sender.write_all(&what).await;
    drop(sender);
    listening.await?;
    said
}

async fn nest(address: SocketAddr) -> std::io::Result<()> {
    let mut connection = Connection::open(address).await?;
    let deep = (0..100).fold(json!(0), |inner, _| json!([inner]));
    let body = json!({ "email": deep, "password": vec![deep.clone(); 100] });
    for _ in 0..100 {
        connection.post("/auth/login", &body).await.map_err(std::io::Error::other)?;
    }
    Ok(())
}

async fn guess(address: SocketAddr) -> std::io::Result<()> {
    let mut connection = Connection::open(address).await?;
    loop {
        let guess = credentials("ada@example.com", "a password that is wrong");
        connection.post("/auth/login", &guess).await.map_err(std::io::Error::other)?;
        sleep(Duration::from_millis(250)).await;
    }
}

const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
/// GET http://test/ in HPACK.
const HEAD: &[u8] = b"\x82\x86\x84\x41\x04test";

/// What a client of HTTP/2 says: the preface, empty settings, and these frames.
fn frames(frames: impl IntoIterator<Item = (u8, u8, u32, Vec<u8>)>) -> Vec<u8> {
    let mut all = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for (kind, flags, stream, payload) in frames {
        all.extend(&u32::try_from(payload.len()).unwrap().to_be_bytes()[1..]);
        all.extend([kind, flags]);
        all.extend(stream.to_be_bytes());
        all.extend(payload);
    }
    all
}

fn resets() -> Vec<u8> {
    const RESET: u8 = 0x3;
    frames((1..2000_u32).step_by(2).flat_map(|stream| {
        [(HEADERS, END_HEADERS, stream, HEAD.to_vec()), (RESET, 0, stream, vec![0, 0, 0, 8])]
    }))
}

fn continuations() -> Vec<u8> {
    let field = |number: u32| [b"\x00\x08".as_slice(), format!("x{number:07}").as_bytes(), b"\x01y"].concat();
    let first = (HEADERS, END_STREAM, 1, HEAD.to_vec());
    frames(std::iter::once(first).chain((0..10_000).map(|number| (CONTINUATION, 0, 1, field(number)))))
}

/// One long field in the table, named again and again by a byte each.
fn packed_head() -> Vec<u8> {
    let long = [HEAD, b"\x40\x01x\x7f\xa1\x1d", &[b'y'; 3872]].concat();
    frames([(HEADERS, END_STREAM, 1, long), (CONTINUATION, END_HEADERS, 1, vec![0xbe; 16_000])])
}

fn long_head() -> Vec<u8> {
    [b"GET /auth/profile HTTP/1.1\r\nHost: a\r\nX-Long: ".as_slice(), &vec![b'a'; 10 << 20]].concat()
}

/// Clients on a thread of their own until it is dropped. In life they have machines of their own; here that thread gets what the
/// server leaves of this one.
struct Crowd {
    turns: Arc<AtomicU64>,
    runtime: Option<Runtime>,
}

impl Crowd {
    fn start(address: SocketAddr, clients: usize, turn: Turn) -> Self {
        let turns = Arc::new(AtomicU64::new(0));
        let last = || rustix::process::setpriority_process(None, 19).unwrap();
        let runtime =
            Builder::new_multi_thread().worker_threads(1).on_thread_start(last).enable_all().build().unwrap();
        for _ in 0..clients {
            let turns = Arc::clone(&turns);
            runtime.spawn(async move {
                loop {
                    turns.fetch_add(1, Ordering::Relaxed);
                    // The server is expected to end it.
                    let _ = turn(address).await;
                    sleep(Duration::from_millis(10)).await;
                }
            });
        }
        Self { turns, runtime: Some(runtime) }
    }

    fn end(mut self) -> u64 {
        self.runtime.take().unwrap().shutdown_background();
        self.turns.load(Ordering::Relaxed)
    }
}

/// The p99 of waits in milliseconds, from when a request was due.
struct Waits {
    kept: f64,
    /// On a connection that had to be opened first.
    new: f64,
}

/// Two people read their profile at an even pace, one on a connection that is kept, the other on a new one each time. Each answer
/// must be the right one; a connection that was closed between requests is opened again.
async fn work(server: &Process, access: &str, seconds: u64) -> Waits {
    let (kept, new) = tokio::join!(
        read(server, access, seconds, Duration::from_millis(5), false),
        read(server, access, seconds, Duration::from_millis(100), true),
    );
    Waits { kept, new }
}

async fn read(server: &Process, access: &str, seconds: u64, pace: Duration, anew: bool) -> f64 {
    let open = async || Connection::open(server.address).await.unwrap();
    let mut connection = open().await;
    let began = Instant::now();
    let count = u32::try_from(Duration::from_secs(seconds).as_millis() / pace.as_millis()).unwrap();
    let mut waits = vec![];
    for number in 0..count {
        let due = began + pace * number;
        sleep_until(due).await;
        let answer = timeout(PATIENCE, async {
            if anew {
                connection = open().await;
            }
            loop {
                match connection.call("GET", "/auth/profile", Some(access), &Value::Null).await {
                    Ok(answer) => break answer,
                    Err(_) => connection = open().await,
                }
            }
        });
        let answer = answer.await.expect("an answer").assert_status(200).json();
        assert_eq!(answer["email"], "ada@example.com");
        waits.push(due.elapsed().as_secs_f64() * 1000.0);
    }
    waits.sort_by(f64::total_cmp);
    waits[waits.len() * 99 / 100]
}

/// Of the server's process, in MB.
fn memory(server: &Process, name: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<f64>().unwrap() * 1024.0 / 1e6
}

/// As many files as this process may open, less some.
fn sockets() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse::<usize>().unwrap_or(usize::MAX) / 2
}

on_both_engines! {
    async fn hostile_clients_cost_others_little_and_memory_stays_bounded(engine: Engine) {
        let seconds = std::env::var("LATCHKEY_TEST_ATTACK_SECONDS").map_or(1, |text| text.parse().unwrap());
        let site = Site::new(engine).await;
        let server = match std::env::var_os("LATCHKEY_TEST_PROGRAM") {
            Some(program) => site.start_program(Path::new(&program)).await,
            None => site.start().await,
        };
        site.verified(&server, "ada@example.com", PASSWORD).await;
        let access = server.login("ada@example.com", PASSWORD).await.access;
        let idle = work(&server, &access, seconds).await;
        let before = memory(&server, "VmRSS");

        let mut words = vec![];
        for (name, clients, turn) in KINDS {
            let crowd = Crowd::start(server.address, clients.min(sockets()), turn);
            let beside = work(&server, &access, seconds).await;
            words.push(format!("{name} {:.1} ({:.0} ms)", beside.kept / idle.kept, beside.new));
            assert!(crowd.end() > 0);
        }

        // The bound of docs/operations.md is for a release build; one for debugging is larger before anybody comes.
        let threads = server.metric("latchkey_password_threads").await;
        let base = if std::env::var_os("LATCHKEY_TEST_PROGRAM").is_some() { 80.0 } else { before.max(30.0) + 50.0 };
        let bound = base + threads * 19.0 * 1.048_576 + f64::from(MAX_CONNECTIONS) * 0.262_144;
        let most = memory(&server, "VmHWM");
        assert!(most < bound, "{most} MB of {bound}");
        assert!(!server.log().contains("panicked"), "{}", server.log());
        let words = format!(
            "200 right answers a second beside each kind; their p99 as a multiple of {:.2} ms when idle, and in brackets that of requests \
             on new connections ({:.0} ms when idle): {}; memory {most:.0} MB at most, of {bound:.0}",
            idle.kept, idle.new, words.join(", ")
        );
        counted("clients that are silent, slow, greedy or mad", engine, &words);
    }
}
