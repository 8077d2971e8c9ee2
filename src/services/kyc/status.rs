//! How far a verification has come: one table of what may follow what, and the status that all steps together make. The
//! order in which they arrive makes no difference, only when they happened.

use entities::Timestamp;

use crate::plugins::kyc::Status;

/// Who says how far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::EnumString, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum Source {
    /// A webhook.
    Provider,
    /// The provider, when it was asked.
    Poll,
    Person,
    Reviewer,
    /// This server: time has run out.
    Server,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub occurred_at: Timestamp,
    pub status: Status,
    pub explicit: bool,
    pub source: Source,
}

/// Whether a verification is at its end, unless the provider or a reviewer takes that back.
#[must_use]
pub fn is_closed(status: Status) -> bool {
    match status {
        Status::Pending | Status::InReview | Status::Resubmission => false,
        Status::Approved | Status::Declined | Status::Expired | Status::Cancelled => true,
    }
}

/// Whether `to` may follow `from`.
#[must_use]
pub fn may_follow(from: Status, to: Status, source: Source, explicit: bool) -> bool {
    use Status::{Approved, Cancelled, Declined, Expired, InReview, Pending, Resubmission};
    match source {
        Source::Person => to == Cancelled && !is_closed(from),
        // An approval holds for a time, and whatever is open is given up in the end.
        Source::Server => to == Expired && (from == Approved || !is_closed(from)),
        Source::Reviewer => matches!(to, Approved | Declined | Resubmission),
        Source::Provider | Source::Poll => match (from, to) {
            // No vendor cancels here, and none brings back what the person has cancelled.
            (_, Cancelled) | (Cancelled, _) => false,
            // Decisions follow each other; when, is signed by the vendor or was asked for.
            (_, Approved | Declined | Expired) => true,
            (_, Resubmission) => true,
            (Approved | Declined | Expired, Pending | InReview) => explicit,
            (InReview, Pending) => explicit,
            (Pending | Resubmission, Pending) | (Pending | InReview | Resubmission, InReview) => true,
        },
    }
}

/// The step that gives the status; none while it is where it began, at `pending`.
#[must_use]
pub fn fold(steps: &[Step]) -> Option<&Step> {
    let mut ordered: Vec<&Step> = steps.iter().collect();
    // Of two at the same time the worse one comes last: the table lets decisions follow each other.
    ordered.sort_by_key(|step| (step.occurred_at, step.status, step.explicit, step.source as u8));
    let mut current: Option<&Step> = None;
    for step in ordered {
        let from = current.map_or(Status::Pending, |current| current.status);
        if may_follow(from, step.status, step.source, step.explicit) {
            current = Some(step);
        }
    }
    current
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn the_table_is_this_one() {
        // Rows: from; columns: to, in the order of the statuses. `e`: only explicitly.
        let table = |source| {
            Status::iter()
                .map(|from| {
                    Status::iter()
                        .map(|to| {
                            match (may_follow(from, to, source, false), may_follow(from, to, source, true)) {
                                (true, true) => '+',
                                (false, true) => 'e',
                                (false, false) => '-',
                                (true, false) => '!',
                            }
                        })
                        .collect::<String>()
                })
                .collect::<Vec<_>>()
        };
        let order: Vec<Status> = Status::iter().collect();
        use Status::{Approved, Cancelled, Declined, Expired, InReview, Pending, Resubmission};
        assert_eq!(order, [Pending, InReview, Resubmission, Expired, Approved, Declined, Cancelled]);
        let vendor = ["++++++-", "e+++++-", "++++++-", "ee++++-", "ee++++-", "ee++++-", "-------"];
        assert_eq!(table(Source::Provider), vendor);
        assert_eq!(table(Source::Poll), vendor);
        assert_eq!(
            table(Source::Person),
            ["------+", "------+", "------+", "-------", "-------", "-------", "-------"]
        );
        assert_eq!(
            table(Source::Server),
            ["---+---", "---+---", "---+---", "-------", "---+---", "-------", "-------"]
        );
        assert_eq!(table(Source::Reviewer), ["--+-++-"; 7]);
    }

    fn step() -> impl Strategy<Value = Step> {
        let (statuses, sources) = (Status::iter().collect::<Vec<_>>(), Source::iter().collect::<Vec<_>>());
        (0i64..6, 0..statuses.len(), any::<bool>(), 0..sources.len()).prop_map(
            move |(at, status, explicit, source)| Step {
                occurred_at: Timestamp(at),
                status: statuses[status],
                explicit,
                source: sources[source],
            },
        )
    }

    proptest! {
        #[test]
        fn any_order_comes_to_the_same(steps in prop::collection::vec(step(), 0..12).prop_shuffle(), seed in any::<u64>()) {
            let mut other = steps.clone();
            // Another order: rotated, and with one of them delivered twice.
            if !other.is_empty() {
                let length = other.len();
                other.rotate_left(usize::try_from(seed).unwrap_or(1) % length);
                other.push(other[0].clone());
            }
            prop_assert_eq!(fold(&steps), fold(&other));
        }

        #[test]
        fn progress_never_takes_back_a_decision(steps in prop::collection::vec(step(), 0..12), at in 0i64..6) {
            let before = fold(&steps).map_or(Status::Pending, |step| step.status);
            let progress = Step {
                occurred_at: Timestamp(at), status: Status::InReview, explicit: false, source: Source::Provider,
            };
            let after = fold(&[steps, vec![progress]].concat()).map_or(Status::Pending, |step| step.status);
            prop_assert!(after == before || !is_closed(before), "{:?} became {:?}", before, after);
        }

        #[test]
        fn what_the_person_cancelled_only_a_reviewer_brings_back(steps in prop::collection::vec(step(), 0..12)) {
            let cancelled = Step {
                occurred_at: Timestamp(0), status: Status::Cancelled, explicit: false, source: Source::Person,
            };
            let later: Vec<Step> = steps.into_iter()
                .map(|step| Step { occurred_at: Timestamp(step.occurred_at.0 + 1), ..step })
                .filter(|step| step.source != Source::Reviewer)
                .collect();
            let all = [vec![cancelled], later].concat();
            prop_assert_eq!(fold(&all).map(|step| step.status), Some(Status::Cancelled));
        }
    }
}
