//! The documents beside the code keep up with it: the tour runs, the settings are all there, the paths exist.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use latchkey::config::{self, Config};
use serde_json::Value;

const README: &str = include_str!("../../README.md");

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("{start} is gone"));
    rest.split_once(end).unwrap_or_else(|| panic!("{end} is gone")).0
}

/// A server as the tour's reader starts it, but on a free port; ended with the value.
struct Server {
    child: Child,
    /// Kept, because the server has more to say than its first line.
    _stdout: BufReader<ChildStdout>,
    address: String,
}

impl Server {
    fn start(directory: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_latchkey"))
            .arg("serve")
            .env_clear()
            .env("LATCHKEY_LISTEN", "127.0.0.1:0")
            .env("LATCHKEY_VAULT__PRIVATE_NETWORKS", "127.0.0.0/8")
            .env("LATCHKEY_KYC__DEMO", "true")
            .current_dir(directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut greeting = String::new();
        stdout.read_line(&mut greeting).unwrap();
        let address = greeting.trim().rsplit(' ').next().unwrap().to_owned();
        Self { child, _stdout: stdout, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The commands of the tour, each with the lines that it is said to print.
fn tour() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut steps: Vec<(&str, Vec<&str>)> = vec![];
    // Between fences, prose and code take turns.
    for (place, part) in between(README, "<!-- tour -->", "<!-- /tour -->").split("```").enumerate() {
        match part.split_once('\n') {
            Some(("sh", commands)) if place % 2 == 1 => steps.push((commands, vec![])),
            Some(("text", answers)) if place % 2 == 1 => {
                steps.last_mut().expect("commands come first").1.extend(answers.lines());
            }
            _ => assert!(place % 2 == 0, "neither sh nor text: {part}"),
        }
    }
    steps
}

/// Whether `…` in the pattern stands for something, and the rest for itself.
fn matches(line: &str, pattern: &str) -> bool {
    let (first, rest) = pattern.split_once('…').unwrap_or((pattern, ""));
    let Some(mut line) = line.strip_prefix(first) else { return false };
    if !pattern.contains('…') {
        return line.is_empty();
    }
    let mut parts = rest.split('…').peekable();
    while let Some(part) = parts.next() {
        let at = if parts.peek().is_none() { line.len().checked_sub(part.len()) } else { line.find(part) };
        match at {
            Some(at) if at > 0 && line[at..].starts_with(part) => line = &line[at + part.len()..],
            _ => return false,
        }
    }
    true
}

/// The same for all lines; `…` on a line of its own stands for any number of them.
fn lines_match(lines: &[&str], patterns: &[&str]) -> bool {
    match patterns {
        [] => lines.is_empty(),
        ["…", rest @ ..] => (0..=lines.len()).any(|skipped| lines_match(&lines[skipped..], rest)),
        [pattern, rest @ ..] => lines
            .split_first()
            .is_some_and(|(line, others)| matches(line, pattern) && lines_match(others, rest)),
    }
}

#[test]
fn the_tour_works_as_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let steps = tour();
    assert!(steps.len() > 8, "{} steps", steps.len());
    let script: String = steps
        .iter()
        .map(|(commands, _)| {
            // A code from the last moments of its time may be too old when it arrives.
            let wait = if commands.contains("$(code ") {
                "until (($(date +%s) % 30 < 25)); do sleep 1; done\n"
            } else {
                ""
            };
            format!("{wait}{commands}printf '\\036'\n")
        })
        .collect();
    // The service of the tour takes a port that is free here.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let script = script
        .replace("127.0.0.1:8080", &server.address)
        .replace("127.0.0.1:9000", &format!("127.0.0.1:{port}"))
        .replace(" 9000 ", &format!(" {port} "));
    let output = Command::new("bash")
        .args([
            "-euo",
            "pipefail",
            "-c",
            &format!("trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}"),
        ])
        .current_dir(directory.path())
        .output()
        .unwrap();
    let (printed, complaints) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && complaints.is_empty(), "{printed}\n{complaints}");
    let printed = printed.replace(&format!("127.0.0.1:{port}"), "127.0.0.1:9000");
    for ((commands, expected), printed) in steps.iter().zip(printed.split('\u{1e}')) {
        assert!(
            lines_match(&printed.lines().collect::<Vec<_>>(), expected),
            "{commands}\nis said to print\n{expected:#?}\nand prints\n{printed}"
        );
    }
}

/// Every setting with its default, in order: `log.level`.
fn defaults(prefix: &str, settings: &Value) -> Vec<(String, Value)> {
    let of = |(name, value): (&String, &Value)| match value {
        Value::Object(_) => defaults(&format!("{prefix}{name}."), value),
        _ => vec![(format!("{prefix}{name}"), value.clone())],
    };
    settings.as_object().unwrap().iter().flat_map(of).collect()
}

#[test]
fn the_table_of_settings_is_complete_and_its_defaults_are_right() {
    let code = defaults("", &serde_json::to_value(Config::default()).unwrap());
    let rows: Vec<Vec<&str>> = between(README, "<!-- settings -->", "<!-- /settings -->")
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let keys: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(keys, code.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>());
    for (row, (key, default)) in rows.iter().zip(code) {
        assert!(row.len() == 3 && row[2].ends_with('.'), "{key}: {row:?}");
        match default {
            // What is used then takes words.
            Value::Null => assert!(!row[1].is_empty(), "{key}"),
            Value::Array(items) => assert!(items.is_empty() && row[1] == "none", "{key}: {}", row[1]),
            Value::String(text) => assert_eq!(row[1], format!("`{text}`"), "{key}"),
            other => assert_eq!(row[1], format!("`{other}`"), "{key}"),
        }
    }
}

#[test]
fn the_example_settings_can_be_used() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("latchkey.example.toml");
    config::load(&file, true).unwrap();
    // And so can what it offers behind a `#`.
    let text = std::fs::read_to_string(&file).unwrap();
    let offered: String = text
        .lines()
        .map(|line| {
            format!("{}\n", line.strip_prefix("#").filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        })
        .collect();
    assert_ne!(text, offered);
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("latchkey.toml");
    std::fs::write(&copy, offered).unwrap();
    config::load(&copy, true).unwrap();
}

#[test]
fn what_the_documents_point_to_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        let text = std::fs::read_to_string(root.join(name)).unwrap();
        let links = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        let quoted = text.split('`').skip(1).step_by(2).filter(|quoted| {
            ["src/", "tests/", "scripts/", "entities/", "migration/"]
                .iter()
                .any(|folder| quoted.starts_with(folder))
        });
        for path in links.chain(quoted).filter(|path| !path.starts_with("http") && !path.starts_with('#')) {
            let path = path.split([' ', '#', ':']).next().unwrap();
            assert!(root.join(path).exists(), "{name} names {path}");
        }
    }
}
