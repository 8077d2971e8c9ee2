//! Parameters in the header.

use poem::{Request, RequestBody, Result};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaParamIn, MetaSchemaRef, Registry},
    types::ParseFromParameter,
};

use super::query::parse;

/// A header; `Header<Option<T>>` for one that may be left out. Of a repeated one the last counts. What is not text is read
/// with a mark in its place, and so breaks any pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header<T>(pub T);

impl<'a, T: ParseFromParameter + 'static> ApiExtractor<'a> for Header<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    const PARAM_IS_REQUIRED: bool = T::IS_REQUIRED;
    type ParamType = T;
    /// Nothing that a validator could be put on: limits belong to the type.
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Header)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(T::schema_ref())
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        options: ExtractParamOptions<T>,
    ) -> Result<Self> {
        let values = request.headers().get_all(options.name).iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
        Ok(Self(parse("header", options.name, values)?))
    }
}
