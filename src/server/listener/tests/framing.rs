//! Requests that are too large, ambiguous or unwelcome.

use super::*;

#[tokio::test]
async fn an_oversize_head_is_answered_431() {
    let limits = patient();
    let head = format!("GET / HTTP/1.1\r\nhost: test\r\nx: {}\r\n\r\n", "x".repeat(limits.max_header_bytes));
    let mut server = TestServer::start(limits).await;
    let mut client = server.connect().await;
    // The server may have closed before all of it is sent.
    let _ = client.write_all(head.as_bytes()).await;
    assert!(read_to_end(&mut client).await.starts_with("HTTP/1.1 431 "));
    assert!(server.started.try_recv().is_err());
}

/// A client that goes on after its answer is hung up on before long.
#[tokio::test]
async fn what_follows_an_oversize_head_is_not_all_read() {
    let server = TestServer::start(patient()).await;
    let mut client = server.connect().await;
    let head = [b"GET / HTTP/1.1\r\nhost: test\r\nx: ".as_slice(), &vec![b'x'; 64 << 20]].concat();
    soon(client.write_all(&head)).await.unwrap_err();
}

/// Ambiguous framing (RFC 9112, section 11.2) is refused before the application sees it.
#[tokio::test]
async fn ambiguous_requests_are_refused() {
    let mut server = TestServer::start(patient()).await;
    for fields in [
        "content-length: 1\r\ncontent-length: 2\r\n",
        "content-length: +1\r\n",
        "content-length: 1, 2\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: \x0bchunked\r\n",
        "content-length : 1\r\n",
        "x: a\r\n b\r\n",
        "x: a\rb\r\n",
        "x: a\0b\r\n",
    ] {
        let mut client = server.connect().await;
        let request = format!("POST /echo HTTP/1.1\r\nhost: test\r\n{fields}\r\nx");
        client.write_all(request.as_bytes()).await.unwrap();
        let answer = read_to_end(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{fields:?}: {answer}");
        assert!(server.started.try_recv().is_err(), "{fields:?} reached the application");
    }
}

/// RFC 9112, section 6.3: with both, Transfer-Encoding alone counts, and the connection must not be used again: what
/// some other reading of the message would take for a second request is never looked at.
#[tokio::test]
async fn a_length_beside_chunks_smuggles_nothing() {
    let mut server = TestServer::start(patient()).await;
    for fields in [
        "content-length: 48\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 48\r\n",
    ] {
        let mut client = server.connect().await;
        let request = format!(
            "POST /echo HTTP/1.1\r\nhost: test\r\n{fields}\r\n2\r\nhi\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: test\r\n\r\n"
        );
        client.write_all(request.as_bytes()).await.unwrap();
        let answer = read_to_end(&mut client).await;
        assert!(answer.contains("connection: close\r\n"), "{answer}");
        assert!(answer.ends_with("hi"), "{answer}");
        assert_eq!(server.next_start().await, "/echo");
        assert!(server.started.try_recv().is_err());
    }
}

/// A client that learns only by a broken pipe that its upload is unwelcome never gets to read why.
#[tokio::test]
async fn an_answer_given_before_the_body_was_read_is_not_lost() {
    let server = TestServer::start(patient()).await;
    let body = vec![b'x'; 8 << 20];
    let mut client = server.connect().await;
    let head = format!("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n", body.len());
    client.write_all(head.as_bytes()).await.unwrap();
    soon(client.write_all(&body)).await.unwrap();
    client.shutdown().await.unwrap();
    assert!(read_to_end(&mut client).await.ends_with("hello"));
}
