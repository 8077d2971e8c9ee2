//! Password hashes of other programs: what is taken can be computed, at a cost that can be borne, and matches its password.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::alphabet::BCRYPT;
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};
use base64::prelude::BASE64_STANDARD_NO_PAD as BASE64;
use latchkey::crypto::password::{Hasher, HashingParams, Password, UnusableHash, check_imported};
use latchkey::entropy::Entropy;
use tokio::runtime::{Builder, Runtime};

use crate::input::Input;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));
static HASHER: LazyLock<Hasher> = LazyLock::new(|| {
    let params = HashingParams { threads: 1, ..HashingParams::default() };
    Hasher::start(&params, Entropy).expect("a hasher")
});

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    if input.take::<u8>().is_multiple_of(2) {
        let text = String::from_utf8_lossy(input.rest());
        if check_imported(&text).is_ok() {
            assert!(text.len() <= 512 && text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
        }
    } else {
        cheap(input);
    }
}

/// A hash that costs little, of any salt and tag: if it is taken, a sign-in gets an answer.
fn cheap(mut input: Input<'_>) {
    let kind: u8 = input.take();
    let ([a, b, c], tag_length): ([u8; 3], u8) = input.take();
    let mut parts = input.parts();
    let (salt, tag) = (parts.bytes(), parts.bytes());
    let tag: Vec<u8> = tag.iter().copied().cycle().take(if tag.is_empty() { 0 } else { tag_length.into() }).collect();
    let (salt64, tag64) = (BASE64.encode(salt), BASE64.encode(&tag));
    let (n, m) = (a % 11, u16::from(b) + 1);
    let text = match kind % 9 {
        0 => format!("$scrypt$ln={n},r={},p={}${salt64}${tag64}", b % 9, c % 3),
        1 => format!("scrypt:{}:{}:{}${}${}", 1 << n, b % 9, c % 3, String::from_utf8_lossy(salt), hex::encode(&tag)),
        2 => format!("$pbkdf2-sha256$i={m}${salt64}${tag64}"),
        3 => format!("$pbkdf2$${m}${salt64}${tag64}").replace("$$", "$"),
        4 => format!("pbkdf2_sha512${m}${}${tag64}", String::from_utf8_lossy(salt)),
        5 => format!("$argon2{}$v={}$m={m},t={},p={}${salt64}${tag64}", ["i", "d", "id"][usize::from(a % 3)], if c > 127 { 16 } else { 19 }, a % 4, c % 5),
        6 => format!("argon2$argon2id$m={m},t=1,p={},data={salt64}${salt64}${tag64}", c % 3),
        _ => {
            let engine = GeneralPurpose::new(&BCRYPT, NO_PAD);
            format!("$2{}$04${}{}", ["a", "b", "y"][usize::from(a % 3)], engine.encode(salt), engine.encode(&tag))
        }
    };
    match check_imported(&text) {
        Err(reason) => assert_eq!(reason, UnusableHash::NotTaken, "{text:?} is cheap"),
        Ok(()) => {
            let verdict = RUNTIME.block_on(HASHER.verify(Password::new("seven pale blue teapots"), Some(&text)));
            let verdict = verdict.unwrap_or_else(|error| panic!("{text:?} can't be computed: {error}"));
            assert!(!verdict.matches || verdict.needs_rehash, "{text:?}");
        }
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let hashes = [
        "$2b$04$maUt7P4DXktu5K.9MvNtROmfFqKkvV9wS962HFpgb8.P4cj9.5m7O",
        "bcrypt_sha256$$2b$04$RdZZ1.DIHE8u1qy1Dp068OjbgEaFhs4kYpOLyqm3UBDqRIoyNsapi",
        "$scrypt$ln=8,r=8,p=2$yJkz5pwz5rxXyrnXOofw3g$xThf51SEX76nPbP+n78HDbNHLKD6mtScRtUqBcLuKF8",
        "scrypt$1024$NaClNaClNaClNaClNaClNa$8$5$NisXDp2gFLj0dA9rlR0es8yMJBllyVjyCKwO06qQOFkCiJ2r4e0MeiQSkdMBhg9O9Viq5UcXj7or6rf/rQ5Lpw==",
        "scrypt:1024:8:1$83HawNiWigL9PW5M$1bc3b898534a974cb204b4aca375921ff386b0561c5c0cf20ff27e4c2db7b3fa",
        "$pbkdf2$100$AkCIEYJwLsU4J.Sc874Xog$Djobc9YNlKwtBctX7bwM6vyavU0",
        "$pbkdf2-sha512$i=1000,l=32$c2l4dGVlbiBzYWx0IGJ5dA$2grG3dsBg1VBQNH6OB0vWN+DDaUFvzNWs05uVuuGd4c",
        "pbkdf2_sha1$1000$NaClNaClNaClNaClNaClNa$ygsqeRcVm4o6yoNJ6IpGekevc0w=",
        "pbkdf2:sha1:1000$3hV0uO82X2xPOwQD$4c743a2313611d0d99b793c1ce2d88349514fa02",
        "$argon2i$m=64,t=2,p=1$c2l4dGVlbiBzYWx0IGJ5dA$ZOjyHro1uWxtGALBGVSA0aXqacJAMcU5L+6Gx8z6O9Y",
        "argon2$argon2id$v=19$m=64,t=2,p=2$TmFDbE5hQ2xOYUNs$BN/j0bgQHugt3rdr/XZomRuVVV0RaAFGE3plh1ihr1I",
        "$argon2id$v=19$m=4294967295,t=1,p=1$c2l4dGVlbiBzYWx0IGJ5dA$3SNeMWPemy/XSEuTAw+B3c0lZ9EB+GzmD4GQoWxaB1U",
        "$scrypt$ln=63,r=4294967295,p=4294967295$c2l4dGVlbiBzYWx0IGJ5dA$xThf51SEX76nPbP+n78HDbNHLKD6mtScRtUqBcLuKF8",
        "{SSHA}MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0",
    ];
    let whole = hashes.map(|hash| [b"\0", hash.as_bytes()].concat());
    let made = (0..9).map(|kind| {
        let length = if kind >= 7 { 23 } else { 32 };
        [&[1, kind, 4, 8, 1, length], &b"sixteen salt byt"[..], b"\x1Etag"].concat()
    });
    whole.into_iter().chain(made).collect()
}
