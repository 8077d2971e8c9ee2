#![no_main]
latchkey_fuzz::fuzz!(user_agent);
