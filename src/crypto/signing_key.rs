//! Asymmetric keys that sign access tokens: EdDSA (Ed25519, RFC 8037) or ES256 (RFC 7518). Nothing symmetric, no RSA.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::config::SigningAlgorithm;

/// A key pair ready to sign and verify, set up once: parsing it for each token would double the cost.
pub struct SigningKey {
    pub kid: String,
    pub algorithm: Algorithm,
    pair: Pair,
    verifier: DecodingKey,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair, SystemRandom),
}

/// The key can't be read: not ours, or not the algorithm it claims.
#[derive(Debug, thiserror::Error)]
#[error("not a usable signing key")]
pub struct UnusableKey;

/// The public half, as a JWK (RFC 7517) shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    pub kid: String,
    /// `OKP` or `EC`.
    pub kty: &'static str,
    /// `EdDSA` or `ES256`.
    pub alg: &'static str,
    /// `Ed25519` or `P-256`.
    pub crv: &'static str,
    pub x: String,
    pub y: Option<String>,
}

/// A new private key in PKCS#8, and its `kid`: the start of the hash of its public part.
pub fn generate(algorithm: SigningAlgorithm) -> Result<(String, Zeroizing<Vec<u8>>), UnusableKey> {
    let random = SystemRandom::new();
    let (pkcs8, public) = match algorithm {
        SigningAlgorithm::EdDSA => {
            let document = Ed25519KeyPair::generate_pkcs8(&random).map_err(|_| UnusableKey)?;
            let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(|_| UnusableKey)?;
            (document, pair.public_key().as_ref().to_vec())
        }
        SigningAlgorithm::ES256 => {
            let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
                .map_err(|_| UnusableKey)?;
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref())
                .map_err(|_| UnusableKey)?;
            (document, pair.public_key().as_ref().to_vec())
        }
    };
    let kid = URL_SAFE_NO_PAD.encode(&Sha256::digest(public)[..12]);
    Ok((kid, Zeroizing::new(pkcs8.as_ref().to_vec())))
}

impl SigningKey {
    /// Reads a private key that [`generate`] made.
    pub fn from_pkcs8(kid: String, algorithm: &str, pkcs8: &[u8]) -> Result<Self, UnusableKey> {
        let (algorithm, pair) = match algorithm {
            "EdDSA" => {
                (Algorithm::EdDSA, Pair::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| UnusableKey)?))
            }
            "ES256" => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
                    .map_err(|_| UnusableKey)?;
                (Algorithm::ES256, Pair::P256(pair, SystemRandom::new()))
            }
            _ => return Err(UnusableKey),
        };
        let (x, y) = pair.coordinates();
        let verifier = match &y {
            None => DecodingKey::from_ed_components(&x),
            Some(y) => DecodingKey::from_ec_components(&x, y),
        }
        .map_err(|_| UnusableKey)?;
        Ok(Self { kid, algorithm, pair, verifier })
    }

    /// JWS compact serialisation (RFC 7515) of a header and claims that are already JSON.
    pub fn sign(&self, header: &str, claims: &[u8]) -> Result<String, UnusableKey> {
        let mut token = String::with_capacity(header.len() + claims.len() * 2 + 100);
        token.push_str(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        match &self.pair {
            Pair::Ed25519(pair) => {
                let signature = pair.sign(token.as_bytes());
                token.push('.');
                URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
            }
            Pair::P256(pair, random) => {
                let signature = pair.sign(random, token.as_bytes()).map_err(|_| UnusableKey)?;
                token.push('.');
                URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
            }
        }
        Ok(token)
    }

    pub fn verifier(&self) -> &DecodingKey {
        &self.verifier
    }

    #[must_use]
    pub fn public(&self) -> PublicKey {
        let (x, y) = self.pair.coordinates();
        let (kty, alg, crv) = match self.pair {
            Pair::Ed25519(_) => ("OKP", "EdDSA", "Ed25519"),
            Pair::P256(..) => ("EC", "ES256", "P-256"),
        };
        PublicKey { kid: self.kid.clone(), kty, alg, crv, x, y }
    }
}

impl Pair {
    /// The public key in base64url: x, and y on P-256.
    fn coordinates(&self) -> (String, Option<String>) {
        match self {
            Pair::Ed25519(pair) => (URL_SAFE_NO_PAD.encode(pair.public_key()), None),
            Pair::P256(pair, _) => {
                // An uncompressed point: 04 | x | y (SEC 1, 2.3.3).
                let point = pair.public_key().as_ref();
                (URL_SAFE_NO_PAD.encode(&point[1..33]), Some(URL_SAFE_NO_PAD.encode(&point[33..])))
            }
        }
    }
}
