#![no_main]
latchkey_fuzz::fuzz!(sealed);
