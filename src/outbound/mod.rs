//! Requests to other servers. Each is bounded in time and its answer in size; no redirect is followed, because it could
//! lead anywhere. Proxies that the environment names (`HTTPS_PROXY`, `NO_PROXY`) are used.

mod guard;
mod request;
#[cfg(test)]
pub mod stub;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, StatusCode};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_platform_verifier::Verifier;
use url::Url;

pub use guard::{Guard, Refused};
pub use request::{Answer, Request, percent_encoded};

/// Why there is no answer to work with. Says nothing of what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("no whole answer in time")]
    Timeout,
    #[error("no connection, or it broke")]
    Unreachable,
    #[error("the answer has the status {0}")]
    Status(StatusCode),
    #[error("the answer is too large")]
    TooLarge,
    #[error("the answer is not what it should be")]
    Malformed,
}

impl From<reqwest::Error> for Failure {
    // The text of the error is dropped: it has the URL in it.
    fn from(_: reqwest::Error) -> Self {
        Self::Unreachable
    }
}

/// A client that trusts the authorities of this machine and the public ones. The error is a line for the operator.
pub fn client() -> Result<Client, String> {
    builder()?.build().map_err(|error| error.to_string())
}

/// The same, to be told more.
pub fn builder() -> Result<ClientBuilder, String> {
    Ok(Client::builder()
        .user_agent(concat!("latchkey/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .tls_backend_preconfigured(TLS.clone().map_err(|error| error.to_string())?))
}

/// Read once for all clients: a few hundred certificates are half a megabyte, and some milliseconds of each start.
static TLS: LazyLock<Result<ClientConfig, rustls::Error>> = LazyLock::new(|| {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let public = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned();
    let verifier = Verifier::new_with_extra_roots(public, Arc::clone(&provider))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
});

/// Sends, and reads an answer of status 200 to its end.
pub async fn fetch(
    request: RequestBuilder,
    patience: Duration,
    max_bytes: usize,
) -> Result<Vec<u8>, Failure> {
    let exchange = async {
        let answer = request.send().await?;
        if answer.status() != StatusCode::OK {
            return Err(Failure::Status(answer.status()));
        }
        read(answer, max_bytes).await
    };
    tokio::time::timeout(patience, exchange).await.unwrap_or(Err(Failure::Timeout))
}

/// Sends a request below `base`, whose own path does not count, and reads the answer to its end, whatever its status.
pub async fn exchange(
    client: &Client,
    base: &Url,
    request: &Request,
    patience: Duration,
    max_bytes: usize,
) -> Result<Answer, Failure> {
    let url = request.url(base).ok_or(Failure::Malformed)?;
    let exchange = async {
        let mut built = client.request(request.method.clone(), url);
        for (name, value) in &request.headers {
            built = built.header(name, value);
        }
        if !request.body.is_empty() {
            built = built.body(request.body.clone());
        }
        let answer = built.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        // A redirect is not followed, and nobody cares for its text.
        let body = if (300..400).contains(&status) { vec![] } else { read(answer, max_bytes).await? };
        Ok(Answer { status, headers, body })
    };
    tokio::time::timeout(patience, exchange).await.unwrap_or(Err(Failure::Timeout))
}

/// Sends, and takes the head of the answer for the whole of it. Of the text, so many bytes are read at most and dropped.
pub async fn knock(
    request: RequestBuilder,
    patience: Duration,
    max_bytes: usize,
) -> Result<(StatusCode, HeaderMap), Failure> {
    let deadline = tokio::time::Instant::now() + patience;
    let mut answer =
        tokio::time::timeout_at(deadline, request.send()).await.map_err(|_| Failure::Timeout)??;
    let head = (answer.status(), answer.headers().clone());
    // A text that is read to its end leaves a connection that can be used again.
    let rest = async {
        let mut left = max_bytes;
        while let Ok(Some(chunk)) = answer.chunk().await {
            let Some(less) = left.checked_sub(chunk.len()) else { return };
            left = less;
        }
    };
    let _ = tokio::time::timeout_at(deadline, rest).await;
    Ok(head)
}

async fn read(mut answer: Response, max_bytes: usize) -> Result<Vec<u8>, Failure> {
    let mut body = vec![];
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > max_bytes {
            return Err(Failure::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
