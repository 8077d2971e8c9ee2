//! What signatures of webhooks have in common.

use entities::Timestamp;

use crate::crypto::mac;

/// Seconds by which a signed time may differ from ours, in both directions: as the reference libraries of Standard Webhooks
/// and Stripe have it.
const TOLERANCE: u64 = 300;

/// Whether `hex` is the HMAC-SHA-256 of a message.
#[must_use]
pub fn is_hex_sha256(key: &[u8], message: &[u8], hex: &str) -> bool {
    is_hex(mac::hmac_sha256, key, message, hex)
}

/// The same with SHA-512.
#[must_use]
pub fn is_hex_sha512(key: &[u8], message: &[u8], hex: &str) -> bool {
    is_hex(mac::hmac_sha512, key, message, hex)
}

/// With an empty key, left behind in the settings, everybody could sign.
fn is_hex(hmac: fn(&[u8], &[u8]) -> Vec<u8>, key: &[u8], message: &[u8], hex: &str) -> bool {
    !key.is_empty() && hex::decode(hex).is_ok_and(|claimed| mac::equal(&claimed, &hmac(key, message)))
}

/// What Stripe and Persona sign: the time as its header writes it, a dot, and the body.
#[must_use]
pub fn dotted(time: &str, body: &[u8]) -> Vec<u8> {
    [time.as_bytes(), b".", body].concat()
}

/// Whether a time in seconds, as its header writes it, is close to now.
#[must_use]
pub fn is_recent(seconds: &str, now: Timestamp) -> bool {
    seconds.parse::<i64>().is_ok_and(|at| at.abs_diff(now.seconds()) <= TOLERANCE)
}

/// A header such as `t=1700000000,v1=…,v1=…`: the time, and what is signed at that time in this version of the scheme.
#[must_use]
pub fn timed<'a>(header: &'a str, version: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let pairs = || header.split(',').filter_map(|pair| pair.trim().split_once('='));
    let at = pairs().find(|(name, _)| *name == "t").map(|(_, at)| at)?;
    Some((at, pairs().filter(|(name, _)| *name == version).map(|(_, signature)| signature).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_may_be_five_minutes_off() {
        let now = Timestamp(1_700_000_000_000);
        for (text, expected) in [
            ("1700000000", true),
            ("1699999700", true),
            ("1699999699", false),
            ("1700000300", true),
            ("1700000301", false),
            ("", false),
            ("-9223372036854775808", false),
            ("1.7e9", false),
        ] {
            assert_eq!(is_recent(text, now), expected, "{text}");
        }
    }

    #[test]
    fn an_empty_key_proves_nothing() {
        let claimed = hex::encode(mac::hmac_sha256(b"", b"body"));
        assert!(!is_hex_sha256(b"", b"body", &claimed));
        let claimed = hex::encode(mac::hmac_sha256(b"key", b"body"));
        assert!(is_hex_sha256(b"key", b"body", &claimed));
        for wrong in ["", &claimed[..62], "zz", &format!("{claimed}00")] {
            assert!(!is_hex_sha256(b"key", b"body", wrong), "{wrong}");
        }
    }

    #[test]
    fn parts_of_a_header_are_told_apart() {
        assert_eq!(timed("t=1, v1=aa,v0=bb,v1=cc", "v1"), Some(("1", vec!["aa", "cc"])));
        assert_eq!(timed("v1=aa", "v1"), None);
        assert_eq!(timed("t=1", "v1"), Some(("1", vec![])));
    }
}
