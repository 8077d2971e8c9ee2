//! Moments that last: what another process does meanwhile comes in between.

use super::eventually;
use super::process::{Rows, Site};

/// Waits until this many transactions wait for others.
pub async fn waiting(rows: &Rows, count: i64) {
    let waiting = async || {
        let waits = "pg_locks l JOIN pg_database d ON d.datname = current_database()
                     WHERE NOT l.granted AND l.pid IN (SELECT pid FROM pg_stat_activity WHERE datid = d.oid)";
        (rows.count(waits).await >= count).then_some(())
    };
    eventually("a transaction that waits", waiting).await;
}

/// Stops transactions on PostgreSQL right behind a change of a table, until it is released.
pub struct Gate(Rows);

impl Gate {
    pub async fn close(site: &Site, change: &str, table: &str) -> Self {
        let rows = site.rows().await;
        rows.execute(&format!(
            "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$;
             CREATE TRIGGER gate AFTER {change} ON {table} FOR EACH ROW EXECUTE FUNCTION gate();
             SELECT pg_advisory_lock(1)"
        ))
        .await;
        Self(rows)
    }

    /// Waits until this many transactions wait: at the gate, or for one that does.
    pub async fn waiting(&self, count: i64) {
        waiting(&self.0, count).await;
    }

    pub async fn open(self) {
        self.0.execute("SELECT pg_advisory_unlock(1)").await;
    }
}
