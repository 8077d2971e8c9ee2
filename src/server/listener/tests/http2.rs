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

#[tokio::test]
async fn rapid_resets_end_an_http2_connection() {
    const HEADERS_ENDED: [u8; 2] = [0x1, 0x4];
    const RESET: [u8; 2] = [0x3, 0x0];
    const GOAWAY: u8 = 0x7;
    const ENHANCE_YOUR_CALM: u8 = 0xb;
    // GET http://test/ in HPACK
    let head = b"\x82\x86\x84\x41\x04test";

    let mut frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for stream in (1..100_u32).step_by(2) {
        for (kind, payload) in [(HEADERS_ENDED, &head[..]), (RESET, &[0, 0, 0, 8])] {
            frames.extend([0, 0, payload.len() as u8]);
            frames.extend(kind);
            frames.extend(stream.to_be_bytes());
            frames.extend(payload);
        }
    }
    let server = TestServer::start(patient()).await;
    let mut client = server.connect().await;
    client.write_all(&frames).await.unwrap();
    let mut answer = Vec::new();
    soon(client.read_to_end(&mut answer)).await.unwrap();
    let mut rest = &answer[..];
    let mut error = None;
    while let [0, 0, length, kind, _, _, _, _, _, after @ ..] = rest {
        let (payload, next) = after.split_at(usize::from(*length));
        error = (*kind == GOAWAY).then(|| payload[7]).or(error);
        rest = next;
    }
    assert_eq!(error, Some(ENHANCE_YOUR_CALM), "{answer:?}");
}
