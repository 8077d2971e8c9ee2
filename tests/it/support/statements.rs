//! What the servers in this process send to their databases, as they tell it at `trace`.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt::Debug;
use std::fs::File;
use std::io::Write as _;
use std::sync::{LazyLock, Mutex, Once};

use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::Engine;

const TARGET: &str = "latchkey::db";

/// A statement, and the kinds of its values.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sent {
    pub engine: Engine,
    pub sql: String,
    pub values: Vec<String>,
}

thread_local! {
    /// Those of this thread, which is that of one test and all its servers.
    static WATCHED: RefCell<Option<Vec<Sent>>> = const { RefCell::new(None) };
}

/// A file, and what it has already.
type Suite = (File, HashSet<Sent>);

/// The file that keeps each statement of the whole run once, for `plans::of_the_suite`.
static SUITE: LazyLock<Option<Mutex<Suite>>> = LazyLock::new(|| {
    let path = std::env::var("LATCHKEY_TEST_STATEMENTS").ok()?;
    let file = File::options().create(true).append(true).open(path).unwrap();
    Some(Mutex::new((file, HashSet::new())))
});

/// Has the servers that start from now on tell.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let recorder = Recorder.with_filter(Targets::new().with_target(TARGET, LevelFilter::TRACE));
        tracing_subscriber::registry().with(recorder).init();
    });
}

/// Keeps what the servers of this test send, until it is dropped.
pub struct Watch(());

impl Watch {
    pub fn start() -> Self {
        listen();
        WATCHED.set(Some(vec![]));
        Self(())
    }

    /// What was sent since the last time.
    pub fn take(&self) -> Vec<Sent> {
        WATCHED.replace(Some(vec![])).unwrap()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHED.set(None);
    }
}

impl Sent {
    /// A line of the suite's file.
    fn line(&self) -> String {
        let postgres = self.engine == Engine::Postgres;
        json!({ "postgres": postgres, "sql": self.sql, "values": self.values }).to_string()
    }

    pub fn read(line: &str) -> Self {
        let line: Value = serde_json::from_str(line).unwrap();
        let engine = if line["postgres"] == true { Engine::Postgres } else { Engine::Sqlite };
        let values = line["values"].as_array().unwrap();
        let values = values.iter().map(|kind| kind.as_str().unwrap().to_owned()).collect();
        Self { engine, sql: line["sql"].as_str().unwrap().to_owned(), values }
    }
}

struct Recorder;

impl<S: tracing::Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut sent = Sent { engine: Engine::Sqlite, sql: String::new(), values: vec![] };
        event.record(&mut sent);
        if let Some(suite) = SUITE.as_ref() {
            let mut suite = suite.lock().unwrap();
            if suite.1.insert(sent.clone()) {
                writeln!(suite.0, "{}", sent.line()).unwrap();
            }
        }
        WATCHED.with_borrow_mut(|watched| watched.as_mut().map(|watched| watched.push(sent)));
    }
}

impl Visit for Sent {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "sql" {
            value.clone_into(&mut self.sql);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "engine" if text == "Postgres" => self.engine = Engine::Postgres,
            "values" => {
                let kinds = text.trim_matches(['[', ']']).split(", ").filter(|kind| !kind.is_empty());
                self.values = kinds.map(str::to_owned).collect();
            }
            _ => {}
        }
    }
}
