//! What a way of being signed in is good for: one evaluator for every route. A route demands a level, a fresh proof or an
//! identity; the answer is yes, or exactly what is missing (RFC 9470).

use std::fmt;

use entities::Timestamp;
use entities::account::Role;
use serde::{Deserialize, Serialize};

use super::access_keys::AccessKeyCaller;
use super::clock_check::CLOCKS_AGREE;
use super::sessions::Caller;
use super::{Error, Services};

/// NIST SP 800-63B level of one factor.
pub const AAL1: i16 = 1;
/// NIST SP 800-63B level of two factors, or of a passkey that verifies its user.
pub const AAL2: i16 = 2;

/// What a route demands of whoever calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Requirement {
    /// How well the person must have signed in (NIST SP 800-63B): 1 or 2.
    pub aal: i16,
    /// Seconds since the person last proved to be there, at most.
    pub max_age: Option<u64>,
    /// How well it must be known who the person is (NIST SP 800-63A): 0, 1 or 2.
    pub ial: i16,
    /// The account's best level: two factors as soon as it has a second one.
    #[serde(skip)]
    pub best: bool,
    /// What the account must be allowed to do for others.
    #[serde(skip)]
    pub role: Role,
}

impl Requirement {
    /// Whoever is signed in.
    pub const SIGNED_IN: Self = Self { aal: AAL1, max_age: None, ial: 0, best: false, role: Role::User };

    /// For changes to what an account is protected by.
    #[must_use]
    pub fn recent(max_age: u64) -> Self {
        Self { max_age: Some(max_age), best: true, ..Self::SIGNED_IN }
    }

    /// For what concerns other people's accounts: two factors, always.
    #[must_use]
    pub fn of_role(role: Role) -> Self {
        Self { aal: AAL2, role, ..Self::SIGNED_IN }
    }

    /// Both demands in one.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            aal: self.aal.max(other.aal),
            max_age: [self.max_age, other.max_age].into_iter().flatten().min(),
            ial: self.ial.max(other.ial),
            best: self.best || other.best,
            role: self.role.max(other.role),
        }
    }
}

/// How a caller stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The level that the access token states.
    pub aal: i16,
    /// Whether a second factor was proved, whatever it counts for.
    pub two_factors: bool,
    /// What the access token states, as far as it still holds.
    pub ial: i16,
    /// What the next token would state.
    pub known_ial: i16,
    pub auth_time: Timestamp,
    /// Whether the account has a second factor.
    pub second_factor: bool,
    /// Whether the account was recovered of late, so that it counts as aal 1.
    pub recovering: bool,
}

impl Standing {
    /// What is missing to meet `demand`.
    pub fn meet(&self, demand: &Requirement, now: Timestamp) -> Result<(), Shortfall> {
        // A token from before the recovery says more than the account is good for now.
        let aal = if self.recovering { self.aal.min(AAL1) } else { self.aal };
        // Whoever has just recovered with two factors could not otherwise replace the one that was lost.
        let at_best = !self.second_factor || aal >= AAL2 || (self.recovering && self.two_factors);
        let shortfall = Shortfall {
            // Whoever has a level has 1, so that what is missing is 2.
            aal: (aal < demand.aal || (demand.best && !at_best)).then_some(AAL2),
            ial: (self.ial < demand.ial).then_some(demand.ial),
            // Tokens count whole seconds. What lies further ahead than clocks may differ, a wrong one has written.
            max_age: demand.max_age.filter(|seconds| {
                let age = now.seconds() - self.auth_time.seconds();
                age.unsigned_abs() > if age < 0 { CLOCKS_AGREE.as_secs() } else { *seconds }
            }),
            second_factor: self.second_factor,
            recovering: self.recovering,
            verified: self.known_ial >= demand.ial,
        };
        if shortfall.is_nothing() { Ok(()) } else { Err(shortfall) }
    }
}

/// What is missing, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortfall {
    pub aal: Option<i16>,
    pub ial: Option<i16>,
    /// Seconds that a proof may be old.
    pub max_age: Option<u64>,
    second_factor: bool,
    recovering: bool,
    /// The identity is known well enough; only the token doesn't say so yet.
    verified: bool,
}

impl Shortfall {
    /// The account has a second factor, and nothing less will do.
    #[must_use]
    pub fn second_factor() -> Self {
        Self {
            aal: Some(AAL2),
            ial: None,
            max_age: None,
            second_factor: true,
            recovering: false,
            verified: false,
        }
    }

    /// The person is not known well enough.
    #[must_use]
    pub fn identity(ial: i16) -> Self {
        Self {
            aal: None,
            ial: Some(ial),
            max_age: None,
            second_factor: false,
            recovering: false,
            verified: false,
        }
    }

