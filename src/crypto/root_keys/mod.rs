//! Root keys wrap the keys of records. Whoever has the database and no root key has nothing.

mod local;

use futures_util::future::BoxFuture;
use zeroize::Zeroizing;

pub use local::Local;

use super::seal::Unopened;

/// Wraps and unwraps keys of records.
pub trait RootKeys: Send + Sync {
    /// Wraps a key under the current root key, bound to `context`.
    fn wrap<'a>(&'a self, context: &'a [u8], key: &'a [u8])
    -> BoxFuture<'a, Result<Vec<u8>, RootKeyFailure>>;

    /// Gives the key back, if it was wrapped for this context.
    fn unwrap<'a>(
        &'a self,
        context: &'a [u8],
        wrapped: &'a [u8],
    ) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, RootKeyFailure>>;
}

/// Why there is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootKeyFailure {
    #[error("{0}")]
    Unopened(#[from] Unopened),
    /// The service that holds the root key does not answer. Nothing is wrong with the record.
    #[error("the root key can't be reached: {0}")]
    Unavailable(String),
}
