//! How the document describes the errors of an operation.

use poem_openapi::registry::{MetaHeader, MetaMediaType, MetaResponse, MetaSchema, MetaSchemaRef};
use poem_openapi::types::Type;

use super::Problem;
use crate::api::payload::HttpValidationError;

/// How the document describes an error status.
pub fn response(status: u16) -> MetaResponse {
    let description = match status {
        400 => {
            "The token is invalid, expired or used (`error` says which), or the request can't be understood"
        }
        401 => {
            "Not signed in, not well or recently enough (`insufficient_user_authentication`), or the credentials are not valid"
        }
        403 => "Signed in or known, but not allowed (`error` says why)",
        404 => "There is none, or it belongs to somebody else",
        408 => "The request body did not arrive in time",
        409 => "The account or the server does not allow it as it stands (`error` says why)",
        413 => "The request body is longer than 64 KiB",
        415 => "The request body is not `application/json`",
        422 => "The request breaks the schema; every mistake is listed",
        429 => "Too many requests; wait as long as `Retry-After` says",
        500 => "A mistake of the server",
        502 => "A provider failed (`error` says how)",
        _ => "Overloaded, or the database does not answer; wait as long as `Retry-After` says",
    };
    let header = |name: &str, description: &str, schema: MetaSchema| MetaHeader {
        name: name.into(),
        description: Some(description.into()),
        required: true,
        deprecated: false,
        schema: MetaSchemaRef::Inline(Box::new(schema)),
    };
    let headers = match status {
        401 => vec![header(
            "WWW-Authenticate",
            "The scheme to use (RFC 6750), and what is missing (RFC 9470)",
            MetaSchema::new("string"),
        )],
        429 | 503 => {
            let seconds = MetaSchema { minimum: Some(0.0), ..MetaSchema::new("integer") };
            vec![header("Retry-After", "Seconds to wait", seconds)]
        }
        _ => vec![],
    };
    let content = if status == 422 {
        MetaMediaType { content_type: "application/json", schema: HttpValidationError::schema_ref() }
    } else {
        MetaMediaType { content_type: "application/problem+json", schema: Problem::schema_ref() }
    };
    MetaResponse { description, status: Some(status), status_range: None, content: vec![content], headers }
}

/// Declares the error answers of an operation: a type that documents these statuses and carries any [`Fault`].
macro_rules! errors {
    ($name:ident: $($status:literal),*) => {
        #[derive(Debug)]
        pub struct $name($crate::api::problem::Fault);

        impl poem_openapi::ApiResponse for $name {
            fn meta() -> poem_openapi::registry::MetaResponses {
                let statuses = [$($status,)* 500, 503];
                poem_openapi::registry::MetaResponses {
                    responses: statuses.into_iter().map($crate::api::problem::response).collect(),
                }
            }

            fn register(registry: &mut poem_openapi::registry::Registry) {
                use poem_openapi::types::Type;
                $crate::api::problem::Problem::register(registry);
                $crate::api::payload::HttpValidationError::register(registry);
            }
        }

        impl<T: Into<$crate::api::problem::Fault>> From<T> for $name {
            fn from(fault: T) -> Self {
                Self(fault.into())
            }
        }

        impl From<$name> for poem::Error {
            fn from(error: $name) -> Self {
                error.0.into()
            }
        }
    };
}
pub(in crate::api) use errors;
