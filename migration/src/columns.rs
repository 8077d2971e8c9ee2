//! Words that the migrations share.

use sea_orm_migration::prelude::*;

pub fn id() -> ColumnDef {
    ColumnDef::new("id").uuid().not_null().primary_key().take()
}

pub fn text(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().not_null().take()
}

pub fn bytes(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).binary().not_null().take()
}

/// Milliseconds since the Unix epoch.
pub fn instant(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().take()
}

/// The account that a row hangs on, and goes with.
pub fn account_id() -> ColumnDef {
    ColumnDef::new("account_id").uuid().not_null().take()
}

pub fn of_account(table: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .from(table, "account_id")
        .to("accounts", "id")
        .on_delete(ForeignKeyAction::Cascade)
        .take()
}

pub async fn index(
    schema: &SchemaManager<'_>,
    table: &'static str,
    columns: &[&'static str],
) -> Result<(), DbErr> {
    let mut index = Index::create();
    index.name(format!("ix_{table}_{}", columns.join("_"))).table(table);
    for column in columns {
        index.col(*column);
    }
    schema.create_index(index.to_owned()).await
}

pub async fn partial_index(
    schema: &SchemaManager<'_>,
    table: &str,
    column: &str,
    condition: &str,
) -> Result<(), DbErr> {
    let sql = format!("CREATE INDEX ix_{table}_{column} ON {table} ({column}) WHERE {condition}");
    schema.get_connection().execute_unprepared(&sql).await.map(drop)
}
