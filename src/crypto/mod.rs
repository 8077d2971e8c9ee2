//! Password hashing, token formats, signing keys and sealing: everything that touches key material.

pub mod access_key;
pub mod access_token;
pub mod envelope;
pub mod mac;
pub mod opaque_token;
pub mod password;
pub mod record;
pub mod recovery_code;
pub mod refresh_token;
pub mod root_key;
pub mod root_key_file;
pub mod root_keys;
pub mod root_ring;
pub mod seal;
pub mod signing_key;
pub mod totp;
pub mod webhook_key;
