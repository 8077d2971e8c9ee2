#![no_main]
latchkey_fuzz::fuzz!(json_body);
