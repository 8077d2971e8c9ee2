//! From the first connection to the last: the cap, panics, the stop.

use super::*;

#[tokio::test]
async fn a_request_is_answered_and_the_connection_kept() {
    let server = TestServer::start(patient()).await;
    let mut client = server.connect().await;
    for _ in 0..3 {
        get(&mut client, "/").await;
        assert!(read_answer(&mut client, "hello").await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    get(&mut client, "/error").await;
    assert!(read_answer(&mut client, "no such tea").await.starts_with("HTTP/1.1 418 "));
    assert_eq!(server.stop().await, ShutdownReport { finished: 1, aborted: 0 });
    assert_eq!(read_to_end(&mut client).await, "");
}

#[tokio::test]
async fn connections_beyond_the_cap_wait_for_room() {
    let mut server = TestServer::start(HttpLimits { max_connections: 2, ..patient() }).await;
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut client = server.connect().await;
        client.write_all(b"GET /hold HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await.unwrap();
        clients.push(client);
    }
    for _ in 0..2 {
        server.next_start().await;
    }
    for waiting in (0..4).rev() {
        server.stage.gate.add_permits(1);
        server.next_start().await;
        assert!(server.stage.running.load(Ordering::SeqCst) <= 2, "{waiting} waiting");
    }
    server.stage.gate.add_permits(2);
    for client in &mut clients {
        assert!(read_to_end(client).await.ends_with("held"));
    }
    assert_eq!(server.stage.peak.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn clients_that_come_at_once_are_all_let_in() {
    let server = TestServer::start(patient()).await;
    tokio::task::yield_now().await;
    // The server runs on this thread, and can accept none of them.
    let connect = |_| std::net::TcpStream::connect_timeout(&server.address, PATIENCE).unwrap();
    let clients: Vec<_> = (0..400).map(connect).collect();
    let mut last = TcpStream::connect(server.address).await.unwrap();
    get(&mut last, "/").await;
    read_answer(&mut last, "hello").await;
    drop(clients);
}

#[tokio::test]
async fn an_idle_connection_makes_room_for_a_new_one() {
    let server = TestServer::start(HttpLimits { max_connections: 1, ..patient() }).await;
    let mut idle = server.connect().await;
    get(&mut idle, "/").await;
    read_answer(&mut idle, "hello").await;

    let mut client = server.connect().await;
    get(&mut client, "/").await;
    read_answer(&mut client, "hello").await;
    assert_eq!(read_to_end(&mut idle).await, "");
}

#[tokio::test]
async fn a_connection_whose_head_does_not_come_makes_room_for_a_new_one() {
    let server = TestServer::start(HttpLimits { max_connections: 1, ..patient() }).await;
    for said in ["", "GET / HTT", "GET / HTTP/1.1\r\nhost: te", "PRI * HTTP/2.0\r\n\r\nSM"] {
        let mut slow = server.connect().await;
        slow.write_all(said.as_bytes()).await.unwrap();

        let mut client = server.connect().await;
        get(&mut client, "/").await;
        read_answer(&mut client, "hello").await;
        // What it had said is not read to its end, so the end may be a reset.
        let mut rest = Vec::new();
        let _ = soon(slow.read_to_end(&mut rest)).await;
        assert!(!rest.starts_with(b"HTTP/1.1 2"), "{said}");
    }
}

#[tokio::test]
async fn a_graceful_stop_finishes_what_is_in_flight() {
    let mut server = TestServer::start(patient()).await;
    let mut busy = server.connect().await;
    get(&mut busy, "/hold").await;
    let mut idle = server.connect().await;
    get(&mut idle, "/").await;
    read_answer(&mut idle, "hello").await;
    for _ in 0..2 {
        server.next_start().await;
    }

    server.shutdown.cancel();
    server.refuses().await;
    assert_eq!(read_to_end(&mut idle).await, "");
    server.stage.gate.add_permits(1);
    let answer = read_to_end(&mut busy).await;
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(answer.ends_with("held"), "{answer}");
    assert_eq!(server.stop().await, ShutdownReport { finished: 2, aborted: 0 });
}

#[tokio::test]
async fn the_grace_is_a_bound() {
    let mut server = TestServer::start_with_grace(patient(), SHORT).await;
    let mut client = server.connect().await;
    get(&mut client, "/hold").await;
    server.next_start().await;
    assert_eq!(server.stop().await, ShutdownReport { finished: 0, aborted: 1 });
    assert_eq!(read_to_end(&mut client).await, "");
}

#[tokio::test]
async fn a_panic_is_answered_and_harms_nobody() {
    let server = TestServer::start(patient()).await;
    let mut client = server.connect().await;
    get(&mut client, "/panic").await;
    let answer = read_answer(&mut client, "}").await;
    assert!(answer.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{answer}");
    assert!(!answer.contains("on purpose"), "{answer}");
    get(&mut client, "/").await;
    read_answer(&mut client, "hello").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_clients_at_once_are_all_served() {
    let server = TestServer::start(patient()).await;
    let mut clients = JoinSet::new();
    for _ in 0..32 {
        let mut client = server.connect().await;
        clients.spawn(async move {
            for _ in 0..50 {
                get(&mut client, "/").await;
                read_answer(&mut client, "hello").await;
            }
            client
        });
    }
    // They stay open, so that they are there to be counted.
    let clients = soon(clients.join_all()).await;
    assert_eq!(server.stop().await, ShutdownReport { finished: clients.len(), aborted: 0 });
}

#[tokio::test]
async fn accepting_survives_want_of_descriptors() {
    const EMFILE: i32 = 24;
    let freed = Arc::new(AtomicBool::new(false));
    tokio::spawn({
        let freed = Arc::clone(&freed);
        async move { freed.store(true, Ordering::SeqCst) }
    });
    let mut attempts = 0;
    let mut refused = false;
    let attempt = || {
        attempts += 1;
        // Others get to run between attempts, also when the failure is immediate.
        assert!(attempts < 10, "accepting spins");
        std::future::ready(match freed.load(Ordering::SeqCst) {
            false => Err(io::Error::from_raw_os_error(EMFILE)),
            true => Ok("socket"),
        })
    };
    assert_eq!(soon(accept(attempt, &mut refused)).await, "socket");
    assert_eq!(attempts, 2);
    assert!(!refused, "the next failure is worth a log line again");
}
