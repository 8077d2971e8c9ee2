//! How a person proves to be an account's owner, and what that is worth.

use super::super::policy::{AAL1, AAL2};

/// RFC 8176's name for two factors, whatever they are.
pub const AMR_TWO_FACTORS: &str = "mfa";

/// One proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    Password,
    Totp,
    RecoveryCode,
    /// A passkey that has verified its user, by itself two factors; on a device that it can't leave, or synchronised.
    Passkey {
        device_bound: bool,
    },
}

impl Means {
    /// The name in `amr` (RFC 8176; a recovery code has none there).
    fn name(self) -> &'static str {
        match self {
            Self::Password => "pwd",
            Self::Totp => "otp",
            Self::RecoveryCode => "recovery_code",
            Self::Passkey { device_bound: true } => "hwk",
            Self::Passkey { device_bound: false } => "swk",
        }
    }

    /// The level that a session has once this is proved in it.
    fn level(self) -> i16 {
        match self {
            // A recovery code proves that its owner has lost something.
            Self::Password | Self::RecoveryCode => AAL1,
            Self::Totp | Self::Passkey { .. } => AAL2,
        }
    }

    fn is_second_factor(self) -> bool {
        self != Self::Password
    }
}

/// What is written into a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    pub aal: i16,
    /// Names, separated by spaces.
    pub amr: String,
}

impl Proof {
    /// A sign-in by these means.
    #[must_use]
    pub fn of(means: &[Means]) -> Self {
        means.iter().fold(Self { aal: AAL1, amr: String::new() }, |proof, means| proof.and(*means))
    }

    /// What was proved before, and one thing more. A level once proved stays with the session.
    #[must_use]
    pub fn and(&self, means: Means) -> Self {
        let mut names: Vec<&str> = self.amr.split(' ').filter(|name| !name.is_empty()).collect();
        let two_factors = means.is_second_factor().then_some(AMR_TWO_FACTORS);
        for name in std::iter::once(means.name()).chain(two_factors) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Self { aal: self.aal.max(means.level()), amr: names.join(" ") }
    }

    /// As much of it as counts while an account recovers.
    #[must_use]
    pub fn capped(self) -> Self {
        Self { aal: self.aal.min(AAL1), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_way_to_sign_in_is_worth() {
        let passkey = |device_bound| Means::Passkey { device_bound };
        for (means, aal, amr) in [
            (&[Means::Password][..], 1, "pwd"),
            (&[Means::Password, Means::Totp], 2, "pwd otp mfa"),
            (&[Means::Password, Means::RecoveryCode], 1, "pwd recovery_code mfa"),
            (&[Means::Password, passkey(true)], 2, "pwd hwk mfa"),
            (&[passkey(true)], 2, "hwk mfa"),
            (&[passkey(false)], 2, "swk mfa"),
        ] {
            assert_eq!(Proof::of(means), Proof { aal, amr: amr.into() });
        }
    }

    #[test]
    fn proving_more_adds_and_takes_nothing_away() {
        let strong = Proof::of(&[Means::Password, Means::Totp]);
        assert_eq!(strong.and(Means::Password), strong);
        assert_eq!(strong.and(Means::RecoveryCode).aal, 2);
        assert_eq!(strong.and(Means::RecoveryCode).amr, "pwd otp mfa recovery_code");
        assert_eq!(strong.clone().capped(), Proof { aal: 1, ..strong });
    }
}
