//! Runs every target on its seeds and on what fuzzing has found.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use latchkey_fuzz::{TARGETS, Target, corpus};

#[test]
fn every_corpus_keeps_to_what_its_target_says() {
    std::thread::scope(|scope| {
        let runs: Vec<_> =
            TARGETS.iter().map(|target| (target.name, scope.spawn(|| replay(target)))).collect();
        let failed: Vec<String> = runs
            .into_iter()
            .filter_map(|(name, run)| run.join().unwrap_or(Err(name.to_owned())).err())
            .collect();
        assert!(failed.is_empty(), "failed: {}", failed.join(", "));
    });
}

fn replay(target: &Target) -> Result<(), String> {
    let name = target.name;
    let found = corpus::read(name)?;
    if found.is_empty() {
        return Err(format!("{name} has no corpus: scripts/fuzz {name}"));
    }
    let seeds = (target.seeds)();
    assert_eq!(seeds, (target.seeds)(), "the seeds of {name} are not the same each time");
    let numbered = |what: &'static str, inputs: Vec<Vec<u8>>| {
        (1..).zip(inputs).map(move |(at, input)| (what, at, input))
    };
    for (what, at, input) in numbered("seed", seeds).chain(numbered("line", found)) {
        catch_unwind(AssertUnwindSafe(|| (target.run)(&input)))
            .map_err(|_| format!("{name}, {what} {at}"))?;
    }
    Ok(())
}

#[test]
fn every_target_has_a_corpus_and_a_binary() {
    let names: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let files = |folder: &str, ending: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(corpus::folder().with_file_name(folder)).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text"));
        names.map(|name| name.strip_suffix(ending).expect("a known ending").to_owned()).collect()
    };
    assert_eq!(files("corpus", ".txt"), names);
    assert_eq!(files("fuzz_targets", ".rs"), names);
    let manifest = include_str!("../Cargo.toml");
    for name in names {
        assert!(
            manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")),
            "{name} is not in Cargo.toml"
        );
    }
}
