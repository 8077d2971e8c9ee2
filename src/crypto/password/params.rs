use argon2::Params;

/// Length of a tag, in bytes (RFC 9106 §4: 256 bits).
pub(super) const TAG_LENGTH: usize = 32;
/// Length of a salt, in bytes (RFC 9106 §4: 128 bits).
pub(super) const SALT_LENGTH: usize = 16;

const MIN_MEMORY_KIB: u32 = 19 * 1024;
const MIN_ITERATIONS: u32 = 2;
const MIN_PARALLELISM: u32 = 1;
/// Upper bounds, for settings and for what a stored hash may ask of a thread: beyond them it is a mistake or an
/// attack, not a policy.
const MAX_MEMORY_KIB: u32 = 4 * 1024 * 1024;
const MAX_ITERATIONS: u32 = 64;
const MAX_PARALLELISM: u32 = 64;
const MAX_MEMORY_KIB_FROM_ELSEWHERE: u32 = 256 * 1024;
/// In KiB that are passed over.
const MAX_PASSES_FROM_ELSEWHERE: u64 = 4 * 1024 * 1024;
const MAX_THREADS: usize = 1024;
const MAX_QUEUE: usize = 65_536;

/// The cost of a password hash and the size of the pool that computes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashingParams {
    /// Memory per hash, in KiB. Each thread keeps this much once it has hashed.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes. They are computed one after the other: a server has other requests for its other cores.
    pub parallelism: u32,
    /// Threads that hash; 0 means one per core.
    pub threads: usize,
    /// Hashes that may wait for a thread; beyond it requests are refused.
    pub queue: usize,
}

impl Default for HashingParams {
    fn default() -> Self {
        Self {
            memory_kib: MIN_MEMORY_KIB,
            iterations: MIN_ITERATIONS,
            parallelism: MIN_PARALLELISM,
            threads: 0,
            queue: 256,
        }
    }
}

impl HashingParams {
    /// Refuses what is below the floor (OWASP Password Storage: Argon2id with 19 MiB, two passes, one lane) and
    /// what no machine can mean, with one line that says which.
    pub fn validate(&self) -> Result<(), String> {
        let in_range = |name: &str, value: u64, min: u64, max: u64| {
            if value < min {
                Err(format!("{name} is {value}, below the floor of {min}"))
            } else if value > max {
                Err(format!("{name} is {value}, above the limit of {max}"))
            } else {
                Ok(())
            }
        };
        in_range("memory_kib", self.memory_kib.into(), MIN_MEMORY_KIB.into(), MAX_MEMORY_KIB.into())?;
        in_range("iterations", self.iterations.into(), MIN_ITERATIONS.into(), MAX_ITERATIONS.into())?;
        in_range("parallelism", self.parallelism.into(), MIN_PARALLELISM.into(), MAX_PARALLELISM.into())?;
        in_range("threads", self.threads as u64, 0, MAX_THREADS as u64)?;
        in_range("queue", self.queue as u64, 1, MAX_QUEUE as u64)
    }

    pub(super) fn thread_count(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }

    pub(super) fn argon2(&self) -> Result<Params, argon2::Error> {
        Params::new(self.memory_kib, self.iterations, self.parallelism, Some(TAG_LENGTH))
    }
}

/// Whether a stored hash may ask for this cost.
pub(super) fn affordable(params: &Params) -> bool {
    params.m_cost() <= MAX_MEMORY_KIB
        && params.t_cost() <= MAX_ITERATIONS
        && params.p_cost() <= MAX_PARALLELISM
}

/// Whether a hash that another program made may ask for this cost: 256 MiB, and some seconds of a core.
pub(super) fn affordable_from_elsewhere(params: &Params) -> bool {
    let passes = u64::from(params.m_cost()) * u64::from(params.t_cost());
    affordable(params)
        && params.m_cost() <= MAX_MEMORY_KIB_FROM_ELSEWHERE
        && passes <= MAX_PASSES_FROM_ELSEWHERE
}

/// Whether `stored` is weaker than `current` in any respect.
pub(super) fn weaker(stored: &Params, current: &Params) -> bool {
    stored.m_cost() < current.m_cost()
        || stored.t_cost() < current.t_cost()
        || stored.p_cost() < current.p_cost()
        || stored.output_len() < current.output_len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_floor() {
        let floor = HashingParams::default();
        assert_eq!((floor.memory_kib, floor.iterations, floor.parallelism), (19_456, 2, 1));
        floor.validate().unwrap();
    }

    #[test]
    fn below_the_floor_and_beyond_reason_are_refused_by_name() {
        let floor = HashingParams::default();
        for (params, name) in [
            (HashingParams { memory_kib: 19_455, ..floor }, "memory_kib"),
            (HashingParams { memory_kib: u32::MAX, ..floor }, "memory_kib"),
            (HashingParams { iterations: 1, ..floor }, "iterations"),
            (HashingParams { iterations: 65, ..floor }, "iterations"),
            (HashingParams { parallelism: 0, ..floor }, "parallelism"),
            (HashingParams { parallelism: 65, ..floor }, "parallelism"),
            (HashingParams { threads: 1025, ..floor }, "threads"),
            (HashingParams { queue: 0, ..floor }, "queue"),
            (HashingParams { queue: 65_537, ..floor }, "queue"),
        ] {
            let refusal = params.validate().unwrap_err();
            assert!(refusal.starts_with(name), "{refusal}");
        }
    }

    #[test]
    fn weaker_in_one_respect_is_weaker() {
        let params = |m, t, p, len| Params::new(m, t, p, Some(len)).unwrap();
        let current = params(64, 3, 2, 32);
        assert!(!weaker(&current, &current));
        assert!(!weaker(&params(128, 4, 3, 64), &current));
        for stored in [params(63, 3, 2, 32), params(64, 2, 2, 32), params(64, 3, 1, 32), params(64, 3, 2, 16)]
        {
            assert!(weaker(&stored, &current));
        }
    }
}
