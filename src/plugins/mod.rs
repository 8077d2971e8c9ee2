//! What a deployer adds without touching the rest: a trait, a registry and one file per plugin.

pub mod connectors;
pub mod kyc;
pub mod mail;
