//! What is in `deploy`: it names metrics, settings and places that there are.

use std::collections::BTreeSet;

use latchkey::config::Config;
use latchkey::telemetry::counts::ALL;
use serde_json::Value;

use crate::metrics::names;

const DASHBOARD: &str = include_str!("../../deploy/grafana-dashboard.json");
const ALERTS: &str = include_str!("../../deploy/prometheus-alerts.yaml");
const COMPOSE: &str = include_str!("../../deploy/compose.yaml");
const DOCKERFILE: &str = include_str!("../../deploy/Dockerfile");
const UNIT: &str = include_str!("../../deploy/latchkey.service");
const OPERATIONS: &str = include_str!("../../docs/operations.md");

/// Every text under a member of this name, at any depth.
fn texts<'a>(value: &'a Value, name: &str, into: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(text) if key == name => into.push(text),
                    value => texts(value, name, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, name, into)),
        _ => {}
    }
}

fn assert_known(expressions: &[&str]) {
    let known: BTreeSet<&str> = ALL.iter().map(|metric| metric.name).collect();
    for expression in expressions {
        let found = names(expression);
        let ours: Vec<_> = found.iter().filter(|name| !known.contains(*name)).collect();
        assert!(ours.is_empty(), "{ours:?} in {expression}");
    }
}

#[test]
fn the_dashboard_shows_metrics_that_there_are() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut expressions = vec![];
    texts(&dashboard, "expr", &mut expressions);
    texts(&dashboard, "query", &mut expressions);
    assert!(expressions.len() > 30);
    assert_known(&expressions);
    // And all of ours.
    let shown: BTreeSet<&str> = expressions.iter().flat_map(|expression| names(expression)).collect();
    let hidden: Vec<&str> = ALL
        .iter()
        .map(|metric| metric.name)
        .filter(|name| name.starts_with("latchkey_") && !shown.contains(name))
        .collect();
    assert!(hidden.is_empty(), "{hidden:?}");
}

/// Where systemd is installed: what it says of the unit, from 0, closed, to 10.
#[test]
fn the_unit_leaves_little_open() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/latchkey.service");
    let analysis = std::process::Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=20", unit])
        .output();
    match analysis {
        Ok(analysis) => assert!(analysis.status.success(), "{}", String::from_utf8_lossy(&analysis.stdout)),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
    }
}

#[test]
fn alerts_are_about_metrics_that_there_are_and_lead_to_a_place_to_read() {
    let alerts: Value = serde_norway::from_str(ALERTS).unwrap();
    let rules = alerts["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() > 10);
    let headings: BTreeSet<String> = OPERATIONS
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|heading| heading.to_lowercase().replace(' ', "-"))
        .collect();
    for rule in rules {
        let text =
            |pointer: &str| rule.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{rule}"));
        assert_known(&[text("/expr")]);
        assert!(["page", "ticket"].contains(&text("/labels/severity")), "{rule}");
        assert!(text("/alert").starts_with("Latchkey") && !text("/annotations/summary").is_empty());
        let place = text("/annotations/runbook").strip_prefix("docs/operations.md#").unwrap();
        assert!(headings.contains(place), "{place} is not in {headings:?}");
    }
}

#[test]
fn deployments_use_settings_that_there_are() {
    let config = serde_json::to_value(Config::default()).unwrap();
    let mut count = 0;
    for text in [COMPOSE, DOCKERFILE, UNIT] {
        let letter = |letter: char| letter.is_ascii_uppercase() || letter == '_';
        for word in text.split(|other: char| !letter(other)) {
            let Some(key) = word.strip_prefix("LATCHKEY_") else { continue };
            let key = key.strip_suffix("_FILE").unwrap_or(key).to_lowercase().replace("__", "/");
            assert!(config.pointer(&format!("/{key}")).is_some(), "{word}");
            count += 1;
        }
    }
    assert!(count > 5, "{count}");
}

#[test]
fn containers_keep_their_data_and_run_as_nobody_in_particular() {
    let compose: Value = serde_norway::from_str(COMPOSE).unwrap();
    let server = &compose["services"]["latchkey"];
    assert_eq!(server["volumes"][0], "data:/var/lib/latchkey");
    assert!(
        DOCKERFILE.contains("LATCHKEY_DATA_DIR=/var/lib/latchkey") && DOCKERFILE.contains("\nUSER 10001")
    );
    assert_eq!((&server["read_only"], &server["cap_drop"][0]), (&true.into(), &"ALL".into()));
    assert!(compose["volumes"].get("data").is_some() && compose["volumes"].get("database").is_some());
    assert!(UNIT.contains("\nUser=latchkey\n") && UNIT.contains("\nProtectSystem=strict\n"));
}
