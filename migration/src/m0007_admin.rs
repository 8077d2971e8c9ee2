//! Finds accounts for those who look after them.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0007_admin"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, schema: &SchemaManager) -> Result<(), DbErr> {
        let connection = schema.get_connection();
        // The unique index is in the order of the database's language, in which a beginning is no range. SQLite's is in the
        // order of bytes already.
        if schema.get_database_backend() == DbBackend::Postgres {
            let sql = "CREATE INDEX ix_accounts_email_start ON accounts (email_key COLLATE \"C\")";
            connection.execute_unprepared(sql).await?;
        }
        let sql = "CREATE INDEX ix_accounts_disabled ON accounts (id) WHERE disabled_at IS NOT NULL";
        connection.execute_unprepared(sql).await.map(drop)
    }

    async fn down(&self, schema: &SchemaManager) -> Result<(), DbErr> {
        for name in ["ix_accounts_disabled", "ix_accounts_email_start"] {
            schema.get_connection().execute_unprepared(&format!("DROP INDEX IF EXISTS {name}")).await?;
        }
        Ok(())
    }
}
