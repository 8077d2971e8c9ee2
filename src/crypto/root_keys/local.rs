//! The root keys of this machine: a file or settings.

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use zeroize::Zeroizing;

use super::{RootKeyFailure, RootKeys};
use crate::crypto::seal::{Head, Sealer};

pub struct Local(Sealer);

impl Local {
    #[must_use]
    pub fn new(sealer: Sealer) -> Self {
        Self(sealer)
    }
}

impl RootKeys for Local {
    fn wrap<'a>(
        &'a self,
        context: &'a [u8],
        key: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, RootKeyFailure>> {
        ready(Ok(self.0.seal(context, key))).boxed()
    }

    fn unwrap<'a>(
        &'a self,
        context: &'a [u8],
        wrapped: &'a [u8],
    ) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, RootKeyFailure>> {
        ready(self.0.open(context, wrapped).map_err(RootKeyFailure::from)).boxed()
    }

    fn head(&self) -> BoxFuture<'_, Result<Head, RootKeyFailure>> {
        ready(Ok(self.0.head())).boxed()
    }

    fn knows(&self, head: &[u8]) -> bool {
        self.0.knows(head)
    }
}
