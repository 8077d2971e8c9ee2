use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Instant,
};

use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, Version, password_hash::phc};
use metrics::{gauge, histogram};
use subtle::ConstantTimeEq;
use tokio::sync::oneshot;
use zeroize::{Zeroize, Zeroizing};

use super::{HashingParams, Password, params};
use crate::entropy::Entropy;

/// Every hash that may wait is waiting already; ask again in a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the password hashing queue is full")]
pub struct Overloaded;

/// What a comparison of a password with a stored hash found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The password is the one that was hashed.
    pub matches: bool,
    /// It matches, but the stored hash is weaker than a new one would be: hash it again and store that.
    pub needs_rehash: bool,
}

type Tag = Zeroizing<Vec<u8>>;

/// A bounded pool of threads that compute Argon2id hashes, and the bounded queue before it.
///
/// Each thread keeps its memory blocks from hash to hash, which saves a fifth of the time, and allocates them
/// at its first hash, so that an idle server stays small. The threads end when the last clone is dropped.
#[derive(Clone)]
pub struct Hasher {
    queue: SyncSender<Job>,
    current: Params,
    dummy_salt: [u8; params::SALT_LENGTH],
    entropy: Entropy,
    computed: Arc<AtomicU64>,
}

/// One hash to compute.
struct Job {
    password: Password,
    salt: phc::Salt,
    params: Params,
    reply: oneshot::Sender<Tag>,
    waiting: Waiting,
}

/// Counts a job in the queue gauge for as long as it waits.
struct Waiting;

impl Waiting {
    fn start() -> Self {
        gauge!("latchkey_password_queue").increment(1.0);
        Self
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        gauge!("latchkey_password_queue").decrement(1.0);
    }
}

impl Hasher {
    /// Validates `params` and starts the threads. The error is a line for the operator.
    pub fn start(params: &HashingParams, entropy: Entropy) -> Result<Self, String> {
        params.validate()?;
        Self::start_unvalidated(params, entropy)
    }

    /// For tests, which need costs below the floor.
    #[cfg(test)]
    pub(crate) fn cheap() -> Self {
        let params = HashingParams { memory_kib: 8, iterations: 1, threads: 1, ..HashingParams::default() };
        Self::start_unvalidated(&params, Entropy).expect("cheap parameters are valid for Argon2")
    }

    fn start_unvalidated(params: &HashingParams, entropy: Entropy) -> Result<Self, String> {
        let (hasher, jobs) = Self::without_threads(params, entropy)?;
        hasher.spawn(params.thread_count(), jobs)?;
        Ok(hasher)
    }

    fn without_threads(params: &HashingParams, entropy: Entropy) -> Result<(Self, Receiver<Job>), String> {
        let (queue, jobs) = sync_channel(params.queue);
        let current = params.argon2().map_err(|error| format!("Argon2 parameters: {error}"))?;
        let hasher = Self { queue, current, dummy_salt: entropy.bytes(), entropy, computed: Arc::default() };
        Ok((hasher, jobs))
    }

    fn spawn(&self, threads: usize, jobs: Receiver<Job>) -> Result<(), String> {
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..threads {
            let (jobs, computed) = (Arc::clone(&jobs), Arc::clone(&self.computed));
            thread::Builder::new()
                .name(format!("password-{number}"))
                .spawn(move || work(&jobs, &computed))
                .map_err(|error| format!("cannot start a password hashing thread: {error}"))?;
        }
        Ok(())
    }

    /// Hashes with a fresh salt and the current parameters, to a PHC string (`$argon2id$v=19$…`).
    pub async fn hash(&self, password: Password) -> Result<String, Overloaded> {
        let salt = salt(&self.entropy.bytes::<{ params::SALT_LENGTH }>());
        let tag = self.compute(password, salt, self.current.clone()).await?;
        Ok(Stored { params: self.current.clone(), salt, tag }.to_phc())
    }

