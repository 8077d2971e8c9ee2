//! The table: what was measured, against which goal, and whether the goal is reached.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::limits;
use crate::load::{Sample, Wrong};

/// What a figure should be.
#[derive(Clone, Copy)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// Reported only.
    None,
}

/// What a figure counts.
#[derive(Clone, Copy)]
pub enum Unit {
    Ratio,
    Milliseconds,
    /// 10⁶ bytes; values are given in bytes.
    Megabytes,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::Ratio => format!("{value:.2}"),
            Self::Milliseconds => format!("{value:.1}"),
            Self::Megabytes => format!("{:.1}", value / 1e6),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ratio => "",
            Self::Milliseconds => " ms",
            Self::Megabytes => " MB",
        }
    }
}

/// One line of the table.
pub struct Row {
    pub operation: String,
    engine: String,
    goal: Goal,
    unit: Unit,
    values: Vec<f64>,
    rate: String,
    cpu: [String; 3],
    limit: String,
    wrong: String,
}

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

fn rate(samples: &[Sample]) -> String {
    let rates: Vec<f64> = samples.iter().map(Sample::rate).collect();
    format!("{:.0}/s", median(&rates))
}

/// CPU time per right answer: the server, the database's processes, the load generator.
fn cpu(samples: &[Sample]) -> [String; 3] {
    let count: u64 = samples.iter().map(|sample| sample.count).sum();
    let per_request = |seconds: f64| {
        if count == 0 { String::new() } else { show_cpu(seconds / count as f64) }
    };
    [
        per_request(samples.iter().map(|sample| sample.cpu.server).sum()),
        per_request(samples.iter().map(|sample| sample.cpu.database).sum()),
        per_request(samples.iter().map(|sample| sample.cpu.generator).sum()),
    ]
}

fn show_cpu(seconds: f64) -> String {
    match seconds * 1e6 {
        0.0 => String::new(),
        micros if micros < 100.0 => format!("{micros:.1} µs"),
        micros if micros < 1000.0 => format!("{micros:.0} µs"),
        micros => format!("{:.1} ms", micros / 1e3),
    }
}

fn show_wrong(wrong: &Wrong) -> String {
    wrong.iter().map(|(kind, count)| format!("{kind} × {count}")).collect::<Vec<_>>().join(", ")
}

fn sum_wrong(samples: &[Sample]) -> Wrong {
    let mut sum = Wrong::new();
    for (kind, count) in samples.iter().flat_map(|sample| &sample.wrong) {
        *sum.entry(kind.clone()).or_default() += count;
    }
    sum
}

impl Row {
    /// Rates against the rates of a limit, round by round.
    pub fn against_limit(
        operation: &str,
        engine: &str,
        goal: Goal,
        measured: &[Sample],
        (limit_name, limit): (&str, &[Sample]),
    ) -> Self {
        let [server, database, generator] = cpu(limit);
        let limit_cpu: Vec<String> = [("", server), ("database ", database), ("load ", generator)]
            .into_iter()
            .filter(|(_, cpu)| !cpu.is_empty())
            .map(|(who, cpu)| format!("{who}{cpu}"))
            .collect();
        Self {
            operation: operation.to_owned(),
            engine: engine.to_owned(),
            goal,
            unit: Unit::Ratio,
            values: measured.iter().zip(limit).map(|(one, limit)| one.rate() / limit.rate()).collect(),
            rate: rate(measured),
            cpu: cpu(measured),
            limit: format!("{limit_name}: {} ({})", rate(limit), limit_cpu.join(", ")),
            wrong: show_wrong(&sum_wrong(measured)),
        }
    }

