//! How a server process ends.

use serde_json::json;

use crate::support::{Database, Engine, Node, PASSWORD, PUBLIC_URL};

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
