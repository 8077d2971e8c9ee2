//! Password hashing, token formats, signing keys and sealing: everything that touches key material.

pub mod password;
