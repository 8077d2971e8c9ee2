//! The range protocol of Have I Been Pwned: a service lists breached passwords by SHA-1. It is asked for all hashes that
//! begin with the same five digits, so that it does not learn which one was meant.

use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use super::Password;

/// Digits that leave the process. About a thousand breached passwords share them.
const PREFIX: usize = 5;

/// A question about one password.
pub struct RangeQuery {
    digits: Zeroizing<String>,
}

impl RangeQuery {
    pub fn new(password: &Password) -> Self {
        let hash = Zeroizing::new(<[u8; 20]>::from(Sha1::digest(password.as_str())));
        Self { digits: Zeroizing::new(hex::encode_upper(*hash)) }
    }

    /// What to ask for: nothing else may leave the process.
    pub fn prefix(&self) -> &str {
        &self.digits[..PREFIX]
    }

    /// Whether the answer lists the password; `None` when it is no such answer.
    pub fn listed_in(&self, answer: &[u8]) -> Option<bool> {
        let answer = std::str::from_utf8(answer).ok()?;
        let mut listed = None;
        for line in answer.lines() {
            let (suffix, count) = line.split_once(':').filter(|(suffix, _)| is_suffix(suffix))?;
            // Lines with a count of zero only hide how long the list is.
            let counts = count.parse::<u64>().ok()? > 0;
            let same = suffix.eq_ignore_ascii_case(&self.digits[PREFIX..]);
            listed = Some(listed.unwrap_or(false) || same && counts);
        }
        listed
    }
}

fn is_suffix(text: &str) -> bool {
    text.len() == 40 - PREFIX && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed_in(answer: &str) -> Option<bool> {
        // SHA-1 of "password": 5BAA6 1E4C9B93F3F0682250B6CF8331B7EE68FD8.
        RangeQuery::new(&Password::new("password")).listed_in(answer.as_bytes())
    }

    #[test]
    fn five_digits_are_asked_for() {
        assert_eq!(RangeQuery::new(&Password::new("password")).prefix(), "5BAA6");
        let composed = RangeQuery::new(&Password::new("cafe\u{301}"));
        assert_eq!(composed.prefix(), RangeQuery::new(&Password::new("caf\u{e9}")).prefix());
    }

    #[test]
    fn the_rest_is_looked_up_here() {
        let other = "003D68EB55068C33ACE09247EE4C639306B:3";
        assert_eq!(listed_in(other), Some(false));
        for line in ["1E4C9B93F3F0682250B6CF8331B7EE68FD8:10434004", "1e4c9b93f3f0682250b6cf8331b7ee68fd8:1"]
        {
            assert_eq!(listed_in(line), Some(true));
            assert_eq!(listed_in(&format!("{other}\r\n{line}\r\n{other}\r\n")), Some(true));
        }
        // Padding.
        assert_eq!(listed_in(&format!("{other}\r\n1E4C9B93F3F0682250B6CF8331B7EE68FD8:0")), Some(false));
    }

    #[test]
    fn what_is_no_list_says_nothing() {
        let listed = "1E4C9B93F3F0682250B6CF8331B7EE68FD8:1";
        for answer in [
            "",
            "<html>Sign in to the network</html>",
            "1E4C9B93F3F0682250B6CF8331B7EE68FD8",
            "1E4C9B93F3F0682250B6CF8331B7EE68FD8:many",
            "1E4C9B93F3F0682250B6CF8331B7EE68FD8:-1",
            "1E4C9B93F3F0682250B6CF8331B7EE68FDG:1",
            ":1",
            &format!("{listed}\r\n<html>"),
            &format!("{listed}\r\n\r\n{listed}"),
        ] {
            assert_eq!(listed_in(answer), None, "{answer}");
        }
        assert_eq!(RangeQuery::new(&Password::new("password")).listed_in(b"\xff\xfe"), None);
    }
}