    fn is_nothing(&self) -> bool {
        self.aal.is_none() && self.ial.is_none() && self.max_age.is_none()
    }

    /// The missing levels, as an Authentication Context Class Reference.
    #[must_use]
    pub fn acr_values(&self) -> Option<String> {
        let aal = self.aal.map(|level| format!("aal{level}"));
        let ial = self.ial.map(|level| format!("ial{level}"));
        match (aal, ial) {
            (Some(aal), Some(ial)) => Some(format!("{aal}+{ial}")),
            (aal, ial) => aal.or(ial),
        }
    }

    /// Whether a verification is needed, and would help.
    #[must_use]
    pub fn can_verify(&self) -> bool {
        self.ial.is_some() && !self.verified
    }

    /// Whether proving more can help: not without a second factor, nor while a recovery caps the level.
    #[must_use]
    pub fn can_step_up(&self) -> bool {
        (self.max_age.is_some() || self.aal.is_some())
            && (self.aal.is_none() || (self.second_factor && !self.recovering))
    }
}

/// In words that a client can act on.
impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.aal, self.max_age) {
            (Some(_), _) if self.recovering => f.write_str(
                "The account was recovered recently and counts as aal1 for a while. Try again later.",
            )?,
            (Some(_), _) if !self.second_factor => {
                f.write_str("Two factors are needed. Add a second factor first, then sign in with it.")?;
            }
            (Some(_), _) => f.write_str("Two factors are needed. Step up with the second factor.")?,
            (None, Some(seconds)) => write!(
                f,
                "A sign-in within the last {seconds} seconds is needed. Step up with the password or the second factor."
            )?,
            (None, None) => {}
        }
        match self.ial {
            Some(_) if self.verified => {
                let space = if self.aal.is_some() || self.max_age.is_some() { " " } else { "" };
                write!(
                    f,
                    "{space}The identity has been verified: refresh the session, so that its token says so."
                )
            }
            Some(_) if self.aal.is_some() || self.max_age.is_some() => {
                f.write_str(" A verified identity is needed as well.")
            }
            Some(_) => f.write_str("A verified identity is needed. Complete a verification, then refresh."),
            None => Ok(()),
        }
    }
}

impl Services {
    /// The one place where it is decided whether a caller may go on.
    pub fn permit(&self, caller: &Caller, demand: &Requirement) -> Result<(), Error> {
        let now = self.sources.now();
        if caller.state.role < demand.role {
            return Err(Error::InsufficientRole(demand.role));
        }
        caller.standing(now).meet(demand, now).map_err(Error::InsufficientAuthentication)
    }

    /// The same for a server, of whose owner only the identity is known.
    pub fn permit_key(&self, key: &AccessKeyCaller, demand: &Requirement) -> Result<(), Error> {
        if key.ial >= demand.ial {
            Ok(())
        } else {
            Err(Error::InsufficientAuthentication(Shortfall::identity(demand.ial)))
        }
    }

