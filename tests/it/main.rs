//! Drives the server over HTTP as its users do, on SQLite and on PostgreSQL. One file per noun, mirroring `src/api`;
//! `support` holds the test application, the actors and the fakes. Run it with `scripts/test`.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

#[macro_use]
mod support;

mod journey;
mod shutdown;
