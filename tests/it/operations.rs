//! `docs/operations.md`, which is read at night: what it names is there.

use clap::Parser;
use clap::error::ErrorKind;
use latchkey::cli::Cli;
use latchkey::config::Config;

const OPERATIONS: &str = include_str!("../../docs/operations.md");

/// Everything between backticks on a line.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// Lines of code to be put into a shell.
fn shell(text: &str) -> impl Iterator<Item = &str> {
    text.split("```sh\n").skip(1).flat_map(|block| block.split("```").next().unwrap().lines())
}

/// Words as a shell sees them.
fn words(command: &str) -> Vec<String> {
    let command = command
        .replace("$ID", "01938f6e-2b7a-7c3d-9f10-5a4be1c2d3e4")
        .replace("$(date +%F-%H%M)", "2026-11-27-0412");
    let mut words = vec![];
    for (place, part) in command.split('"').enumerate() {
        match place % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

#[test]
fn every_command_of_ours_is_one() {
    let ours = |line: &&str| line.starts_with("latchkey ");
    let as_latchkey = |line| str::strip_prefix(line, "sudo -u latchkey ").unwrap_or(line);
    let commands: Vec<&str> = shell(OPERATIONS).map(as_latchkey).filter(ours).collect();
    assert!(commands.len() > 25, "{commands:?}");
    for command in commands {
        Cli::try_parse_from(words(command)).map(drop).unwrap_or_else(|error| panic!("{command}: {error}"));
    }
    // In a sentence a command may come without what it is about.
    for command in quoted(OPERATIONS).filter(ours) {
        let refused = Cli::try_parse_from(words(command)).err().map(|error| error.kind());
        assert!(matches!(refused, None | Some(ErrorKind::MissingRequiredArgument)), "{command}: {refused:?}");
    }
}

#[test]
fn every_setting_that_it_names_is_one() {
    let code = serde_json::to_value(Config::default()).unwrap();
    let dotted = |word: &&str| {
        let parts: Vec<&str> = word.split('.').collect();
        parts.len() == 2
            && parts
                .iter()
                .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
    };
    let named: Vec<&str> = quoted(OPERATIONS)
        .filter(dotted)
        .filter(|word| !["root.key", "latchkey.db"].contains(word))
        .collect();
    assert!(named.len() > 5, "{named:?}");
    for name in named {
        assert!(code.pointer(&format!("/{}", name.replace('.', "/"))).is_some(), "{name}");
    }
}

#[test]
fn what_it_points_to_is_there() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let anchor = |heading: &str| heading.to_lowercase().replace(' ', "-");
    let headings: Vec<String> =
        OPERATIONS.lines().filter_map(|line| line.strip_prefix("## ")).map(anchor).collect();
    let links: Vec<&str> =
        OPERATIONS.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert!(links.len() > 10, "{links:?}");
    for link in links {
        match link.strip_prefix('#') {
            Some(place) => assert!(headings.iter().any(|heading| heading == place), "{link}"),
            None => assert!(docs.join(link.split('#').next().unwrap()).exists(), "{link}"),
        }
    }
}
