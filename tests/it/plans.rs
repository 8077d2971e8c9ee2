//! How the engines find the rows of each statement: through an index, whatever the size of the table.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use clap::{CommandFactory, Parser};
use entities::{kyc_event, webhook_delivery};
use latchkey::cli::Cli;
use sea_orm::{ConnectionTrait, DatabaseConnection, EntityTrait, Statement};
use serde_json::{Value, json};

use crate::api_keys::store;
use crate::kyc::decided;
use crate::statements::journey;
use crate::support::process::Rows;
use crate::support::statements::{Sent, Watch};
use crate::support::{App, Database, Engine};

/// Tables that have few rows whatever happens.
const SMALL: &[&str] = &["server_keys", "webhook_pauses", "kyc_contacts", "seaql_migrations"];

/// What SQLite says to scan besides tables: rows that the statement itself makes.
const MADE: &[&str] = &["CONSTANT ROW", "VALUES CLAUSE", "SCAN asked", "SCAN waiting"];

/// Rows that each other table is given: many enough that PostgreSQL prefers an index where there is one.
const ROWS: usize = 20_000;

/// Statements that may go through a whole index: a part of each, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("SELECT id FROM audit_events ORDER BY id LIMIT 500", "the first of them, in the order of the index"),
    (r#"WHERE TRUE ORDER BY "accounts"."id" ASC LIMIT"#, "a page of all accounts"),
    (
        r#""disabled_at" IS NULL AND "accounts"."email_verified_at" IS NOT NULL"#,
        "a page of the active, who are nearly all",
    ),
    (r#"FROM "kyc_events" ORDER BY "kyc_events"."id" DESC LIMIT"#, "the newest, in the order of the index"),
    (
        r#"FROM "webhook_deliveries" ORDER BY "webhook_deliveries"."id" DESC LIMIT"#,
        "the newest, in the order of the index",
    ),
    ("WHERE state = 'done' ORDER BY", "a page of the done, which are nearly all"),
    ("WHERE state = 'sent' ORDER BY", "a page of the sent, which are nearly all"),
];

/// Commands, in an order in which each finds something to do. `{people}` stands for a file, `{event}` and `{delivery}` for ids.
const COMMANDS: &[&str] = &[
    "doctor",
    "migrate up",
    "migrate status",
    "users list",
    "users list --after 01938f6e-2b7a-7c3d-9f10-5a4be1c2d3e4",
    "users show ada@example.com",
    "users set-role ada@example.com reviewer",
    "users disable bob@example.com",
    "users enable bob@example.com",
    "users import {people}",
    "keys list",
    "keys rotate",
    "keys rotate-root",
    "kyc events",
    "kyc events --state pending",
    "kyc events --state done",
    "kyc events --state unknown",
    "kyc events --state dead",
    "kyc show {event}",
    "kyc retry {event}",
    "webhooks list",
    "webhooks list --state pending",
    "webhooks list --state sent",
    "webhooks list --state dead",
    "webhooks replay {delivery}",
    "webhooks replay --dead",
    "webhooks replay --dead --endpoint crm",
    "users reset-factors ada@example.com --yes",
    "users delete ada@example.com --yes",
];

/// Commands that are not run here, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("serve", "the other tests are about it"),
    ("openapi", "asks no database"),
    ("backup", "copies the database as a whole"),
    ("restore", "copies the database as a whole"),
    ("keys retire-root", "asks what `keys rotate-root` asks, and waits"),
    ("webhooks test", "asks another server"),
];

/// What is done in batches of so many asks for what is due, which is next to nothing. A plan that is made without the values
/// takes it for a third of the table; PostgreSQL prefers one that is made with them.
const BATCH: &str = "LIMIT 500";

