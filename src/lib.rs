//! Latchkey: accounts, a vault for third-party credentials and identity checks behind one OpenAPI contract.
//!
//! The map of the house:
//!
//! - [`config`]: typed settings, defaults < file < environment, validated at start
//! - [`server`]: builds the application from a [`config::Config`]; the tests build it the same way
//! - [`telemetry`]: tracing and metrics, labelled by operation id
//! - [`api`]: HTTP only; endpoint structs that mirror the contract
//! - [`services`]: rules and transactions
//! - [`crypto`]: password hashing, token formats, signing keys, sealing
//! - [`plugins`]: what a deployer adds without touching the rest
//! - [`db`]: the doors to the database: pooled reads, grouped writes, coalesced look-ups
//! - [`clock`]: time, randomness and ids

pub mod crypto;
pub mod entropy;
pub mod plugins;
pub mod server;
pub mod templates;
