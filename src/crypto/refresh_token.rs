//! Refresh tokens: `version (1) | session (16) | counter (8) | HMAC-SHA-256 (32)` in base64url.
//!
//! The token names its session and which of the session's tokens it is, under a MAC of the server. So no table of tokens
//! is needed, a forged one never reaches the database, and the successor of a token can be derived again.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entities::SessionId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const BODY: usize = 1 + 16 + 8;
const LENGTH: usize = BODY + 32;

/// What a refresh token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshToken {
    pub session: SessionId,
    pub counter: i64,
}

impl RefreshToken {
    #[must_use]
    pub fn encode(&self, key: &RefreshKey) -> String {
        let body = self.body();
        let mut bytes = Zeroizing::new([0; LENGTH]);
        bytes[..BODY].copy_from_slice(&body);
        bytes[BODY..].copy_from_slice(&key.mac(&body).finalize().into_bytes());
        URL_SAFE_NO_PAD.encode(*bytes)
    }

    /// `None` unless it is, to the bit, a token that this key made.
    #[must_use]
    pub fn decode(text: &str, key: &RefreshKey) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        let length = URL_SAFE_NO_PAD.decode_slice(text, bytes.as_mut()).ok()?;
        if length != LENGTH || bytes[0] != VERSION {
            return None;
        }
        key.mac(&bytes[..BODY]).verify_slice(&bytes[BODY..]).ok()?;
        let (session, counter) = bytes[1..BODY].split_first_chunk::<16>()?;
        Some(Self {
            session: SessionId(Uuid::from_bytes(*session)),
            counter: i64::from_be_bytes(counter.try_into().ok()?),
        })
    }

    fn body(&self) -> [u8; BODY] {
        let mut body = [VERSION; BODY];
        body[1..17].copy_from_slice(self.session.0.as_bytes());
        body[17..].copy_from_slice(&self.counter.to_be_bytes());
        body
    }
}

/// The key under which refresh tokens are made; with its state set up, because it is used all the time.
#[derive(Clone)]
pub struct RefreshKey(Hmac<Sha256>);

impl RefreshKey {
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes a key of any length"))
    }

    fn mac(&self, body: &[u8]) -> Hmac<Sha256> {
        self.0.clone().chain_update(b"refresh token").chain_update(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_altered_character_is_refused() {
        let key = RefreshKey::new(&[1; 32]);
        let token = RefreshToken { session: SessionId(Uuid::from_u128(7)), counter: 3 };
        let text = token.encode(&key);
        assert_eq!(RefreshToken::decode(&text, &key), Some(token));
        assert_eq!(RefreshToken::decode(&text, &RefreshKey::new(&[2; 32])), None);
        for at in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).expect("ASCII");
            assert_eq!(RefreshToken::decode(&altered, &key), None, "at {at}");
        }
        for other in ["", &text[..text.len() - 1], &format!("{text}A"), &format!(" {text}"), "é"] {
            assert_eq!(RefreshToken::decode(other, &key), None, "{other}");
        }
    }
}