    /// The demand of routes that change what an account is protected by.
    #[must_use]
    pub fn recent(&self) -> Requirement {
        Requirement::recent(self.config.assurance.recent_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000_000);

    fn fresh() -> Standing {
        Standing {
            aal: AAL1,
            two_factors: false,
            ial: 0,
            known_ial: 0,
            auth_time: NOW,
            second_factor: false,
            recovering: false,
        }
    }

    fn with_factor(aal: i16) -> Standing {
        Standing { aal, two_factors: aal == AAL2, second_factor: true, ..fresh() }
    }

    fn missing(standing: Standing, demand: Requirement) -> Option<(Option<i16>, Option<i16>, Option<u64>)> {
        standing.meet(&demand, NOW).err().map(|shortfall| (shortfall.aal, shortfall.ial, shortfall.max_age))
    }

    #[test]
    fn a_level_is_met_or_named() {
        let aal2 = Requirement { aal: 2, ..Requirement::default() };
        for (standing, demand, expected) in [
            (fresh(), Requirement::SIGNED_IN, None),
            (fresh(), Requirement::default(), None),
            (fresh(), aal2, Some((Some(2), None, None))),
            (with_factor(1), aal2, Some((Some(2), None, None))),
            (with_factor(2), aal2, None),
            // What a token said before the recovery.
            (Standing { recovering: true, ..with_factor(2) }, aal2, Some((Some(2), None, None))),
            (Standing { recovering: true, ..with_factor(2) }, Requirement::SIGNED_IN, None),
        ] {
            assert_eq!(missing(standing, demand), expected, "{standing:?} {demand:?}");
        }
    }

    #[test]
    fn the_best_level_is_that_of_the_account() {
        let best = Requirement::recent(600);
        let recovering = Standing { recovering: true, ..with_factor(1) };
        for (standing, expected) in [
            (fresh(), None),
            (with_factor(1), Some((Some(2), None, None))),
            (with_factor(2), None),
            (recovering, Some((Some(2), None, None))),
            // Two factors that count as one for a while.
            (Standing { two_factors: true, ..recovering }, None),
            (Standing { two_factors: true, ..with_factor(1) }, Some((Some(2), None, None))),
            (Standing { recovering: true, ..fresh() }, None),
        ] {
            assert_eq!(missing(standing, best), expected, "{standing:?}");
        }
    }

    #[test]
    fn age_counts_in_seconds_and_the_last_one_is_in() {
        let aged = |seconds: i64| Standing { auth_time: Timestamp(NOW.0 - seconds * 1000), ..fresh() };
        for (seconds, expected) in [
            (0, None),
            (600, None),
            (601, Some((None, None, Some(600)))),
            (-5, None),
            (-60, None),
            (-61, Some((None, None, Some(600)))),
            (-90_000, Some((None, None, Some(600)))),
            (90_000, Some((None, None, Some(600)))),
        ] {
            assert_eq!(missing(aged(seconds), Requirement::recent(600)), expected, "{seconds}");
        }
        assert_eq!(missing(aged(90_000), Requirement::SIGNED_IN), None);
        let half = Standing { auth_time: Timestamp(NOW.0 - 600_999), ..fresh() };
        assert_eq!(missing(half, Requirement::recent(600)), Some((None, None, Some(600))));
    }

    #[test]
    fn identity_is_a_demand_of_its_own() {
        let demand = |ial| Requirement { ial, ..Requirement::SIGNED_IN };
        for (have, needed, expected) in
            [(0, 0, None), (0, 1, Some(1)), (1, 1, None), (1, 2, Some(2)), (2, 1, None)]
        {
            let standing = Standing { ial: have, ..fresh() };
            assert_eq!(missing(standing, demand(needed)), expected.map(|ial| (None, Some(ial), None)));
        }
    }

    #[test]
    fn two_demands_in_one_ask_for_the_more_of_each() {
        let one = Requirement { aal: 1, max_age: Some(60), ial: 2, best: false, role: Role::Reviewer };
        let other = Requirement { aal: 2, max_age: Some(600), ial: 0, best: true, role: Role::User };
        let both = Requirement { aal: 2, max_age: Some(60), ial: 2, best: true, role: Role::Reviewer };
        assert_eq!((one.and(other), other.and(one)), (both, both));
        assert_eq!(one.and(Requirement::default()), one);
        assert_eq!(Requirement::default().and(Requirement::SIGNED_IN), Requirement::SIGNED_IN);
    }

    #[test]
    fn what_is_missing_is_said_in_words_and_values() {
        let all = Requirement { aal: 2, max_age: Some(60), ial: 1, ..Requirement::SIGNED_IN };
        let shortfall =
            |standing: Standing, demand| standing.meet(&demand, NOW).expect_err("something is missing");
        let old = |standing| Standing { auth_time: Timestamp(0), ..standing };
        for (standing, demand, acr, step_up, words) in [
            (
                with_factor(1),
                Requirement { ial: 0, ..all },
                Some("aal2"),
                true,
                "Step up with the second factor.",
            ),
            (fresh(), Requirement { ial: 0, ..all }, Some("aal2"), false, "Add a second factor first"),
            (
                Standing { recovering: true, ..with_factor(1) },
                Requirement { ial: 0, ..all },
                Some("aal2"),
                false,
                "recovered recently",
            ),
            (old(with_factor(2)), Requirement { ial: 0, ..all }, None, true, "within the last 60 seconds"),
            (with_factor(2), all, Some("ial1"), false, "Complete a verification"),
            (old(with_factor(2)), all, Some("ial1"), true, "identity is needed as well"),
            (with_factor(1), all, Some("aal2+ial1"), true, "identity is needed as well"),
        ] {
            let shortfall = shortfall(standing, demand);
            assert_eq!(shortfall.acr_values().as_deref(), acr, "{standing:?}");
            assert_eq!(shortfall.can_step_up(), step_up, "{standing:?}");
            assert!(shortfall.to_string().contains(words), "{shortfall}");
            // It stands in a quoted string of a header.
            assert!(!shortfall.to_string().contains(['"', '\\']), "{shortfall}");
        }
        assert!(Shortfall::second_factor().can_step_up());
        assert_eq!(Shortfall::second_factor().acr_values().as_deref(), Some("aal2"));
    }
}
