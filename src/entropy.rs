//! Randomness, from the operating system only.

/// The operating system's generator. There is no other.
#[derive(Clone, Copy, Default)]
pub struct Entropy;

impl Entropy {
    /// Fills `buffer` with random bytes. A machine that has none cannot keep a secret: the process stops.
    #[expect(clippy::disallowed_methods, reason = "the one place that may")]
    pub fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the operating system gives random bytes");
    }

    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}
