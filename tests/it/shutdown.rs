//! How a server process ends.

use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::support::process::{Process, Session, Site, credentials};
use crate::support::{Database, Engine, Node, PASSWORD, PUBLIC_URL, eventually};

on_both_engines! {
    async fn a_server_that_is_told_to_stop_stops_in_order(engine: Engine) {
        let database = Database::create(engine).await;
        let node = Node::serve(&database, &[]).await;
        assert!(node.announced.contains(&format!("Docs   {PUBLIC_URL}/docs/")), "{}", node.announced);
        node.anonymous().get("/livez").await.assert_status(200);
        let log = node.log_file();
        assert_eq!(node.terminate().await, Some(0));
        let log = std::fs::read_to_string(log).unwrap();
        assert!(log.contains("Stopped") && !log.contains("cut short"), "{log}");
    }

    async fn what_was_acknowledged_survives_a_kill(engine: Engine) {
        let database = Database::create(engine).await;
        let body = json!({ "email": "ada@example.com", "password": PASSWORD });
        let node = Node::serve(&database, &[]).await;
        node.anonymous().post("/auth/signup", &body).await.assert_status(200);
        node.kill().await;
        let node = Node::serve(&database, &[]).await;
        node.anonymous().post("/auth/login", &body).await.assert_error(403, "email_not_verified");
    }
}

on_both_engines! {
    /// Sign-ins whose hashes are being computed, on a server that is told to stop.
    async fn requests_under_way_are_answered(site: Site) {
        // Long enough to be caught at it: one thread, and a hash that takes a while.
        let site = site.with("HASHING__THREADS", "1").with("HASHING__ITERATIONS", "20");
        let mut server = site.start().await;
        site.verified(&server, "ada@example.com", PASSWORD).await;
        let logins: Vec<_> = (0..4)
            .map(|_| {
                let client = server.anonymous();
                let body = credentials("ada@example.com", PASSWORD);
                tokio::spawn(async move { client.post("/auth/login", &body).await })
            })
            .collect();
        eventually("sign-ins that wait", async || {
            (server.metric("latchkey_queue_waiting{queue=\"password\"}").await >= 1.0).then_some(())
        })
        .await;
        server.ask_to_stop().await;
        eventually("a closed door", async || tokio::net::TcpStream::connect(server.address).await.err()).await;
        let mut sessions = vec![];
        for login in logins {
            sessions.push(Session::of(&login.await.unwrap()));
        }
        assert_eq!(server.node.ended().await, Some(0));
        assert!(!site_log(&server).contains("cut short"));

        let server = site.start().await;
        for session in sessions {
            server.profile(&session.access).await.assert_status(200);
        }
    }

    /// A client that never finishes its request does not hold the server up.
    async fn what_hangs_is_cut_when_the_time_is_over(site: Site) {
        let site = site.with("HTTP__SHUTDOWN_SECONDS", "1");
        let mut server = site.start().await;
        let mut tcp = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let head = "POST /auth/login HTTP/1.1\r\nHost: id.example.com\r\nContent-Type: application/json\r\n\
                    Content-Length: 100\r\n\r\n{";
        tcp.write_all(head.as_bytes()).await.unwrap();
        eventually("the connection", async || (server.metric("latchkey_http_connections{listener=\"api\"}").await >= 1.0).then_some(()))
            .await;
        server.ask_to_stop().await;
        assert_eq!(server.node.ended().await, Some(0));
        assert!(site_log(&server).contains("1 connections were cut short"), "{}", site_log(&server));
    }
}

fn site_log(server: &Process) -> String {
    std::fs::read_to_string(server.log_file()).unwrap()
}
