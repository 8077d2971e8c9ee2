//! What can be stored: the services that this server knows.

use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};

use super::Tag;
use super::caller::Guest;
use super::payload::{Json, Nullable};
use super::problem::errors;
use crate::plugins::connectors::{ALL, About, Kind};

/// Operations on connectors.
pub struct ConnectorsApi;

/// The services whose credentials can be stored
#[derive(Debug, Object)]
#[oai(example)]
struct Connectors {
    /// In the order of a menu
    connectors: Vec<Connector>,
}

/// A service
#[derive(Debug, Object)]
#[oai(example)]
struct Connector {
    /// For `provider`
    name: String,
    /// As the service writes itself
    title: String,
    /// How to make a key there
    documentation_url: String,
    /// For `environment`; the first is the default
    environments: Vec<ConnectorEnvironment>,
    /// For a form, in its order
    fields: Vec<ConnectorField>,
    /// Whether requests can be signed without revealing the secret; not where each request holds the secret itself
    signs: bool,
    /// Whether a test tells what the key may do
    tells_permissions: bool,
    /// Whether a test tells from which addresses it may be used
    tells_ip_restriction: bool,
    /// Whether a test tells when it expires
    tells_expiry: bool,
}

/// Where a key belongs
#[derive(Debug, Object)]
struct ConnectorEnvironment {
    /// Stable
    name: String,
    /// For people
    title: String,
    /// Where requests go; null where the owner says it
    base_url: Nullable<String>,
}

/// How a field is filled in
#[derive(Debug, Enum)]
#[oai(rename_all = "snake_case")]
enum FieldKind {
    /// Shown as it is typed
    Text,
    /// Hidden
    Secret,
    /// Hidden, of several lines: a private key in PEM
    Pem,
    /// One of `choices`
    Choice,
    /// An object of texts
    Texts,
}

/// A field of a form
#[derive(Debug, Object)]
struct ConnectorField {
    /// Where its value goes: `api_key`, `secret`, `passphrase`, or `settings.` and a name
    name: String,
    /// For people
    title: String,
    /// Whether it must be filled in
    required: bool,
    /// How
    kind: FieldKind,
    /// What may be chosen
    choices: Vec<String>,
    /// A hint; may be empty
    help: String,
}

impl From<&'static About> for Connector {
    fn from(about: &'static About) -> Self {
        Self {
            name: about.name.to_owned(),
            title: about.title.to_owned(),
            documentation_url: about.documentation.to_owned(),
            environments: about
                .environments
                .iter()
                .map(|environment| ConnectorEnvironment {
                    name: environment.name.to_owned(),
                    title: environment.title.to_owned(),
                    base_url: Some(environment.base_url.to_owned()).filter(|url| !url.is_empty()).into(),
                })
                .collect(),
            fields: about
                .fields
                .iter()
                .map(|field| ConnectorField {
                    name: field.name.to_owned(),
                    title: field.title.to_owned(),
                    required: field.required,
                    kind: match field.kind {
                        Kind::Text => FieldKind::Text,
                        Kind::Secret => FieldKind::Secret,
                        Kind::Pem => FieldKind::Pem,
                        Kind::Choice(_) => FieldKind::Choice,
                        Kind::Texts => FieldKind::Texts,
                    },
                    choices: match field.kind {
                        Kind::Choice(choices) => choices.iter().map(|&choice| choice.to_owned()).collect(),
                        _ => vec![],
                    },
                    help: field.help.to_owned(),
                })
                .collect(),
            signs: true,
            tells_permissions: about.tells.permissions,
            tells_ip_restriction: about.tells.ip_restriction,
            tells_expiry: about.tells.expiry,
        }
    }
}

impl Example for Connector {
    fn example() -> Self {
        Self {
            name: "kraken".into(),
            title: "Kraken".into(),
            documentation_url: "https://support.kraken.com/articles/360000919966".into(),
            environments: vec![ConnectorEnvironment {
                name: "live".into(),
                title: "Live".into(),
                base_url: Some("https://api.kraken.com".to_owned()).into(),
            }],
            fields: vec![ConnectorField {
                name: "api_key".into(),
                title: "API key".into(),
                required: true,
                kind: FieldKind::Text,
                choices: vec![],
                help: String::new(),
            }],
            signs: true,
            tells_permissions: true,
            tells_ip_restriction: true,
            tells_expiry: true,
        }
    }
}

impl Example for Connectors {
    fn example() -> Self {
        Self { connectors: vec![Connector::example()] }
    }
}

errors!(ListErrors: 401);

#[OpenApi(tag = "Tag::ApiKeys")]
impl ConnectorsApi {
    /// List the connectors
    ///
    /// The services whose credentials can be stored, and what a form must ask for.
    #[oai(path = "/api/v1/connectors", method = "get", operation_id = "connector_list")]
    async fn list(&self, _guest: Guest) -> Result<Json<Connectors>, ListErrors> {
        Ok(Json(Connectors {
            connectors: ALL
                .iter()
                .map(|connector| Connector { signs: connector.keeps_secret(), ..connector.about().into() })
                .collect(),
        }))
    }
}
