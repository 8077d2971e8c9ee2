//! Time and ids. Services ask here and nowhere else (clippy forbids it), so that tests advance time instead of sleeping.

use std::sync::Arc;

use entities::Timestamp;
use uuid::Uuid;

use crate::entropy::Entropy;

/// Where the time comes from. The server asks the system; tests hold their own.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

/// The machine's clock, UTC.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that may")]
    fn now(&self) -> Timestamp {
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Time, randomness and ids, as every service needs them.
#[derive(Clone)]
pub struct Sources {
    pub clock: Arc<dyn Clock>,
    pub entropy: Entropy,
}

impl Sources {
    #[must_use]
    pub fn system() -> Self {
        Self { clock: Arc::new(SystemClock), entropy: Entropy }
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new UUIDv7 (RFC 9562), stamped with the clock.
    #[must_use]
    pub fn id<T: From<Uuid>>(&self) -> T {
        let millis = u64::try_from(self.now().0).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &self.entropy.bytes()).into_uuid().into()
    }
}

/// RFC 3339 in UTC with milliseconds, as the API writes instants.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    use time::format_description::well_known::Rfc3339;
    time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_default()
}
