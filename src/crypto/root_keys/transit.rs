//! Root keys that never leave their server: the Transit engine of OpenBao and HashiCorp Vault. It encrypts and decrypts the keys of
//! records over HTTP, bound to their context as associated data.
//!
//! A wrapped key is `format 2 (1) | version of the key (4) | what Transit answers`. What the local root keys wrapped before opens
//! with these, and is wrapped by Transit in the next rotation.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::header::HeaderValue;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::{RootKeyFailure, RootKeys};
use crate::crypto::seal::{HEAD, Head, Sealer, Unopened};
use crate::outbound::{self, Failure};
use crate::secret::Secret;

const FORMAT: u8 = 2;
/// A request of a person waits for it.
const PATIENCE: Duration = Duration::from_secs(5);
const MAX_ANSWER: usize = 1 << 16;

pub struct Transit {
    client: Client,
    /// Up to `/v1/transit`, or wherever the engine is mounted; no slash at its end.
    url: String,
    token: HeaderValue,
    key: String,
    /// Older versions are not decrypted any more.
    least_version: u32,
    before: Sealer,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Key {
    latest_version: u32,
    #[serde(default)]
    min_decryption_version: u32,
}

#[derive(Deserialize)]
struct Encrypted {
    ciphertext: String,
}

#[derive(Deserialize)]
struct Decrypted {
    plaintext: Secret,
}

impl Transit {
    /// Asks for the key. A service that is down is no reason not to start; a key that is not there is. The error is a
    /// line for the operator.
    pub async fn open(url: &str, token: &Secret, key: &str, before: Sealer) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("vault.transit_url: {error}");
        let mut header = HeaderValue::from_str(token.expose())
            .map_err(|_| "vault.transit_token: expected a token".to_owned())?;
        header.set_sensitive(true);
        let mut transit = Self {
            client: outbound::client().map_err(|error| failed(&error))?,
            url: url.trim_end_matches('/').to_owned(),
            token: header,
            key: key.to_owned(),
            least_version: 0,
            before,
        };
        match transit.key().await {
            Ok(key) => transit.least_version = key.min_decryption_version,
            Err(Failure::Status(StatusCode::NOT_FOUND)) => {
                return Err(format!("vault.transit_key: there is no key {key} at vault.transit_url"));
            }
            Err(Failure::Status(StatusCode::FORBIDDEN)) => {
                return Err("vault.transit_token: it may not read the key; see Root key in README.md".into());
            }
            Err(error) => {
                tracing::error!(%error, "Transit does not answer; stored credentials can't be used");
            }
        }
        Ok(transit)
    }

    async fn key(&self) -> Result<Key, Failure> {
        self.ask(self.client.get(format!("{}/keys/{}", self.url, self.key))).await
    }

    async fn ask<T: for<'de> Deserialize<'de>>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let request = request.header("X-Vault-Token", self.token.clone());
        let answer = outbound::fetch(request, PATIENCE, MAX_ANSWER).await;
        let outcome = match &answer {
            Ok(_) => "answered",
            Err(Failure::Status(_)) => "refused",
            Err(_) => "unanswered",
        };
        metrics::counter!("latchkey_transit_requests_total", "outcome" => outcome).increment(1);
        let answer = Zeroizing::new(answer?);
        let answer: Answer<T> = serde_json::from_slice(&answer).map_err(|_| Failure::Malformed)?;
        Ok(answer.data)
    }

    async fn call<T: for<'de> Deserialize<'de>>(
        &self,
        operation: &str,
        body: &serde_json::Value,
    ) -> Result<T, RootKeyFailure> {
        let body = Zeroizing::new(body.to_string());
        let request = self.client.post(format!("{}/{operation}/{}", self.url, self.key));
        let request = request.header("Content-Type", "application/json").body(body.to_string());
        self.ask(request).await.map_err(|failure| match failure {
            // What it says of a ciphertext that was altered, or is bound to something else.
            Failure::Status(StatusCode::BAD_REQUEST) => RootKeyFailure::Unopened(Unopened),
            other => RootKeyFailure::Unavailable(format!("Transit: {other}")),
        })
    }

    async fn encrypt(&self, context: &[u8], key: &[u8]) -> Result<Vec<u8>, RootKeyFailure> {
        let body = json!({ "plaintext": STANDARD.encode(key), "associated_data": STANDARD.encode(context) });
        let answer: Encrypted = self.call("encrypt", &body).await?;
        let unusable = || RootKeyFailure::Unavailable("Transit: an answer without a version".into());
        let version = version_of(&answer.ciphertext).ok_or_else(unusable)?;
        Ok([&head_of(version)[..], answer.ciphertext.as_bytes()].concat())
    }

    async fn decrypt(&self, context: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, RootKeyFailure> {
        let (head, text) = wrapped.split_first_chunk::<HEAD>().ok_or(Unopened)?;
        if head[0] != FORMAT {
            return self.before.open(context, wrapped).map_err(RootKeyFailure::from);
        }
        let text = std::str::from_utf8(text).map_err(|_| Unopened)?;
        // The head tells the rotation what is left, so it has to tell the truth.
        if version_of(text).map(head_of) != Some(*head) {
            return Err(Unopened.into());
        }
        let body = json!({ "ciphertext": text, "associated_data": STANDARD.encode(context) });
        let answer: Decrypted = self.call("decrypt", &body).await?;
        Ok(Zeroizing::new(STANDARD.decode(answer.plaintext.expose()).map_err(|_| Unopened)?))
    }
}

impl RootKeys for Transit {
    fn wrap<'a>(
        &'a self,
        context: &'a [u8],
        key: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, RootKeyFailure>> {
        self.encrypt(context, key).boxed()
    }

    fn unwrap<'a>(
        &'a self,
        context: &'a [u8],
        wrapped: &'a [u8],
    ) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, RootKeyFailure>> {
        self.decrypt(context, wrapped).boxed()
    }

    fn head(&self) -> BoxFuture<'_, Result<Head, RootKeyFailure>> {
        async {
            let key = self.key().await;
            key.map(|key| head_of(key.latest_version))
                .map_err(|failure| RootKeyFailure::Unavailable(format!("Transit: {failure}")))
        }
        .boxed()
    }

    fn knows(&self, head: &[u8]) -> bool {
        match head.first_chunk::<HEAD>() {
            Some([FORMAT, version @ ..]) => u32::from_be_bytes(*version) >= self.least_version,
            _ => self.before.knows(head),
        }
    }
}

fn head_of(version: u32) -> Head {
    let [a, b, c, d] = version.to_be_bytes();
    [FORMAT, a, b, c, d]
}

/// `vault:v3:…`
fn version_of(ciphertext: &str) -> Option<u32> {
    let (_, rest) = ciphertext.split_once(":v")?;
    rest.split_once(':')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_in_the_text() {
        assert_eq!(version_of("vault:v1:AAAA"), Some(1));
        assert_eq!(version_of("vault:v12:AA:v3:"), Some(12));
        for other in ["", "vault:v1", "vault:vx:AAAA", "AAAA"] {
            assert_eq!(version_of(other), None, "{other}");
        }
    }
}
