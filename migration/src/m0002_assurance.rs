//! Second factors, tickets, devices, recovery, changes of address, and the end of an account.

use sea_orm_migration::prelude::*;

use crate::columns::{account_id, bytes, id, index, instant, of_account, partial_index, text};

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0002_assurance"
    }
}

const TABLES: [&str; 9] = [
    "totp_authenticators",
    "passkeys",
    "recovery_codes",
    "mfa_tickets",
    "webauthn_challenges",
    "remembered_devices",
    "seen_devices",
    "password_resets",
    "email_changes",
];

/// What accounts get to know. All may be null, so that a server of the release before can go on inserting.
const ACCOUNT_COLUMNS: [&str; 3] = ["second_factor_at", "recovering_until", "deletion_due_at"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, schema: &SchemaManager) -> Result<(), DbErr> {
        let accounts =
            |column: &mut ColumnDef| Table::alter().table("accounts").add_column(column).to_owned();
        schema.alter_table(accounts(ColumnDef::new("locale").text())).await?;
        for column in ACCOUNT_COLUMNS {
            schema.alter_table(accounts(instant(column).null())).await?;
        }
        partial_index(schema, "accounts", "deletion_due_at", "deletion_due_at IS NOT NULL").await?;
        factors(schema).await?;
        tickets_and_devices(schema).await?;
        links(schema).await?;
        erasure(schema).await
    }

    async fn down(&self, schema: &SchemaManager) -> Result<(), DbErr> {
        for (table, index) in
            [("outbox_messages", "ix_outbox_messages_account_id"), ("audit_events", "ix_audit_events_id")]
        {
            schema.drop_index(Index::drop().table(table).name(index).to_owned()).await?;
        }
        for table in TABLES.into_iter().rev() {
            schema.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        schema
            .drop_index(Index::drop().table("accounts").name("ix_accounts_deletion_due_at").to_owned())
            .await?;
        for column in ACCOUNT_COLUMNS.into_iter().chain(["locale"]) {
            schema.alter_table(Table::alter().table("accounts").drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}

async fn factors(schema: &SchemaManager<'_>) -> Result<(), DbErr> {
    schema
        .create_table(
            Table::create()
                .table("totp_authenticators")
                .col(id())
                .col(account_id())
                .col(text("name"))
                .col(bytes("sealed"))
                .col(instant("created_at").not_null())
                .col(instant("confirmed_at").null())
                .col(instant("last_used_at").null())
                .col(ColumnDef::new("last_step").big_integer().not_null())
                .col(ColumnDef::new("failures").integer().not_null())
                .col(instant("disabled_at").null())
                .foreign_key(&mut of_account("totp_authenticators"))
                .to_owned(),
        )
        .await?;
    index(schema, "totp_authenticators", &["account_id"]).await?;
    // For the reaper: enrolments that were never completed.
    partial_index(schema, "totp_authenticators", "created_at", "confirmed_at IS NULL").await?;
    schema
        .create_table(
            Table::create()
                .table("passkeys")
                .col(id())
                .col(account_id())
                .col(text("name"))
                .col(bytes("credential_id").unique_key())
                .col(text("credential"))
                .col(instant("created_at").not_null())
                .col(instant("last_used_at").null())
                .col(instant("suspected_at").null())
                .foreign_key(&mut of_account("passkeys"))
                .to_owned(),
        )
        .await?;
    index(schema, "passkeys", &["account_id"]).await?;
    schema
        .create_table(
            Table::create()
                .table("recovery_codes")
                .col(id())
                .col(account_id())
                .col(bytes("code_hash"))
                .col(instant("created_at").not_null())
                .col(instant("used_at").null())
                .foreign_key(&mut of_account("recovery_codes"))
                .to_owned(),
        )
        .await?;
    index(schema, "recovery_codes", &["account_id"]).await
}

async fn tickets_and_devices(schema: &SchemaManager<'_>) -> Result<(), DbErr> {
    schema
        .create_table(
            Table::create()
                .table("mfa_tickets")
                .col(id())
                .col(account_id())
                .col(bytes("token_hash").unique_key())
                .col(bytes("password_tag"))
                .col(ColumnDef::new("attempts").integer().not_null())
                .col(instant("created_at").not_null())
                .col(instant("expires_at").not_null())
                .col(instant("used_at").null())
                .foreign_key(&mut of_account("mfa_tickets"))
                .to_owned(),
        )
        .await?;
    index(schema, "mfa_tickets", &["account_id"]).await?;
    index(schema, "mfa_tickets", &["expires_at"]).await?;
    schema
        .create_table(
            Table::create()
                .table("webauthn_challenges")
                .col(id())
                .col(ColumnDef::new("account_id").uuid())
                .col(text("purpose"))
                .col(bytes("sealed"))
                .col(instant("created_at").not_null())
                .col(instant("expires_at").not_null())
                .foreign_key(&mut of_account("webauthn_challenges"))
                .to_owned(),
        )
        .await?;
    index(schema, "webauthn_challenges", &["account_id"]).await?;
    index(schema, "webauthn_challenges", &["expires_at"]).await?;
    schema
        .create_table(
            Table::create()
                .table("remembered_devices")
                .col(id())
                .col(account_id())
                .col(bytes("token_hash").unique_key())
                .col(ColumnDef::new("ip").text())
                .col(ColumnDef::new("user_agent").text())
                .col(instant("created_at").not_null())
                .col(instant("last_used_at").not_null())
                .col(instant("expires_at").not_null())
                .foreign_key(&mut of_account("remembered_devices"))
                .to_owned(),
        )
        .await?;
    index(schema, "remembered_devices", &["account_id"]).await?;
    index(schema, "remembered_devices", &["expires_at"]).await?;
    schema
        .create_table(
            Table::create()
                .table("seen_devices")
                .col(account_id())
                .col(bytes("fingerprint"))
                .col(instant("first_seen_at").not_null())
                .col(instant("last_seen_at").not_null())
                .primary_key(Index::create().col("account_id").col("fingerprint"))
                .foreign_key(&mut of_account("seen_devices"))
                .to_owned(),
        )
        .await?;
    index(schema, "seen_devices", &["last_seen_at"]).await
}

async fn links(schema: &SchemaManager<'_>) -> Result<(), DbErr> {
    schema
        .create_table(
            Table::create()
                .table("password_resets")
                .col(id())
                .col(account_id())
                .col(bytes("token_hash").unique_key())
                .col(instant("created_at").not_null())
                .col(instant("expires_at").not_null())
                .col(instant("used_at").null())
                .col(instant("superseded_at").null())
                .foreign_key(&mut of_account("password_resets"))
                .to_owned(),
        )
        .await?;
    index(schema, "password_resets", &["account_id"]).await?;
    index(schema, "password_resets", &["expires_at"]).await?;
    schema
        .create_table(
            Table::create()
                .table("email_changes")
                .col(id())
                .col(account_id())
                .col(text("old_email"))
                .col(text("old_email_key"))
                .col(text("new_email"))
                .col(text("new_email_key"))
                .col(bytes("confirm_hash").unique_key())
                .col(ColumnDef::new("revert_hash").binary().unique_key())
                .col(instant("created_at").not_null())
                .col(instant("expires_at").not_null())
                .col(instant("confirmed_at").null())
                .col(instant("revert_until").null())
                .col(instant("reverted_at").null())
                .col(instant("superseded_at").null())
                .foreign_key(&mut of_account("email_changes"))
                .to_owned(),
        )
        .await?;
    index(schema, "email_changes", &["account_id"]).await?;
    index(schema, "email_changes", &["expires_at"]).await?;
    // An address that its owner may still take back is not free.
    partial_index(schema, "email_changes", "old_email_key", "revert_until IS NOT NULL").await
}

/// What an account that goes must be found by.
async fn erasure(schema: &SchemaManager<'_>) -> Result<(), DbErr> {
    partial_index(schema, "outbox_messages", "account_id", "account_id IS NOT NULL").await?;
    // Few: their accounts' trails are looked at again.
    partial_index(schema, "audit_events", "id", "action = 'account.deleted'").await
}
