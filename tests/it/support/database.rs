use std::sync::{LazyLock, mpsc};

use latchkey::entropy::Entropy;
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use tempfile::TempDir;

/// Where a test runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// An empty database and a data directory of their own, gone when the last server on them is.
pub struct Database {
    pub engine: Engine,
    pub directory: TempDir,
    url: String,
    name: String,
}

impl Database {
    pub async fn create(engine: Engine) -> Self {
        let directory = TempDir::with_prefix("latchkey-test-").unwrap();
        let name = format!("latchkey_{:016x}", u64::from_le_bytes(Entropy.bytes()));
        let url = match engine {
            Engine::Sqlite => format!("sqlite://{}", directory.path().join("latchkey.db").display()),
            Engine::Postgres => {
                let admin = admin_url();
                // template1 can't be copied while somebody looks into it.
                execute(&admin, &format!("CREATE DATABASE {name} TEMPLATE template0")).await;
                let (server, _) = admin.rsplit_once('/').unwrap();
                format!("{server}/{name}")
            }
        };
        Self { engine, directory, url, name }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection beside those of the server, for a look behind the scenes.
    pub async fn connect(&self) -> DatabaseConnection {
        connect(&self.url).await
    }

    /// Takes the database away while servers run on it.
    pub async fn destroy(&self) {
        match self.engine {
            Engine::Sqlite => panic!("a file that is open stays"),
            Engine::Postgres => execute(&admin_url(), &drop_statement(&self.name)).await,
        }
    }

    /// Ends the connections of all servers and lets nobody in, until [`Database::open`].
    pub async fn close(&self) {
        let name = &self.name;
        execute(&admin_url(), &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
        self.cut_connections().await;
    }

    pub async fn open(&self) {
        execute(&admin_url(), &format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", self.name)).await;
    }

    /// Ends all connections, as a database that is restarted does.
    pub async fn cut_connections(&self) {
        let cut = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname";
        execute(&admin_url(), &format!("{cut} = '{}'", self.name)).await;
    }

    /// Every value of every column of every table, as text; bytes in hexadecimal.
    pub async fn dump(&self) -> String {
        let connection = self.connect().await;
        let backend = connection.get_database_backend();
        let list = match self.engine {
            Engine::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table'",
            Engine::Postgres => "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'",
        };
        let mut dump = String::new();
        for table in connection.query_all_raw(Statement::from_string(backend, list)).await.unwrap() {
            let table: String = table.try_get("", "name").unwrap();
            dump.push_str(&format!("\n== {table}\n{}", dump_table(&connection, backend, &table).await));
        }
        connection.close().await.unwrap();
        dump
    }
}

async fn dump_table(connection: &DatabaseConnection, backend: DbBackend, table: &str) -> String {
    let columns = match backend {
        DbBackend::Sqlite => format!("SELECT name FROM pragma_table_info('{table}')"),
        _ => format!(
            "SELECT column_name::text AS name FROM information_schema.columns WHERE table_name = '{table}'"
        ),
    };
    let columns = connection.query_all_raw(Statement::from_string(backend, columns)).await.unwrap();
    let as_text: Vec<String> = columns
        .iter()
        .map(|column| column.try_get::<String>("", "name").unwrap())
        .map(|column| match backend {
            DbBackend::Sqlite => {
                let value = format!(
                    "CASE typeof(\"{column}\") WHEN 'blob' THEN hex(\"{column}\") ELSE \"{column}\" END"
                );
                format!("COALESCE('{column}=' || {value}, '')")
            }
            _ => format!("COALESCE('{column}=' || \"{column}\"::text, '')"),
        })
        .collect();
    let sql = format!("SELECT CAST({} AS TEXT) AS line FROM \"{table}\"", as_text.join(" || ' ' || "));
    let rows = connection.query_all_raw(Statement::from_string(backend, sql)).await.unwrap();
    rows.iter().map(|row| row.try_get::<String>("", "line").unwrap() + "\n").collect()
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.engine == Engine::Postgres {
            let _ = CLEANER.send(self.name.clone());
        }
    }
}

/// Drops databases behind the tests' backs; a destructor can't wait for a server.
static CLEANER: LazyLock<mpsc::Sender<String>> = LazyLock::new(|| {
    let (sender, names) = mpsc::channel::<String>();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        while let Ok(name) = names.recv() {
            runtime.block_on(execute(&admin_url(), &drop_statement(&name)));
        }
    });
    sender
});

fn drop_statement(name: &str) -> String {
    format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")
}

pub fn admin_url() -> String {
    std::env::var("LATCHKEY_TEST_POSTGRES").expect(
        "LATCHKEY_TEST_POSTGRES names no PostgreSQL server to make databases on: use scripts/test, which starts one",
    )
}

pub async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    sea_orm::Database::connect(options).await.unwrap()
}

async fn execute(url: &str, sql: &str) {
    let connection = connect(url).await;
    connection.execute_unprepared(sql).await.unwrap();
    connection.close().await.unwrap();
}
