use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{Client, Database, PATIENCE, PUBLIC_URL};

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Output {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    #[track_caller]
    pub fn assert_success(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Demands that the command failed and said why in these words, in a line or two.
    #[track_caller]
    pub fn assert_failure(self, words: &str) -> Self {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert!(self.stderr.contains(words), "`{words}` expected in {self:?}");
        assert!(self.stderr.lines().all(|line| line.starts_with("error: ")), "{self:?}");
        self
    }
}

impl Database {
    /// The real binary with the settings of a test, on this database and data directory.
    pub fn command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_latchkey").as_ref(), arguments, environment)
    }

    /// The same with the binary of another release.
    pub fn command_of(&self, program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(program);
        // Away from settings that lie about: the developer's own environment and file.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LATCHKEY_")) {
            command.env_remove(name);
        }
        command.current_dir(self.directory.path()).args(arguments);
        command.env("LATCHKEY_DATA_DIR", self.directory.path()).env("LATCHKEY_DATABASE_URL", self.url());
        command.env("LATCHKEY_LISTEN", "127.0.0.1:0").env("LATCHKEY_PUBLIC_URL", PUBLIC_URL);
        // What it says on its way is no error.
        command.env("LATCHKEY_LOG__LEVEL", "warn");
        for (name, value) in environment {
            match *value {
                "" => command.env_remove(name),
                value => command.env(name, value),
            };
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs the real binary to its end. An empty value removes a variable.
    pub async fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let output = timeout(PATIENCE, self.command(arguments, environment).output()).await;
        let output = output.unwrap_or_else(|_| panic!("{arguments:?} does not end")).unwrap();
        Output {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A server that is a process of its own, on the system's clock.
pub struct Node {
    pub address: SocketAddr,
    pub announced: String,
    log: PathBuf,
    process: Child,
}

impl Node {
    /// Starts `latchkey serve` and waits until it listens.
    pub async fn serve(database: &Database, environment: &[(&str, &str)]) -> Self {
        Self::serve_with(database.command(&["serve"], environment), database, environment).await
    }

    /// The same with a command that was made for it.
    pub async fn serve_with(mut command: Command, database: &Database, environment: &[(&str, &str)]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let log = database.directory.path().join(format!("node-{number}.log"));
        command.stdout(Stdio::piped()).stderr(File::create(&log).unwrap());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let is_set = |name: &str| environment.iter().any(|(other, _)| *other == name);
        let last = match () {
            () if is_set("LATCHKEY_LIMITS__ENABLED") => "  Warning",
            () if is_set("LATCHKEY_METRICS_LISTEN") => "  Metrics",
            () => "  Mails",
        };
        let mut announced = String::new();
        let mut address = None;
        let listening = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                announced.push_str(&line);
                announced.push('\n');
                if let Some((_, found)) = line.split_once(" listens on ") {
                    address = Some(found.parse().unwrap());
                }
                if line.starts_with(last) {
                    break;
                }
            }
        };
        timeout(PATIENCE, listening).await.expect("the server starts");
        let address = address.unwrap_or_else(|| {
            panic!("the server did not start: {}", std::fs::read_to_string(&log).unwrap())
        });
        // What else it prints must find a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { address, announced, log, process }
    }

    pub fn anonymous(&self) -> Client {
        Client::new(self.address)
    }

    /// Somebody who talks to the address of the metrics.
    pub fn metrics(&self) -> Client {
        let (_, address) = self.announced.split_once("Metrics http://").expect("metrics are on");
        Client::new(address.split_once("/metrics").unwrap().0.parse().unwrap())
    }

    /// Of the process, while it runs.
    pub fn id(&self) -> u32 {
        self.process.id().unwrap()
    }

    pub fn log_file(&self) -> PathBuf {
        self.log.clone()
    }

    /// What it has written to standard error so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// `kill -9`: no chance to say goodbye.
    pub async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }

    /// Asks it to stop, as an init system does; answers the exit code.
    pub async fn terminate(mut self) -> Option<i32> {
        self.ask_to_stop().await;
        self.ended().await
    }

    /// SIGTERM, without waiting for what follows.
    pub async fn ask_to_stop(&self) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    }

    /// Waits for its end; answers the exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        timeout(PATIENCE, self.process.wait()).await.expect("the server stops").unwrap().code()
    }
}
