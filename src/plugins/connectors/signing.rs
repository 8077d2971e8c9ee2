//! What signatures are made of.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use super::Unsignable;

pub use crate::crypto::mac::{hmac_sha1, hmac_sha256, hmac_sha512};
pub use crate::outbound::percent_encoded;

pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A private key, of which the text says what kind it is.
pub enum PrivateKey {
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl PrivateKey {
    /// Whether the text means to be a key in PEM.
    #[must_use]
    pub fn is_pem(text: &str) -> bool {
        text.contains("PRIVATE KEY")
    }

    /// PKCS#8, PKCS#1 or SEC 1 in PEM. The kind is told by what is inside. Line ends may be written as `\n`, as
    /// they are in files of keys in JSON.
    pub fn from_pem(text: &str) -> Result<Self, Unsignable> {
        const UNUSABLE: Unsignable = Unsignable(
            "The private key can't be read. Copy it again, with the lines that begin with five dashes.",
        );
        let text = Zeroizing::new(text.replace("\\n", "\n"));
        match PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| UNUSABLE)? {
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
                    .map(Self::Ed25519)
                    .or_else(|_| {
                        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map(Self::P256)
                    })
                    .or_else(|_| RsaKeyPair::from_pkcs8(der).map(Self::Rsa))
                    .map_err(|_| UNUSABLE)
            }
            PrivateKeyDer::Pkcs1(der) => {
                RsaKeyPair::from_der(der.secret_pkcs1_der()).map(Self::Rsa).map_err(|_| UNUSABLE)
            }
            PrivateKeyDer::Sec1(der) => {
                EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_sec1_der())
                    .map(Self::P256)
                    .map_err(|_| UNUSABLE)
            }
            _ => Err(UNUSABLE),
        }
    }

    /// The 32 bytes that an Ed25519 key is made from, or these and its public key.
    pub fn from_ed25519(bytes: &[u8]) -> Result<Self, Unsignable> {
        let key = match bytes.split_at_checked(32) {
            Some((seed, public)) if !public.is_empty() => {
                Ed25519KeyPair::from_seed_and_public_key(seed, public)
            }
            _ => Ed25519KeyPair::from_seed_unchecked(bytes),
        };
        key.map(Self::Ed25519).map_err(|_| Unsignable("The private key can't be read. Copy it again."))
    }

    /// PKCS#1 v1.5 with SHA-256, Ed25519, or ECDSA with SHA-256 as `r` and `s`.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unsignable> {
        const FAILED: Unsignable = Unsignable("The private key can't sign. Make a new one.");
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(|_| FAILED)?;
                Ok(signature)
            }
            Self::Ed25519(key) => Ok(key.sign(message).as_ref().to_vec()),
            Self::P256(key) => Ok(key.sign(&random, message).map_err(|_| FAILED)?.as_ref().to_vec()),
        }
    }
}
