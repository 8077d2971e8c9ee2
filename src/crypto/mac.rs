//! Message authentication codes of other parties' protocols (HMAC, RFC 2104).

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq as _;

pub fn hmac_sha1(key: &[u8], message: &[u8]) -> Vec<u8> {
    mac(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key, message)
}

pub fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    mac(hmac::HMAC_SHA256, key, message)
}

pub fn hmac_sha512(key: &[u8], message: &[u8]) -> Vec<u8> {
    mac(hmac::HMAC_SHA512, key, message)
}

fn mac(algorithm: hmac::Algorithm, key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(algorithm, key), message).as_ref().to_vec()
}

/// Compares in a time that tells nothing of where the two differ.
#[must_use]
pub fn equal(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}
