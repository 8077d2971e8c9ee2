//! Clients that take their time.

use super::*;

#[tokio::test]
async fn a_silent_socket_is_cut() {
    let server = TestServer::start(HttpLimits { header_timeout: SHORT, ..patient() }).await;
    assert_eq!(read_to_end(&mut server.connect().await).await, "");
}

#[tokio::test]
async fn a_dripping_head_is_cut() {
    let server = TestServer::start(HttpLimits { header_timeout: SHORT, ..patient() }).await;
    let mut client = server.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
    assert_eq!(drip(&mut client, b"x").await, "");
}

#[tokio::test]
async fn a_dripping_preface_is_cut() {
    let server = TestServer::start(HttpLimits { header_timeout: SHORT, ..patient() }).await;
    let mut client = server.connect().await;
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM").await.unwrap();
    assert_eq!(read_to_end(&mut client).await, "");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = TestServer::start(HttpLimits { idle_timeout: SHORT, ..patient() }).await;
    let mut client = server.connect().await;
    get(&mut client, "/").await;
    read_answer(&mut client, "hello").await;
    assert_eq!(read_to_end(&mut client).await, "");
}

#[tokio::test]
async fn drips_between_requests_do_not_keep_a_connection() {
    let limits = HttpLimits { idle_timeout: SHORT, header_timeout: SHORT, ..patient() };
    let server = TestServer::start(limits).await;
    let mut client = server.connect().await;
    get(&mut client, "/").await;
    read_answer(&mut client, "hello").await;
    // hyper skips empty lines before a request, so only the clock can end this.
    assert_eq!(drip(&mut client, b"\r\n").await, "");
}

#[tokio::test]
async fn a_slow_handler_outlives_the_timeouts_of_idle_clients() {
    let limits = HttpLimits { idle_timeout: SHORT, header_timeout: SHORT, write_timeout: SHORT, ..patient() };
    let mut server = TestServer::start(limits).await;
    let mut client = server.connect().await;
    get(&mut client, "/hold").await;
    server.next_start().await;
    // A silent connection opened later is cut first: its alarm has rung, and so has the other's.
    read_to_end(&mut server.connect().await).await;
    server.stage.gate.add_permits(1);
    read_answer(&mut client, "held").await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let mut server = TestServer::start(HttpLimits { write_timeout: SHORT, ..patient() }).await;
    // Once it answers, what it sets is set.
    let mut first = server.connect().await;
    get(&mut first, "/").await;
    read_answer(&mut first, "hello").await;
    server.next_start().await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = soon(socket.connect(server.address)).await.unwrap();
    get(&mut client, "/endless").await;
    server.next_start().await;
    // Only a cut ends the endless answer; the reset that follows discards what the client did not fetch.
    soon(async {
        while client.take_error().unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // The kernel has kept some of it.
    let kept = server.stage.parts.load(Ordering::SeqCst) * PART;
    assert!(kept < 1 << 20, "{kept}");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_answered_408_and_a_slow_handler_503() {
    let server = TestServer::start(HttpLimits { request_timeout: SHORT, ..patient() }).await;
    let mut client = server.connect().await;
    client.write_all(b"POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 1000\r\n\r\n").await.unwrap();
    let answer = drip(&mut client, b"x").await;
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    assert!(answer.contains("content-type: application/problem+json\r\n"), "{answer}");

    let mut client = server.connect().await;
    get(&mut client, "/hold").await;
    let answer = read_answer(&mut client, "}").await;
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
    assert!(answer.contains("retry-after: "), "{answer}");
}
