//! The limits of the vault: the AES-GCM of an operation and then its statements, through the raw driver, on the tables and
//! rows that the server has. Who asks and whether they may is left out.

use std::cell::Cell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use aes_gcm::aead::Aead;
use aes_gcm::{Aes256Gcm, KeyInit};
use anyhow::{Context, Result, anyhow, ensure};
use bytes::BytesMut;
use futures_util::future::{join_all, try_join_all};
use rusqlite::types::{ToSqlOutput, ValueRef};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::CONNECTIONS;
use crate::engines::Engine;
use crate::limits::connect;
use crate::load::{Meter, Sample, Wrong};
use crate::vault::{HOLDERS, Holder, Id, Operation, id};

/// A value of a statement, on either engine. An id is 16 bytes on both.
#[derive(Debug)]
enum Value {
    Bytes(Vec<u8>),
    Number(i64),
    Text(String),
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
            Self::Number(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

impl ToSql for Value {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Bytes(bytes) => bytes.as_slice().to_sql(kind, out),
            Self::Number(number) => number.to_sql(kind, out),
            Self::Text(text) => text.to_sql(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

const LOCK_ACCOUNT: &str = "SELECT * FROM accounts WHERE id = $1";
const COUNT: &str = "SELECT COUNT(*) FROM api_keys WHERE account_id = $1";
const INSERT: &str = "INSERT INTO api_keys (id, account_id, provider, environment, name, name_key, labels, settings, rules,
     hint, version, wrapped_key, sealed_api_key, sealed_secret, created_at, updated_at, status, nonce, busy_until)
   VALUES ($1, $2, 'binance', 'live', $3, $3, '[]', '{}', '[{\"method\":\"GET\",\"path\":\"/api/v3/*\"}]',
     '0000', 1, $4, $5, $6, $7, $7, 'untested', $7, 0)";
const PAGE: &str = "SELECT * FROM api_keys WHERE account_id = $1 ORDER BY created_at DESC, id DESC LIMIT 51";
const FIND: &str = "SELECT * FROM api_keys WHERE id = $1 AND account_id = $2";
const REVEAL: &str = "UPDATE api_keys SET last_used_at = $1 WHERE id = $2 AND version = 1 RETURNING id";
const DEVICE: &str =
    "INSERT INTO seen_devices (account_id, fingerprint, first_seen_at, last_seen_at, revealed_at)
     VALUES ($1, $2, $3, $3, $3)
   ON CONFLICT (account_id, fingerprint) DO UPDATE SET revealed_at = $3 WHERE seen_devices.revealed_at IS NULL
   RETURNING account_id";
const SIGN: &str = "UPDATE api_keys SET last_used_at = $1,
     nonce = CASE WHEN nonce < $1 THEN $1 ELSE nonce + 1 END
   WHERE id = $2 AND version = 1 RETURNING nonce";
const TAKE_IN: &str =
    "INSERT INTO kyc_events (id, provider, dedupe_key, subject, account_id, event, sealed, state, attempts,
     due_at, received_at)
   VALUES ($1, 'limit', $2, $3, $4, $5, $6, 'done', 0, $7, $7)
   ON CONFLICT (provider, dedupe_key) DO NOTHING RETURNING id";
const AUDIT: &str =
    "INSERT INTO audit_events (id, at, action, actor, account_id, session_id, aal, ip, request_id, detail)
   VALUES ($1, $2, 'api_key.limit', 'account', $3, $1, 1, '127.0.0.1', $4, $5)";

/// The limit of the operations on one engine.
pub struct VaultLimit {
    postmaster: Option<u32>,
    database: String,
    holders: Vec<(Id, Vec<Id>)>,
    storing: Vec<Id>,
    number: Cell<u64>,
    sealed: [Vec<u8>; 3],
}

impl VaultLimit {
    pub fn new(engine: &Engine, holders: &[Holder]) -> Result<Self> {
        let held = holders.iter().map(|holder| Ok((holder.account, holder.ids()?)));
        Ok(Self {
            postmaster: engine.postmaster,
            database: engine.database().to_owned(),
            holders: held.collect::<Result<_>>()?,
            storing: engine.accounts[HOLDERS..]
                .iter()
                .map(|account| id(&account.id))
                .collect::<Result<_>>()?,
            number: Cell::new(0),
            sealed: sealed()?,
        })
    }

    /// What the rate of an operation is called.
    pub fn name(&self, operation: Operation) -> String {
        let what = if operation == Operation::List { "the statement" } else { "AES-GCM and the statements" };
        match self.postmaster {
            None => format!("{what}, 1 thread"),
            Some(_) => format!("{what}, {CONNECTIONS} connections"),
        }
    }

    pub async fn run(&self, operation: Operation, window: Duration) -> Result<Sample> {
        match self.postmaster {
            None => self.sqlite(operation, window),
            Some(_) => self.postgres(operation, window).await,
        }
    }

    fn statements(&self, operation: Operation) -> Vec<String> {
        let lock = if self.postmaster.is_some() { " FOR NO KEY UPDATE" } else { "" };
        let statements: &[&str] = match operation {
            Operation::Store => &[&format!("{LOCK_ACCOUNT}{lock}"), COUNT, INSERT, AUDIT],
            Operation::List => &[PAGE],
            Operation::Decrypt => &[FIND, REVEAL, DEVICE, AUDIT],
            Operation::Sign => &[FIND, SIGN, AUDIT],
            Operation::TakeIn => &[TAKE_IN],
        };
        statements.iter().map(|&sql| sql.to_owned()).collect()
    }

    /// The values of each statement, for the next turn of a connection.
    fn values(&self, operation: Operation, lane: usize) -> Vec<Vec<Value>> {
        let number = self.number.replace(self.number.get() + 1);
        // Behind the ids that the server makes, in order as these are.
        let at = 1_900_000_000_000 + i64::try_from(number).unwrap_or(0);
        let new = || Value::Bytes(((1_900_000_000_000 << 80) + u128::from(number)).to_be_bytes().to_vec());
        let bytes = |bytes: &[u8]| Value::Bytes(bytes.to_vec());
        let turn = usize::try_from(number).unwrap_or(0);
        let (holder, records) = &self.holders[lane % self.holders.len()];
        let record = &records[turn / CONNECTIONS % records.len()];
        let account =
            if operation == Operation::Store { &self.storing[turn % self.storing.len()] } else { holder };
        let audit = || {
            let request = format!("{number:032x}");
            let detail = format!(r#"{{"api_key":"{number:036x}","version":1,"purpose":null}}"#);
            vec![new(), Value::Number(at), bytes(account), Value::Text(request), Value::Text(detail)]
        };
        let find = || vec![bytes(record), bytes(account)];
        let used = || vec![Value::Number(at), bytes(record)];
        match operation {
            Operation::Store => {
                let [key, api_key, secret] = &self.sealed;
                let name = Value::Text(format!("limit {number}"));
                let row = vec![
                    new(),
                    bytes(account),
                    name,
                    bytes(key),
                    bytes(api_key),
                    bytes(secret),
                    Value::Number(at),
                ];
                vec![vec![bytes(account)], vec![bytes(account)], row, audit()]
            }
            Operation::List => vec![vec![bytes(account)]],
            Operation::Decrypt => {
                let device = vec![bytes(account), bytes(&[7; 32]), Value::Number(at)];
                vec![find(), used(), device, audit()]
            }
            Operation::Sign => vec![find(), used(), audit()],
            Operation::TakeIn => {
                let text = |length: usize| Value::Text(format!("{number:0>length$}"));
                let key = Value::Bytes(u128::from(number).to_be_bytes().repeat(2));
                let sealed = bytes(&self.sealed[2]);
                vec![vec![new(), key, text(50), bytes(account), text(200), sealed, Value::Number(at)]]
            }
        }
    }

    /// The AES-GCM of one operation: a wrapped key and two fields.
    fn work(&self, operation: Operation) -> Result<()> {
        match operation {
            Operation::Store | Operation::TakeIn => drop(black_box(sealed()?)),
            Operation::List => {}
            Operation::Decrypt | Operation::Sign => {
                for sealed in &self.sealed {
                    let opened = cipher().decrypt(&NONCE.into(), sealed.as_slice());
                    black_box(opened.map_err(|_| anyhow!("AES-GCM does not open"))?);
                }
            }
        }
        Ok(())
    }

    /// Waits until the server has worked on all webhooks: it writes meanwhile, and what is measured next is to be alone.
    pub async fn worked_off(&self) -> Result<()> {
        const PENDING: &str = "SELECT COUNT(*) FROM kyc_events WHERE state = 'pending'";
        let began = Instant::now();
        loop {
            let pending: i64 = match self.database.strip_prefix("sqlite://") {
                Some(file) => rusqlite::Connection::open(file)?.query_row(PENDING, [], |row| row.get(0))?,
                None => connect(&self.database).await?.query_one(PENDING, &[]).await?.get(0),
            };
            if pending == 0 {
                return Ok(());
            }
            ensure!(began.elapsed() < BACKLOG_TIMEOUT, "{pending} webhooks are not worked on");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn sqlite(&self, operation: Operation, window: Duration) -> Result<Sample> {
        let file = self.database.strip_prefix("sqlite://").context("a file")?;
        let connection = rusqlite::Connection::open(file)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
        let sql = self.statements(operation);
        let mut statements =
            sql.iter().map(|sql| connection.prepare(sql)).collect::<rusqlite::Result<Vec<_>>>()?;
        let (mut begin, mut commit) = (connection.prepare("BEGIN IMMEDIATE")?, connection.prepare("COMMIT")?);
        let writes = statements.len() > 1;
        let meter = Meter::default();
        let (began, before) = (Instant::now(), meter.read());
        let mut count = 0;
        while began.elapsed() < window {
            self.work(operation)?;
            if writes {
                begin.execute([])?;
            }
            let values = self.values(operation, usize::try_from(count)?);
            for (statement, values) in statements.iter_mut().zip(&values) {
                let columns = statement.column_count();
                let mut rows = statement.query(rusqlite::params_from_iter(values))?;
                while let Some(row) = rows.next()? {
                    for column in 0..columns {
                        black_box(row.get_ref(column)?);
                    }
                }
            }
            if writes {
                commit.execute([])?;
            }
            count += 1;
        }
        Ok(Sample { count, wrong: Wrong::new(), elapsed: began.elapsed(), cpu: meter.read() - before })
    }

    async fn postgres(&self, operation: Operation, window: Duration) -> Result<Sample> {
        let sql = self.statements(operation);
        let clients = try_join_all((0..CONNECTIONS).map(async |_| {
            let client = connect(&self.database).await?;
            let mut statements = Vec::new();
            for sql in &sql {
                statements.push(client.prepare(sql).await?);
            }
            anyhow::Ok((client, statements))
        }))
        .await?;
        let writes = sql.len() > 1;
        let meter = Meter { server: None, database: self.postmaster };
        let (began, before) = (Instant::now(), meter.read());
        let loops = clients.iter().enumerate().map(async |(lane, (client, statements))| {
            let mut count = 0;
            while began.elapsed() < window {
                self.work(operation)?;
                if writes {
                    client.batch_execute("BEGIN").await?;
                }
                for (statement, values) in statements.iter().zip(self.values(operation, lane)) {
                    let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
                    black_box(client.query(statement, &values).await?);
                }
                if writes {
                    client.batch_execute("COMMIT").await?;
                }
                count += 1;
            }
            anyhow::Ok(count)
        });
        let counts: Vec<u64> = join_all(loops).await.into_iter().collect::<Result<_>>()?;
        let count = counts.into_iter().sum();
        Ok(Sample { count, wrong: Wrong::new(), elapsed: began.elapsed(), cpu: meter.read() - before })
    }
}

const BACKLOG_TIMEOUT: Duration = Duration::from_secs(120);

/// Always the same: what is sealed here is no secret.
const NONCE: [u8; 12] = [0; 12];

fn cipher() -> Aes256Gcm {
    Aes256Gcm::new(&[7; 32].into())
}

/// A wrapped key, and a key and a secret as long as Binance's.
fn sealed() -> Result<[Vec<u8>; 3]> {
    let seal = |length: usize| {
        let plain = vec![7; length];
        cipher().encrypt(&NONCE.into(), plain.as_slice()).map_err(|_| anyhow!("AES-GCM does not seal"))
    };
    Ok([seal(32)?, seal(64)?, seal(64)?])
}
