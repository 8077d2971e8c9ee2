use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use entities::Timestamp;
use latchkey::clock::{Clock, Sources, SystemClock};
use latchkey::entropy::Entropy;

/// Stands still at the time it was made, until told to advance.
#[derive(Clone)]
pub struct ManualClock {
    now: Arc<AtomicI64>,
    off_by: i64,
}

impl ManualClock {
    pub fn new() -> Self {
        Self { now: Arc::new(AtomicI64::new(SystemClock.now().0)), off_by: 0 }
    }

    /// The clock of another machine: it moves with this one, but is ahead of it, or behind.
    pub fn off_by(&self, seconds: i64) -> Self {
        Self { now: Arc::clone(&self.now), off_by: seconds * 1000 }
    }

    pub fn advance(&self, span: Duration) {
        self.now.fetch_add(i64::try_from(span.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub fn advance_seconds(&self, seconds: u64) {
        self.advance(Duration::from_secs(seconds));
    }

    pub fn sources(&self) -> Sources {
        Sources { clock: Arc::new(self.clone()), entropy: Entropy }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst) + self.off_by)
    }
}
