//! Indexes for what looked at whole tables.

use sea_orm_migration::prelude::*;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0008_sizes"
    }
}

/// Values that are always there. SQLite does not use an index `WHERE sealed IS NOT NULL` for a column that can't be null.
const HEADS: [(&str, &str, &str); 3] = [
    ("api_keys", "wrapped_key", "substr(wrapped_key, 1, 5)"),
    ("totp_authenticators", "sealed", "substr(sealed, 3, 5)"),
    ("kyc_person_keys", "sealed", "substr(sealed, 1, 5)"),
];

const INDEXES: [(&str, &str); 4] = [
    // Verifications to be given up; those that a reviewer reads by status, and those to be forgotten.
    (
        "ix_kyc_verifications_open",
        "kyc_verifications (ends_at) WHERE status IN ('pending', 'in_review', 'resubmission')",
    ),
    ("ix_kyc_verifications_status", "kyc_verifications (status, updated_at, id)"),
    // Accounts that an operator lists by state, in the order of ids. Of the active ones any page is full.
    ("ix_accounts_deleting", "accounts (id) WHERE deletion_due_at IS NOT NULL"),
    ("ix_accounts_unverified", "accounts (id) WHERE email_verified_at IS NULL"),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, schema: &SchemaManager) -> Result<(), DbErr> {
        for (table, _, head) in HEADS {
            let sql = format!("CREATE INDEX ix_{table}_head ON {table} (({head}), id)");
            schema.get_connection().execute_unprepared(&sql).await?;
            // The one before it, which is of no more use.
            let sql = format!("DROP INDEX IF EXISTS ix_{table}_root_key");
            schema.get_connection().execute_unprepared(&sql).await?;
        }
        for (name, what) in INDEXES {
            schema.get_connection().execute_unprepared(&format!("CREATE INDEX {name} ON {what}")).await?;
        }
        Ok(())
    }

    async fn down(&self, schema: &SchemaManager) -> Result<(), DbErr> {
        for (name, _) in INDEXES {
            schema.get_connection().execute_unprepared(&format!("DROP INDEX {name}")).await?;
        }
        for (table, column, head) in HEADS {
            let sql = format!(
                "CREATE INDEX ix_{table}_root_key ON {table} (({head}), id) WHERE {column} IS NOT NULL"
            );
            schema.get_connection().execute_unprepared(&sql).await?;
            schema.get_connection().execute_unprepared(&format!("DROP INDEX ix_{table}_head")).await?;
        }
        Ok(())
    }
}
