//! Parameters in the query string.

use std::ops::Deref;

use ::url::form_urlencoded;
use poem::{Request, RequestBody, Result};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaParamIn, MetaSchemaRef, Registry},
    types::ParseFromParameter,
};
use serde_json::{Number, Value};

use super::{
    Location, Rejection,
    check::{check, missing},
    json::unexplained,
    redact::is_secret_name,
    schema::{Kind, Node, Shape},
};

/// A query parameter; `Query<Option<T>>` for one that may be left out. Of a repeated single value the last one counts,
/// as in FastAPI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Query<T>(pub T);

impl<T> Deref for Query<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'a, T: ParseFromParameter + 'static> ApiExtractor<'a> for Query<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    const PARAM_IS_REQUIRED: bool = T::IS_REQUIRED;
    type ParamType = T;
    /// Nothing that a validator could be put on: limits belong to the type, where the walk sees them.
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Query)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(T::schema_ref())
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        options: ExtractParamOptions<T>,
    ) -> Result<Self> {
        let query = request.uri().query().unwrap_or_default();
        let values: Vec<String> = form_urlencoded::parse(query.as_bytes())
            .filter(|(name, _)| name == options.name)
            .map(|(_, value)| value.into_owned())
            .collect();
        let value = match (values.is_empty(), options.default_value) {
            (true, Some(default)) => default(),
            _ => parse("query", options.name, values)?,
        };
        Ok(Self(value))
    }
}

/// Checks the values of a parameter and reads them. `place` says where it stands: `query` or `path`.
pub(super) fn parse<T: ParseFromParameter + 'static>(
    place: &str,
    name: &str,
    mut values: Vec<String>,
) -> Result<T, Rejection> {
    let loc = || vec![Location::Name(place.into()), Location::Name(name.into())];
    let shape = Shape::of::<T>();
    if values.is_empty() {
        if T::IS_REQUIRED {
            return Err(Rejection::Invalid(vec![missing().at(loc(), Value::Null)]));
        }
    } else {
        let mut value = if let Kind::List { items, .. } = &shape.root.kind {
            values.iter().map(|text| typed(items, text)).collect()
        } else {
            values.drain(..values.len() - 1);
            values.last().map(|text| typed(&shape.root, text)).unwrap_or_default()
        };
        let mut found = check(&shape, &mut value, name, is_secret_name(name));
        if !found.is_empty() {
            for violation in &mut found {
                violation.loc.insert(0, Location::Name(place.into()));
            }
            return Err(Rejection::Invalid(found));
        }
    }
    T::parse_from_parameters(values).map_err(|_| unexplained(loc()))
}

/// The text as a value of the documented type, or as it is when it does not look like one.
fn typed(node: &Node, text: &str) -> Value {
    let typed = match node.kind {
        Kind::Integer { .. } => text.parse().ok().map(|n: i64| Value::from(n)),
        Kind::Number(_) => text.parse().ok().and_then(Number::from_f64).map(Value::from),
        Kind::Boolean => text.parse().ok().map(|b: bool| Value::from(b)),
        _ => None,
    };
    typed.unwrap_or_else(|| text.into())
}
