//! What people and servers hold in their hands: mailed tokens, access keys, recovery codes, one-time codes.

use entities::{AccountId, Timestamp};
use hmac::{Hmac, KeyInit as _, Mac as _};
use latchkey::crypto::access_key::AccessKey;
use latchkey::crypto::opaque_token::OpaqueToken;
use latchkey::crypto::recovery_code::RecoveryCode;
use latchkey::crypto::totp::{SECRET_LENGTH, TotpCode, TotpSecret, step};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::input::{Input, seed};

const SECRET: [u8; SECRET_LENGTH] = *b"12345678901234567890";

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.take::<u8>() % 4 {
        0 => mailed(&String::from_utf8_lossy(input.rest())),
        1 => access_key(&String::from_utf8_lossy(input.rest())),
        2 => recovery(&String::from_utf8_lossy(input.rest())),
        _ => one_time(input),
    }
}

fn mailed(text: &str) {
    let Some(token) = OpaqueToken::parse(text) else { return };
    assert_eq!(token.expose(), text.trim(), "two spellings of a token");
    assert_eq!(token.hash().len(), 32);
}

fn access_key(text: &str) {
    let Some(key) = AccessKey::parse(text) else { return };
    assert!(AccessKey::is_meant(text));
    assert_eq!(key.expose(), text, "two spellings of a key");
    let bytes = hex::decode(&text[3..]).expect("digits");
    assert_eq!(Sha256::digest([b"lk_", &bytes[..32]].concat())[..4], bytes[32..]);
    assert_eq!(key.hash(), Sha256::digest(&bytes[..32]).to_vec());
}

fn recovery(text: &str) {
    let Some(code) = RecoveryCode::parse(text) else { return };
    let shown = code.expose();
    assert_eq!(shown.len(), 27);
    assert!(RecoveryCode::parse(&shown).is_some_and(|again| again == code));
    let typed = text.chars().filter(|letter| !letter.is_whitespace() && *letter != '-').count();
    assert_eq!(typed, 24, "a code of another length");
    let accounts = [1, 2].map(|id| code.hash(AccountId(Uuid::from_u128(id))));
    assert_ne!(accounts[0], accounts[1]);
}

/// The code is the right one (RFC 6238, by hand), and right only once.
fn one_time(mut input: Input<'_>) {
    let (seconds, after, genuine): (u32, i8, bool) = input.take();
    let now = Timestamp(i64::from(seconds) * 1000);
    let current = step(now);
    let typed = String::from_utf8_lossy(input.rest()).into_owned();
    let typed = if genuine { format!("{}{typed}", digits(current - i64::from(seconds % 3))) } else { typed };
    let Some(code) = TotpCode::parse(&typed) else { return };
    let plain: String = typed.chars().filter(|letter| !letter.is_whitespace()).collect();
    assert!(plain.len() == 6 && plain.bytes().all(|byte| byte.is_ascii_digit()), "{typed:?}");
    let secret = TotpSecret::from_bytes(SECRET.to_vec().into());
    let used = current + i64::from(after);
    let found = secret.matching_step(&code, now, used);
    let expected = [current, current - 1].into_iter().find(|step| *step > used && digits(*step) == plain);
    assert_eq!(found, expected);
    if let Some(found) = found {
        assert!(secret.matching_step(&code, now, found).is_none_or(|again| again > found), "used twice");
    }
}

fn digits(step: i64) -> String {
    let step = u64::try_from(step * 30).unwrap_or(0) / 30;
    let mac = Hmac::<Sha1>::new_from_slice(&SECRET).expect("a key").chain_update(step.to_be_bytes());
    let mac = mac.finalize().into_bytes();
    let at = usize::from(mac[19] & 15);
    let number = u32::from_be_bytes([mac[at] & 0x7f, mac[at + 1], mac[at + 2], mac[at + 3]]);
    format!("{:06}", number % 1_000_000)
}

pub fn seeds() -> Vec<Vec<u8>> {
    let key = [&[9; 32][..], &Sha256::digest([&b"lk_"[..], &[9; 32]].concat())[..4]].concat();
    let key = format!("lk_{}", hex::encode(key));
    let mut totp = vec![3];
    totp.extend(1_700_000_000_u32.to_le_bytes());
    vec![
        seed(&[0], &[b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"]),
        seed(&[0], &[b" AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n"]),
        seed(&[1], &[key.as_bytes()]),
        seed(&[1], &[key.to_uppercase().as_bytes()]),
        seed(&[2], &[b"0123ab-cdefgh-jkmnpq-rstvwx"]),
        seed(&[2], &[b" OIL3AB cdefgh jkmnpq rstvwx"]),
        [&totp[..], &[0xFE, 1]].concat(),
        [&totp[..], &[0xFE, 1], b" \n"].concat(),
        [&totp[..], &[0xFF, 0], b"123 456"].concat(),
    ]
}
