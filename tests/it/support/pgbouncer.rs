//! PgBouncer between servers and PostgreSQL, with the settings that the README gives.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use url::Url;

use super::{Database, eventually};

/// Who runs it when the tests run as root, which it refuses to.
const NOBODY: u32 = 65_534;

pub struct PgBouncer {
    port: u16,
    _directory: TempDir,
    _process: Child,
}

impl PgBouncer {
    pub async fn start(database: &Database) -> Self {
        let program =
            std::env::var("LATCHKEY_TEST_PGBOUNCER").expect("LATCHKEY_TEST_PGBOUNCER: use scripts/test");
        let url = Url::parse(database.url()).unwrap();
        let directory = TempDir::with_prefix("latchkey-pgbouncer-").unwrap();
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let path = |name: &str| directory.path().join(name);
        let port = free_port();
        let users = format!("\"{}\" \"{}\"\n", url.username(), url.password().unwrap());
        std::fs::write(path("users"), users).unwrap();
        let settings = format!(
            "[databases]\n* = host={} port={}\n\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\n\
             pool_mode = transaction\nmax_prepared_statements = 200\n\
             ignore_startup_parameters = extra_float_digits,options\ndefault_pool_size = 6\n",
            url.host_str().unwrap(),
            url.port().unwrap(),
            path("users").display(),
        );
        std::fs::write(path("pgbouncer.ini"), settings).unwrap();
        let log = std::fs::File::create(path("log")).unwrap();
        let mut command = Command::new(program);
        command
            .arg(path("pgbouncer.ini"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        if std::fs::metadata("/proc/self")
            .is_ok_and(|process| std::os::unix::fs::MetadataExt::uid(&process) == 0)
        {
            command.uid(NOBODY).gid(NOBODY);
        }
        let process = command.spawn().unwrap();
        eventually("PgBouncer", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok())
            .await;
        Self { port, _directory: directory, _process: process }
    }

    /// The database behind it.
    pub fn url(&self, database: &Database) -> String {
        let mut url = Url::parse(database.url()).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.to_string()
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
