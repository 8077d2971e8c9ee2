//! Builds the application from a configuration and serves it.

pub mod files;
pub mod listener;
