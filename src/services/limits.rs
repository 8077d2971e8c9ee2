//! Limits on how often a thing may be done: GCRA, one row per thing, counted in the database, so that they hold across
//! nodes and restarts. An attempt is counted before the work it asks for, so that parallel guesses can't slip through.

use std::net::IpAddr;
use std::time::Duration;

use sea_orm::{DbBackend, Statement, Value};
use sha2::{Digest, Sha256};

use super::clock_check::CLOCKS_AGREE;
use super::{Error, Services};
use crate::config::Rate;

/// One thing that is limited: a name, what is counted, and how often.
pub struct Limit {
    name: &'static str,
    /// `address` or `subject`, for the metrics.
    per: &'static str,
    key: [u8; 32],
    rate: Rate,
}

impl Limit {
    /// Counts per client address. IPv6 counts by /64: a household has all of it.
    #[must_use]
    pub fn address(name: &'static str, ip: IpAddr, rate: Rate) -> Self {
        let network = match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
                Some(ip) => ip.to_string(),
                None => format!("{:x}", u128::from(ip) >> 64),
            },
        };
        Self { name, per: "address", key: key(name, &network), rate }
    }

    /// Counts per account or what stands for one, in its canonical form.
    #[must_use]
    pub fn subject(name: &'static str, subject: &str, rate: Rate) -> Self {
        Self { name, per: "subject", key: key(name, subject), rate }
    }
}

fn key(name: &str, subject: &str) -> [u8; 32] {
    Sha256::new().chain_update(name).chain_update([0]).chain_update(subject).finalize().into()
}

impl Services {
    /// Counts an attempt against every limit given; refuses when one of them is used up.
    pub async fn admit(&self, mut limits: Vec<Limit>) -> Result<(), Error> {
        if !self.config.limits.enabled {
            return Ok(());
        }
        // Always in the same order, so that two transactions can't wait for each other.
        limits.sort_unstable_by_key(|limit| limit.key);
        let now = self.sources.now().0;
        let rows = self.db.write_one::<Error>(take(self.db.engine(), &limits, now)).await?;
        let mut wait = None;
        for row in rows {
            let number = |name| row.try_get::<i64>("", name);
            if !row.try_get::<bool>("", "allowed")? {
                let key = row.try_get::<Vec<u8>>("", "key")?;
                if let Some(limit) = limits.iter().find(|limit| limit.key[..] == key[..]) {
                    count_refusal(limit.name, limit.per);
                }
                wait = wait.max(Some(span(number("tat")? + number("cost")? - number("burst")? - now)));
            }
        }
        match wait {
            None => Ok(()),
            Some(wait) => Err(Error::RateLimited(wait)),
        }
    }

    /// A wait that doubles each time it has been waited out. Answers how long the next one is.
    pub async fn admit_growing(
        &self,
        name: &'static str,
        subject: &str,
        first: u64,
        longest: u64,
    ) -> Result<Duration, Error> {
        let key = key(name, subject);
        let (first, longest) = (millis(first), millis(longest));
        if !self.config.limits.enabled {
            return Ok(span(first));
        }
        let now = self.sources.now().0;
        let rows = self.db.write_one::<Error>(grow(self.db.engine(), &key, now, first, longest)).await?;
        let row =
            rows.first().ok_or_else(|| Error::Internal("the limit just written is not there".into()))?;
        let wait = span(row.try_get::<i64>("", "tat")? - now);
        if row.try_get("", "allowed")? {
            return Ok(wait);
        }
        count_refusal(name, "subject");
        Err(Error::RateLimited(wait))
    }
}

/// Counts that an attempt was one too many: per address, or per what stands for a person or a credential.
pub(super) fn count_refusal(name: &'static str, per: &'static str) {
    metrics::counter!("latchkey_limit_refusals_total", "limit" => name, "per" => per).increment(1);
}

/// Takes one from each limit, where there is one left.
///
/// An instant further ahead than the burst was written by a clock that was wrong. It counts as a limit used up, or whoever
/// came then would be kept waiting until that hour. A clock that is ahead by no more than clocks may be is believed, or the
/// nodes behind it would give back what it counts.
fn take(engine: DbBackend, limits: &[Limit], now: i64) -> Statement {
    let mut values: Vec<Value> = vec![now.into()];
    let mut rows = vec![];
    let leeway = CLOCKS_AGREE.as_millis();
    for Limit { key, rate, .. } in limits {
        let burst = i64::from(rate.seconds) * 1000;
        let cost = (burst / i64::from(rate.count)).max(1);
        let at = values.len();
        rows.push(format!("(${}, ${}, ${}, ${}, TRUE)", at + 1, at + 2, at + 3, at + 4));
        values.extend([Value::from(key.to_vec()), (now + cost).into(), cost.into(), burst.into()]);
    }
    let sql = format!(
        "INSERT INTO rate_limits (key, tat, cost, burst, allowed) VALUES {}
         ON CONFLICT (key) DO UPDATE SET
           allowed = CASE WHEN rate_limits.tat > $1 THEN rate_limits.tat ELSE $1 END + excluded.cost - $1 <= excluded.burst,
           tat = CASE WHEN rate_limits.tat <= $1 THEN $1 + excluded.cost
                      WHEN rate_limits.tat + excluded.cost - $1 <= excluded.burst THEN rate_limits.tat + excluded.cost
                      WHEN rate_limits.tat > $1 + excluded.burst + {leeway} THEN $1 + excluded.burst
                      ELSE rate_limits.tat END,
           cost = excluded.cost, burst = excluded.burst
         RETURNING key, tat, cost, burst, allowed",
        rows.join(", ")
    );
    Statement::from_sql_and_values(engine, sql, values)
}

/// Starts the next wait, unless one is running.
fn grow(engine: DbBackend, key: &[u8; 32], now: i64, first: i64, longest: i64) -> Statement {
    // The row's own cost is the wait in force, beyond which only a clock that was ahead can have written; the reaper
    // forgets it after a quiet day.
    let sql = "INSERT INTO rate_limits (key, tat, cost, burst, allowed) VALUES ($1, $2, $3, 0, TRUE)
         ON CONFLICT (key) DO UPDATE SET
           allowed = rate_limits.tat <= $4,
           cost = CASE WHEN rate_limits.tat > $4 THEN rate_limits.cost
                       WHEN rate_limits.cost * 2 > $5 THEN $5 ELSE rate_limits.cost * 2 END,
           tat = CASE WHEN rate_limits.tat > $4 + rate_limits.cost THEN $4 + rate_limits.cost
                      WHEN rate_limits.tat > $4 THEN rate_limits.tat
                      WHEN rate_limits.cost * 2 > $5 THEN $4 + $5 ELSE $4 + rate_limits.cost * 2 END
         RETURNING allowed, tat";
    let values: [Value; 5] =
        [key.to_vec().into(), (now + first).into(), first.into(), now.into(), longest.into()];
    Statement::from_sql_and_values(engine, sql, values)
}

fn millis(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX / 4000) * 1000
}

fn span(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
