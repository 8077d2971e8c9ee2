#![no_main]
latchkey_fuzz::fuzz!(refresh_token);
