//! Hashes that other programs made: bcrypt, scrypt and PBKDF2, as PHC strings and as passlib, Django and Werkzeug spell
//! them. They are computed to be compared, never to be stored.

use base64::alphabet::{self, Alphabet};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::*;
use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use zeroize::Zeroizing;

use super::stored::{Tag, UnusableHash};

/// The most that a hash may cost: a few seconds of a core and 256 MiB, beyond all recommendations. Whoever gets a hash
/// into an import must not hold up a thread with it.
const MAX_BCRYPT_COST: u32 = 15;
const MAX_SCRYPT_BLOCKS_AT_ONCE: u64 = 1 << 21;
const MAX_SCRYPT_BLOCKS: u64 = 1 << 22;
const MAX_PBKDF2_ROUNDS: u64 = 4_000_000;

/// A shorter tag would match too many passwords; an empty one all.
const TAG_LENGTHS: std::ops::RangeInclusive<usize> = 16..=128;
/// Bytes of a password that bcrypt looks at.
const BCRYPT_KEY: usize = 72;
const BCRYPT_TAG: usize = 23;

/// How to compute a tag once more.
pub(super) enum Foreign {
    /// `prehashed`: of the SHA-256 in hexadecimal, as Django does to have all of the password count.
    Bcrypt {
        cost: u32,
        salt: [u8; 16],
        prehashed: bool,
    },
    Scrypt {
        log_n: u8,
        r: u32,
        p: u32,
        salt: Vec<u8>,
    },
    Pbkdf2 {
        digest: Digest,
        rounds: u32,
        salt: Vec<u8>,
    },
}

#[derive(Clone, Copy)]
pub(super) enum Digest {
    Sha1,
    Sha256,
    Sha512,
}

impl Foreign {
    pub fn parse(text: &str) -> Result<(Self, Tag), UnusableHash> {
        let (foreign, tag) = take_apart(text).ok_or(UnusableHash::NotTaken)?;
        if !TAG_LENGTHS.contains(&tag.len()) {
            return Err(UnusableHash::NotTaken);
        }
        if !foreign.affordable(tag.len()) {
            return Err(UnusableHash::TooCostly);
        }
        Ok((foreign, Zeroizing::new(tag)))
    }

    fn affordable(&self, tag_length: usize) -> bool {
        match *self {
            Self::Bcrypt { cost, .. } => cost <= MAX_BCRYPT_COST,
            Self::Scrypt { log_n, r, p, .. } => {
                let at_once = 1_u64.checked_shl(log_n.into()).unwrap_or(u64::MAX).saturating_mul(r.into());
                at_once <= MAX_SCRYPT_BLOCKS_AT_ONCE && at_once.saturating_mul(p.into()) <= MAX_SCRYPT_BLOCKS
            }
            Self::Pbkdf2 { digest, rounds, .. } => {
                let repeats = tag_length.div_ceil(digest.length()) as u64;
                u64::from(rounds).saturating_mul(repeats) <= MAX_PBKDF2_ROUNDS
            }
        }
    }

    /// The tag of `password`, as long as the stored one is.
    pub fn compute(&self, password: &[u8], length: usize) -> Tag {
        let mut tag = Zeroizing::new(vec![0; length]);
        match self {
            Self::Bcrypt { cost, salt, prehashed: false } => bcrypt_into(*cost, *salt, password, &mut tag),
            Self::Bcrypt { cost, salt, prehashed: true } => {
                let digest = Zeroizing::new(hex::encode(Sha256::digest(password)));
                bcrypt_into(*cost, *salt, digest.as_bytes(), &mut tag);
            }
            Self::Scrypt { log_n, r, p, salt } => {
                let params =
                    scrypt::Params::new(*log_n, *r, *p).expect("an affordable cost is a possible one");
                scrypt::scrypt(password, salt, &params, &mut tag).expect("a tag is not empty");
            }
            Self::Pbkdf2 { digest, rounds, salt } => match digest {
                Digest::Sha1 => pbkdf2_hmac::<Sha1>(password, salt, *rounds, &mut tag),
                Digest::Sha256 => pbkdf2_hmac::<Sha256>(password, salt, *rounds, &mut tag),
                Digest::Sha512 => pbkdf2_hmac::<Sha512>(password, salt, *rounds, &mut tag),
            },
        }
        tag
    }
}

fn bcrypt_into(cost: u32, salt: [u8; 16], password: &[u8], tag: &mut [u8]) {
    // A zero ends the password, if there is room for it.
    let mut key = Zeroizing::new([0; BCRYPT_KEY]);
    let used = password.len().min(BCRYPT_KEY);
    key[..used].copy_from_slice(&password[..used]);
    let whole = Zeroizing::new(bcrypt::bcrypt(cost, salt, &key[..(used + 1).min(BCRYPT_KEY)]));
    tag.copy_from_slice(&whole[..tag.len()]);
}

