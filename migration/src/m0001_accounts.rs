//! Accounts, their sessions and verifications; server keys, limits, the audit trail and the outbox.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::columns::{id, index, instant, partial_index, text};

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0001_accounts"
    }
}

const TABLES: [&str; 7] = [
    "accounts",
    "sessions",
    "email_verifications",
    "server_keys",
    "rate_limits",
    "audit_events",
    "outbox_messages",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, schema: &SchemaManager) -> Result<(), DbErr> {
        schema
            .create_table(
                Table::create()
                    .table("accounts")
                    .col(id())
                    .col(text("email"))
                    .col(text("email_key").unique_key())
                    .col(text("password_hash"))
                    .col(instant("email_verified_at").null())
                    .col(ColumnDef::new("full_name").text())
                    .col(ColumnDef::new("avatar_url").text())
                    .col(ColumnDef::new("phone").text())
                    .col(instant("disabled_at").null())
                    .col(instant("created_at").not_null())
                    .col(instant("updated_at").not_null())
                    .to_owned(),
            )
            .await?;
        // For the reaper: the few that never confirmed their address.
        partial_index(schema, "accounts", "created_at", "email_verified_at IS NULL").await?;
        schema
            .create_table(
                Table::create()
                    .table("sessions")
                    .col(id())
                    .col(ColumnDef::new("account_id").uuid().not_null())
                    .col(ColumnDef::new("counter").big_integer().not_null())
                    .col(instant("rotated_at").not_null())
                    .col(instant("refresh_tat").not_null())
                    .col(instant("created_at").not_null())
                    .col(instant("expires_at").not_null())
                    .col(instant("idle_expires_at").not_null())
                    .col(instant("revoked_at").null())
                    .col(ColumnDef::new("revoked_reason").text())
                    .col(ColumnDef::new("aal").small_integer().not_null())
                    .col(text("amr"))
                    .col(instant("auth_time").not_null())
                    .col(ColumnDef::new("ip").text())
                    .col(ColumnDef::new("user_agent").text())
                    .foreign_key(
                        ForeignKey::create()
                            .from("sessions", "account_id")
                            .to("accounts", "id")
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .to_owned(),
            )
            .await?;
        index(schema, "sessions", &["account_id"]).await?;
        index(schema, "sessions", &["expires_at"]).await?;
        // No index has a column that a refresh changes, and pages keep room: PostgreSQL then updates a row in place.
        if schema.get_database_backend() == DbBackend::Postgres {
            schema.get_connection().execute_unprepared("ALTER TABLE sessions SET (fillfactor = 80)").await?;
        }
        partial_index(schema, "sessions", "revoked_at", "revoked_at IS NOT NULL").await?;
        schema
            .create_table(
                Table::create()
                    .table("email_verifications")
                    .col(id())
                    .col(ColumnDef::new("account_id").uuid().not_null())
                    .col(ColumnDef::new("token_hash").binary().not_null().unique_key())
                    .col(instant("created_at").not_null())
                    .col(instant("expires_at").not_null())
                    .col(instant("used_at").null())
                    .col(instant("superseded_at").null())
                    .foreign_key(
                        ForeignKey::create()
                            .from("email_verifications", "account_id")
                            .to("accounts", "id")
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .to_owned(),
            )
            .await?;
        index(schema, "email_verifications", &["account_id", "created_at"]).await?;
        index(schema, "email_verifications", &["expires_at"]).await?;
        schema
            .create_table(
                Table::create()
                    .table("server_keys")
                    .col(id())
                    .col(text("purpose"))
                    .col(text("kid").unique_key())
                    .col(text("algorithm"))
                    .col(ColumnDef::new("sealed").binary().not_null())
                    .col(instant("active_at").not_null())
                    .col(instant("retires_at").null())
                    .col(instant("created_at").not_null())
                    .to_owned(),
            )
            .await?;
        schema
            .create_table(
                Table::create()
                    .table("rate_limits")
                    .col(ColumnDef::new("key").binary().not_null().primary_key())
                    .col(instant("tat").not_null())
                    .col(ColumnDef::new("cost").big_integer().not_null())
                    .col(ColumnDef::new("burst").big_integer().not_null())
                    .col(ColumnDef::new("allowed").boolean().not_null())
                    .to_owned(),
            )
            .await?;
        index(schema, "rate_limits", &["tat"]).await?;
        schema
            .create_table(
                Table::create()
                    .table("audit_events")
                    .col(id())
                    .col(instant("at").not_null())
                    .col(text("action"))
                    .col(text("actor"))
                    .col(ColumnDef::new("account_id").uuid())
                    .col(ColumnDef::new("session_id").uuid())
                    .col(ColumnDef::new("aal").small_integer())
                    .col(ColumnDef::new("ip").text())
                    .col(ColumnDef::new("user_agent").text())
                    .col(ColumnDef::new("request_id").text())
                    .col(ColumnDef::new("detail").text())
                    .to_owned(),
            )
            .await?;
        index(schema, "audit_events", &["account_id", "id"]).await?;
        schema
            .create_table(
                Table::create()
                    .table("outbox_messages")
                    .col(id())
                    .col(ColumnDef::new("account_id").uuid())
                    .col(text("template"))
                    .col(ColumnDef::new("sealed").binary())
                    .col(text("state"))
                    .col(ColumnDef::new("attempts").integer().not_null())
                    .col(instant("due_at").not_null())
                    .col(ColumnDef::new("last_error").text())
                    .col(instant("created_at").not_null())
                    .col(instant("finished_at").null())
                    .to_owned(),
            )
            .await?;
        index(schema, "outbox_messages", &["state", "due_at"]).await?;
        partial_index(schema, "outbox_messages", "finished_at", "finished_at IS NOT NULL").await
    }

    async fn down(&self, schema: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES.into_iter().rev() {
            schema.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}
