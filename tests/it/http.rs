//! The protocol, on the real server: HTTP/2 without TLS, and clients that are slow, silent or too many.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::process::{Connection, Site};
use crate::support::{Engine, PATIENCE};

/// Reads until the server closes the connection.
async fn rest(tcp: &mut TcpStream) -> String {
    let mut all = vec![];
    let read = timeout(PATIENCE, tcp.read_to_end(&mut all)).await.expect("the server closes the connection");
    read.unwrap();
    String::from_utf8(all).unwrap()
}

#[tokio::test]
async fn http_2_needs_no_upgrade() {
    let site = Site::new(Engine::Sqlite).await;
    let server = site.start().await;
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(connection);
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
        let mut answer = answer.await.unwrap();
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.headers()["x-request-id"], format!("stream-{number}"));
        let mut text = vec![];
        while let Some(data) = answer.body_mut().data().await {
            text.extend(data.unwrap());
        }
        let problem: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(problem["error"], "invalid_refresh_token");
    }
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
}
