//! The metrics: the code, the page and the table in `docs/operations.md` name the same ones.

use std::collections::BTreeSet;
use std::path::Path;

use futures_util::future::join_all;
use latchkey::telemetry::counts::{ALL, Kind};
use serde_json::json;

use crate::support::process::{Site, credentials};
use crate::support::receiver::{Receiver, Reply};
use crate::support::{Engine, PASSWORD, eventually};

const OPERATIONS: &str = include_str!("../../docs/operations.md");
const ADA: &str = "ada@example.com";
/// What takes more than the scene below has: other tests cause these.
const ELSEWHERE: [&str; 2] = ["latchkey_background_failures_total", "latchkey_transit_requests_total"];
/// PostgreSQL groups commits itself.
const SQLITE_ONLY: [&str; 2] = ["latchkey_db_commit_seconds", "latchkey_db_group_size"];

/// Names of metrics in a text, without what a histogram adds to them.
pub fn names(text: &str) -> BTreeSet<&str> {
    let letter = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    let words = text.split(|other: char| !letter(other));
    let named = words.filter(|word| word.starts_with("latchkey_") || word.starts_with("process_"));
    named.map(|word| base(word).0).collect()
}

/// A metric, and what its kind adds to the name of a series.
fn base(series: &str) -> (&str, &str) {
    for end in ["_bucket", "_sum", "_count"] {
        if let Some(name) = series.strip_suffix(end)
            && ALL.iter().any(|metric| metric.name == name && metric.kind == Kind::Histogram)
        {
            return (name, end);
        }
    }
    (series, "")
}

