//! The rotation: what older root keys sealed is sealed under the current one, a batch at a time, beside servers that run.
//!
//! There is no state to keep: what is left is what does not begin with the id of the current key. So whatever ends a rotation, it
//! goes on when it is started again. A row that somebody else is at is passed over, and comes in the next round.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use uuid::Uuid;

use super::super::audit::{Action, Actor, Event};
use super::super::{Error, Services};
use super::table::{Row, Table};
use crate::crypto::root_key::RootKeyError;

/// Rows in a transaction: many enough to be fast, few enough that others hardly wait.
const BATCH: u64 = 200;
/// Values that are sealed at a time, where another server does it.
const AT_ONCE: usize = 16;
/// Rounds in which nothing gets better, before it is said aloud.
const IDLE_ROUNDS: u32 = 50;
/// After this, no server can be about to write what an older key of the file has sealed: it has read the file again, and
/// its transactions are over.
const SETTLED: Duration = Duration::from_secs(10);

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    pub table: Table,
    pub done: u64,
    /// As counted when the round began.
    pub of: u64,
}

/// What a rotation came to.
#[derive(Debug, Default)]
pub struct Rotation {
    pub rewrapped: u64,
    /// Rows whose value does not open: it was altered, or moved.
    pub unreadable: Vec<(Table, Uuid)>,
}

impl Services {
    /// Puts a new root key into the file, unless a rotation is under way there. Answers whether it did; nothing when the keys are
    /// configured.
    pub fn begin_root_rotation(&self) -> Result<Option<bool>, RootKeyError> {
        let Some(file) = self.roots.file() else { return Ok(None) };
        let added = file.add(self.sources.entropy)?;
        self.roots.look();
        Ok(Some(added))
    }

    /// Whether there are root keys beside the current one.
    #[must_use]
    pub fn has_previous_root_keys(&self) -> bool {
        self.roots.has_previous()
    }

    /// Seals everything under the current root key.
    pub async fn rotate_root_key(&self, mut progress: impl FnMut(Progress)) -> Result<Rotation, Error> {
        let mut rotation = Rotation::default();
        let mut idle = 0;
        if self.left().await?.is_empty() {
            return Ok(rotation);
        }
        let detail = serde_json::json!({ "key": self.root_key_id() });
        self.write_audit(Event::new(Action::RootKeyRotationBegun, Actor::Operator).detail(detail)).await?;
        loop {
            let left = self.left().await?;
            if left.is_empty() {
                break;
            }
            let before = rotation.rewrapped;
            rotation.unreadable = self.round(left, &mut rotation.rewrapped, &mut progress).await?;
            if rotation.rewrapped > before {
                idle = 0;
                continue;
            }
            idle += 1;
            if !rotation.unreadable.is_empty() {
                return Ok(rotation);
            }
            if idle >= IDLE_ROUNDS {
                return Err(Error::Unavailable("rows are in use all the time; start again to go on".into()));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let detail = serde_json::json!({ "key": self.root_key_id(), "rewrapped": rotation.rewrapped });
        self.write_audit(Event::new(Action::RootKeyRotated, Actor::Operator).detail(detail)).await?;
        Ok(rotation)
    }

    /// How long to wait before older keys of the file can be gone.
    pub fn root_keys_settle_in(&self) -> Result<Duration, RootKeyError> {
        let Some(file) = self.roots.file() else { return Ok(Duration::ZERO) };
        let since_epoch = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Duration::from_millis(u64::try_from(self.sources.now().0).unwrap_or(0));
        let age = now.saturating_sub(since_epoch(file.changed_at()?));
        Ok(SETTLED.saturating_sub(age))
    }

    /// Takes older keys out of the file. The error is a line for the operator; nothing is gone then. Answers how many are.
    pub async fn retire_root_keys(&self) -> Result<usize, String> {
        let Some(file) = self.roots.file() else {
            return Err("previous_root_keys: these are settings; take them away there and restart".into());
        };
        self.roots.look();
        let current = self.roots.current().id();
        let left = self.left().await.map_err(|error| error.to_string())?;
        if let Some((table, _)) = left.first() {
            let table = table.name();
            return Err(format!(
                "root_key: rows of {table} are sealed under an older root key; `latchkey keys rotate-root` mends that"
            ));
        }
        let retired = file.retire(current).map_err(|error| error.to_string())?;
        self.roots.look();
        if retired > 0 {
            let detail = serde_json::json!({ "key": self.root_key_id(), "retired": retired });
            let event = Event::new(Action::RootKeyRetired, Actor::Operator).detail(detail);
            self.write_audit(event).await.map_err(|error| error.to_string())?;
        }
        Ok(retired)
    }

    /// Tables and the heads in them that are not current.
    async fn left(&self) -> Result<Vec<(Table, Vec<u8>)>, Error> {
        let mut left = vec![];
        for table in Table::ALL {
            let current = self.current_head(table).await?;
            let mut after = vec![];
            while let Some(head) = table.next_head(&self.db, &after).await? {
                if head != current {
                    left.push((table, head.clone()));
                }
                after = head;
            }
        }
        Ok(left)
    }

    /// Goes once through all that is left; answers which rows do not open.
    async fn round(
        &self,
        left: Vec<(Table, Vec<u8>)>,
        rewrapped: &mut u64,
        progress: &mut impl FnMut(Progress),
    ) -> Result<Vec<(Table, Uuid)>, Error> {
        let mut unreadable = vec![];
        for (table, head) in left {
            // To count millions may take longer than a statement has; it is for the eye only.
            let of = table.count(&self.db, &head).await.unwrap_or(0);
            let (mut after, mut done) = (Uuid::nil(), 0);
            loop {
                let rows = table.rows(&self.db, &head, after, BATCH).await?;
                let Some(last) = rows.last() else { break };
                after = last.try_get("", "id")?;
                let mut batch = Vec::with_capacity(rows.len());
                let mut sealed = stream::iter(&rows).map(|row| self.rewrap(table, row)).buffered(AT_ONCE);
                while let Some(row) = sealed.try_next().await? {
                    if row.rewrapped.is_none() {
                        unreadable.push((table, row.id));
                    }
                    batch.push(row);
                }
                *rewrapped += self.replace(table, batch).await?;
                done += rows.len() as u64;
                progress(Progress { table, done, of });
            }
        }
        Ok(unreadable)
    }

    /// Writes values in place of those that they were made from, where these are still there. Answers how many.
    async fn replace(&self, table: Table, batch: Vec<Row>) -> Result<u64, Error> {
        self.db
            .write(move |transaction| {
                Box::pin(async move {
                    let engine = transaction.get_database_backend();
                    // Waits for nobody while it has rows locked itself, so that no two wait for each other.
                    let skip = if engine == DbBackend::Postgres { "FOR UPDATE SKIP LOCKED" } else { "" };
                    let (name, column) = (table.name(), table.column());
                    let sql = format!(
                        "UPDATE {name} SET {column} = $1
                         WHERE id IN (SELECT id FROM {name} WHERE id = $2 AND {column} = $3 {skip})"
                    );
                    let mut replaced = 0;
                    for row in batch {
                        let Some(rewrapped) = row.rewrapped else { continue };
                        let values: [Value; 3] = [rewrapped.into(), row.id.into(), row.sealed.into()];
                        let statement = Statement::from_sql_and_values(engine, &sql, values);
                        replaced += transaction.execute_raw(statement).await?.rows_affected();
                    }
                    Ok(replaced)
                })
            })
            .await
    }

    fn root_key_id(&self) -> String {
        self.roots.current().id().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
