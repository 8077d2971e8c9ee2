//! Credentials of third parties, and the keys of servers that use them.

use sea_orm_migration::prelude::*;

use crate::columns::{account_id, bytes, id, index, instant, of_account, text};

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0003_vault"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, schema: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("api_keys")
            .col(id())
            .col(account_id())
            .col(text("provider"))
            .col(text("environment"))
            .col(text("name"))
            // Lower case: a name is taken in every spelling.
            .col(text("name_key"))
            .col(text("labels"))
            .col(text("settings"))
            .col(text("rules"))
            .col(text("hint"))
            // Of the credential: counts what was stored under this id.
            .col(ColumnDef::new("version").integer().not_null())
            .col(bytes("wrapped_key"))
            .col(bytes("sealed_api_key"))
            .col(ColumnDef::new("sealed_secret").binary().null())
            .col(ColumnDef::new("sealed_passphrase").binary().null())
            .col(instant("created_at").not_null())
            .col(instant("updated_at").not_null())
            .col(instant("expires_at").null())
            .col(instant("last_used_at").null())
            .col(instant("tested_at").null())
            .col(text("status"))
            .col(ColumnDef::new("outcome").text().null())
            // The last test that said something of the credential, in JSON.
            .col(ColumnDef::new("report").text().null())
            .col(ColumnDef::new("nonce").big_integer().not_null().default(0))
            // A test is under way until then, or its server has died.
            .col(instant("busy_until").not_null().default(0))
            .foreign_key(&mut of_account("api_keys"))
            .to_owned();
        schema.create_table(table).await?;
        let unique = Index::create()
            .name("ux_api_keys_account_id_name_key")
            .table("api_keys")
            .col("account_id")
            .col("name_key")
            .unique()
            .to_owned();
        schema.create_index(unique).await?;

        let table = Table::create()
            .table("access_keys")
            .col(id())
            .col(account_id())
            .col(text("name"))
            .col(text("hint"))
            .col(bytes("token_hash").unique_key().take())
            .col(text("scopes"))
            .col(instant("created_at").not_null())
            .col(instant("expires_at").null())
            .col(instant("last_used_at").null())
            .foreign_key(&mut of_account("access_keys"))
            .to_owned();
        schema.create_table(table).await?;
        index(schema, "access_keys", &["account_id"]).await?;

        // When secrets were first revealed on a device.
        let revealed = instant("revealed_at").null().take();
        schema.alter_table(Table::alter().table("seen_devices").add_column(revealed).to_owned()).await
    }

    async fn down(&self, schema: &SchemaManager) -> Result<(), DbErr> {
        schema
            .alter_table(Table::alter().table("seen_devices").drop_column("revealed_at").to_owned())
            .await?;
        for table in ["access_keys", "api_keys"] {
            schema.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}