    /// Latencies in seconds under load against those without, round by round.
    pub fn against_idle(
        operation: &str,
        engine: &str,
        goal: Goal,
        loaded: &[f64],
        idle: &[f64],
        load: &[Sample],
        mut wrong: Wrong,
    ) -> Self {
        for (kind, count) in sum_wrong(load) {
            wrong.insert(format!("login {kind}"), count);
        }
        Self {
            operation: operation.to_owned(),
            engine: engine.to_owned(),
            goal,
            unit: Unit::Ratio,
            values: loaded.iter().zip(idle).map(|(loaded, idle)| loaded / idle).collect(),
            rate: format!("{:.2} ms", median(loaded) * 1e3),
            cpu: Default::default(),
            limit: format!("idle: {:.2} ms (beside it {} logins)", median(idle) * 1e3, rate(load)),
            wrong: show_wrong(&wrong),
        }
    }

    /// A figure that stands for itself.
    pub fn plain(operation: &str, engine: &str, goal: Goal, unit: Unit, values: Vec<f64>) -> Self {
        Self {
            operation: operation.to_owned(),
            engine: engine.to_owned(),
            goal,
            unit,
            values,
            rate: String::new(),
            cpu: Default::default(),
            limit: String::new(),
            wrong: String::new(),
        }
    }

    /// Whether the median reaches the goal; rates of partly wrong answers reach nothing.
    fn reached(&self) -> &'static str {
        let value = match self.unit {
            Unit::Megabytes => median(&self.values) / 1e6,
            Unit::Ratio | Unit::Milliseconds => median(&self.values),
        };
        let wrong = self.wrong.split(", ").any(|kind| !kind.is_empty() && !kind.starts_with("login 503"));
        match self.goal {
            Goal::None => "",
            _ if wrong => "**no**: wrong answers",
            Goal::AtLeast(goal) if value >= goal => "yes",
            Goal::AtMost(goal) if value <= goal => "yes",
            _ => "**no**",
        }
    }

    fn cells(&self, trusted: bool) -> [String; 10] {
        let show = |value| self.unit.show(value);
        let extremes = self.values.iter().fold(None, |extremes: Option<(f64, f64)>, &value| {
            let (low, high) = extremes.unwrap_or((value, value));
            Some((low.min(value), high.max(value)))
        });
        let spread = match extremes {
            Some((low, high)) if self.values.len() > 1 => format!(" [{} – {}]", show(low), show(high)),
            _ => String::new(),
        };
        let unit = self.unit.name();
        let [server, database, generator] = self.cpu.clone();
        [
            self.operation.clone(),
            self.engine.clone(),
            match self.goal {
                Goal::AtLeast(goal) => format!("≥ {goal}{unit}"),
                Goal::AtMost(goal) => format!("≤ {goal}{unit}"),
                Goal::None => String::new(),
            },
            format!("{}{spread}{unit}", show(median(&self.values))),
            match self.reached() {
                "yes" if !trusted => "noise".to_owned(),
                reached => reached.to_owned(),
            },
            self.rate.clone(),
            server,
            database,
            generator,
            format!(
                "{}{}",
                self.limit,
                if self.wrong.is_empty() { String::new() } else { format!("; not 200: {}", self.wrong) }
            ),
        ]
    }
}

const TITLES: [&str; 10] = [
    "Measure",
    "Engine",
    "Goal",
    "Median [min – max]",
    "Reached",
    "Rate or p99",
    "CPU server",
    "CPU database",
    "CPU load",
    "Limit",
];

/// The rows as a Markdown table. Figures that can't be trusted reach no goal.
pub fn table(rows: &[Row], trusted: bool) -> String {
    aligned(&TITLES, &rows.iter().map(|row| row.cells(trusted).to_vec()).collect::<Vec<_>>())
}

/// A Markdown table whose columns line up.
pub fn aligned(titles: &[&str], rows: &[Vec<String>]) -> String {
    let titles = titles.iter().map(|title| (*title).to_owned()).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&titles).chain(rows).collect();
    let widths: Vec<usize> = (0..titles.len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(&widths) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
        if index == 0 {
            for width in &widths {
                let _ = write!(text, "| {:-<width$} ", "");
            }
            text.push_str("|\n");
        }
    }
    text
}