async fn column(db: &DatabaseConnection, sql: &str) -> Vec<String> {
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

/// Gives the large tables of PostgreSQL many made-up rows, so that its statistics are those of a large database. SQLite's
/// plans don't depend on what is there.
async fn fill(db: &DatabaseConnection) {
    let tables =
        "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1";
    // Made-up rows belong to nobody.
    db.execute_unprepared("SET session_replication_role = replica").await.unwrap();
    for table in column(db, tables).await.iter().filter(|table| !SMALL.contains(&table.as_str())) {
        let columns = format!(
            "SELECT column_name || ' ' || is_nullable || ' ' || data_type FROM information_schema.columns
             WHERE table_schema = 'public' AND table_name = '{table}' ORDER BY ordinal_position"
        );
        let columns = column(db, &columns).await;
        let values: Vec<String> = columns.iter().map(|column| made_up(column)).collect();
        let names: Vec<&str> = columns.iter().filter_map(|column| column.split(' ').next()).collect();
        let fill = format!(
            "INSERT INTO {table} ({}) SELECT {} FROM generate_series(1, {ROWS}) AS n ON CONFLICT DO NOTHING",
            names.join(", "),
            values.join(", ")
        );
        db.execute_unprepared(&fill).await.unwrap_or_else(|error| panic!("{fill}: {error}"));
    }
    db.execute_unprepared("SET session_replication_role = DEFAULT; ANALYZE").await.unwrap();
}

/// An expression over `n` for a column, described as `name nullable type`: as varied as real ones.
fn made_up(column: &str) -> String {
    let parts: Vec<&str> = column.splitn(3, ' ').collect();
    let (name, nullable, kind) = (parts[0], parts[1], parts[2]);
    let value = match (name, kind) {
        ("role", _) => "'user'".to_owned(),
        ("state", _) => "CASE WHEN n % 100 = 0 THEN 'pending' ELSE 'sent' END".to_owned(),
        ("status", _) => "CASE WHEN n % 100 = 0 THEN 'in_review' ELSE 'approved' END".to_owned(),
        (_, "uuid") => "gen_random_uuid()".to_owned(),
        (_, "text") => "md5(n::text)".to_owned(),
        (_, "bytea") => "decode(md5(n::text), 'hex')".to_owned(),
        (_, "boolean") => "TRUE".to_owned(),
        (_, "bigint") => "n * 1000".to_owned(),
        _ => "n % 3".to_owned(),
    };
    // Most of what may be missing is.
    if nullable == "YES" && kind != "uuid" { format!("CASE WHEN n % 50 = 0 THEN {value} END") } else { value }
}

/// A database that says how it would find the rows of a statement.
struct Explainer {
    db: DatabaseConnection,
    /// Indexes of a few rows.
    partial: Vec<String>,
}

impl Explainer {
    async fn new(database: &Database) -> Self {
        let db = database.connect().await;
        let partial = match database.engine {
            Engine::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '%) WHERE %'",
            Engine::Postgres => {
                fill(&db).await;
                "SELECT indexrelid::regclass::text FROM pg_index WHERE indpred IS NOT NULL"
            }
        };
        Self { partial: column(&db, partial).await, db }
    }

    /// Whole tables and whole indexes that the plan goes through.
    async fn scans(&self, sent: &Sent) -> BTreeSet<String> {
        match sent.engine {
            Engine::Sqlite => self.scans_of_sqlite(sent).await,
            Engine::Postgres => self.scans_of_postgres(sent).await,
        }
    }

    async fn scans_of_sqlite(&self, sent: &Sent) -> BTreeSet<String> {
        let explain = format!("EXPLAIN QUERY PLAN {}", sent.sql);
        let explain = Statement::from_string(self.db.get_database_backend(), explain);
        let steps =
            self.db.query_all_raw(explain).await.unwrap_or_else(|error| panic!("{}: {error}", sent.sql));
        let steps = steps.iter().map(|row| row.try_get::<String>("", "detail").unwrap());
        let small = |step: &String| {
            let index = step.rsplit(' ').next().unwrap();
            SMALL.iter().any(|table| step.split(' ').nth(1) == Some(table))
                || MADE.iter().any(|part| step.contains(part))
                || self.partial.iter().any(|name| name == index)
        };
        // Without bounds it is the least or the most of some that is searched for, from an end of the index of all.
        let whole =
            |step: &String| step.starts_with("SCAN") || (step.starts_with("SEARCH") && !step.contains('('));
        steps.filter(|step| whole(step) && !small(step)).collect()
    }

    async fn scans_of_postgres(&self, sent: &Sent) -> BTreeSet<String> {
        let kinds: Vec<&str> = sent.values.iter().map(|kind| kind_of_postgres(kind)).collect();
        let values: Vec<&str> = kinds.iter().map(|kind| sample(kind)).collect();
        let listed =
            |list: &[&str]| if list.is_empty() { String::new() } else { format!("({})", list.join(", ")) };
        let mode = if sent.sql.contains(BATCH) { "force_custom_plan" } else { "force_generic_plan" };
        let prepare =
            format!("SET plan_cache_mode = {mode}; PREPARE asked{} AS {}", listed(&kinds), sent.sql);
        self.db.execute_unprepared(&prepare).await.unwrap_or_else(|error| panic!("{prepare}: {error}"));
        let explain = format!("EXPLAIN (FORMAT YAML) EXECUTE asked{}", listed(&values));
        let plan = column(&self.db, &explain).await.remove(0);
        self.db.execute_unprepared("DEALLOCATE asked").await.unwrap();
        let plan: Value = serde_norway::from_str(&plan).unwrap();
        let mut found = BTreeSet::new();
        walk(&plan[0]["Plan"], false, &self.partial, &mut found);
        found
    }
}

/// Looks for whole tables and whole indexes. An index of a few rows may be gone through, and one may be begun in its order.
fn walk(node: &Value, limited: bool, partial: &[String], found: &mut BTreeSet<String>) {
    let text = |name: &str| node[name].as_str().unwrap_or_default();
    let (kind, table, index) = (text("Node Type"), text("Relation Name"), text("Index Name"));
    let bounds = text("Index Cond");
    // The least or the most of some is searched for from an end of the index of all.
    let from_an_end = limited && bounds.ends_with(" IS NOT NULL)") && !bounds.contains(" AND ");
    let whole_index = matches!(kind, "Index Scan" | "Index Only Scan" | "Bitmap Index Scan")
        && (bounds.is_empty() || from_an_end)
        && !partial.iter().any(|name| name == index)
        && !(limited && node["Filter"].is_null());
    if (kind == "Seq Scan" && !SMALL.contains(&table)) || whole_index {
        found.insert(format!("{kind} of {table}{index}"));
    }
    for below in node["Plans"].as_array().into_iter().flatten() {
        walk(below, kind == "Limit" || (limited && kind == "LockRows"), partial, found);
    }
}

fn kind_of_postgres(kind: &str) -> &'static str {
    match kind {
        "Bool" => "boolean",
        "SmallInt" => "smallint",
        "Int" => "integer",
        "BigInt" | "BigUnsigned" => "bigint",
        "String" => "text",
        "Bytes" => "bytea",
        "Uuid" => "uuid",
        other => panic!("what is a {other}?"),
    }
}

