//! Whether a node can trust its clock. One that runs ahead would have all sessions removed, all approvals ended, and more.

use std::time::{Duration, Instant};

use entities::Timestamp;
use sea_orm::DbBackend;

use super::{Error, Services};

/// How far the clocks of a node and its database may be apart.
pub const CLOCKS_AGREE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// By how much the clock was set, against one that only counts.
pub(super) struct Steps {
    began: Instant,
    then: Timestamp,
}

impl Steps {
    pub fn since(then: Timestamp) -> Self {
        Self { began: Instant::now(), then }
    }

    /// `elapsed` has passed since the beginning. After a day, what the clock says then counts.
    fn until(&mut self, now: Timestamp, elapsed: Duration) -> Duration {
        let step = Duration::from_millis((self.then + elapsed).0.abs_diff(now.0));
        if elapsed > DAY {
            *self = Self::since(now);
        }
        step
    }
}

impl Services {
    /// To be asked before what can't be taken back is done because its time has come.
    pub(super) async fn sure_of_the_time(&self, steps: &mut Steps) -> Result<bool, Error> {
        let now = self.sources.now();
        let skew = self.db.clock_skew(now).await?;
        if skew > CLOCKS_AGREE {
            tracing::error!(
                seconds = skew.as_secs(),
                "this machine's clock differs from the database's; nothing is removed or ended"
            );
            return Ok(false);
        }
        // SQLite has no clock to compare with.
        let step = steps.until(now, steps.began.elapsed());
        if self.db.engine() == DbBackend::Sqlite && step > CLOCKS_AGREE {
            tracing::error!(
                seconds = step.as_secs(),
                "this machine's clock was set; nothing is removed or ended for a day, or until a restart"
            );
            return Ok(false);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_is_noticed_and_believed_after_a_day() {
        let hour = Duration::from_secs(3600);
        let mut steps = Steps::since(Timestamp(0));
        assert_eq!(steps.until(Timestamp(0) + hour, hour), Duration::ZERO);
        assert_eq!(steps.until(Timestamp(0) + 3 * hour, 2 * hour), hour);
        assert_eq!(steps.until(Timestamp(0) + hour, 2 * hour), hour);
        assert_eq!(steps.until(Timestamp(0) + 26 * hour, 25 * hour), hour);
        assert_eq!(steps.until(Timestamp(0) + 27 * hour, hour), Duration::ZERO);
    }
}
