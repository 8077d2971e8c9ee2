//! Finds what is sealed under which root key, without reading all of it. The expressions are those of
//! `src/services/root_keys/table.rs`.

use sea_orm_migration::prelude::*;

pub struct Migration;

const HEADS: [(&str, &str, &str); 4] = [
    ("server_keys", "sealed", "substr(sealed, 1, 5)"),
    ("api_keys", "wrapped_key", "substr(wrapped_key, 1, 5)"),
    // Behind the length of the wrapped key.
    ("totp_authenticators", "sealed", "substr(sealed, 3, 5)"),
    ("outbox_messages", "sealed", "substr(sealed, 1, 5)"),
];

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0004_root_keys"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, schema: &SchemaManager) -> Result<(), DbErr> {
        for (table, column, head) in HEADS {
            let sql = format!(
                "CREATE INDEX ix_{table}_root_key ON {table} (({head}), id) WHERE {column} IS NOT NULL"
            );
            schema.get_connection().execute_unprepared(&sql).await?;
        }
        Ok(())
    }

    async fn down(&self, schema: &SchemaManager) -> Result<(), DbErr> {
        for (table, ..) in HEADS {
            schema.get_connection().execute_unprepared(&format!("DROP INDEX ix_{table}_root_key")).await?;
        }
        Ok(())
    }
}
