//! What an approval is worth (NIST SP 800-63A): the operator's table, in which the best that fits counts.

use std::time::Duration;

use entities::Timestamp;

use crate::config::Grant;
use crate::plugins::kyc::Check;

const DAY: Duration = Duration::from_secs(86_400);

/// What counts where the operator has said nothing.
#[must_use]
pub fn in_force(configured: &[Grant]) -> Vec<Grant> {
    if !configured.is_empty() {
        return configured.to_vec();
    }
    let any = || "*".to_owned();
    vec![Grant { provider: any(), level: any(), checks: vec![], ial: 1, valid_days: 365 }]
}

/// A level, and until when it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Worth {
    pub ial: i16,
    pub until: Timestamp,
}

/// Nothing fits: it is worth nothing, for a year, so that the person need not begin again each day.
const NOTHING_DAYS: u32 = 365;

#[must_use]
pub fn worth(
    grants: &[Grant],
    provider: &str,
    level: &str,
    passed: &[Check],
    approved_at: Timestamp,
) -> Worth {
    let fits = |grant: &&Grant| {
        (grant.provider == "*" || grant.provider == provider)
            && (grant.level == "*" || grant.level == level)
            && grant.checks.iter().all(|check| passed.contains(check))
    };
    let best = grants.iter().filter(fits).max_by_key(|grant| (grant.ial, grant.valid_days));
    let (ial, days) = best.map_or((0, NOTHING_DAYS), |grant| (grant.ial, grant.valid_days));
    Worth { ial, until: approved_at + DAY * days }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(provider: &str, level: &str, checks: &[Check], ial: i16, valid_days: u32) -> Grant {
        Grant { provider: provider.into(), level: level.into(), checks: checks.to_vec(), ial, valid_days }
    }

    #[test]
    fn the_best_that_fits_counts() {
        use Check::{Address, Document, Face};
        let grants = [
            grant("*", "*", &[], 0, 30),
            grant("sumsub", "*", &[Document], 1, 100),
            grant("*", "full", &[Document, Face], 2, 50),
            grant("sumsub", "full", &[Document, Face, Address], 2, 200),
        ];
        for (provider, level, checks, ial, days) in [
            ("persona", "basic", &[][..], 0, 30),
            ("sumsub", "basic", &[], 0, 30),
            ("sumsub", "basic", &[Document], 1, 100),
            ("persona", "basic", &[Document, Face], 0, 30),
            ("persona", "full", &[Face], 0, 30),
            ("persona", "full", &[Face, Document], 2, 50),
            ("sumsub", "full", &[Document, Face], 2, 50),
            ("sumsub", "full", &[Document, Face, Address], 2, 200),
            ("sumsub", "full", &[Address, Face], 0, 30),
        ] {
            let until = Timestamp(i64::from(days) * 86_400_000);
            let expected = Worth { ial, until };
            assert_eq!(worth(&grants, provider, level, checks, Timestamp(0)), expected, "{provider} {level}");
        }
    }

    #[test]
    fn without_a_table_every_approval_is_worth_the_least() {
        let until = Timestamp(365 * 86_400_000);
        assert_eq!(worth(&in_force(&[]), "sumsub", "full", &[], Timestamp(0)), Worth { ial: 1, until });
        let only = [grant("sumsub", "full", &[], 2, 10)];
        assert_eq!(in_force(&only), only);
    }

    #[test]
    fn what_is_not_in_the_table_is_worth_nothing() {
        let only = [grant("sumsub", "full", &[], 2, 10)];
        for (provider, level) in [("persona", "full"), ("sumsub", "basic"), ("", "")] {
            assert_eq!(worth(&only, provider, level, &[], Timestamp(0)).ial, 0);
        }
        assert_eq!(worth(&[], "sumsub", "full", &[], Timestamp(0)).ial, 0);
    }
}
