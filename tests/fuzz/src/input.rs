//! Bytes taken apart: numbers at the beginning, then parts with a separator between them.

use std::borrow::Cow;

use arbitrary::{Arbitrary, Unstructured};

/// Between parts: a control character that no format here gives a meaning to.
pub const SEPARATOR: u8 = 0x1E;

pub struct Input<'a>(Unstructured<'a>);

impl<'a> Input<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self(Unstructured::new(data))
    }

    /// A number or a few of them; zeros where the bytes are at their end.
    pub fn take<T: Arbitrary<'a> + Default>(&mut self) -> T {
        self.0.arbitrary().unwrap_or_default()
    }

    /// One of these.
    pub fn choose<'b, T>(&mut self, from: &'b [T]) -> &'b T {
        &from[usize::from(self.take::<u8>()) % from.len()]
    }

    pub fn rest(self) -> &'a [u8] {
        self.0.take_rest()
    }

    pub fn parts(self) -> Parts<'a> {
        Parts(Some(self.rest()))
    }
}

/// Parts of what is left; empty ones after the last.
pub struct Parts<'a>(Option<&'a [u8]>);

impl<'a> Parts<'a> {
    pub fn bytes(&mut self) -> &'a [u8] {
        let Some(data) = self.0.take() else { return &[] };
        let Some(at) = data.iter().position(|byte| *byte == SEPARATOR) else { return data };
        self.0 = Some(&data[at + 1..]);
        &data[..at]
    }

    pub fn text(&mut self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.bytes())
    }

    pub fn is_at_end(&self) -> bool {
        self.0.is_none()
    }
}

/// The same bytes but for one bit. Nothing has no bits.
pub fn flipped(bytes: &[u8], bit: u16) -> Option<Vec<u8>> {
    let bit = usize::from(bit).checked_rem(bytes.len() * 8)?;
    let mut altered = bytes.to_vec();
    altered[bit / 8] ^= 1 << (bit % 8);
    Some(altered)
}

/// The same for a text, which stays one.
pub fn flipped_text(text: &str, bit: u16) -> Option<String> {
    String::from_utf8(flipped(text.as_bytes(), bit)?).ok()
}

/// A seed: numbers, then parts.
pub fn seed(numbers: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    [numbers, &parts.join(&SEPARATOR)].concat()
}