/// A value of this kind. Nothing is due at the beginning of time.
fn sample(kind: &str) -> &'static str {
    match kind {
        "boolean" => "TRUE",
        "text" => "'pending'",
        "bytea" => "'\\x00'",
        "uuid" => "'01938f6e-2b7a-7c3d-9f10-5a4be1c2d3e4'",
        _ => "0",
    }
}

async fn explain(database: &Database, sent: HashSet<Sent>) {
    let explainer = Explainer::new(database).await;
    let mut wrong = BTreeMap::new();
    for sent in sent.iter().filter(|sent| is_about_rows(&sent.sql)) {
        let found = explainer.scans(sent).await;
        if !found.is_empty() && !EXCEPTIONS.iter().any(|(part, _)| sent.sql.contains(part)) {
            wrong.insert(sent.sql.split_whitespace().collect::<Vec<_>>().join(" "), found);
        }
    }
    assert!(wrong.is_empty(), "{} look at whole tables: {wrong:#?}", wrong.len());
}

/// Neither about the schema nor about the catalogue.
fn is_about_rows(sql: &str) -> bool {
    let words = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"];
    let catalogue = ["seaql_migrations", "sqlite_master", "information_schema", "pg_catalog"];
    words.iter().any(|word| sql.trim_start().starts_with(word))
        && !catalogue.iter().any(|name| sql.contains(name))
}

/// Runs a command as `main` does, but in this process, where what it sends is heard.
async fn run(settings: &Path, command: &str) {
    let words = ["latchkey", "--config", settings.to_str().unwrap()].into_iter().chain(command.split(' '));
    let cli = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{command}: {error}"));
    let done = Box::pin(latchkey::cli::run(cli)).await;
    done.unwrap_or_else(|error| panic!("{command}: {error}"));
}

