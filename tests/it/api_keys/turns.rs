//! Tests of one credential, which take turns, at a service that answers when it is told to.

use sea_orm::ConnectionTrait;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{ADA, API_KEYS};
use crate::support::statements::Watch;
use crate::support::{Answer, App, Client, Engine, PATIENCE, User, eventually};

const TOKEN: &str = "ghp_aC3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5";
const ANOTHER: &str = "ghp_bD4eF6gH8jK0lM2nP4qR6sT8uV0wX2yZ4aB6";

/// What stands in for GitHub, whose test is a single request.
struct Service(TcpListener);

/// A test that waits for the answer. Dropped, it gets none.
struct Asked {
    tcp: TcpStream,
    head: String,
}

impl Service {
    /// With a server, somebody, and the path of a token that has not been tested.
    async fn start(engine: Engine) -> (Self, App, User, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let app = App::start(engine, |config| {
            config.vault.base_urls.insert("github.live".to_owned(), url);
        })
        .await;
        let ada = app.user(ADA).await;
        let body = json!({ "provider": "github", "name": "Code", "api_key": TOKEN, "test": false });
        let stored = ada.post(API_KEYS, &body).await.assert_status(200).json();
        let path = format!("{API_KEYS}{}", stored["data"]["id"].as_str().unwrap());
        (Self(listener), app, ada, path)
    }

    async fn asked(&self) -> Asked {
        let (mut tcp, _) = timeout(PATIENCE, self.0.accept()).await.expect("the service is asked").unwrap();
        let mut head: Vec<u8> = vec![];
        while !head.ends_with(b"\r\n\r\n") {
            assert!(tcp.read_buf(&mut head).await.unwrap() > 0, "a whole request");
        }
        Asked { tcp, head: String::from_utf8(head).unwrap() }
    }
}

impl Asked {
    /// Answers that the token works.
    async fn take(mut self) {
        let body = r#"{"login":"ada"}"#;
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        self.tcp.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    }
}

/// Begins a test.
fn begin(client: &Client, path: &str) -> JoinHandle<Answer> {
    let (client, path) = (client.clone(), format!("{path}/test-connection"));
    tokio::spawn(async move { client.post(&path, &json!({})).await })
}

/// Begins a test that waits for the one that is under way.
async fn begin_behind(client: &Client, path: &str) -> JoinHandle<Answer> {
    let watch = Watch::start();
    let test = begin(client, path);
    let tried =
        async || watch.take().iter().any(|sent| sent.sql.contains("SET busy_until = $1")).then_some(());
    eventually("a test that waits for its turn", tried).await;
    test
}

on_both_engines! {
    async fn a_test_that_reached_nothing_takes_back_no_verdict(engine: Engine) {
        let (service, _app, ada, path) = Service::start(engine).await;
        let first = begin(&ada, &path);
        let asked = service.asked().await;
        let second = begin_behind(&ada, &path).await;
        asked.take().await;
        assert_eq!(first.await.unwrap().assert_status(200).json()["success"], true);
        drop(service.asked().await);
        assert_eq!(second.await.unwrap().assert_status(200).json()["data"]["outcome"], "network");
        let known = ada.get(&path).await.assert_status(200).json()["data"].clone();
        assert_eq!((&known["status"], &known["last_test"]["outcome"]), (&json!("working"), &json!("network")));
    }

    async fn a_test_is_of_the_credential_that_is_there_when_its_turn_comes(engine: Engine) {
        let (service, _app, ada, path) = Service::start(engine).await;
        let first = begin(&ada, &path);
        let asked = service.asked().await;
        let second = begin_behind(&ada, &path).await;
        ada.patch(&path, &json!({ "api_key": ANOTHER })).await.assert_status(200);
        let asked_anew = service.asked().await;
        assert!(asked.head.contains(TOKEN) && asked_anew.head.contains(ANOTHER), "{}", asked_anew.head);
        asked_anew.take().await;
        assert_eq!(second.await.unwrap().assert_status(200).json()["success"], true);
        // Of the one before, nothing is kept.
        drop(asked);
        assert_eq!(first.await.unwrap().assert_status(200).json()["data"]["outcome"], "network");
        let known = ada.get(&path).await.assert_status(200).json()["data"].clone();
        assert_eq!((&known["status"], &known["last_test"]["outcome"]), (&json!("working"), &json!("ok")));
    }

    async fn a_client_that_goes_away_takes_no_turn_along(engine: Engine) {
        let (service, app, ada, path) = Service::start(engine).await;
        let mut gone = TcpStream::connect(app.address).await.unwrap();
        let request = format!(
            "POST {path}/test-connection HTTP/1.1\r\nHost: id.example.com\r\nAuthorization: Bearer {}\r\n\
             Content-Length: 0\r\n\r\n",
            ada.access_token
        );
        gone.write_all(request.as_bytes()).await.unwrap();
        let silent = service.asked().await;
        gone.shutdown().await.unwrap();
        // The server hangs up once it has noticed.
        let mut rest = vec![];
        let _ = timeout(PATIENCE, gone.read_to_end(&mut rest)).await.expect("the server hangs up");
        assert!(rest.is_empty(), "an answer to nobody");
        drop(silent);
        let again = begin(&ada, &path);
        service.asked().await.take().await;
        assert_eq!(again.await.unwrap().assert_status(200).json()["success"], true);
    }

    async fn a_turn_that_a_clock_took_that_was_ahead_is_over(engine: Engine) {
        let (service, app, ada, path) = Service::start(engine).await;
        let ahead = format!("UPDATE api_keys SET busy_until = {}", app.now().0 + 3_600_000);
        app.connection().await.execute_unprepared(&ahead).await.unwrap();
        let test = begin(&ada, &path);
        service.asked().await.take().await;
        assert_eq!(test.await.unwrap().assert_status(200).json()["success"], true);
    }
}
