//! Drives the server over HTTP as its users do, on SQLite and on PostgreSQL. One file per noun, mirroring `src/api`;
//! `support` holds the test application, the actors and the fakes. Run it with `scripts/test`.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

#[macro_use]
mod support;

mod access_keys;
mod access_tokens;
mod account_data;
mod accounts;
mod admin;
mod api_keys;
mod backups;
mod canary;
mod cli;
mod coverage;
mod crashes;
mod deploy;
mod document;
mod email_changes;
mod email_verifications;
mod enumeration;
mod http;
mod imports;
mod journey;
mod kyc;
mod kyc_drills;
mod kyc_providers;
mod kyc_vendors;
mod languages;
mod limits;
mod mail;
mod metrics;
mod mfa;
mod mfa_races;
mod operations;
mod outages;
mod parity;
mod passkeys;
mod password_resets;
mod passwords;
mod policy;
mod problems;
mod races;
mod readme;
mod requests;
mod retention;
mod root_keys;
mod session_gates;
mod session_list;
mod sessions;
mod shutdown;
mod signing_keys;
mod step_up;
mod tampering;
mod traces;
mod webhooks;
mod well_known;
