//! The state of this server, and the keys that verify its tokens.

use poem_openapi::payload::Response;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use super::Tag;
use super::caller::App;
use super::payload::Json;
use super::problem::errors;
use crate::crypto::signing_key::PublicKey;

/// Operations that tell about the server.
pub struct WellKnownApi;

/// Keys that verify access tokens (RFC 7517)
#[derive(Debug, Object)]
#[oai(example)]
struct KeySet {
    /// Those that sign, that will sign and that did of late
    keys: Vec<Jwk>,
}

/// A public key (RFC 7517, RFC 8037)
#[derive(Debug, Object)]
struct Jwk {
    /// `OKP` or `EC`
    kty: String,
    /// What it is for: `sig`
    #[oai(rename = "use")]
    usage: String,
    /// `EdDSA` or `ES256`
    alg: String,
    /// Name of the key in the header of a token
    kid: String,
    /// `Ed25519` or `P-256`
    crv: String,
    /// The public key, or its x coordinate, in base64url
    x: String,
    /// Its y coordinate in base64url, on P-256
    #[oai(skip_serializing_if_is_none)]
    y: Option<String>,
}

impl From<PublicKey> for Jwk {
    fn from(key: PublicKey) -> Self {
        Self {
            kty: key.kty.into(),
            usage: "sig".into(),
            alg: key.alg.into(),
            kid: key.kid,
            crv: key.crv.into(),
            x: key.x,
            y: key.y,
        }
    }
}

/// A server that answers
#[derive(Debug, Object)]
#[oai(example)]
struct Health {
    /// `ok`
    status: String,
}

impl Example for KeySet {
    fn example() -> Self {
        // The key of RFC 8037, appendix A.
        let key = Jwk {
            kty: "OKP".into(),
            usage: "sig".into(),
            alg: "EdDSA".into(),
            kid: "kPrK_qmxVWaYVA9w".into(),
            crv: "Ed25519".into(),
            x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into(),
            y: None,
        };
        Self { keys: vec![key] }
    }
}

impl Example for Health {
    fn example() -> Self {
        Self { status: "ok".into() }
    }
}

errors!(ServerErrors:);

#[OpenApi(tag = "Tag::Server")]
impl WellKnownApi {
    /// Read the public keys
    ///
    /// The key set that verifies access tokens, for other services. It may be kept for as long as `Cache-Control` says; a
    /// key appears here before it signs.
    #[oai(path = "/.well-known/jwks.json", method = "get", operation_id = "key_set_get")]
    async fn key_set(&self, app: App<'_>) -> Result<Response<Json<KeySet>>, ServerErrors> {
        let keys = app.keys.public_keys(app.sources.now()).into_iter().map(Jwk::from).collect();
        let age = format!("public, max-age={}", app.keys.key_set_max_age().as_secs());
        Ok(Response::new(Json(KeySet { keys })).header("Cache-Control", age))
    }

    /// Ask whether the server lives
    ///
    /// Answers as long as the process does. Restart it when it doesn't.
    #[oai(path = "/livez", method = "get", operation_id = "liveness_get")]
    async fn live(&self) -> Result<Json<Health>, ServerErrors> {
        Ok(Json(Health { status: "ok".into() }))
    }

    /// Ask whether the server is ready
    ///
    /// Answers 200 when the database answers and keys are there to sign with, else 503. Send it no traffic then.
    #[oai(path = "/readyz", method = "get", operation_id = "readiness_get")]
    async fn ready(&self, app: App<'_>) -> Result<Json<Health>, ServerErrors> {
        app.check_ready().await?;
        Ok(Json(Health { status: "ok".into() }))
    }
}
