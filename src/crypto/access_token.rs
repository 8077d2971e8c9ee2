//! Access tokens: JWTs of type `at+jwt` (RFC 9068). They say who, in which session, and how the person signed in.

use entities::{AccountId, SessionId, Timestamp};
use jsonwebtoken::{Validation, decode, decode_header};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::signing_key::{SigningKey, UnusableKey};
use crate::config::Tokens;

const TYPE: &str = "at+jwt";
/// Longer texts are not looked at.
pub const MAX_LENGTH: usize = 4096;

/// Claims, in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    /// The account.
    pub sub: Uuid,
    pub aud: String,
    /// Seconds since the epoch, as `iat`, `nbf` and `auth_time`.
    pub exp: i64,
    pub iat: i64,
    pub nbf: i64,
    pub jti: Uuid,
    /// The session.
    pub sid: Uuid,
    /// Authenticator assurance level, NIST SP 800-63B.
    pub aal: i16,
    /// Identity assurance level, NIST SP 800-63A.
    pub ial: i16,
    /// Authentication methods (RFC 8176).
    pub amr: Vec<String>,
    pub auth_time: i64,
    pub scope: String,
}

impl Claims {
    #[must_use]
    pub fn account(&self) -> AccountId {
        AccountId(self.sub)
    }

    #[must_use]
    pub fn session(&self) -> SessionId {
        SessionId(self.sid)
    }

    #[must_use]
    pub fn expired(&self, now: Timestamp) -> bool {
        self.exp <= now.seconds()
    }
}

#[derive(Serialize)]
struct Header<'a> {
    typ: &'a str,
    alg: jsonwebtoken::Algorithm,
    kid: &'a str,
}

/// The encoded header of a key's tokens; it never changes, so it is made once.
pub fn header(key: &SigningKey) -> Result<String, UnusableKey> {
    use base64::Engine as _;
    let header = Header { typ: TYPE, alg: key.algorithm, kid: &key.kid };
    let json = serde_json::to_vec(&header).map_err(|_| UnusableKey)?;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json))
}

pub fn sign(key: &SigningKey, header: &str, claims: &Claims) -> Result<String, UnusableKey> {
    key.sign(header, &serde_json::to_vec(claims).map_err(|_| UnusableKey)?)
}

/// The name of the key that is said to have signed the token; `None` when this can't be an access token.
#[must_use]
pub fn kid(token: &str) -> Option<String> {
    if token.len() > MAX_LENGTH {
        return None;
    }
    let header = decode_header(token).ok()?;
    // An extension that must be understood is not understood here (RFC 7515, 4.1.11).
    if header.crit.is_some() {
        return None;
    }
    header.typ.is_some_and(|typ| typ.eq_ignore_ascii_case(TYPE)).then_some(header.kid).flatten()
}

/// Checks signature, issuer, audience and lifetime; time is the caller's business, because it changes and they don't.
#[must_use]
pub fn verify(token: &str, key: &SigningKey, issuer: &str, audience: &str) -> Option<Claims> {
    // The algorithm is the key's, whatever the token says (RFC 8725, 3.1).
    let mut validation = Validation::new(key.algorithm);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let claims = decode::<Claims>(token, key.verifier(), &validation).ok()?.claims;
    // None of ours lives longer, whatever `exp` says.
    let lifetime = u64::try_from(claims.exp.checked_sub(claims.iat)?).ok()?;
    (lifetime <= Tokens::MOST_ACCESS_SECONDS).then_some(claims)
}
