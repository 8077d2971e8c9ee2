//! Randomness: the one door to the operating system's generator.

/// The source of every salt, token, nonce and key. Services hold one; nothing else may draw random bytes
/// (clippy's `disallowed-methods`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Entropy;

impl Entropy {
    /// Fills `buf` with bytes from the operating system.
    #[expect(clippy::disallowed_methods, reason = "this is the door that everything else goes through")]
    pub fn fill(&self, buf: &mut [u8]) {
        getrandom::fill(buf).expect("the operating system provides randomness");
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}
