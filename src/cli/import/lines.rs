//! The lines of a file of any size, one at a time in memory.

use std::io::{self, BufRead, Read};

/// Bytes of a line, at most.
pub const MAX_LENGTH: usize = 16 * 1024;

pub struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    /// Lines read so far: the number of the last one.
    pub number: u64,
    /// Bytes read so far.
    pub bytes: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    Text(&'a [u8]),
    TooLong,
}

impl<R: BufRead> Lines<R> {
    pub fn new(reader: R) -> Self {
        Self { reader, buffer: vec![], number: 0, bytes: 0 }
    }

    /// The next line, without what ends it.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        let mut bounded = (&mut self.reader).take(MAX_LENGTH as u64 + 2);
        let read = bounded.read_until(b'\n', &mut self.buffer)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.bytes += read as u64;
        let mut line = self.buffer.as_slice();
        match line.strip_suffix(b"\n") {
            Some(whole) => line = whole.strip_suffix(b"\r").unwrap_or(whole),
            // It stopped at the bound, or at the end of the file.
            None => self.bytes += self.reader.skip_until(b'\n')? as u64,
        }
        if line.len() > MAX_LENGTH {
            return Ok(Some(Line::TooLong));
        }
        // Some editors put a mark in front of the first line.
        Ok(Some(Line::Text(line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<(u64, Option<Vec<u8>>)> {
        // A small buffer, so that lines come in pieces.
        let mut lines = Lines::new(io::BufReader::with_capacity(7, text));
        let mut found = vec![];
        while let Some(line) = lines.next_line().unwrap() {
            let line = match line {
                Line::Text(line) => Some(line.to_vec()),
                Line::TooLong => None,
            };
            found.push((lines.number, line));
        }
        assert_eq!(lines.bytes, text.len() as u64);
        found
    }

    #[test]
    fn lines_end_in_any_way() {
        let text = |text: &str| Some(text.as_bytes().to_vec());
        assert_eq!(all(b""), []);
        assert_eq!(all(b"one"), [(1, text("one"))]);
        assert_eq!(all(b"\xef\xbb\xbfone\r\n\ntwo\n"), [(1, text("one")), (2, text("")), (3, text("two"))]);
    }

    #[test]
    fn a_long_line_is_passed_over_whole() {
        for (length, fits) in [(MAX_LENGTH, true), (MAX_LENGTH + 1, false), (5 * MAX_LENGTH, false)] {
            for end in ["", "\n", "\r\n"] {
                let long = "x".repeat(length);
                let found = all(format!("{long}{end}").as_bytes());
                assert_eq!(found, [(1, fits.then(|| long.clone().into_bytes()))], "{length} {end:?}");
                let found = all(format!("before\n{long}{end}\nafter").as_bytes());
                assert_eq!(found.len(), if end.is_empty() { 3 } else { 4 });
                assert_eq!(found.last().unwrap().1.as_deref(), Some(b"after".as_slice()), "{length} {end:?}");
            }
        }
    }
}
