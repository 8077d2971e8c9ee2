//! The test application and those who act on it.

mod app;
pub mod balancer;
mod client;
mod clock;
pub mod cluster;
mod database;
pub mod door;
#[macro_use]
mod engines;
pub mod gate;
pub mod line;
mod mail;
pub mod node;
mod passkey;
pub mod people;
pub mod pgbouncer;
pub mod process;
mod providers;
pub mod ranges;
pub mod receiver;
mod recovery;
pub mod smtp;
mod staff;
pub mod statements;
mod stubs;
mod totp;
pub mod transit;
mod user;
mod vendors;

pub use app::App;
pub use client::{Answer, Client};
pub use clock::ManualClock;
pub use database::{Database, Engine};
pub use engines::On;
pub use mail::{Mail, mailbox};
pub use node::Node;
pub use passkey::{Authenticator, assertion, base64url};
pub use providers::Providers;
pub use totp::Totp;
pub use user::{PASSWORD, User, claims};
pub use vendors::Vendors;

/// How clients reach every server under test, whatever its port: links and tokens name it.
pub const PUBLIC_URL: &str = "http://id.example.com";

/// The longest that anything is waited for.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// Says what a drill has counted, for `scripts/drill`.
pub fn counted(drill: &str, engine: Engine, words: &str) {
    let engine = match engine {
        Engine::Sqlite => "SQLite",
        Engine::Postgres => "PostgreSQL",
    };
    println!("counted: {drill} | {engine} | {words}");
}

/// Asks until there is an answer; fails when there is none for [`PATIENCE`].
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}
