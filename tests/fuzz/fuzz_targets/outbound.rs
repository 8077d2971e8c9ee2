#![no_main]
latchkey_fuzz::fuzz!(outbound);
