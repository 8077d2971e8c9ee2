//! The contract and its interactive page: the document byte for byte as committed, and Swagger UI from inside the binary.

use std::sync::{Arc, LazyLock};

use poem::http::{StatusCode, header};
use poem::web::Path;
use poem::{Response, Route, RouteMethod, get, handler};
use utoipa_swagger_ui::Config;

use crate::api::document;

/// Swagger UI sets styles from its scripts; scripts come from this server only.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static JSON: LazyLock<String> = LazyLock::new(|| {
    let document: serde_json::Value =
        serde_norway::from_str(document::YAML).expect("the committed document is YAML");
    document.to_string()
});

static SWAGGER: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    // No validator of somebody else, and no token left behind in the browser.
    let config = Config::new(["/openapi.json"]).validator_url("none").persist_authorization(false);
    // The base layout has no bar that asks for other documents.
    let config = config.use_base_layout();
    Arc::new(config.display_request_duration(true).try_it_out_enabled(true).deep_linking(true))
});

/// Adds the document and the page to the routes.
pub fn add(routes: Route) -> Route {
    routes
        .at("/openapi.yaml", get(yaml))
        .at("/openapi.json", get(json))
        .at("/docs", home())
        .at("/docs/", get(index))
        .at("/docs/*file", get(file))
}

/// Leads to the page.
pub fn home() -> RouteMethod {
    get(redirect)
}

#[handler]
fn redirect() -> Response {
    // The page's own links are relative: without the slash they would lead nowhere.
    Response::builder().status(StatusCode::TEMPORARY_REDIRECT).header(header::LOCATION, "/docs/").finish()
}

#[handler]
fn yaml() -> Response {
    Response::builder().content_type("application/yaml").body(document::YAML)
}

#[handler]
fn json() -> Response {
    Response::builder().content_type("application/json").body(JSON.as_str())
}

#[handler]
fn index() -> Response {
    asset("")
}

#[handler]
fn file(Path(file): Path<String>) -> Response {
    asset(&file)
}

fn asset(path: &str) -> Response {
    match utoipa_swagger_ui::serve(path, Arc::clone(&SWAGGER)) {
        Ok(Some(found)) => Response::builder()
            .content_type(&found.content_type)
            .header(header::CONTENT_SECURITY_POLICY, POLICY)
            .header(header::CACHE_CONTROL, "no-cache")
            .body(found.bytes.into_owned()),
        _ => StatusCode::NOT_FOUND.into(),
    }
}
