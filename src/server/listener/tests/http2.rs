//! HTTP/2 without TLS, by an honest client and by others.

use super::*;

type H2Client = h2::client::SendRequest<hyper::body::Bytes>;

async fn h2_connect(server: &TestServer) -> (H2Client, JoinHandle<Result<(), h2::Error>>) {
    h2_connect_with(server, &h2::client::Builder::new()).await
}

async fn h2_connect_with(
    server: &TestServer,
    builder: &h2::client::Builder,
) -> (H2Client, JoinHandle<Result<(), h2::Error>>) {
    let (client, connection) = soon(builder.handshake(server.connect().await)).await.unwrap();
    (client, tokio::spawn(connection))
}

fn h2_get(path: &str) -> poem::http::Request<()> {
    poem::http::Request::get(format!("http://test{path}")).body(()).unwrap()
}

#[tokio::test]
async fn http2_is_spoken_with_prior_knowledge() {
    let mut server = TestServer::start(patient()).await;
    let (mut client, connection) = h2_connect(&server).await;
    let (held, _) = client.send_request(h2_get("/hold"), true).unwrap();
    let (quick, _) = client.send_request(h2_get("/"), true).unwrap();
    let mut body = soon(quick).await.unwrap().into_body();
    assert_eq!(soon(body.data()).await.unwrap().unwrap(), "hello");
    let (panicked, _) = client.send_request(h2_get("/panic"), true).unwrap();
    assert_eq!(soon(panicked).await.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);

    // A stop is announced by GOAWAY and leaves the stream in flight its answer.
    for _ in 0..3 {
        server.next_start().await;
    }
    server.shutdown.cancel();
    server.refuses().await;
    server.stage.gate.add_permits(1);
    assert_eq!(soon(held).await.unwrap().status(), StatusCode::OK);
    soon(connection).await.unwrap().unwrap();
    assert_eq!(server.stop().await, ShutdownReport { finished: 1, aborted: 0 });
}

