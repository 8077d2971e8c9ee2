//! Identity checks: verifications, what became of them, the inbox of webhooks; and what accounts may do.

use sea_orm_migration::prelude::*;

use crate::columns::{account_id, bytes, id, index, instant, of_account, partial_index, text};

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0005_kyc"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, schema: &SchemaManager) -> Result<(), DbErr> {
        for column in [
            text("role").default("user").take(),
            // How well it is known who this is, and until when.
            ColumnDef::new("ial").small_integer().not_null().default(0).take(),
            instant("ial_until").null().take(),
        ] {
            schema.alter_table(Table::alter().table("accounts").add_column(column).to_owned()).await?;
        }
        // As the last refresh found it, so that a refresh that is repeated says the same.
        let ial = ColumnDef::new("ial").small_integer().not_null().default(0).take();
        schema.alter_table(Table::alter().table("sessions").add_column(ial).to_owned()).await?;
        partial_index(schema, "accounts", "role", "role <> 'user'").await?;
        partial_index(schema, "accounts", "ial_until", "ial_until IS NOT NULL").await?;
        verifications(schema).await?;
        changes(schema).await?;
        events(schema).await
    }

    async fn down(&self, schema: &SchemaManager) -> Result<(), DbErr> {
        for table in ["kyc_contacts", "kyc_events", "kyc_person_keys", "kyc_changes", "kyc_verifications"] {
            schema.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        for name in ["ix_accounts_role", "ix_accounts_ial_until"] {
            schema.get_connection().execute_unprepared(&format!("DROP INDEX {name}")).await?;
        }
        schema.alter_table(Table::alter().table("sessions").drop_column("ial").to_owned()).await?;
        for column in ["ial_until", "ial", "role"] {
            schema.alter_table(Table::alter().table("accounts").drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}

async fn verifications(schema: &SchemaManager<'_>) -> Result<(), DbErr> {
    let table = Table::create()
        .table("kyc_verifications")
        .col(id())
        .col(account_id())
        .col(text("provider"))
        .col(text("level"))
        .col(text("status"))
        // What the vendor knows the verification by; says nothing of the person.
        .col(text("external_id").unique_key().take())
        // The vendor's own id and what else it takes to ask for it; none until the vendor has answered.
        .col(ColumnDef::new("reference").text().null())
        .col(ColumnDef::new("handle").text().null())
        // What the person goes on with: a link and a token.
        .col(ColumnDef::new("sealed").binary().null())
        .col(ColumnDef::new("redirect_url").text().null())
        .col(ColumnDef::new("idempotency_key").binary().null())
        .col(text("reasons"))
        .col(text("checks"))
        .col(ColumnDef::new("raw_status").text().null())
        // What it is worth while it is approved, and until when.
        .col(ColumnDef::new("ial").small_integer().not_null().default(0))
        .col(instant("valid_until").null())
        // What one reviewer wants, in JSON, until another one agrees.
        .col(ColumnDef::new("proposal").text().null())
        .col(instant("created_at").not_null())
        .col(instant("updated_at").not_null())
        // Given up then, unless it is decided.
        .col(instant("ends_at").not_null())
        .col(instant("poll_at").null())
        .col(ColumnDef::new("polls").integer().not_null().default(0))
        // The vendor is being asked for it until then, or the server that asked has died.
        .col(instant("busy_until").not_null().default(0))
        .foreign_key(&mut of_account("kyc_verifications"))
        .to_owned();
    schema.create_table(table).await?;
    for (name, columns) in [
        ("ux_kyc_verifications_reference", ["provider", "reference"]),
        ("ux_kyc_verifications_idempotency_key", ["account_id", "idempotency_key"]),
    ] {
        let mut unique = Index::create().name(name).table("kyc_verifications").unique().to_owned();
        for column in columns {
            unique.col(column);
        }
        schema.create_index(unique).await?;
    }
    index(schema, "kyc_verifications", &["account_id", "created_at", "id"]).await?;
    partial_index(schema, "kyc_verifications", "poll_at", "poll_at IS NOT NULL").await?;
    partial_index(schema, "kyc_verifications", "updated_at", "status = 'in_review'").await?;
    partial_index(schema, "kyc_verifications", "created_at", "reference IS NULL").await?;
    partial_index(schema, "kyc_verifications", "valid_until", "valid_until IS NOT NULL").await
}

async fn changes(schema: &SchemaManager<'_>) -> Result<(), DbErr> {
    let table = Table::create()
        .table("kyc_changes")
        .col(id())
        .col(ColumnDef::new("verification_id").uuid().not_null())
        .col(instant("occurred_at").not_null())
        .col(text("status"))
        .col(ColumnDef::new("explicit").boolean().not_null())
        // `provider`, `poll`, `person`, `reviewer` or `server`.
        .col(text("source"))
        .col(text("reasons"))
        .col(text("checks"))
        .col(text("raw_status"))
        .col(instant("created_at").not_null())
        .foreign_key(
            ForeignKey::create()
                .from("kyc_changes", "verification_id")
                .to("kyc_verifications", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .to_owned();
    schema.create_table(table).await?;
    index(schema, "kyc_changes", &["verification_id"]).await
}

async fn events(schema: &SchemaManager<'_>) -> Result<(), DbErr> {
    // The key of a person's events goes with the account; the events are then only noise until they are due.
    let table = Table::create()
        .table("kyc_person_keys")
        .col(id())
        .col(account_id().unique_key().take())
        .col(bytes("sealed"))
        .foreign_key(&mut of_account("kyc_person_keys"))
        .to_owned();
    schema.create_table(table).await?;

    let table = Table::create()
        .table("kyc_events")
        .col(id())
        .col(text("provider"))
        .col(bytes("dedupe_key"))
        // What is worked on in order: events of one verification.
        .col(text("subject"))
        .col(ColumnDef::new("account_id").uuid().null())
        // What the event says, without what it says of the person; none once it is done.
        .col(ColumnDef::new("event").text().null())
        // As it came, under the person's key; none when nobody is known by it.
        .col(ColumnDef::new("sealed").binary().null())
        .col(text("state"))
        .col(ColumnDef::new("attempts").integer().not_null().default(0))
        .col(instant("due_at").not_null())
        .col(ColumnDef::new("last_error").text().null())
        .col(instant("received_at").not_null())
        .col(instant("finished_at").null())
        .to_owned();
    schema.create_table(table).await?;
    let unique = Index::create()
        .name("ux_kyc_events_dedupe_key")
        .table("kyc_events")
        .col("provider")
        .col("dedupe_key")
        .unique()
        .to_owned();
    schema.create_index(unique).await?;
    for (name, columns) in [("due_at", "due_at"), ("subject_pending", "subject, id")] {
        let sql =
            format!("CREATE INDEX ix_kyc_events_{name} ON kyc_events ({columns}) WHERE state = 'pending'");
        schema.get_connection().execute_unprepared(&sql).await?;
    }
    let table = Table::create()
        .table("kyc_contacts")
        .col(ColumnDef::new("provider").text().not_null().primary_key())
        // When it last answered, to the minute.
        .col(instant("contacted_at").not_null())
        .to_owned();
    schema.create_table(table).await?;
    index(schema, "kyc_events", &["provider", "received_at"]).await?;
    index(schema, "kyc_events", &["received_at"]).await?;
    index(schema, "kyc_events", &["account_id"]).await?;
    for table in ["kyc_verifications", "kyc_person_keys"] {
        let sql = format!(
            "CREATE INDEX ix_{table}_root_key ON {table} ((substr(sealed, 1, 5)), id) WHERE sealed IS NOT NULL"
        );
        schema.get_connection().execute_unprepared(&sql).await?;
    }
    Ok(())
}
