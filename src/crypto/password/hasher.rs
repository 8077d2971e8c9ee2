use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Instant,
};

use argon2::{Params, password_hash::phc};
use metrics::{counter, gauge, histogram};
use subtle::ConstantTimeEq;
use tokio::sync::oneshot;

use super::{
    HashingParams, Password, params, priority,
    stored::{Argon, Memory, Recipe, Stored, Tag},
};
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
    /// It matches, but the stored hash is weaker than a new one would be, or another program made it in its own way: hash
    /// the password again and store that.
    pub needs_rehash: bool,
}

/// A bounded pool of threads that compute password hashes, and the bounded queue before it. New ones are Argon2id; those
/// that came from elsewhere are computed as they were made.
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
    waiting: Arc<AtomicUsize>,
    threads: usize,
    places: usize,
}

/// What the metrics call the queue.
const QUEUE: &str = "password";

/// One hash to compute.
struct Job {
    password: Password,
    recipe: Recipe,
    length: usize,
    reply: oneshot::Sender<Tag>,
    waiting: Waiting,
}

/// Counts a job for as long as it waits.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn start(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        gauge!("latchkey_queue_waiting", "queue" => QUEUE).increment(1.0);
        Self(Arc::clone(count))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        gauge!("latchkey_queue_waiting", "queue" => QUEUE).decrement(1.0);
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
        let hasher = Self {
            queue,
            current,
            dummy_salt: entropy.bytes(),
            entropy,
            computed: Arc::default(),
            waiting: Arc::default(),
            threads: params.thread_count(),
            places: params.queue,
        };
        Ok((hasher, jobs))
    }

    fn spawn(&self, threads: usize, jobs: Receiver<Job>) -> Result<(), String> {
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..threads {
            let (jobs, computed) = (Arc::clone(&jobs), Arc::clone(&self.computed));
            let memory = Memory::new(&self.current);
            thread::Builder::new()
                .name(format!("password-{number}"))
                .spawn(move || work(&jobs, memory, &computed))
                .map_err(|error| format!("cannot start a password hashing thread: {error}"))?;
        }
        Ok(())
    }

    /// Hashes with a fresh salt and the current parameters, to a PHC string (`$argon2id$v=19$…`).
    pub async fn hash(&self, password: Password) -> Result<String, Overloaded> {
        let argon2 = Argon::ours(self.current.clone(), salt(&self.entropy.bytes()));
        let tag = self.compute(password, Recipe::Argon2(argon2.clone()), params::TAG_LENGTH).await?;
        Ok(argon2.to_phc(&tag))
    }

    /// Compares with a stored hash, at the cost that it names. `None`, the account that does not exist, and a text that is
    /// no hash cost a hash with the current parameters and never match, so that time does not tell who has an account. A
    /// hash from elsewhere costs its own until it is replaced.
    pub async fn verify(&self, password: Password, stored: Option<&str>) -> Result<Verdict, Overloaded> {
        let stored = stored.and_then(|text| match Stored::parse(text) {
            Ok(stored) => Some(stored),
            Err(_) => {
                tracing::error!("a stored password hash can't be used; the account cannot sign in with it");
                None
            }
        });
        let Some(Stored { recipe, tag }) = stored else {
            let nobodys = Recipe::Argon2(Argon::ours(self.current.clone(), salt(&self.dummy_salt)));
            self.compute(password, nobodys, params::TAG_LENGTH).await?;
            return Ok(Verdict { matches: false, needs_rehash: false });
        };
        let weaker = recipe.is_weaker_than(&self.current);
        let matches = bool::from(self.compute(password, recipe, tag.len()).await?.ct_eq(&tag));
        Ok(Verdict { matches, needs_rehash: matches && weaker })
    }

    /// Hashes computed since the start: a test counts them to see that no branch saves one.
    pub fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }

    /// Shows in the metrics how much there is room for.
    pub fn measure(&self) {
        gauge!("latchkey_password_threads").set(self.threads as f64);
        gauge!("latchkey_queue_limit", "queue" => QUEUE).set(self.places as f64);
    }

    /// Refuses early what `hash` and `verify` would refuse, before anything is done for it.
    pub fn admit(&self) -> Result<(), Overloaded> {
        if self.waiting.load(Ordering::Relaxed) < self.places { Ok(()) } else { Err(refuse()) }
    }

    /// The first `length` bytes that come of `password`.
    async fn compute(&self, password: Password, recipe: Recipe, length: usize) -> Result<Tag, Overloaded> {
        let (reply, tag) = oneshot::channel();
        let job = Job { password, recipe, length, reply, waiting: Waiting::start(&self.waiting) };
        self.queue.try_send(job).map_err(|_| refuse())?;
        tag.await.map_err(|_| Overloaded)
    }
}

fn refuse() -> Overloaded {
    counter!("latchkey_queue_refusals_total", "queue" => QUEUE).increment(1);
    Overloaded
}

/// The life of a pool thread: it ends when no hasher is left to send jobs.
fn work(jobs: &Mutex<Receiver<Job>>, mut memory: Memory, computed: &AtomicU64) {
    priority::step_back();
    loop {
        // The guard is a temporary of this statement: one thread waits for a job, the others for its place.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { password, recipe, length, reply, waiting }) = job else { return };
        drop(waiting);
        if reply.is_closed() {
            continue;
        }
        let started = Instant::now();
        let busy = gauge!("latchkey_password_threads_busy");
        busy.increment(1.0);
        let tag = memory.compute(&recipe, password.as_str().as_bytes(), length);
        busy.decrement(1.0);
        match tag {
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

fn salt(bytes: &[u8; params::SALT_LENGTH]) -> phc::Salt {
    phc::Salt::new(bytes).expect("16 bytes are a salt")
}

#[cfg(test)]
#[path = "hasher_tests.rs"]
mod tests;
