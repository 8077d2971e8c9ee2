//! The state of the server. The keys that verify its tokens are in `signing_keys`.

use serde_json::json;

use crate::support::{App, Database, Engine, Node, eventually};

on_both_engines! {
    async fn a_lively_server_is_ready_until_its_database_is_gone(app: App) {
        for path in ["/livez", "/readyz"] {
            assert_eq!(app.anonymous().get(path).await.assert_status(200).json(), json!({ "status": "ok" }));
        }
        app.services.db.clone().close().await;
        assert!(app.anonymous().get("/readyz").await.assert_error(503, "unavailable").retry_after() > 0);
        app.anonymous().get("/livez").await.assert_status(200);
        app.anonymous().get("/.well-known/jwks.json").await.assert_status(200);
    }

    async fn metrics_are_served_on_an_address_of_their_own(engine: Engine) {
        let database = Database::create(engine).await;
        let node = Node::serve(&database, &[("LATCHKEY_METRICS_LISTEN", "127.0.0.1:0")]).await;
        let metrics = node.metrics();
        node.anonymous().get("/livez").await.assert_status(200);
        let page = eventually("counts", async || {
            let page = metrics.get("/metrics").await.assert_status(200).text();
            page.contains("operation=\"liveness_get\"").then_some(page)
        })
        .await;
        assert!(page.contains("latchkey_http_request_seconds_bucket") && page.contains("status=\"200\""), "{page}");
        node.anonymous().get("/metrics").await.assert_error(404, "not_found");
        metrics.get("/livez").await.assert_status(404);
    }
}

#[tokio::test]
async fn a_server_whose_database_is_dropped_says_so_and_lives() {
    let app = App::start(Engine::Postgres, |_| {}).await;
    let ada = app.user("ada@example.com").await;
    app.database.destroy().await;
    app.anonymous().get("/readyz").await.assert_error(503, "unavailable");
    ada.profile().await.assert_error(503, "unavailable");
    app.anonymous().get("/livez").await.assert_status(200);
}
