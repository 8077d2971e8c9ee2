#![no_main]
latchkey_fuzz::fuzz!(password_hash);
