//! The schema, one file per change. A release expands first and contracts in a later one, so that old and new nodes
//! can run side by side.

pub use sea_orm_migration::prelude::*;

mod columns;
mod m0001_accounts;
mod m0002_assurance;
mod m0003_vault;
mod m0004_root_keys;
mod m0005_kyc;
mod m0006_webhooks;
mod m0007_admin;
mod m0008_sizes;
mod m0009_states;

pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_accounts::Migration),
            Box::new(m0002_assurance::Migration),
            Box::new(m0003_vault::Migration),
            Box::new(m0004_root_keys::Migration),
            Box::new(m0005_kyc::Migration),
            Box::new(m0006_webhooks::Migration),
            Box::new(m0007_admin::Migration),
            Box::new(m0008_sizes::Migration),
            Box::new(m0009_states::Migration),
        ]
    }
}