/// What a file of settings says to commands on this database.
fn settings(database: &Database) -> String {
    let own = |name: &String| name.starts_with("LATCHKEY_") && !name.starts_with("LATCHKEY_TEST_");
    let found: Vec<String> = std::env::vars().map(|(name, _)| name).filter(own).collect();
    assert!(found.is_empty(), "commands would take a developer's own database for theirs: {found:?}");
    format!(
        "data_dir = {:?}\ndatabase_url = {:?}\n\n[webhooks.endpoints.crm]\nurl = 'https://crm.example.com/'\n\
         secrets = 'whsec_YmVmb3JlIHRoZSBoYXJ2ZXN0IGNhbmFyeSAxMjM0NTY='\n",
        database.directory.path(),
        database.url()
    )
}

#[test]
fn every_command_is_run() {
    let cli = Cli::command();
    let names = cli.get_subcommands().flat_map(|command| {
        let name = command.get_name();
        let below = command.get_subcommands().map(|below| format!("{name} {}", below.get_name()));
        let below: Vec<String> = below.collect();
        if below.is_empty() { vec![name.to_owned()] } else { below }
    });
    for name in names {
        let known = COMMANDS.iter().chain(NOT_RUN.iter().map(|(name, _)| name));
        let mut rests = known.filter_map(|command| command.strip_prefix(name.as_str()));
        assert!(rests.any(|rest| rest.is_empty() || rest.starts_with(' ')), "{name} is not run");
    }
}

on_both_engines! {
    async fn of_a_journey(engine: Engine) {
        let (app, sent) = journey(engine).await.all();
        explain(&app.database, sent).await;
    }

    async fn of_commands(engine: Engine) {
        let app = App::start(engine, |_| {}).await;
        app.user_with_totp("ada@example.com").await;
        let bob = app.user("bob@example.com").await;
        store(&bob, "Savings").await;
        decided(&app, &bob, "basic", "approve", "approved").await;
        let database = app.database.clone();
        app.stop().await;

        let file = database.directory.path().join("commands.toml");
        let people = database.directory.path().join("people.jsonl");
        std::fs::write(&file, settings(&database)).unwrap();
        let rows = Rows(database.connect().await);
        let hash: String = rows.column("SELECT password_hash FROM accounts").await.remove(0);
        std::fs::write(&people, json!({ "email": "eve@example.com", "password_hash": hash }).to_string()).unwrap();
        let event = kyc_event::Entity::find().one(&rows.0).await.unwrap().unwrap().id.to_string();
        let watch = Watch::start();
        for command in COMMANDS {
            let delivery = webhook_delivery::Entity::find().one(&rows.0).await.unwrap();
            let delivery = delivery.map(|row| row.id.to_string()).unwrap_or_default();
            let command = command.replace("{people}", people.to_str().unwrap());
            run(&file, &command.replace("{event}", &event).replace("{delivery}", &delivery)).await;
            // So that the next one finds what was given up.
            rows.execute("UPDATE kyc_events SET state = 'dead', event = '{}'").await;
            rows.execute("UPDATE webhook_deliveries SET state = 'dead', finished_at = 0").await;
        }
        let sent: HashSet<Sent> = watch.take().into_iter().collect();
        assert!(sent.iter().any(|sent| sent.sql.contains("WHERE state = 'dead' ORDER BY")), "commands are not heard");
        explain(&database, sent).await;
    }
}

/// Of all that the suite has sent, as `scripts/test` asks for after it.
#[tokio::test]
#[ignore = "needs the file of statements that the other tests have left"]
async fn of_the_suite() {
    let path = std::env::var("LATCHKEY_TEST_STATEMENTS").expect("LATCHKEY_TEST_STATEMENTS names a file");
    let lines = std::fs::read_to_string(path).unwrap();
    let sent: HashSet<Sent> = lines.lines().map(Sent::read).collect();
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let app = App::start(engine, |_| {}).await;
        let database = app.database.clone();
        app.stop().await;
        let sent: HashSet<Sent> = sent.iter().filter(|sent| sent.engine == engine).cloned().collect();
        assert!(!sent.is_empty(), "nothing to explain");
        explain(&database, sent).await;
    }
}
