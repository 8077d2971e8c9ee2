//! JSON syntax (RFC 8259), with mistakes placed where Python's `json` places them.
//!
//! `serde_json` decides what is JSON; only when it refuses does a small scanner look for the character that Python would
//! name. Python takes `NaN`, lone surrogates and UTF-16 for JSON; these are refused here, at the place `serde_json` gives.

use serde_json::Value;

/// How deep lists and objects may nest. No request of the contract comes near it.
const MAX_DEPTH: usize = 64;

/// The character at which the text stops being JSON, counted from 0 in code points, and why.
pub(super) type Fault = (usize, &'static str);

/// Reads UTF-8 JSON, with or without a byte order mark. Of members with the same name the last one counts.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, Fault> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = str::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        (valid.chars().count(), "Invalid UTF-8")
    })?;
    let fault =
        |(at, reason): Fault| (text.as_bytes()[..at].iter().filter(|&&b| b & 0xC0 != 0x80).count(), reason);

    check_depth(bytes).map_err(fault)?;
    serde_json::from_str(text).map_err(|error| {
        let found = Scanner { bytes, at: 0 }.document().err();
        fault(found.unwrap_or_else(|| (offset(text, &error), "Invalid value")))
    })
}

fn check_depth(bytes: &[u8]) -> Result<(), Fault> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err((at, "Nested too deeply"));
                }
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// The byte that `serde_json` complains about; it counts lines and columns from 1, columns in bytes.
fn offset(text: &str, error: &serde_json::Error) -> usize {
    let line_start: usize =
        text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    (line_start + error.column().saturating_sub(1)).min(text.len())
}

/// Follows Python's scanner; its depth is bounded by [`MAX_DEPTH`].
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<(), Fault> {
        self.space();
        self.value()?;
        self.space();
        if self.at == self.bytes.len() { Ok(()) } else { self.fail("Extra data") }
    }

    fn value(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            _ => {
                let rest = &self.bytes[self.at..];
                let word = [&b"null"[..], b"true", b"false", b"NaN", b"Infinity", b"-Infinity"]
                    .into_iter()
                    .find(|word| rest.starts_with(word));
                match word.map(<[u8]>::len).or_else(|| number(rest)) {
                    Some(length) => {
                        self.at += length;
                        Ok(())
                    }
                    None => self.fail("Expecting value"),
                }
            }
        }
    }

    fn object(&mut self) -> Result<(), Fault> {
        self.at += 1;
        self.space();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return self.fail("Expecting property name enclosed in double quotes");
            }
            self.string()?;
            self.space();
            if !self.take(b':') {
                return self.fail("Expecting ':' delimiter");
            }
            self.space();
            self.value()?;
            self.space();
            if self.take(b'}') {
                return Ok(());
            }
            if !self.take(b',') {
                return self.fail("Expecting ',' delimiter");
            }
            self.space();
        }
    }

    fn array(&mut self) -> Result<(), Fault> {
        self.at += 1;
        self.space();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.value()?;
            self.space();
            if self.take(b']') {
                return Ok(());
            }
            if !self.take(b',') {
                return self.fail("Expecting ',' delimiter");
            }
            self.space();
        }
    }

    fn string(&mut self) -> Result<(), Fault> {
        let start = self.at;
        let unterminated = Err((start, "Unterminated string starting at"));
        self.at += 1;
        loop {
            match self.peek() {
                None => return unterminated,
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(0..0x20) => return self.fail("Invalid control character at"),
                Some(b'\\') => match self.bytes.get(self.at + 1) {
                    None => return unterminated,
                    Some(b'u') => {
                        // Python wants to see what follows the four digits, too.
                        let digits = self.bytes.get(self.at + 2..self.at + 7);
                        if !digits.is_some_and(|digits| digits[..4].iter().all(u8::is_ascii_hexdigit)) {
                            return Err((self.at + 1, "Invalid \\uXXXX escape"));
                        }
                        self.at += 6;
                    }
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
                    Some(_) => return self.fail("Invalid \\escape"),
                },
                Some(_) => self.at += 1,
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn fail(&self, reason: &'static str) -> Result<(), Fault> {
        Err((self.at, reason))
    }
}

/// The length of the number that `rest` starts with; a broken fraction or exponent is left over, as in Python.
fn number(rest: &[u8]) -> Option<usize> {
    let digits = |from: usize| rest[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let sign = usize::from(rest.first() == Some(&b'-'));
    let mut length = match rest.get(sign)? {
        b'0' => sign + 1,
        b'1'..=b'9' => sign + digits(sign),
        _ => return None,
    };
    if rest.get(length) == Some(&b'.') && digits(length + 1) > 0 {
        length += 1 + digits(length + 1);
    }
    if matches!(rest.get(length), Some(b'e' | b'E')) {
        let from = length + 1 + usize::from(matches!(rest.get(length + 1), Some(b'+' | b'-')));
        if from < rest.len() && digits(from) > 0 {
            length = from + digits(from);
        }
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_json() {
        assert_eq!(parse(b"\xEF\xBB\xBF {\"a\":1,\"a\":2}\n"), Ok(json!({"a": 2})));
        assert_eq!(parse("\"[[[\\\"{{\"".as_bytes()), Ok(json!("[[[\"{{")));
        assert!(parse("[".repeat(64).as_bytes()).is_err_and(|(at, _)| at == 64));
        assert!(parse(format!("{}{}", "[".repeat(64), "]".repeat(64)).as_bytes()).is_ok());
    }

    #[test]
    fn what_python_takes_for_json_is_refused() {
        for text in ["NaN", "[Infinity]", "-Infinity", "\"\\ud800\"", "1e999", "[1,\n \"\\udc00\"]"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(parse("é\u{e9}".as_bytes()), Err((0, "Expecting value")));
        assert_eq!(parse(b"\"\xC3\xA9\xFF\""), Err((2, "Invalid UTF-8")));
        assert_eq!(parse("[".repeat(65).as_bytes()), Err((64, "Nested too deeply")));
        assert_eq!(parse("[".repeat(60_000).as_bytes()), Err((64, "Nested too deeply")));
    }
}
