//! Hostile bytes for every parser that reads what others send. A target takes bytes and states what must hold whatever they
//! are; `scripts/fuzz` looks for bytes that break it, and `tests/replay.rs` runs what has been found on every change.
//!
//! To add one, write a file beside these and name it in [`TARGETS`], in `Cargo.toml` and in `fuzz_targets`.

pub mod corpus;
mod input;
pub mod report;

#[cfg(feature = "libfuzzer")]
#[doc(hidden)]
pub use libfuzzer_sys;

/// One parser, or several that are alike.
pub struct Target {
    pub name: &'static str,
    /// Panics where something does not hold.
    pub run: fn(&[u8]),
    /// What to begin with: genuine inputs, and some that were not.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! targets {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        $($(#[$doc])* pub mod $name;)*

        /// All targets.
        pub const TARGETS: &[Target] = &[
            $(Target { name: stringify!($name), run: $name::run, seeds: $name::seeds }),*
        ];
    };
}

targets! {
    access_token,
    code,
    credential,
    email,
    forwarded,
    import,
    json_body,
    outbound,
    parameter,
    password_hash,
    refresh_token,
    sealed,
    user_agent,
    webhook_event,
    webhook_signature,
}

/// The target of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// The binary of a target, for libFuzzer.
#[cfg(feature = "libfuzzer")]
#[macro_export]
macro_rules! fuzz {
    ($name:ident) => {
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$name::run(data));
    };
}