/// What a request holds is bounded, and so is the number of requests: one for each connection, and as many more on all together.
#[tokio::test]
async fn requests_beyond_the_first_of_a_connection_share_a_bound() {
    let mut server = TestServer::start(HttpLimits { max_connections: 2, ..patient() }).await;
    let (mut greedy, _greedy) = h2_connect(&server).await;
    let mut held: Vec<_> = (0..3).map(|_| greedy.send_request(h2_get("/hold"), true).unwrap().0).collect();
    for _ in 0..3 {
        server.next_start().await;
    }
    let (surplus, _) = greedy.send_request(h2_get("/hold"), true).unwrap();
    let answer = soon(surplus).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()["retry-after"], "5");

    // Others still have a request each.
    let (mut modest, _modest) = h2_connect(&server).await;
    let (own, _) = modest.send_request(h2_get("/"), true).unwrap();
    assert_eq!(soon(own).await.unwrap().status(), StatusCode::OK);

    // A place is free again with the end of its answer; one of two has had a place of those that are shared.
    server.stage.gate.add_permits(2);
    for _ in 0..2 {
        let (answer, _, rest) = soon(futures_util::future::select_all(held)).await;
        let mut body = answer.unwrap().into_body();
        while soon(body.data()).await.is_some() {}
        held = rest;
    }
    let (next, _) = greedy.send_request(h2_get("/hold"), true).unwrap();
    server.stage.gate.add_permits(2);
    assert_eq!(soon(next).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed_although_it_pings() {
    let server = TestServer::start(HttpLimits { idle_timeout: SHORT, ..patient() }).await;
    let (mut client, mut connection) = soon(h2::client::handshake(server.connect().await)).await.unwrap();
    let mut pings = connection.ping_pong().unwrap();
    let connection = tokio::spawn(connection);
    let (answer, _) = client.send_request(h2_get("/"), true).unwrap();
    soon(answer).await.unwrap();
    soon(async { while pings.ping(h2::Ping::opaque()).await.is_ok() {} }).await;
    soon(connection).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_http2_client_that_grants_no_window_is_cut() {
    let limits = HttpLimits { request_timeout: SHORT, write_timeout: SHORT, ..patient() };
    let server = TestServer::start(limits).await;
    let (mut client, connection) =
        h2_connect_with(&server, h2::client::Builder::new().initial_window_size(0)).await;
    let (answer, _) = client.send_request(h2_get("/"), true).unwrap();
    let mut body = soon(answer).await.unwrap().into_body();
    assert!(soon(body.data()).await.unwrap().is_err());
    let _ = soon(connection).await.unwrap();
}

const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
/// GET http://test/ in HPACK.
const HEAD: &[u8] = b"\x82\x86\x84\x41\x04test";

/// What a client says first: the preface and empty settings.
fn preface() -> Vec<u8> {
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec()
}

fn push(frames: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    frames.extend(&u32::try_from(payload.len()).unwrap().to_be_bytes()[1..]);
    frames.extend([kind, flags]);
    frames.extend(stream.to_be_bytes());
    frames.extend(payload);
}

/// Sends these frames; answers the error that the server ends the connection with.
async fn goaway_after(server: &TestServer, frames: Vec<u8>) -> Option<u8> {
    const GOAWAY: u8 = 0x7;
    let (mut receiver, mut sender) = server.connect().await.into_split();
    // The server may have heard enough before the end.
    let sending = tokio::spawn(async move { sender.write_all(&frames).await.map(|()| sender) });
    let mut answer = Vec::new();
    soon(async { while let Ok(1..) = receiver.read_buf(&mut answer).await {} }).await;
    drop(sending);
    let mut rest = &answer[..];
    let mut error = None;
    while let [0, 0, length, kind, _, _, _, _, _, after @ ..] = rest {
        let (payload, next) = after.split_at(usize::from(*length));
        error = (*kind == GOAWAY).then(|| payload[7]).or(error);
        rest = next;
    }
    error
}

const ENHANCE_YOUR_CALM: u8 = 0xb;

#[tokio::test]
async fn rapid_resets_end_an_http2_connection() {
    const RESET: u8 = 0x3;
    let mut frames = preface();
    for stream in (1..100_u32).step_by(2) {
        push(&mut frames, HEADERS, END_HEADERS, stream, HEAD);
        push(&mut frames, RESET, 0, stream, &[0, 0, 0, 8]);
    }
    let server = TestServer::start(patient()).await;
    assert_eq!(goaway_after(&server, frames).await, Some(ENHANCE_YOUR_CALM));
}

/// CVE-2024-27316 and its kin: a head that never ends.
#[tokio::test]
async fn a_flood_of_continuations_ends_an_http2_connection() {
    let mut frames = preface();
    push(&mut frames, HEADERS, END_STREAM, 1, HEAD);
    for number in 0..10_000_u32 {
        let field = [b"\x00\x08".as_slice(), format!("x{number:07}").as_bytes(), b"\x01y"].concat();
        push(&mut frames, CONTINUATION, 0, 1, &field);
    }
    let mut server = TestServer::start(patient()).await;
    assert_eq!(goaway_after(&server, frames).await, Some(ENHANCE_YOUR_CALM));
    assert!(server.started.try_recv().is_err());
}

/// One long field in the table, named again and again by a byte each: 16 kB that stand for 60 MB.
#[tokio::test]
async fn a_head_that_is_small_only_on_the_line_reaches_no_handler() {
    let mut frames = preface();
    let long = [b"\x40\x01x\x7f\xa1\x1d".as_slice(), &[b'y'; 3872]].concat();
    push(&mut frames, HEADERS, END_STREAM, 1, &[HEAD, &long].concat());
    push(&mut frames, CONTINUATION, END_HEADERS, 1, &[0xbe; 16_000]);
    // The client is done.
    push(&mut frames, 0x7, 0, 0, &[0; 8]);
    let mut server = TestServer::start(patient()).await;
    goaway_after(&server, frames).await;
    assert!(server.started.try_recv().is_err());
}
