//! Builds the application from a configuration and serves it.

pub mod listener;
