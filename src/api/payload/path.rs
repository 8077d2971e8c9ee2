//! Parameters in the path.

use std::ops::Deref;

use poem::{PathPattern, Request, RequestBody, Result};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaParamIn, MetaSchemaRef, Registry},
    types::ParseFromParameter,
};

use super::query::parse;
use super::{Location, Rejection};
use crate::api::methods::parameter_name;

/// A parameter in the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path<T>(pub T);

impl<T> Deref for Path<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'a, T: ParseFromParameter + 'static> ApiExtractor<'a> for Path<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    const PARAM_IS_REQUIRED: bool = true;
    type ParamType = T;
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Path)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(T::schema_ref())
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        options: ExtractParamOptions<T>,
    ) -> Result<Self> {
        let value = request.raw_path_param(options.name).map(str::to_owned);
        let parsed = parse("path", options.name, value.into_iter().collect());
        Ok(Self(parsed.map_err(|rejection| documented(rejection, request, options.name))?))
    }
}

/// Names the parameter as the document does: the library hands over its number, `param0`.
fn documented(mut rejection: Rejection, request: &Request, given: &str) -> Rejection {
    let position = given.strip_prefix("param").and_then(|number| number.parse().ok());
    let route = request.data::<PathPattern>();
    let name = position.zip(route).and_then(|(position, route)| parameter_name(&route.0, position));
    if let (Some(name), Rejection::Invalid(violations)) = (name, &mut rejection) {
        for place in violations.iter_mut().flat_map(|violation| &mut violation.loc) {
            if matches!(place, Location::Name(placed) if placed == given) {
                *place = Location::Name(name.to_owned());
            }
        }
    }
    rejection
}
