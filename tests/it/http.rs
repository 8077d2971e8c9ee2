//! The protocol, on the real server: HTTP/2 without TLS, and clients that are slow, silent or too many.

use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::process::{Connection, Process, Site};
use crate::support::{Engine, PATIENCE, eventually};

/// Reads until the server closes the connection.
async fn rest(tcp: &mut TcpStream) -> String {
    let mut all = vec![];
    let read = timeout(PATIENCE, tcp.read_to_end(&mut all)).await.expect("the server closes the connection");
    read.unwrap();
    String::from_utf8(all).unwrap()
}

async fn http_2(server: &Process) -> h2::client::SendRequest<Bytes> {
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let (client, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The code of a problem.
async fn error(mut answer: hyper::Response<h2::RecvStream>) -> Value {
    let mut text = vec![];
    while let Some(data) = answer.body_mut().data().await {
        text.extend(data.unwrap());
    }
    serde_json::from_slice::<Value>(&text).unwrap()["error"].take()
}

#[tokio::test]
async fn http_2_needs_no_upgrade() {
    let site = Site::new(Engine::Sqlite).await;
    let server = site.start().await;
    let mut client = http_2(&server).await;
    let mut answers = vec![];
    for number in 0..8 {
        let request = hyper::Request::post(format!("http://{}/auth/refresh", server.address))
            .header("content-type", "application/json")
            .header("x-request-id", format!("stream-{number}"));
        let (answer, mut body) = client.send_request(request.body(()).unwrap(), false).unwrap();
        let text = json!({ "refresh_token": "no token of ours" }).to_string();
        body.send_data(text.into(), true).unwrap();
        answers.push(answer);
    }
    for (number, answer) in answers.into_iter().enumerate() {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.headers()["x-request-id"], format!("stream-{number}"));
        assert_eq!(error(answer).await, "invalid_refresh_token");
    }
}

/// One client may not take what is there for all, and whoever operates the server sees that it is this, not the database.
#[tokio::test]
async fn too_many_requests_on_one_connection_are_put_off_and_counted() {
    let site = Site::new(Engine::Sqlite).await.with("HTTP__MAX_CONNECTIONS", "2");
    let server = site.start().await;
    let mut client = http_2(&server).await;
    let sign_in = || {
        let request = hyper::Request::post(format!("http://{}/auth/login", server.address));
        request.header("content-type", "application/json").body(()).unwrap()
    };
    let more = async || server.metric("latchkey_http_more_requests{listener=\"api\"}").await;
    // Their bodies don't come. One is the connection's own, two are more.
    let waiting: Vec<_> = (0..3).map(|_| client.send_request(sign_in(), false).unwrap()).collect();
    eventually("as many as there may be", async || (more().await == 2.0).then_some(())).await;
    assert_eq!(server.metric("latchkey_http_more_requests_limit{listener=\"api\"}").await, 2.0);

    let (answer, _) = client.send_request(sign_in(), true).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (503, &"5".parse().unwrap()));
    assert_eq!(error(answer).await, "overloaded");
    assert_eq!(server.metric("latchkey_queue_refusals_total{queue=\"request\"}").await, 1.0);
    drop(waiting);
    eventually("they are gone", async || (more().await == 0.0).then_some(())).await;
}

#[tokio::test]
async fn slow_and_silent_clients_are_cut() {
    let site = Site::new(Engine::Sqlite)
        .await
        .with("HTTP__HEADER_TIMEOUT_SECONDS", "1")
        .with("HTTP__BODY_TIMEOUT_SECONDS", "1")
        .with("HTTP__IDLE_TIMEOUT_SECONDS", "1");
    let server = site.start().await;
    let open = async || TcpStream::connect(server.address).await.unwrap();

    let mut silent = open().await;
    let mut half_a_head = open().await;
    half_a_head.write_all(b"GET /livez HTTP/1.1\r\nHost: id.exam").await.unwrap();
    let mut half_a_body = open().await;
    let head = "POST /auth/login HTTP/1.1\r\nHost: id.example.com\r\nContent-Type: application/json\r\n\
                Content-Length: 100\r\n\r\n{\"email\":";
    half_a_body.write_all(head.as_bytes()).await.unwrap();
    let mut idle = open().await;
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: id.example.com\r\n\r\n").await.unwrap();
    // Byte after byte, without an end.
    let (mut dripping, mut drops) = open().await.into_split();
    let drip = tokio::spawn(async move {
        drops.write_all(b"GET /livez HTTP/1.1\r\nX-Drops: ").await.unwrap();
        while drops.write_all(b"a").await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });

    let (nothing, no_answer, timed_out, answered) =
        tokio::join!(rest(&mut silent), rest(&mut half_a_head), rest(&mut half_a_body), rest(&mut idle));
    assert_eq!(nothing, "");
    assert!(no_answer.is_empty() || no_answer.starts_with("HTTP/1.1 408"), "{no_answer}");
    assert!(timed_out.starts_with("HTTP/1.1 408") && timed_out.contains("request_timeout"), "{timed_out}");
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
    let mut scrap = vec![];
    let _ = timeout(PATIENCE, dripping.read_to_end(&mut scrap)).await.expect("dripping does not help");
    timeout(PATIENCE, drip).await.expect("the drops find no taker").unwrap();
    server.anonymous().get("/livez").await.assert_status(200);
}

/// Connections that rest make room for those that have something to say.
#[tokio::test]
async fn a_full_server_still_answers() {
    let site = Site::new(Engine::Sqlite).await.with("HTTP__MAX_CONNECTIONS", "2");
    let server = site.start().await;
    let mut resting = vec![];
    for _ in 0..8 {
        let mut connection = Connection::open(server.address).await.unwrap();
        let answer = timeout(PATIENCE, connection.call("GET", "/livez", None, &Value::Null)).await;
        assert_eq!(answer.expect("room is made").unwrap().status, 200);
        resting.push(connection);
    }
    let evicted = server.metric("latchkey_http_connections_evicted_total{listener=\"api\"}").await;
    assert!(evicted >= 6.0, "{evicted}");
}
