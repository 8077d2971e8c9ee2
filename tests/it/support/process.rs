//! Server processes and the place they live in: killed and started again on the same data, or side by side. What no
//! test inside the process can show is shown with these.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::Path;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement, TryGetable};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::mail::Mailbox;
use super::node::Output;
use super::{Answer, Database, Engine, Mail, Node, On, eventually};

/// A database, a directory, and settings that outlast each process.
pub struct Site {
    pub database: Database,
    settings: Vec<(String, String)>,
    mailbox: Mailbox,
}

impl On for Site {
    async fn on(engine: Engine) -> Self {
        Self::new(engine).await
    }
}

impl Site {
    /// Nothing there yet. Limits are off until [`Site::with_limits`]; mails are files.
    pub async fn new(engine: Engine) -> Self {
        let database = Database::create(engine).await;
        let mailbox = Mailbox::new(&database.directory.path().join("mail"));
        Self { database, settings: vec![], mailbox }
            .with("METRICS_LISTEN", "127.0.0.1:0")
            .with("LOG__LEVEL", "warn")
            .with("LIMITS__ENABLED", "false")
            .with("DATABASE_CONNECTIONS", "12")
    }

    /// With one more setting; the key comes without its prefix.
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.settings.push((format!("LATCHKEY_{key}"), value.to_owned()));
        self
    }

    /// With the limits that are there by default.
    pub fn with_limits(mut self) -> Self {
        self.settings.retain(|(key, _)| key != "LATCHKEY_LIMITS__ENABLED");
        self
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        self.settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    /// Starts a server here.
    pub async fn start(&self) -> Process {
        Process { node: Node::serve(&self.database, &self.environment()).await }
    }

    /// The same with the binary of another release.
    pub async fn start_program(&self, program: &Path) -> Process {
        let environment = self.environment();
        let command = self.database.command_of(program, &["serve"], &environment);
        Process { node: Node::serve_with(command, &self.database, &environment).await }
    }

    /// The same by another program, which is given the path of the binary behind its own arguments and becomes the server.
    pub async fn start_in(&self, program: &[&str], more: &[(&str, &str)]) -> Process {
        let settings = [&self.environment(), more].concat();
        let arguments = [&program[1..], &[env!("CARGO_BIN_EXE_latchkey")]].concat();
        let command = self.database.command_of(program[0].as_ref(), &arguments, &settings);
        Process { node: Node::serve_with(command, &self.database, &settings).await }
    }

    /// The same with settings for this process only; their keys come with the prefix.
    pub async fn start_with(&self, more: &[(&str, &str)]) -> Process {
        let settings = [&self.environment(), more].concat();
        Process { node: Node::serve(&self.database, &settings).await }
    }

    /// The real binary, to be started here.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.database.command(arguments, &self.environment())
    }

    pub async fn run_with(&self, arguments: &[&str], more: &[(&str, &str)]) -> Output {
        self.database.run(arguments, &[&self.environment(), more].concat()).await
    }

    /// Runs a command such as `doctor` here.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        self.database.run(arguments, &self.environment()).await
    }

    /// Another database than this one's own.
    pub async fn rows_of(&self, url: &str) -> Rows {
        Rows(super::database::connect(url).await)
    }

    /// The database as it stands.
    pub async fn rows(&self) -> Rows {
        Rows(self.database.connect().await)
    }

    pub fn mails_to(&self, email: &str) -> Vec<Mail> {
        self.mailbox.to(email).into_iter().map(|(_, _, mail)| mail).collect()
    }

    /// Signs up and confirms the address.
    pub async fn verified(&self, process: &Process, email: &str, password: &str) {
        process.anonymous().post("/auth/signup", &credentials(email, password)).await.assert_status(200);
        let token = self.mailbox.next(email).await.token();
        process.anonymous().post("/auth/verify-email", &json!({ "token": token })).await.assert_status(200);
    }
}

/// A server process. It is killed when dropped.
pub struct Process {
    pub node: Node,
}

impl Deref for Process {
    type Target = Node;
    fn deref(&self) -> &Node {
        &self.node
    }
}

impl Process {
    pub async fn login(&self, email: &str, password: &str) -> Session {
        Session::of(&self.anonymous().post("/auth/login", &credentials(email, password)).await)
    }

    pub async fn refresh(&self, token: &str) -> Answer {
        self.anonymous().post("/auth/refresh", &json!({ "refresh_token": token })).await
    }

    pub async fn profile(&self, access_token: &str) -> Answer {
        self.anonymous().bearer(access_token).get("/auth/profile").await
    }

    /// The sum of all series of a metric; zero when there is none.
    pub async fn metric(&self, name: &str) -> f64 {
        let page = self.node.metrics().get("/metrics").await.assert_status(200).text();
        let series = page.lines().filter_map(|line| line.strip_prefix(name));
        let series = series.filter(|rest| rest.starts_with([' ', '{']));
        series.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Argon2 hashes computed since the start.
    pub async fn hashes(&self) -> f64 {
        self.metric("latchkey_password_hash_seconds_count").await
    }
}

/// The tokens that a sign-in or a refresh answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub access: String,
    pub refresh: String,
}

impl Session {
    #[track_caller]
    pub fn of(answer: &Answer) -> Self {
        let answer = answer.clone().assert_status(200).json();
        let text = |name: &str| answer["session"][name].as_str().expect("a session").to_owned();
        Self { access: text("access_token"), refresh: text("refresh_token") }
    }
}

/// An open connection. Many of them can be opened first and then be used at the same moment.
pub struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    pub async fn open(address: SocketAddr) -> std::io::Result<Self> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    pub async fn post(&mut self, path: &str, body: &Value) -> hyper::Result<Answer> {
        self.call("POST", path, None, body).await
    }

    /// An error means that no whole answer came, which is all that the client of a dying server knows.
    pub async fn call(
        &mut self,
        method: &str,
        path: &str,
        bearer: Option<&str>,
        body: &Value,
    ) -> hyper::Result<Answer> {
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "id.example.com")
            .header(CONTENT_TYPE, "application/json");
        if let Some(token) = bearer {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        self.0.ready().await?;
        let response = self.0.send_request(request.body(Full::from(body.to_string())).unwrap()).await?;
        let (parts, body) = response.into_parts();
        Ok(Answer {
            what: format!("{method} {path}"),
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.collect().await?.to_bytes(),
        })
    }
}

pub fn credentials(email: &str, password: &str) -> Value {
    json!({ "email": email, "password": password })
}

/// A database as a test sees it.
pub struct Rows(pub DatabaseConnection);

impl Rows {
    /// The first column of the rows that `sql` finds.
    pub async fn column<T: TryGetable>(&self, sql: &str) -> Vec<T> {
        let statement = Statement::from_string(self.0.get_database_backend(), sql);
        let rows = self.0.query_all_raw(statement).await.unwrap();
        rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
    }

    pub async fn count(&self, from: &str) -> i64 {
        self.column(&format!("SELECT COUNT(*) FROM {from}")).await[0]
    }

    pub async fn execute(&self, sql: &str) {
        self.0.execute_unprepared(sql).await.unwrap();
    }

    /// Waits until the outbox has nothing left to send.
    pub async fn outbox_empty(&self) {
        eventually("an empty outbox", async || {
            (self.count("outbox_messages WHERE state = 'pending'").await == 0).then_some(())
        })
        .await;
    }
}
