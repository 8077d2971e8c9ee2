//! Latchkey: accounts, a vault for third-party credentials and identity checks behind one OpenAPI contract.
//!
//! The map of the house:
//!
//! - [`config`]: typed settings, defaults < file < environment, validated at start
//! - [`cli`]: the commands
//! - [`server`]: builds the application from a [`config::Config`]; the tests build it the same way
//! - [`api`]: HTTP only; endpoint structs that mirror the contract
//! - [`services`]: rules and transactions
//! - [`crypto`]: password hashing, token formats, signing keys, sealing
//! - [`plugins`]: what a deployer adds without touching the rest
//! - [`outbound`]: requests to other servers, bounded
//! - [`db`]: the doors to the database: pooled reads, grouped writes, batches
//! - [`telemetry`]: logs and metrics, labelled by operation id
//! - [`templates`]: mails and pages, inside the binary
//! - [`locale`]: the languages that people are written to in
//! - [`files`], [`secret`]: files and texts that others must not see
//! - [`clock`], [`entropy`]: time, ids and randomness
//! - [`device`]: what a request tells of the device that it comes from

pub mod api;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod db;
pub mod device;
pub mod entropy;
pub mod files;
pub mod locale;
pub mod outbound;
pub mod plugins;
pub mod secret;
pub mod server;
pub mod services;
pub mod telemetry;
pub mod templates;
