//! The generator and the measurement of size, on a size that takes no time: rows are as many as they should be, and the server
//! answers right. How long it takes is nobody's business here.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The server, which `cargo test --workspace` builds beside this test.
fn server() -> PathBuf {
    let tool = Path::new(env!("CARGO_BIN_EXE_latchkey-bench"));
    let server = tool.with_file_name("latchkey");
    assert!(server.exists(), "{} is not built: use cargo test --workspace", server.display());
    server
}

/// Runs the tool, and answers what it said.
fn run(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_latchkey-bench")).args(arguments).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[test]
fn a_filled_database_has_the_rows_that_were_asked_for() {
    let folder = std::env::temp_dir().join(format!("latchkey-fill-{}", std::process::id()));
    let database = format!("sqlite://{}", folder.join("latchkey.db").display());
    let (server, data) = (server(), folder.display().to_string());
    let said = run(&[
        "fill",
        "--server",
        server.to_str().unwrap(),
        "--database",
        &database,
        "--data",
        &data,
        "--accounts",
        "6000",
    ]);
    std::fs::remove_dir_all(&folder).unwrap();
    // The original and what it has left are there, too: three sign-ins, two credentials, an event of each and of the sign-up.
    for rows in
        ["accounts: 6001 rows", "sessions: 18003 rows", "api_keys: 12002 rows", "audit_events: 30006 rows"]
    {
        assert!(said.contains(rows), "{rows} in {said}");
    }
}

#[test]
fn each_operation_is_answered_right_on_both_engines() {
    let postgres = std::env::var("LATCHKEY_TEST_POSTGRES")
        .expect("LATCHKEY_TEST_POSTGRES names no server: use scripts/test");
    let folder = std::env::temp_dir().join(format!("latchkey-scale-{}", std::process::id()));
    let said = run(&[
        "scale",
        "--server",
        server().to_str().unwrap(),
        "--folder",
        folder.to_str().unwrap(),
        "--postgres",
        &postgres,
        "--accounts",
        "2000",
        "--people",
        "8",
        "--rounds",
        "1",
        "--window",
        "0.4",
    ]);
    // A wrong answer would have stopped it.
    assert_eq!(said.lines().filter(|line| line.contains(" ms ")).count(), 12, "{said}");
}
