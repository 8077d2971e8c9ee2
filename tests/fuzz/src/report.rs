//! The table of `docs/proof.md`: a row for each target, in which its runs add up.

use std::fs;
use std::path::Path;

use crate::{Target, corpus};

const FROM: &str = "<!-- scripts/fuzz writes from here -->";
const TO: &str = "<!-- to here, scripts/fuzz -->";
const HEAD: &str = "| Target | Last run | Minutes | Executions | Edges | Features | Inputs kept | Crashes |\n\
    |---|---|---:|---:|---:|---:|---:|---:|";

/// Adds a run, of which libFuzzer has written this log. `note` is when, of what, and where.
pub fn write(target: &Target, log: &Path, seconds: &str, note: &str) -> Result<(), String> {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/proof.md");
    let read = |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let log = String::from_utf8_lossy(&read(log)?).into_owned();
    let text = String::from_utf8(read(&document)?).map_err(|error| error.to_string())?;
    let seconds: f64 = seconds.parse().map_err(|_| "seconds must be a number")?;
    let kept = corpus::read(target.name)?.len();
    let text = with_run(&text, &row(target.name, &log, seconds / 60.0, note, kept))?;
    fs::write(&document, text).map_err(|error| format!("{}: {error}", document.display()))
}

struct Row {
    name: String,
    /// All but the name: when, minutes, executions, edges, features, inputs, crashes.
    last: String,
    minutes: f64,
    executions: u64,
    rest: String,
    crashes: u64,
}

fn row(name: &str, log: &str, minutes: f64, note: &str, kept: usize) -> Row {
    let last = |name: &str| {
        let found = log.lines().rev().find_map(|line| line.split_once(name));
        found.and_then(|(_, rest)| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    Row {
        name: name.to_owned(),
        last: note.to_owned(),
        minutes,
        executions: last("stat::number_of_executed_units:"),
        rest: format!("{} | {} | {kept}", last(" cov: "), last(" ft: ")),
        crashes: u64::from(log.contains("SUMMARY: ")),
    }
}

impl Row {
    fn parse(line: &str) -> Option<Self> {
        let cells: Vec<&str> = line.strip_prefix("| `")?.strip_suffix(" |")?.split(" | ").collect();
        let &[name, last, minutes, executions, edges, features, kept, crashes] = &cells[..] else {
            return None;
        };
        Some(Self {
            name: name.strip_suffix('`')?.to_owned(),
            last: last.to_owned(),
            minutes: minutes.parse().ok()?,
            executions: executions.replace(',', "").parse().ok()?,
            rest: format!("{edges} | {features} | {kept}"),
            crashes: crashes.parse().ok()?,
        })
    }

    fn text(&self) -> String {
        let Self { name, last, minutes, rest, crashes, .. } = self;
        format!("| `{name}` | {last} | {minutes:.1} | {} | {rest} | {crashes} |", grouped(self.executions))
    }
}

/// The document with this run in its table.
fn with_run(text: &str, run: &Row) -> Result<String, String> {
    let marks = || format!("docs/proof.md lacks {FROM} or {TO}");
    let (before, rest) = text.split_once(FROM).ok_or_else(marks)?;
    let (table, after) = rest.split_once(TO).ok_or_else(marks)?;
    let mut rows: Vec<Row> =
        table.lines().filter_map(Row::parse).filter(|row| row.name != run.name).collect();
    let before_it = table.lines().filter_map(Row::parse).find(|row| row.name == run.name);
    let sum = |get: fn(&Row) -> u64| get(run) + before_it.as_ref().map_or(0, get);
    rows.push(Row {
        name: run.name.clone(),
        last: run.last.clone(),
        minutes: run.minutes + before_it.as_ref().map_or(0.0, |row| row.minutes),
        executions: sum(|row| row.executions),
        rest: run.rest.clone(),
        crashes: sum(|row| row.crashes),
    });
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    let rows: Vec<String> = rows.iter().map(Row::text).collect();
    Ok(format!("{before}{FROM}\n\n{HEAD}\n{}\n\n{TO}{after}", rows.join("\n")))
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let parts: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|part| str::from_utf8(part).unwrap_or_default()).collect();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "#2\tINITED cov: 3 ft: 4 corp: 1/1b\n#9\tDONE   cov: 30 ft: 40 corp: 3/9b\n\
        stat::number_of_executed_units: 1234567\nstat::average_exec_per_sec: 5\n";

    #[test]
    fn runs_add_up_and_the_rest_stays() {
        let empty = format!("# Proof\n\n{FROM}\n\nNot run yet.\n\n{TO}\n\n## More\n");
        let once = with_run(&empty, &row("email", LOG, 2.5, "2026-11-27", 7)).expect("a document");
        let other = with_run(&once, &row("code", LOG, 1.0, "2026-11-27", 7)).expect("a document");
        let crash = format!("{LOG}SUMMARY: libFuzzer: deadly signal\n");
        let twice = with_run(&other, &row("email", &crash, 2.5, "2026-11-28", 8)).expect("a document");
        assert!(twice.starts_with("# Proof\n") && twice.ends_with(&format!("{TO}\n\n## More\n")));
        assert!(twice.contains("| `code` | 2026-11-27 | 1.0 | 1,234,567 | 30 | 40 | 7 | 0 |\n"), "{twice}");
        assert!(twice.contains("| `email` | 2026-11-28 | 5.0 | 2,469,134 | 30 | 40 | 8 | 1 |\n"), "{twice}");
        assert!(!twice.contains("Not run yet"));
    }
}
