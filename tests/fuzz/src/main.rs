//! What `scripts/fuzz` does with corpora: a file for each input while libFuzzer works on them, a line for each in the repository.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use latchkey_fuzz::{Target, corpus, find, report};
use sha2::{Digest as _, Sha256};

/// Bytes of a committed corpus, at most. The smallest inputs come first.
const BUDGET: usize = 60_000;

const USAGE: &str = "latchkey-fuzz list
latchkey-fuzz unpack TARGET FOLDER             seeds and corpus, as files
latchkey-fuzz pack TARGET FOLDER               files, as the corpus
latchkey-fuzz report TARGET LOG SECONDS NOTE   a run's row in docs/proof.md";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let target = |name| find(name).ok_or_else(|| format!("there is no target {name}"));
    let done = match arguments[..] {
        ["list"] => list(),
        ["unpack", name, folder] => target(name).and_then(|target| unpack(target, Path::new(folder))),
        ["pack", name, folder] => target(name).and_then(|target| pack(target, Path::new(folder))),
        ["report", name, log, seconds, note] => {
            target(name).and_then(|target| report::write(target, Path::new(log), seconds, note))
        }
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn list() -> Result<(), String> {
    latchkey_fuzz::TARGETS.iter().for_each(|target| println!("{}", target.name));
    Ok(())
}

fn unpack(target: &Target, folder: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(failed)?;
    for input in (target.seeds)().into_iter().chain(corpus::read(target.name).unwrap_or_default()) {
        fs::write(folder.join(hex::encode(Sha256::digest(&input))), input).map_err(failed)?;
    }
    Ok(())
}

fn pack(target: &Target, folder: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut inputs = fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| fs::read(entry?.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    inputs.sort_by(|one, other| (one.len(), one).cmp(&(other.len(), other)));
    inputs.dedup();
    let mut left = BUDGET;
    let kept = inputs.iter().take_while(|input| {
        let fits = left.checked_sub(input.len().div_ceil(3) * 4 + 1);
        left = fits.unwrap_or(0);
        fits.is_some()
    });
    corpus::write(target.name, kept).map_err(failed)
}
