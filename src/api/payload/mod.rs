//! How requests are read and checked, and how JSON answers are written.
//!
//! [`Json`] and [`Query`] check what arrives against the schema that the document publishes, so what is documented is
//! what is enforced, and they report every violation at once, in the shape and the words of FastAPI / Pydantic v2. Two
//! differences are meant: no answer repeats a secret, and JSON types are strict (`"12"` is no integer), as documented.
//! Limits belong to types and members; a parameter's own `validator` attribute does not compile with [`Query`]; see [`Bounded`].

mod base64url;
mod bounded;
mod check;
mod cursor;
mod datetime;
mod email;
mod email_start;
mod header;
mod https_url;
mod json;
mod language;
mod line;
mod nullable;
mod path;
mod query;
mod redact;
mod scalar;
mod schema;
mod secret;
mod settings;
mod syntax;
mod violation;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod parity;
#[cfg(test)]
mod tests;

pub use self::{
    base64url::Base64Url,
    bounded::Bounded,
    cursor::Cursor,
    email::{Email, EmailError},
    email_start::EmailStart,
    header::Header,
    https_url::HttpsUrl,
    json::{BodyLimits, Json, read_at_most, read_body},
    language::Language,
    line::{Line, Method, PathRule, QueryText},
    nullable::{Nullable, Patch},
    path::Path,
    query::Query,
    scalar::{IdempotencyKey, Label, Level, Name, Phone, Word},
    secret::{ApiSecret, Code, NewPassword, Password, Token},
    settings::Settings,
    violation::{HttpValidationError, Location, Rejection, Violation},
};
