//! Indexes for what operators list by its state, the newest first.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0009_states"
    }
}

/// Tables and states of few rows, as a rule. Of the done and the sent, which are nearly all, any page is full.
const STATES: [(&str, &str); 5] = [
    ("kyc_events", "pending"),
    ("kyc_events", "unknown"),
    ("kyc_events", "dead"),
    ("webhook_deliveries", "pending"),
    ("webhook_deliveries", "dead"),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, schema: &SchemaManager) -> Result<(), DbErr> {
        for (table, state) in STATES {
            // PostgreSQL takes what waits from another index and sorts it. SQLite would go through all ids instead.
            if state == "pending" && schema.get_database_backend() == DbBackend::Postgres {
                continue;
            }
            let sql = format!("CREATE INDEX ix_{table}_{state} ON {table} (id) WHERE state = '{state}'");
            schema.get_connection().execute_unprepared(&sql).await?;
        }
        Ok(())
    }

    async fn down(&self, schema: &SchemaManager) -> Result<(), DbErr> {
        for (table, state) in STATES {
            let sql = format!("DROP INDEX IF EXISTS ix_{table}_{state}");
            schema.get_connection().execute_unprepared(&sql).await?;
        }
        Ok(())
    }
}