impl Digest {
    fn named(name: &str) -> Option<Self> {
        match name {
            "sha1" => Some(Self::Sha1),
            "sha256" => Some(Self::Sha256),
            "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }

    fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// `None` when it is none of the spellings, or not a whole one.
fn take_apart(text: &str) -> Option<(Foreign, Vec<u8>)> {
    match *text.split('$').collect::<Vec<_>>() {
        // Everybody; Django puts its own name in front.
        ["", "2a" | "2b" | "2y", cost, rest] | ["bcrypt", "", "2a" | "2b" | "2y", cost, rest] => {
            bcrypt(cost, rest, false)
        }
        ["bcrypt_sha256", "", "2b", cost, rest] => bcrypt(cost, rest, true),
        // PHC and passlib: `$scrypt$ln=17,r=8,p=1$…`.
        ["", "scrypt", cost, salt, tag] => scrypt(
            member(cost, "ln")?.parse().ok()?,
            member(cost, "r")?,
            member(cost, "p")?,
            base64(salt)?,
            base64(tag)?,
        ),
        // Django.
        ["scrypt", n, salt, r, p, tag] => scrypt(log2(n)?, r, p, salt.into(), base64(tag)?),
        // PHC, `$pbkdf2-sha256$i=600000$…`, and passlib, `$pbkdf2-sha256$600000$…`.
        ["", name, cost, salt, tag] => {
            let digest = if name == "pbkdf2" { "sha1" } else { name.strip_prefix("pbkdf2-")? };
            let rounds = if cost.contains('=') { member(cost, "i")? } else { cost };
            pbkdf2(digest, rounds, base64(salt)?, base64(tag)?)
        }
        // Django.
        [name, rounds, salt, tag] => pbkdf2(name.strip_prefix("pbkdf2_")?, rounds, salt.into(), base64(tag)?),
        // Werkzeug: `scrypt:32768:8:1$…`, `pbkdf2:sha256:600000$…`.
        [method, salt, tag] => match *method.split(':').collect::<Vec<_>>() {
            ["scrypt", n, r, p] => scrypt(log2(n)?, r, p, salt.into(), hex::decode(tag).ok()?),
            ["pbkdf2", digest, rounds] => pbkdf2(digest, rounds, salt.into(), hex::decode(tag).ok()?),
            _ => None,
        },
        _ => None,
    }
}

fn bcrypt(cost: &str, rest: &str, prehashed: bool) -> Option<(Foreign, Vec<u8>)> {
    let cost = cost.parse().ok().filter(|cost| (4..=31).contains(cost))?;
    let (salt, tag) = rest.split_at_checked(22)?;
    let salt = lenient(&alphabet::BCRYPT).decode(salt).ok()?.try_into().ok()?;
    let tag = lenient(&alphabet::BCRYPT).decode(tag).ok().filter(|tag| tag.len() == BCRYPT_TAG)?;
    Some((Foreign::Bcrypt { cost, salt, prehashed }, tag))
}

fn scrypt(log_n: u8, r: &str, p: &str, salt: Vec<u8>, tag: Vec<u8>) -> Option<(Foreign, Vec<u8>)> {
    let (r, p) = (positive(r)?, positive(p)?);
    (log_n > 0).then_some((Foreign::Scrypt { log_n, r, p, salt }, tag))
}

fn pbkdf2(digest: &str, rounds: &str, salt: Vec<u8>, tag: Vec<u8>) -> Option<(Foreign, Vec<u8>)> {
    let (digest, rounds) = (Digest::named(digest)?, positive(rounds)?);
    Some((Foreign::Pbkdf2 { digest, rounds, salt }, tag))
}

fn positive(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number > 0)
}

fn log2(n: &str) -> Option<u8> {
    let n: u64 = n.parse().ok()?;
    n.is_power_of_two().then(|| n.trailing_zeros() as u8)
}

/// The value of `name` in `name=value,…`.
fn member<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    list.split(',').find_map(|member| member.strip_prefix(name)?.strip_prefix('='))
}

/// Others write padding or don't, leave spare bits set, and write `.` for `+` (passlib).
fn lenient(alphabet: &Alphabet) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(alphabet, config)
}

fn base64(text: &str) -> Option<Vec<u8>> {
    lenient(&alphabet::STANDARD).decode(text.replace('.', "+")).ok()
}

#[cfg(test)]
#[path = "foreign_tests.rs"]
mod tests;
