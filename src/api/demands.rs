//! What the operator's settings demand of operations beyond their own rules (`assurance.routes`).

use std::collections::BTreeMap;

use poem::http::Method;
use poem::{PathPattern, Request};

use crate::services::policy::Requirement;

/// Demands by method and route.
pub struct Demands(Vec<(Method, String, Requirement)>);

impl Demands {
    /// Finds the operations by id; says which is none, or takes no access token.
    pub fn new(routes: &BTreeMap<String, Requirement>) -> Result<Self, String> {
        if routes.is_empty() {
            return Ok(Self(vec![]));
        }
        let document = super::document::generate();
        let operations = || {
            document["paths"].as_object().into_iter().flatten().flat_map(|(path, methods)| {
                methods
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(move |(method, operation)| (path, method, operation))
            })
        };
        let find = |(id, demand): (&String, &Requirement)| {
            let (path, method, operation) = operations()
                .find(|(_, _, operation)| operation["operationId"] == **id)
                .ok_or_else(|| format!("assurance.routes.{id}: there is no such operation"))?;
            if operation["security"].as_array().is_none_or(|schemes| schemes.len() != 1) {
                return Err(format!("assurance.routes.{id}: this operation takes no access token"));
            }
            let method = method.to_uppercase().parse().map_err(|_| format!("{method} is no method"))?;
            Ok((method, pattern(path), *demand))
        };
        routes.iter().map(find).collect::<Result<_, _>>().map(Self)
    }

    /// The demand on the operation that a request was routed to. The route counts, not the path as it is written.
    #[must_use]
    pub fn of(&self, request: &Request) -> Option<Requirement> {
        if self.0.is_empty() {
            return None;
        }
        let routed = pattern(&request.data::<PathPattern>()?.0);
        let found = self.0.iter().find(|(method, route, _)| *method == request.method() && *route == routed);
        found.map(|(_, _, demand)| *demand)
    }
}

/// A route as both sides can be compared: `auth/sessions/*`.
fn pattern(route: &str) -> String {
    let segments = route.trim_matches('/').split('/');
    let any =
        |segment: &str| if segment.starts_with([':', '{']) { "*".to_owned() } else { segment.to_owned() };
    segments.map(any).collect::<Vec<_>>().join("/")
}
