//! Root keys wrap the keys of records. Whoever has the database and no root key has nothing.

mod local;
mod transit;

use futures_util::future::BoxFuture;
use zeroize::Zeroizing;

pub use local::Local;
pub use transit::Transit;

use super::seal::{Head, Unopened};

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

    /// How keys begin that are wrapped from now on. One that begins otherwise waits to be wrapped again.
    fn head(&self) -> BoxFuture<'_, Result<Head, RootKeyFailure>>;

    /// Whether the root key is at hand that wrapped what begins like this.
    fn knows(&self, head: &[u8]) -> bool;
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
