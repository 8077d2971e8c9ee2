//! Secrets in requests: never shown, wiped from memory when dropped.

use poem_openapi::registry::MetaSchema;

use super::{scalar::string_type, violation::Mistake};
use crate::crypto::password;
use crate::secret::Secret;

/// A string type for secrets in requests. None has `ToJSON`, so a member of this type compiles only with
/// `#[oai(write_only)]`, and no answer can repeat it.
macro_rules! secret_type {
    ($(#[$doc:meta])* $ty:ident, $name:literal, $min:expr, $max:expr, $schema:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $ty(Secret);

        impl $ty {
            /// The secret itself, for the one place that needs it.
            pub fn expose(&self) -> &str {
                self.0.expose()
            }

            fn parse(text: String) -> Result<Self, Mistake> {
                let secret = Secret::new(text);
                let length = secret.expose().chars().count();
                let min: Option<usize> = $min;
                if min.is_some_and(|min| length < min) {
                    return Err(Mistake::new("string_too_short", "String is too short"));
                }
                if length > $max {
                    return Err(Mistake::new("string_too_long", "String is too long"));
                }
                Ok(Self(secret))
            }
        }

        string_type!(
            $ty,
            $name,
            MetaSchema { min_length: $min, max_length: Some($max), write_only: true, ..$schema }
        );
    };
}

fn password_schema() -> MetaSchema {
    let example = Some("correct horse battery staple".into());
    MetaSchema { example, ..MetaSchema::new_with_format("string", "password") }
}

secret_type!(
    /// A password to sign in with: at most 128 code points. It may be shorter than today's rules ask for.
    Password,
    "string_password",
    None,
    128,
    password_schema()
);

secret_type!(
    /// A password to be set: 8 to 128 code points (NIST SP 800-63B).
    NewPassword,
    "string_new_password",
    Some(8),
    128,
    password_schema()
);

secret_type!(
    /// A token that this server gave out: 1 to 4096 code points.
    Token,
    "string_token",
    Some(1),
    4096,
    MetaSchema { example: Some("5gCnXkq3lS7vR0tZ".into()), ..MetaSchema::new("string") }
);

secret_type!(
    /// A code that a person types: 1 to 64 code points, white space included.
    Code,
    "string_code",
    Some(1),
    64,
    MetaSchema { example: Some("081 804".into()), ..MetaSchema::new("string") }
);

secret_type!(
    /// A credential of a third party, as it was pasted: 1 to 8192 code points.
    ApiSecret,
    "string_api_secret",
    Some(1),
    8192,
    MetaSchema { example: Some("vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A".into()), ..MetaSchema::new("string") }
);

impl From<ApiSecret> for Secret {
    fn from(sent: ApiSecret) -> Self {
        sent.0
    }
}

impl From<Password> for password::Password {
    fn from(typed: Password) -> Self {
        Self::new(typed.expose())
    }
}

impl From<NewPassword> for password::Password {
    fn from(typed: NewPassword) -> Self {
        Self::new(typed.expose())
    }
}
