//! A stored hash, taken apart so that it can be computed again.

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, Version};
use zeroize::{Zeroize, Zeroizing};

use super::foreign::Foreign;
use super::params;

pub(super) type Tag = Zeroizing<Vec<u8>>;

/// Characters of a stored hash, at most.
const MAX_LENGTH: usize = 512;

/// Why a hash from elsewhere can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableHash {
    #[error(
        "not a whole hash of a format that is taken, which are Argon2 ($argon2id$, $argon2i$, $argon2d$), \
         bcrypt ($2a$, $2b$, $2y$), scrypt ($scrypt$ln=…) and PBKDF2 with SHA-1, SHA-256 or SHA-512 \
         ($pbkdf2-sha256$…), also as Django and Werkzeug write them"
    )]
    NotTaken,
    #[error("a hash that would cost more than this server is willing to compute at a sign-in")]
    TooCostly,
}

/// Whether a hash that another program made can be verified here, at a cost that can be borne.
pub fn check_imported(text: &str) -> Result<(), UnusableHash> {
    match Stored::parse(text)?.recipe {
        Recipe::Argon2(argon2) if !params::affordable_from_elsewhere(&argon2.params) => {
            Err(UnusableHash::TooCostly)
        }
        _ => Ok(()),
    }
}

/// A tag, and how it came about.
pub(super) struct Stored {
    pub recipe: Recipe,
    pub tag: Tag,
}

pub(super) enum Recipe {
    Argon2(Argon),
    Foreign(Foreign),
}

#[derive(Clone)]
pub(super) struct Argon {
    pub algorithm: Algorithm,
    pub version: Version,
    pub params: Params,
    pub salt: phc::Salt,
}

impl Argon {
    /// What new hashes are made with.
    pub fn ours(params: Params, salt: phc::Salt) -> Self {
        Self { algorithm: Algorithm::Argon2id, version: Version::V0x13, params, salt }
    }

    pub fn to_phc(&self, tag: &Tag) -> String {
        let hash = PasswordHash {
            algorithm: self.algorithm.into(),
            version: Some(self.version.into()),
            params: (&self.params).try_into().expect("Argon2 parameters fit a PHC string"),
            salt: Some(self.salt),
            hash: Some(phc::Output::new(tag).expect("a tag has a length that PHC strings allow")),
        };
        hash.to_string()
    }
}

impl Stored {
    pub fn parse(text: &str) -> Result<Self, UnusableHash> {
        if text.len() > MAX_LENGTH || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UnusableHash::NotTaken);
        }
        // Django puts its own name in front.
        let phc = text.strip_prefix("argon2$").map_or(text, |_| &text["argon2".len()..]);
        if !phc.starts_with("$argon2") {
            let (foreign, tag) = Foreign::parse(text)?;
            return Ok(Self { recipe: Recipe::Foreign(foreign), tag });
        }
        let (argon2, tag) = argon2(phc).ok_or(UnusableHash::NotTaken)?;
        if !params::affordable(&argon2.params) {
            return Err(UnusableHash::TooCostly);
        }
        Ok(Self { recipe: Recipe::Argon2(argon2), tag })
    }
}

impl Recipe {
    /// Whether a new hash would be stronger.
    pub fn is_weaker_than(&self, current: &Params) -> bool {
        match self {
            Self::Foreign(_) => true,
            Self::Argon2(argon2) => {
                argon2.algorithm != Algorithm::Argon2id
                    || argon2.version != Version::V0x13
                    || params::weaker(&argon2.params, current)
                    || argon2.salt.len() < params::SALT_LENGTH
            }
        }
    }
}

fn argon2(phc: &str) -> Option<(Argon, Tag)> {
    let hash = PasswordHash::new(phc).ok()?;
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
    // Those that name no version are of the time before there were two.
    let version = hash.version.map_or(Ok(Version::V0x10), Version::try_from).ok()?;
    // A key id says that a secret of theirs went in, too.
    let params = Params::try_from(&hash).ok().filter(|params| params.keyid().is_empty())?;
    let tag = hash.hash?.as_bytes().to_vec();
    Some((Argon { algorithm, version, params, salt: hash.salt? }, Zeroizing::new(tag)))
}

/// The blocks that a thread computes Argon2 in. They hold what is derived from the last password, hence the wiping.
pub(super) struct Memory {
    blocks: Vec<Block>,
    keep: usize,
}

impl Memory {
    /// Keeps as much as hashes with `usual` parameters need. A dearer one gets memory of its own, given back after it.
    pub fn new(usual: &Params) -> Self {
        Self { blocks: vec![], keep: usual.block_count() }
    }

    pub fn compute(&mut self, recipe: &Recipe, password: &[u8], length: usize) -> argon2::Result<Tag> {
        match recipe {
            Recipe::Foreign(foreign) => Ok(foreign.compute(password, length)),
            Recipe::Argon2(Argon { algorithm, version, params, salt }) => {
                self.argon2(&Argon2::new(*algorithm, *version, params.clone()), password, salt, length)
            }
        }
    }

    pub fn argon2(
        &mut self,
        argon2: &Argon2<'_>,
        password: &[u8],
        salt: &[u8],
        length: usize,
    ) -> argon2::Result<Tag> {
        let mut tag = Zeroizing::new(vec![0; length]);
        let needed = argon2.params().block_count();
        if needed > self.keep {
            let mut lent = Zeroizing::new(vec![Block::new(); needed]);
            argon2.hash_password_into_with_memory(password, salt, &mut tag, &mut *lent)?;
            return Ok(tag);
        }
        if self.blocks.is_empty() {
            self.blocks = vec![Block::new(); self.keep];
        }
        argon2.hash_password_into_with_memory(password, salt, &mut tag, &mut self.blocks)?;
        Ok(tag)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.blocks.zeroize();
    }
}
