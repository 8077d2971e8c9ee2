//! Time-based one-time codes (RFC 6238): SHA-1, six digits, 30 seconds, which is what every authenticator app can do.

use entities::Timestamp;
use subtle::ConstantTimeEq;
use totp_rs::{Builder, Totp};
use zeroize::Zeroizing;

use crate::entropy::Entropy;

/// Bytes of a secret (RFC 4226, 4: 160 bits).
pub const SECRET_LENGTH: usize = 20;
const STEP_SECONDS: i64 = 30;
const DIGITS: usize = 6;

/// What server and app share.
pub struct TotpSecret(Zeroizing<Vec<u8>>);

/// What an app needs to know of a secret.
pub struct Enrolment {
    /// The secret in base32, for typing.
    pub secret: Zeroizing<String>,
    /// `otpauth://totp/…`, for a QR code.
    pub uri: Zeroizing<String>,
}

/// Six digits that a person typed; white space is theirs.
#[derive(Clone)]
pub struct TotpCode(Zeroizing<String>);

impl TotpCode {
    #[must_use]
    pub fn parse(typed: &str) -> Option<Self> {
        let code: Zeroizing<String> = Zeroizing::new(typed.chars().filter(|c| !c.is_whitespace()).collect());
        // ASCII only: other digits would be the same code once more.
        (code.len() == DIGITS && code.bytes().all(|byte| byte.is_ascii_digit())).then_some(Self(code))
    }
}

/// Of the time step that an instant is in.
#[must_use]
pub fn step(at: Timestamp) -> i64 {
    at.seconds().div_euclid(STEP_SECONDS)
}

impl TotpSecret {
    #[must_use]
    pub fn generate(entropy: Entropy) -> Self {
        Self(Zeroizing::new(entropy.bytes::<SECRET_LENGTH>().to_vec()))
    }

    #[must_use]
    pub fn from_bytes(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The time step that the code belongs to: the current one or the one before (RFC 6238, 5.2), if it is later than
    /// `after`, so that no code counts twice.
    #[must_use]
    pub fn matching_step(&self, code: &TotpCode, now: Timestamp, after: i64) -> Option<i64> {
        let totp = self.totp("", "");
        let current = step(now);
        [current, current - 1].into_iter().filter(|step| *step > after).find(|step| {
            let time = u64::try_from(step * STEP_SECONDS).unwrap_or(0);
            let expected = Zeroizing::new(totp.generate(time).to_string());
            expected.as_bytes().ct_eq(code.0.as_bytes()).into()
        })
    }

    /// For an app: `issuer` is the product, `account` the address.
    #[must_use]
    pub fn enrolment(&self, issuer: &str, account: &str) -> Enrolment {
        let totp = self.totp(issuer, account);
        Enrolment {
            secret: Zeroizing::new(totp_rs::Secret::from(self.0.as_slice()).to_base32()),
            uri: Zeroizing::new(totp.to_url().unwrap_or_default()),
        }
    }

    fn totp(&self, issuer: &str, account: &str) -> Totp {
        // A colon parts issuer and account in the label.
        let plain = |text: &str| text.replace(':', " ");
        Builder::new()
            .with_secret(self.0.as_slice())
            .with_issuer(Some(plain(issuer)))
            .with_account_name(plain(account))
            .build_noncompliant()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    fn secret() -> TotpSecret {
        TotpSecret::from_bytes(Zeroizing::new(SECRET.to_vec()))
    }

    fn code(text: &str) -> TotpCode {
        TotpCode::parse(text).expect("a code")
    }

    /// RFC 6238, appendix B; the last six of its eight digits.
    #[test]
    fn the_vectors_of_the_rfc() {
        for (seconds, digits) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let now = Timestamp(seconds * 1000);
            assert_eq!(secret().matching_step(&code(digits), now, -1), Some(step(now)), "{seconds}");
        }
    }

    #[test]
    fn the_current_and_the_previous_step_count_and_each_once() {
        let at = |seconds: i64| Timestamp(seconds * 1000);
        let code = code("081804");
        let own = step(at(1_111_111_109));
        assert_eq!(secret().matching_step(&code, at(1_111_111_079), -1), None, "too early");
        for seconds in [1_111_111_080, 1_111_111_109, 1_111_111_110, 1_111_111_139] {
            assert_eq!(secret().matching_step(&code, at(seconds), own - 1), Some(own), "{seconds}");
            assert_eq!(secret().matching_step(&code, at(seconds), own), None, "{seconds}, once more");
        }
        assert_eq!(secret().matching_step(&code, at(1_111_111_140), -1), None, "too late");
    }

    #[test]
    fn white_space_is_forgiven_and_nothing_else() {
        for typed in ["081804", " 081 804 ", "0 8 1 8 0 4", "081\u{a0}804\n"] {
            assert_eq!(code(typed).0.as_str(), "081804");
        }
        for typed in ["", "81804", "0081804", "08180a", "-81804", "+81804", "٠٨١٨٠٤", "081.804"] {
            assert!(TotpCode::parse(typed).is_none(), "{typed}");
        }
    }

    #[test]
    fn an_app_is_told_who_and_what() {
        let enrolment = secret().enrolment("Acme: Inc & Co", "ada+x@example.com");
        assert_eq!(enrolment.secret.as_str(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let uri = url::Url::parse(&enrolment.uri).expect("a URL");
        assert_eq!((uri.scheme(), uri.host_str()), ("otpauth", Some("totp")));
        assert_eq!(uri.path(), "/Acme%20%20Inc%20%26%20Co:ada%2Bx%40example.com");
        let value =
            |name: &str| uri.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        assert_eq!(value("secret").as_deref(), Some(enrolment.secret.as_str()));
        assert_eq!(value("issuer").as_deref(), Some("Acme  Inc & Co"));
        // The defaults of every app, which need not be said.
        for (name, default) in [("algorithm", "SHA1"), ("digits", "6"), ("period", "30")] {
            assert!(value(name).is_none_or(|value| value == default), "{name}");
        }
    }
}