#[test]
fn the_table_is_that_of_the_code() {
    let table =
        OPERATIONS.split_once("<!-- metrics -->").unwrap().1.split_once("<!-- /metrics -->").unwrap().0;
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let rows: Vec<Vec<String>> = rows
        .map(|line| line.trim_matches('|').split(" |").map(|cell| cell.trim().to_owned()).collect())
        .collect();
    let code: Vec<[String; 4]> = ALL
        .iter()
        .map(|metric| {
            let labels: Vec<_> = metric.labels.split(", ").map(|label| format!("`{label}`")).collect();
            let labels = if metric.labels.is_empty() { String::new() } else { labels.join(", ") };
            [format!("`{}`", metric.name), metric.kind.to_string(), labels, metric.meaning.to_owned()]
        })
        .collect();
    assert_eq!(rows.len(), code.len());
    for (row, code) in rows.iter().zip(&code) {
        assert_eq!(row[..4], code[..]);
    }
    // And what the text around it tells of is there.
    let unknown: Vec<_> =
        names(OPERATIONS).into_iter().filter(|name| ALL.iter().all(|metric| metric.name != *name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn every_metric_of_the_code_is_in_its_table() {
    let mut source = String::new();
    read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut source);
    let used: BTreeSet<&str> = source.split('"').filter(|text| text.starts_with("latchkey_")).collect();
    let known: BTreeSet<&str> = ALL.iter().map(|metric| metric.name).collect();
    let ours: BTreeSet<&str> = known.iter().copied().filter(|name| name.starts_with("latchkey_")).collect();
    assert_eq!(used, ours);
}

/// All files but the one with the table.
fn read_all(directory: &Path, into: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, into);
        } else if path.ends_with("telemetry/counts.rs") {
            // What it sets itself comes after the table.
            into.push_str(std::fs::read_to_string(&path).unwrap().split_once("fn describe()").unwrap().1);
        } else if path.extension().is_some_and(|end| end == "rs") {
            into.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

on_both_engines! {
    async fn the_page_shows_what_has_happened_and_nothing_of_anybody(engine: Engine) {
        let receiver = Receiver::start().await;
        receiver.answer(Reply::status(500));
        let site = Site::new(engine).await.with_limits()
            .with("LIMITS__LOGIN_PER_ADDRESS", "40/600")
            .with("LIMITS__RESEND_WAIT_SECONDS", "3600")
            .with("HASHING__THREADS", "1")
            .with("HASHING__QUEUE", "1")
            .with("KYC__DEMO", "true")
            .with("TRACES__OTLP_URL", "http://127.0.0.1:1/")
            .with("PASSWORDS__BREACH_URL", "http://127.0.0.1:1/range")
            .with("WEBHOOKS__ENDPOINTS__CRM__URL", &receiver.url())
            .with("WEBHOOKS__ENDPOINTS__CRM__SECRETS", "whsec_YmVmb3JlIHRoZSBoYXJ2ZXN0IGNhbmFyeSAxMjM0NTY=")
            .with("WEBHOOKS__PRIVATE_NETWORKS", "127.0.0.0/8");
        let server = site.start().await;
        let anonymous = server.anonymous();
        let metric = async |name: &str| server.metric(name).await;
        for code in ["internal_error", "rate_limited"] {
            let zero = format!("latchkey_http_problems_total{{code=\"{code}\"}} 0");
            let page = server.metrics().get("/metrics").await.assert_status(200).text();
            assert!(page.contains(&zero), "a rise from nothing would not be seen: {zero}");
        }

        site.verified(&server, ADA, PASSWORD).await;
        let session = server.login(ADA, PASSWORD).await;
        server.profile(&session.access).await.assert_status(200);
        server.refresh(&session.refresh).await.assert_status(200);
        // Errors by code, each where it is made.
        anonymous.post("/auth/login", &credentials(ADA, "nine loud red trumpets")).await.assert_status(401);
        anonymous.post("/auth/login", &json!({})).await.assert_status(422);
        anonymous.get("/nowhere").await.assert_status(404);
        anonymous.get("/auth/profile").await.assert_status(401);
        for code in ["invalid_credentials", "validation_failed", "not_found", "unauthenticated"] {
            assert_eq!(metric(&format!("latchkey_http_problems_total{{code=\"{code}\"}}")).await, 1.0, "{code}");
        }
        anonymous.post("/api/kyc/webhook/nobody", &json!({})).await.assert_error(401, "invalid_webhook");
        // More hashes than may wait.
        eventually("a full queue", async || {
            let nobody = credentials("nobody@example.com", PASSWORD);
            join_all((0..8).map(|_| anonymous.post("/auth/login", &nobody))).await;
            (metric("latchkey_queue_refusals_total{queue=\"password\"}").await > 0.0).then_some(())
        })
        .await;
        assert!(metric("latchkey_http_problems_total{code=\"overloaded\"}").await > 0.0);
        // Limits: by address, by subject, and the wait that grows.
        let mut refused = false;
        for number in 0..60 {
            let somebody = credentials(&format!("nobody-{number}@example.com"), PASSWORD);
            refused |= anonymous.post("/auth/login", &somebody).await.status == 429;
        }
        assert!(refused);
        assert!(metric("latchkey_limit_refusals_total{limit=\"login\",per=\"address\"}").await > 0.0);
        let again = json!({ "email": "bob@example.com" });
        anonymous.post("/auth/resend-verification", &again).await.assert_status(200);
        anonymous.post("/auth/resend-verification", &again).await.assert_status(429);
        assert_eq!(metric("latchkey_limit_refusals_total{limit=\"resend\",per=\"subject\"}").await, 1.0);
        // A webhook that its endpoint does not take waits, and is counted in the database.
        eventually("a failed delivery", async || {
            (metric("latchkey_webhooks_failed_total{endpoint=\"crm\"}").await > 0.0).then_some(())
        })
        .await;
        eventually("the count of what waits", async || {
            (metric("latchkey_webhooks_pending").await > 0.0 && metric("latchkey_webhooks_oldest_seconds").await > 0.0)
                .then_some(())
        })
        .await;
        receiver.answer(Reply::status(204));
        let rows = site.rows().await;
        rows.execute("UPDATE webhook_deliveries SET due_at = 0 WHERE state = 'pending'").await;
        eventually("a delivery", async || (metric("latchkey_webhooks_sent_total{endpoint=\"crm\"}").await > 0.0).then_some(())).await;

        eventually("spans that nobody takes", async || {
            (metric("latchkey_trace_spans_total{outcome=\"failed\"}").await > 0.0).then_some(())
        })
        .await;
        assert_eq!(metric("latchkey_queue_limit{queue=\"span\"}").await, 2048.0);
        let pool = match engine { Engine::Sqlite => "read", Engine::Postgres => "shared" };
        let limit = metric(&format!("latchkey_db_connections_limit{{pool=\"{pool}\"}}")).await;
        assert_eq!(limit, match engine { Engine::Sqlite => 8.0, Engine::Postgres => 12.0 });
        assert!(metric(&format!("latchkey_db_connections{{pool=\"{pool}\",state=\"idle\"}}")).await > 0.0);
        assert_eq!(metric("latchkey_queue_limit{queue=\"password\"}").await, 1.0);
        assert_eq!(metric("latchkey_queue_waiting{queue=\"password\"}").await, 0.0);
        assert_eq!(metric("latchkey_password_threads").await, 1.0);
        assert_eq!(metric("latchkey_http_connections_limit{listener=\"api\"}").await, 1024.0);
        assert!(metric("process_resident_memory_bytes").await > 1e6);
        let version = format!("latchkey_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
        assert_eq!(metric(&version).await, 1.0);

        assert_page(engine, &server.metrics().get("/metrics").await.assert_status(200).text());
    }
}

/// Demands of every series that it is known, with its kind, labels and words, and that hardly any is missing.
fn assert_page(engine: Engine, page: &str) {
    let mut seen = BTreeSet::new();
    for line in page.lines().filter(|line| !line.is_empty()) {
        let Some(comment) = line.strip_prefix("# ") else {
            let (series, _) = line.split_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let metric = ALL.iter().find(|metric| metric.name == base(name).0);
            let metric = metric.unwrap_or_else(|| panic!("{name} is not in the table"));
            seen.insert(metric.name);
            let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
            let labels: BTreeSet<&str> =
                labels.map(|label| label.split_once('=').unwrap().0).filter(|label| *label != "le").collect();
            let known: BTreeSet<&str> = metric.labels.split(", ").filter(|label| !label.is_empty()).collect();
            assert_eq!(labels, known, "{line}");
            continue;
        };
        let (what, rest) = comment.split_once(' ').unwrap();
        let (name, text) = rest.split_once(' ').unwrap();
        let metric = ALL.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("{name}"));
        match what {
            "HELP" => assert_eq!(text, metric.meaning),
            _ => assert_eq!(text, metric.kind.to_string(), "{name}"),
        }
    }
    let missing: Vec<&str> = ALL
        .iter()
        .map(|metric| metric.name)
        .filter(|name| !seen.contains(name) && !ELSEWHERE.contains(name))
        .filter(|name| engine == Engine::Sqlite || !SQLITE_ONLY.contains(name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    for personal in [ADA, "bob@", "nobody", "127.0.0.1", "/auth/", "nowhere"] {
        let mut series = page.lines().filter(|line| !line.starts_with('#'));
        assert!(series.all(|line| !line.contains(personal)), "{personal}");
    }
}