/// Cores, processor and kernel.
pub fn machine() -> Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpus
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split_once(": "))
        .map_or("unknown CPU", |(_, model)| model);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!("{} × {model} · Linux {}", limits::cores(), kernel.trim()))
}

const END: &str = "<!-- to here -->";

/// Replaces what stands between the markers of a Markdown file: from that of `writer` to the next end.
pub fn write_into(file: &Path, writer: &str, text: &str) -> Result<()> {
    let old = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let begin = format!("<!-- {writer} writes from here -->");
    let markers = || {
        let (before, rest) = old.split_once(&begin)?;
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    };
    let (before, after) = markers().with_context(|| format!("no markers in {}", file.display()))?;
    fs::write(file, format!("{before}{begin}\n\n{}\n\n{END}{after}", text.trim()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::Cpu;

    fn sample(count: u64, wrong: &[(&str, u64)]) -> Sample {
        Sample {
            count,
            wrong: wrong.iter().map(|&(kind, count)| (kind.to_owned(), count)).collect(),
            elapsed: Duration::from_secs(1),
            cpu: Cpu::default(),
        }
    }

    fn reached(measured: &[Sample]) -> &'static str {
        let limit: Vec<Sample> = measured.iter().map(|_| sample(100, &[])).collect();
        Row::against_limit("login", "SQLite", Goal::AtLeast(0.95), measured, ("limit", &limit)).reached()
    }

    #[test]
    fn a_goal_is_reached_by_the_median() {
        assert_eq!(reached(&[sample(10, &[]), sample(96, &[]), sample(97, &[])]), "yes");
        assert_eq!(reached(&[sample(10, &[]), sample(94, &[]), sample(97, &[])]), "**no**");
        assert_eq!(reached(&[]), "**no**");
    }

    #[test]
    fn wrong_answers_reach_no_goal() {
        assert_eq!(reached(&[sample(99, &[("500", 1)])]), "**no**: wrong answers");
        assert_eq!(reached(&[sample(99, &[("wrong body", 1)])]), "**no**: wrong answers");
    }

    #[test]
    fn noise_reaches_no_goal() {
        let row = || {
            Row::against_limit("login", "", Goal::AtLeast(0.9), &[sample(9, &[])], ("", &[sample(9, &[])]))
        };
        assert!(table(&[row()], true).contains("| yes "));
        assert!(!table(&[row()], false).contains("| yes "));
    }

    #[test]
    fn only_shed_logins_are_excused() {
        let row = |login: &[(&str, u64)], wrong: Wrong| {
            let goal = Goal::AtMost(5.0);
            Row::against_idle("p99", "SQLite", goal, &[0.002], &[0.001], &[sample(9, login)], wrong).reached()
        };
        assert_eq!(row(&[("503", 4)], Wrong::new()), "yes");
        assert_eq!(row(&[("500", 4)], Wrong::new()), "**no**: wrong answers");
        assert_eq!(row(&[], Wrong::from([("503".to_owned(), 1)])), "**no**: wrong answers");
    }

    #[test]
    fn the_table_stands_between_its_markers() -> Result<()> {
        let file = std::env::temp_dir().join(format!("latchkey-bench-report-{}.md", std::process::id()));
        let section =
            |writer: &str, text: &str| format!("<!-- {writer} writes from here -->\n{text}\n{END}\n");
        fs::write(&file, format!("before\n{}{}after\n", section("one", "old"), section("two", "old")))?;
        write_into(&file, "two", "new")?;
        let expected = format!("before\n{}{}after\n", section("one", "old"), section("two", "\nnew\n"));
        assert_eq!(fs::read_to_string(&file)?, expected);
        fs::write(&file, "no markers")?;
        assert!(write_into(&file, "two", "new").is_err());
        fs::remove_file(file)?;
        Ok(())
    }
}
