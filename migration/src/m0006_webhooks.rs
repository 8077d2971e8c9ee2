//! Webhooks to be sent, and endpoints that want none for a while.

use sea_orm_migration::prelude::*;

use crate::columns::{id, instant, text};

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0006_webhooks"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, schema: &SchemaManager) -> Result<(), DbErr> {
        // Hangs on no account: that one is gone must still be told.
        let table = Table::create()
            .table("webhook_deliveries")
            .col(id())
            // Its name in the settings.
            .col(text("endpoint"))
            .col(text("event"))
            .col(text("payload"))
            .col(text("state"))
            .col(ColumnDef::new("attempts").integer().not_null().default(0))
            .col(instant("due_at").not_null())
            // Given up then, whatever has happened.
            .col(instant("ends_at").not_null())
            .col(ColumnDef::new("last_error").text().null())
            .col(instant("created_at").not_null())
            .col(instant("finished_at").null())
            .to_owned();
        schema.create_table(table).await?;
        for (name, columns, condition) in [
            ("due_at", "endpoint, due_at", "state = 'pending'"),
            ("ends_at", "ends_at", "state = 'pending'"),
            ("finished_at", "state, finished_at", "finished_at IS NOT NULL"),
        ] {
            let sql = format!(
                "CREATE INDEX ix_webhook_deliveries_{name} ON webhook_deliveries ({columns}) WHERE {condition}"
            );
            schema.get_connection().execute_unprepared(&sql).await?;
        }
        let table = Table::create()
            .table("webhook_pauses")
            .col(ColumnDef::new("endpoint").text().not_null().primary_key())
            .col(instant("paused_until").not_null())
            .to_owned();
        schema.create_table(table).await
    }

    async fn down(&self, schema: &SchemaManager) -> Result<(), DbErr> {
        for table in ["webhook_pauses", "webhook_deliveries"] {
            schema.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}
