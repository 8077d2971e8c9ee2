//! Corpora: inputs that reach every corner that any input has reached, in base64, one in each line of `corpus/TARGET.txt`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;

/// The folder of corpora.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn file(target: &str) -> PathBuf {
    folder().join(target).with_extension("txt")
}

/// The inputs of a target. The error is a line that says where it is.
pub fn read(target: &str) -> Result<Vec<Vec<u8>>, String> {
    let file = file(target);
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let line =
        |(number, line)| BASE64.decode(line).map_err(|error| format!("{target}, line {number}: {error}"));
    (1..).zip(text.lines()).map(line).collect()
}

pub fn write<'a>(target: &str, inputs: impl Iterator<Item = &'a Vec<u8>>) -> io::Result<()> {
    let lines: String = inputs.map(|input| BASE64.encode(input) + "\n").collect();
    fs::write(file(target), lines)
}
