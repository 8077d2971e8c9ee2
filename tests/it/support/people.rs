//! People who use the service without pause, and know afterwards what should be there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::process::{Connection, Process, Session, Site};
use super::{Answer, PASSWORD};
use crate::api_keys::{API_KEYS, KEY, SECRET};

/// How patient all people are, and what they have met.
pub struct Tally {
    tries: usize,
    pause: Duration,
    answers: AtomicU64,
    refusals: AtomicU64,
    cuts: AtomicU64,
    over: AtomicBool,
}

impl Tally {
    /// Each request is made up to so many times, with a pause between.
    pub fn new(tries: usize, pause: Duration) -> Self {
        Self {
            tries,
            pause,
            answers: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
            over: AtomicBool::new(false),
        }
    }

    pub fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// Requests that were made again because the server said "later".
    pub fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }

    /// Requests that were made again because a connection had ended.
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Relaxed)
    }

    /// Lets everybody stop.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

pub struct Person {
    email: String,
    service: SocketAddr,
    connection: Option<Connection>,
    session: Session,
    stored: Vec<String>,
    names: usize,
    tally: Arc<Tally>,
}

impl Person {
    /// Opens an account at `server`; uses the service at `service`, which may be a balancer.
    pub async fn arrive(
        number: usize,
        site: &Site,
        server: &Process,
        service: SocketAddr,
        tally: &Arc<Tally>,
    ) -> Self {
        let email = format!("person-{number}@example.com");
        site.verified(server, &email, PASSWORD).await;
        let session = server.login(&email, PASSWORD).await;
        Self { email, service, connection: None, session, stored: vec![], names: 0, tally: Arc::clone(tally) }
    }

    /// A request as a client with a connection that is kept open makes it.
    async fn call(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        let tries = self.tally.tries;
        for _ in 0..tries {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => Connection::open(self.service).await.unwrap(),
            };
            let access = self.session.access.clone();
            let again = match connection.call(method, path, Some(&access), body).await {
                Ok(answer) if answer.status == 503 => {
                    assert!(answer.retry_after() > 0);
                    &self.tally.refusals
                }
                Ok(answer) => {
                    self.tally.answers.fetch_add(1, Ordering::Relaxed);
                    let goes = answer.header("connection").is_some_and(|value| value == "close");
                    self.connection = (!goes).then_some(connection);
                    return answer;
                }
                Err(_) => &self.tally.cuts,
            };
            again.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(self.tally.pause).await;
        }
        panic!("{method} {path} was refused {tries} times in a row");
    }

    /// Uses the service until the tally ends it; every answer must be the right one.
    pub async fn live(mut self) -> Self {
        for turn in 0.. {
            if self.tally.over.load(Ordering::Relaxed) {
                break;
            }
            match turn % 8 {
                0 => {
                    let body = json!({ "refresh_token": self.session.refresh });
                    self.session = Session::of(&self.call("POST", "/auth/refresh", &body).await);
                }
                2 => {
                    self.names += 1;
                    let body = json!({ "full_name": format!("Name {}", self.names) });
                    self.call("PATCH", "/auth/profile", &body).await.assert_status(200);
                }
                4 => self.store().await,
                6 => {
                    let path = self.stored.last().unwrap().clone();
                    self.reveal(&path).await;
                }
                _ => {
                    let profile =
                        self.call("GET", "/auth/profile", &Value::Null).await.assert_status(200).json();
                    assert_eq!(profile["email"], self.email.as_str());
                    let name = (self.names > 0).then(|| format!("Name {}", self.names));
                    assert_eq!(profile["full_name"], json!(name));
                }
            }
        }
        self
    }

    async fn store(&mut self) {
        let name = format!("Key {}", self.stored.len());
        let body =
            json!({ "provider": "binance", "name": name, "api_key": KEY, "secret": SECRET, "test": false });
        let answer = self.call("POST", API_KEYS, &body).await;
        let id = match answer.status {
            // The first try had arrived, only its answer had not.
            409 => {
                let list = self.call("GET", API_KEYS, &Value::Null).await.assert_status(200).json();
                let rows = list["data"]["api_keys"].as_array().unwrap().clone();
                rows.into_iter().find(|row| row["name"] == name.as_str()).unwrap()["id"].clone()
            }
            _ => answer.assert_status(200).json()["data"]["id"].clone(),
        };
        self.stored.push(format!("{API_KEYS}{}", id.as_str().unwrap()));
    }

    async fn reveal(&mut self, path: &str) {
        let answer =
            self.call("POST", &format!("{path}/decrypt"), &json!({})).await.assert_status(200).json();
        assert_eq!((&answer["data"]["api_key"], &answer["data"]["secret"]), (&json!(KEY), &json!(SECRET)));
    }

    /// Finds all that was stored.
    pub async fn find_everything(mut self) {
        assert!(!self.stored.is_empty());
        for path in self.stored.clone() {
            self.reveal(&path).await;
        }
    }
}
