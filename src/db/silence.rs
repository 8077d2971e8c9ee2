//! Whether the database has lately stayed silent where it should have answered. Its server ends statements that take long, so
//! that means a network or a machine that is gone without a word.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long it is remembered: longer than anything waits for an answer.
const MEMORY: Duration = Duration::from_secs(120);

static START: LazyLock<Instant> = LazyLock::new(Instant::now);
/// Seconds after the start, and one; zero when there was none.
static LAST: AtomicU64 = AtomicU64::new(0);

pub(super) fn noticed() {
    LAST.store(START.elapsed().as_secs() + 1, Relaxed);
}

pub(super) fn lately() -> bool {
    let last = LAST.load(Relaxed);
    last > 0 && START.elapsed().as_secs() <= last + MEMORY.as_secs()
}
