#![no_main]
latchkey_fuzz::fuzz!(access_token);
