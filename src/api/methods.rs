//! Which methods a path takes, for the `Allow` header of a 405 (RFC 9110, 15.5.6), which the router does not tell.

use std::sync::LazyLock;

use poem::http::HeaderValue;

use super::document::WITH_SLASH;

/// Paths outside the document.
const PAGES: [(&str, &str); 10] = [
    ("/", "GET"),
    ("/verify-email", "GET, POST"),
    ("/forgot-password", "GET, POST"),
    ("/reset-password", "GET, POST"),
    ("/confirm-email", "GET, POST"),
    ("/restore-email", "GET, POST"),
    ("/docs", "GET"),
    ("/docs/", "GET"),
    ("/openapi.yaml", "GET"),
    ("/openapi.json", "GET"),
];

/// Path templates and their methods.
pub struct Methods(Vec<(String, HeaderValue)>);

impl Methods {
    #[must_use]
    pub fn new() -> Self {
        let document = super::document::generate();
        let paths = document["paths"].as_object().into_iter().flatten();
        let operations = paths.map(|(path, methods)| {
            let methods: Vec<String> =
                methods.as_object().into_iter().flatten().map(|(method, _)| method.to_uppercase()).collect();
            (path.clone(), methods.join(", "))
        });
        let pages = PAGES.into_iter().map(|(path, methods)| (path.to_owned(), methods.to_owned()));
        let all = operations.chain(pages);
        Self(all.filter_map(|(path, methods)| Some((path, HeaderValue::try_from(methods).ok()?))).collect())
    }

    /// The methods of the template that `path` fits.
    #[must_use]
    pub fn of(&self, path: &str) -> Option<&HeaderValue> {
        self.0.iter().find(|(template, _)| fits(template, path)).map(|(_, methods)| methods)
    }
}

impl Default for Methods {
    fn default() -> Self {
        Self::new()
    }
}

/// What the document calls a parameter of a route, which the router only numbers.
#[must_use]
pub fn parameter_name(route: &str, position: usize) -> Option<&'static str> {
    static TEMPLATES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let document = super::document::generate();
        document["paths"].as_object().into_iter().flatten().map(|(path, _)| path.clone()).collect()
    });
    let template = TEMPLATES.iter().find(|template| fits(template, route))?;
    let mut names = template.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    names.nth(position)
}

fn fits(template: &str, path: &str) -> bool {
    // Of a path that ends with a slash, both spellings answer.
    let plain = |path: &str| path.strip_suffix('/').is_some_and(|plain| WITH_SLASH.contains(&plain));
    let template = if plain(template) { template.trim_end_matches('/') } else { template };
    let path = if plain(path) { path.trim_end_matches('/') } else { path };
    let (mut template, mut path) = (template.split('/'), path.split('/'));
    loop {
        match (template.next(), path.next()) {
            (None, None) => return true,
            (Some(expected), Some(segment)) if expected == segment || expected.starts_with('{') => {}
            _ => return false,
        }
    }
}
