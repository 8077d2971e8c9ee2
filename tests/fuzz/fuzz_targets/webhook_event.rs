#![no_main]
latchkey_fuzz::fuzz!(webhook_event);
