//! Refresh tokens: what is accepted is, to the letter, what the key has made.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use entities::SessionId;
use hmac::{Hmac, KeyInit as _, Mac as _};
use latchkey::crypto::refresh_token::{RefreshKey, RefreshToken};
use sha2::Sha256;
use uuid::Uuid;

use crate::input::{Input, flipped_text, seed};

const KEY: [u8; 32] = [7; 32];

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let key = RefreshKey::new(&KEY);
    if input.take::<u8>().is_multiple_of(2) {
        return read(&String::from_utf8_lossy(input.rest()), &key);
    }
    let (session, counter, bit): (u128, i64, u16) = input.take();
    let token = RefreshToken { session: SessionId(Uuid::from_u128(session)), counter };
    let text = token.encode(&key);
    assert_eq!(RefreshToken::decode(&text, &key), Some(token));
    read(&text, &key);
    assert_eq!(RefreshToken::decode(&text, &RefreshKey::new(&[8; 32])), None);
    if let Some(altered) = flipped_text(&text, bit) {
        assert_eq!(RefreshToken::decode(&altered, &key), None, "bit {bit}");
    }
    let around = String::from_utf8_lossy(input.rest());
    for longer in [format!("{around}{text}"), format!("{text}{around}")] {
        assert!(around.is_empty() || RefreshToken::decode(&longer, &key).is_none(), "{longer:?}");
    }
}

fn read(text: &str, key: &RefreshKey) {
    let Some(token) = RefreshToken::decode(text, key) else { return };
    assert_eq!(token.encode(key), text, "two spellings of a token");
    let bytes = BASE64.decode(text).expect("base64url");
    let (body, mac) = bytes.split_at(25);
    let ours = Hmac::<Sha256>::new_from_slice(&KEY).expect("a key");
    ours.chain_update(b"refresh token").chain_update(body).verify_slice(mac).expect("a MAC of ours");
}

pub fn seeds() -> Vec<Vec<u8>> {
    let key = RefreshKey::new(&KEY);
    let token = RefreshToken { session: SessionId(Uuid::from_u128(7)), counter: 3 }.encode(&key);
    let mut numbers = vec![1];
    numbers.extend(7_u128.to_le_bytes());
    numbers.extend(3_i64.to_le_bytes());
    numbers.extend(200_u16.to_le_bytes());
    vec![
        seed(&[0], &[token.as_bytes()]),
        seed(&[0], &[format!("{token}=").as_bytes()]),
        seed(&[0], &[format!(" {token}").as_bytes()]),
        numbers.clone(),
        seed(&numbers, &[b"A"]),
    ]
}