    /// Compares with a stored PHC string, at the cost that the string names. `None`, the account that does not
    /// exist, and a string that is not one of ours cost a hash with the current parameters and never match, so
    /// that time does not tell who has an account.
    pub async fn verify(&self, password: Password, stored: Option<&str>) -> Result<Verdict, Overloaded> {
        let stored = stored.and_then(|phc| {
            let parsed = Stored::parse(phc);
            if parsed.is_none() {
                tracing::error!("a stored password hash is malformed; the account cannot sign in with it");
            }
            parsed
        });
        let Some(stored) = stored else {
            self.compute(password, salt(&self.dummy_salt), self.current.clone()).await?;
            return Ok(Verdict { matches: false, needs_rehash: false });
        };
        let tag = self.compute(password, stored.salt, stored.params.clone()).await?;
        let matches = bool::from(tag.ct_eq(&stored.tag));
        let weaker = params::weaker(&stored.params, &self.current) || stored.salt.len() < params::SALT_LENGTH;
        Ok(Verdict { matches, needs_rehash: matches && weaker })
    }

    /// Hashes computed since the start: a test counts them to see that no branch saves one.
    pub fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }

    async fn compute(&self, password: Password, salt: phc::Salt, params: Params) -> Result<Tag, Overloaded> {
        let (reply, tag) = oneshot::channel();
        let job = Job { password, salt, params, reply, waiting: Waiting::start() };
        self.queue.try_send(job).map_err(|_| Overloaded)?;
        tag.await.map_err(|_| Overloaded)
    }
}

/// The life of a pool thread: it ends when no hasher is left to send jobs.
fn work(jobs: &Mutex<Receiver<Job>>, computed: &AtomicU64) {
    let mut memory = Memory::default();
    loop {
        // The guard is a temporary of this statement: one thread waits for a job, the others for its place.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { password, salt, params, reply, waiting }) = job else { return };
        drop(waiting);
        if reply.is_closed() {
            continue;
        }
        let started = Instant::now();
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        match memory.hash(&argon2, password.as_str().as_bytes(), &salt) {
            Ok(tag) => {
                computed.fetch_add(1, Ordering::Relaxed);
                histogram!("latchkey_password_hash_seconds").record(started.elapsed().as_secs_f64());
                // A caller that left meanwhile does not want it.
                let _ = reply.send(tag);
            }
            Err(error) => tracing::error!(%error, "a password could not be hashed"),
        }
    }
}

/// The blocks that a thread hashes in. They hold what is derived from the last password, hence the wiping.
#[derive(Default)]
struct Memory(Vec<Block>);

impl Memory {
    fn hash(&mut self, argon2: &Argon2<'_>, password: &[u8], salt: &[u8]) -> argon2::Result<Tag> {
        let needed = argon2.params().block_count();
        if self.0.len() < needed {
            // Replaced, not grown: growing would copy, and leave the old blocks unwiped.
            self.0.zeroize();
            self.0 = vec![Block::new(); needed];
        }
        let mut tag = Zeroizing::new(vec![0; argon2.params().output_len().unwrap_or(params::TAG_LENGTH)]);
        argon2.hash_password_into_with_memory(password, salt, &mut tag, &mut self.0)?;
        Ok(tag)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A stored hash, taken apart.
struct Stored {
    params: Params,
    salt: phc::Salt,
    tag: Tag,
}

impl Stored {
    /// Takes a PHC string apart, if it is an Argon2id one, complete and of an affordable cost.
    fn parse(phc: &str) -> Option<Self> {
        let hash = PasswordHash::new(phc).ok()?;
        let ours = hash.algorithm == argon2::ARGON2ID_IDENT
            && hash.version.is_some_and(|version| Version::try_from(version) == Ok(Version::V0x13));
        let params = Params::try_from(&hash).ok().filter(|params| ours && params::affordable(params))?;
        Some(Self { params, salt: hash.salt?, tag: Zeroizing::new(hash.hash?.as_bytes().to_vec()) })
    }

    fn to_phc(&self) -> String {
        let hash = PasswordHash {
            algorithm: argon2::ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: (&self.params).try_into().expect("Argon2 parameters fit a PHC string"),
            salt: Some(self.salt),
            hash: Some(phc::Output::new(&self.tag).expect("a tag has a length that PHC strings allow")),
        };
        hash.to_string()
    }
}

fn salt(bytes: &[u8; params::SALT_LENGTH]) -> phc::Salt {
    phc::Salt::new(bytes).expect("16 bytes are a salt")
}

#[cfg(test)]
#[path = "hasher_tests.rs"]
mod tests;
