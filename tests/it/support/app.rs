use std::net::SocketAddr;
use std::sync::Arc;

use entities::audit_event;
use latchkey::config::Config;
use latchkey::secret::Secret;
use latchkey::server::{Server, ShutdownReport};
use latchkey::services::Services;
use sea_orm::{DatabaseConnection, EntityTrait, QueryOrder};
use serde_json::json;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::mail::Mailbox;
use super::{Answer, Client, Database, Engine, Mail, ManualClock, PASSWORD, PUBLIC_URL, User, eventually};

/// A server in this process, built as `main` builds it, on a port, a database and a directory of its own.
pub struct App {
    pub services: Arc<Services>,
    pub address: SocketAddr,
    pub clock: ManualClock,
    pub database: Arc<Database>,
    mailbox: Arc<Mailbox>,
    connection: OnceCell<DatabaseConnection>,
    stop: CancellationToken,
    task: JoinHandle<ShutdownReport>,
}

impl App {
    /// Limits are off unless `change` switches them on; mails are files; the clock is a [`ManualClock`].
    pub async fn start(engine: Engine, change: impl FnOnce(&mut Config)) -> Self {
        let database = Arc::new(Database::create(engine).await);
        let mailbox = Arc::new(Mailbox::new(&database.directory.path().join("mail")));
        Self::start_on(database, mailbox, ManualClock::new(), change).await
    }

    async fn start_on(
        database: Arc<Database>,
        mailbox: Arc<Mailbox>,
        clock: ManualClock,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        super::statements::listen();
        let mut config = config(&database);
        change(&mut config);
        let server = Server::start(config, clock.sources()).await.unwrap();
        let (services, address) = (Arc::clone(&server.services), server.address);
        let stop = CancellationToken::new();
        let task = tokio::spawn(server.run(stop.clone()));
        Self { services, address, clock, database, mailbox, connection: OnceCell::new(), stop, task }
    }

    /// One more server on the same database, data directory and clock.
    pub async fn sibling(&self, change: impl FnOnce(&mut Config)) -> Self {
        self.sibling_with(self.clock.clone(), change).await
    }

    /// The same with a clock of its own.
    pub async fn sibling_with(&self, clock: ManualClock, change: impl FnOnce(&mut Config)) -> Self {
        let (database, mailbox) = (Arc::clone(&self.database), Arc::clone(&self.mailbox));
        Self::start_on(database, mailbox, clock, change).await
    }

    /// Stops this server in order and starts another in its place.
    pub async fn restart(self, change: impl FnOnce(&mut Config)) -> Self {
        let (database, mailbox, clock) =
            (Arc::clone(&self.database), Arc::clone(&self.mailbox), self.clock.clone());
        self.stop().await;
        Self::start_on(database, mailbox, clock, change).await
    }

    pub async fn stop(mut self) -> ShutdownReport {
        self.stop.cancel();
        (&mut self.task).await.unwrap()
    }

    /// Somebody without credentials.
    pub fn anonymous(&self) -> Client {
        Client::new(self.address)
    }

    /// Somebody who signed up, confirmed the address and signed in.
    pub async fn user(&self, email: &str) -> User {
        self.verified(email, PASSWORD).await;
        self.login(email, PASSWORD).await
    }

    /// Signs up and confirms the address.
    pub async fn verified(&self, email: &str, password: &str) {
        self.sign_up(email, password).await;
        let token = self.mail_to(email).await.token();
        self.verify(&token).await.assert_status(200);
    }

    pub async fn sign_up(&self, email: &str, password: &str) -> Answer {
        let body = json!({ "email": email, "password": password });
        self.anonymous().post("/auth/signup", &body).await.assert_status(200)
    }

    pub async fn verify(&self, token: &str) -> Answer {
        self.anonymous().post("/auth/verify-email", &json!({ "token": token })).await
    }

    pub async fn login(&self, email: &str, password: &str) -> User {
        User::new(
            self.anonymous(),
            email,
            password,
            &self.try_login(email, password).await.assert_status(200),
        )
    }

    pub async fn try_login(&self, email: &str, password: &str) -> Answer {
        self.anonymous().post("/auth/login", &json!({ "email": email, "password": password })).await
    }

    pub async fn try_refresh(&self, refresh_token: &str) -> Answer {
        self.anonymous().post("/auth/refresh", &json!({ "refresh_token": refresh_token })).await
    }

    /// The next mail to this address; waits for it.
    pub async fn mail_to(&self, email: &str) -> Mail {
        self.mailbox.next(email).await
    }

    /// All mails to this address, once nothing is left to send.
    pub async fn mails_to(&self, email: &str) -> Vec<Mail> {
        eventually("an empty outbox", async || {
            (self.services.mail_backlog().await.unwrap().pending == 0).then_some(())
        })
        .await;
        self.mailbox.to(email).into_iter().map(|(_, _, mail)| mail).collect()
    }

    /// A connection to the database beside the server's.
    pub async fn connection(&self) -> &DatabaseConnection {
        self.connection.get_or_init(|| self.database.connect()).await
    }

    /// The audit trail, oldest first.
    pub async fn audit(&self) -> Vec<audit_event::Model> {
        let query = audit_event::Entity::find().order_by_asc(audit_event::Column::At);
        query.order_by_asc(audit_event::Column::Id).all(self.connection().await).await.unwrap()
    }

    /// The only event of this kind so far.
    #[track_caller]
    pub fn only_event(events: Vec<audit_event::Model>, action: &str) -> audit_event::Model {
        let mut found: Vec<_> = events.into_iter().filter(|event| event.action == action).collect();
        assert_eq!(found.len(), 1, "{action}: {found:?}");
        found.remove(0)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn config(database: &Database) -> Config {
    let mut config = Config {
        listen: "127.0.0.1:0".into(),
        data_dir: database.directory.path().to_owned(),
        database_url: Some(Secret::new(database.url().to_owned())),
        database_connections: 8,
        public_url: Some(PUBLIC_URL.parse().unwrap()),
        ..Config::default()
    };
    config.limits.enabled = false;
    // So that verifications can be begun.
    config.kyc.demo = true;
    config.http.shutdown_seconds = 5;
    config
}
