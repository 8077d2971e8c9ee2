//! Fills a database with copies of one account and what hangs on it: `INSERT … SELECT` inside the database, a batch of
//! accounts at a time, so that nothing grows but the files. Each copy has ids and an address of its own and signs in with the
//! password of the original; its credentials are as large as real ones, but sealed for the original, so they don't open.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use tokio_postgres::Client;

use crate::limits::connect;
use crate::vault::id;

/// Accounts in a transaction.
const BATCH: u64 = 5_000;
/// What hangs on an account, and how many rows of the original are copied.
pub const TABLES: [(&str, u64); 4] = [("accounts", 1), ("sessions", 3), ("api_keys", 2), ("audit_events", 5)];

/// A connection to the database of a server that is not running.
pub enum Database {
    Sqlite(rusqlite::Connection),
    Postgres(Client),
}

impl Database {
    pub async fn open(url: &str) -> Result<Self> {
        let Some(file) = url.strip_prefix("sqlite://") else {
            let client = connect(url).await?;
            // What a crash would lose is made again.
            client.batch_execute("SET synchronous_commit = off").await?;
            return Ok(Self::Postgres(client));
        };
        let file: PathBuf = Path::new(file).to_owned();
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
        let connection = rusqlite::Connection::open_with_flags(&file, flags)
            .with_context(|| format!("opening {}", file.display()))?;
        connection.execute_batch(
            "PRAGMA synchronous = OFF; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY;",
        )?;
        Ok(Self::Sqlite(connection))
    }

    async fn columns(&self, table: &str) -> Result<Vec<String>> {
        Ok(match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
                statement.query_map([table], |row| row.get(0))?.collect::<Result<_, _>>()?
            }
            Self::Postgres(client) => {
                let sql = "SELECT column_name::text FROM information_schema.columns
                           WHERE table_schema = 'public' AND table_name = $1";
                client.query(sql, &[&table]).await?.iter().map(|row| row.get(0)).collect()
            }
        })
    }

    async fn execute(&self, sql: &str) -> Result<()> {
        match self {
            Self::Sqlite(connection) => connection.execute_batch(sql)?,
            Self::Postgres(client) => client.batch_execute(sql).await?,
        }
        Ok(())
    }

    /// The rows of a table.
    pub async fn count(&self, table: &str) -> Result<u64> {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        let count: i64 = match self {
            Self::Sqlite(connection) => connection.query_row(&sql, [], |row| row.get(0))?,
            Self::Postgres(client) => client.query_one(&sql, &[]).await?.get(0),
        };
        Ok(count.unsigned_abs())
    }

    /// The id of the `n`th copy's row `k`, in SQL: a UUIDv7 whose time goes up with `n`.
    fn id(&self, base: i64, k: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("unhex(printf('%012x7%03x8000%012x', {base} + n, {k}, n))"),
            Self::Postgres(_) => format!(
                "(lpad(to_hex({base} + n), 12, '0') || '7' || lpad(to_hex({k}), 3, '0') || '8000' \
                 || lpad(to_hex(n), 12, '0'))::uuid"
            ),
        }
    }

    /// The statement that copies `rows` rows of the original for the accounts from `first` to `last`.
    fn copy(&self, table: &str, rows: u64, columns: &[String], plan: &Plan, first: u64, last: u64) -> String {
        let value = |column: &String| match (table, column.as_str()) {
            ("accounts", "id") | (_, "account_id") => self.id(plan.base, "0"),
            (_, "id") => self.id(plan.base, "t.k"),
            (_, "session_id") => {
                format!("CASE WHEN t.session_id IS NULL THEN NULL ELSE {} END", self.id(plan.base, "1"))
            }
            ("accounts", "email" | "email_key") => "'copy-' || n || '@example.com'".to_owned(),
            _ => format!("t.{column}"),
        };
        let values: Vec<String> = columns.iter().map(value).collect();
        let (owner, original) = (if table == "accounts" { "id" } else { "account_id" }, plan.original(self));
        let numbers = match self {
            Self::Sqlite(_) => format!(
                "(WITH RECURSIVE numbers (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})
                  SELECT n FROM numbers)"
            ),
            Self::Postgres(_) => format!("generate_series({first}::bigint, {last}::bigint)"),
        };
        let alias = if matches!(self, Self::Sqlite(_)) { "AS s" } else { "AS s (n)" };
        format!(
            "INSERT INTO {table} ({}) SELECT {} FROM {numbers} {alias} CROSS JOIN
               (SELECT *, CAST(row_number() OVER (ORDER BY id) AS integer) AS k FROM {table}
                WHERE {owner} = {original} ORDER BY id LIMIT {rows}) AS t
             ORDER BY n, k;",
            columns.join(", "),
            values.join(", "),
        )
    }
}

/// What is copied, and from when on the copies are.
struct Plan {
    original: String,
    base: i64,
}

impl Plan {
    fn original(&self, database: &Database) -> String {
        match database {
            Database::Sqlite(_) => format!("x'{}'", self.original.replace('-', "")),
            Database::Postgres(_) => format!("'{}'", self.original),
        }
    }
}

/// The address of a copy.
pub fn email(number: u64) -> String {
    format!("copy-{number}@example.com")
}

/// Copies the account `original`, whose rows are there, until there are `accounts` copies, and lets the database settle.
/// `now` is the time of the last one, in milliseconds.
pub async fn fill(database: &Database, original: &str, accounts: u64, now: i64) -> Result<()> {
    id(original)?;
    let plan = Plan { original: original.to_owned(), base: now - i64::try_from(accounts)? };
    let mut statements = vec![];
    for (table, rows) in TABLES {
        let columns = database.columns(table).await?;
        if columns.is_empty() {
            bail!("there is no table {table}: has a server run on this database?");
        }
        statements.push((table, rows, columns));
    }
    let style = ProgressStyle::with_template(
        "{wide_bar} {human_pos} of {human_len} accounts, {per_sec}, {eta} left",
    )?;
    let bar = ProgressBar::new(accounts).with_style(style);
    let mut first = 1;
    while first <= accounts {
        let last = (first + BATCH - 1).min(accounts);
        let copies: Vec<String> = statements
            .iter()
            .map(|(table, rows, columns)| database.copy(table, *rows, columns, &plan, first, last))
            .collect();
        database.execute(&format!("BEGIN; {} COMMIT;", copies.join("\n"))).await?;
        bar.set_position(last);
        first = last + 1;
    }
    bar.finish_and_clear();
    match database {
        Database::Sqlite(_) => database.execute("PRAGMA wal_checkpoint(TRUNCATE);").await,
        // As autovacuum does some time later.
        Database::Postgres(client) => {
            for statement in ["VACUUM ANALYZE", "CHECKPOINT"] {
                client.batch_execute(statement).await?;
            }
            Ok(())
        }
    }
}
