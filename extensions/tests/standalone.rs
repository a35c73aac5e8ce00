//! The binary `extensions`: what an operator can do without an application.

use std::path::Path;
use std::process::{Command, Output};

fn extensions(folder: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_extensions"));
    command.args(line.split_whitespace()).current_dir(folder);
    command.env("EXTENSIONS_QUEUE_URL", "sqlite://jobs.db").env_remove("EXTENSIONS_CONFIG");
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr].concat()).unwrap()
}

#[test]
fn a_store_is_made_and_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let missing = extensions(folder.path(), "stats");
    assert_eq!(missing.status.code(), Some(4), "{}", said(&missing));
    for line in
        ["migrate", "stats", "failed list", "jobs list", "queue list", "workers", "doctor", "config show"]
    {
        let output = extensions(folder.path(), line);
        assert_eq!(output.status.code(), Some(0), "{line}: {}", said(&output));
    }
    let paused = extensions(folder.path(), "queue pause emails");
    assert_eq!(paused.status.code(), Some(0));
    assert!(said(&extensions(folder.path(), "stats")).contains("paused"));
}

#[test]
fn what_needs_the_code_of_handlers_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let help = said(&extensions(folder.path(), "--help"));
    for word in ["list", "inspect", "plan", "test", "work"] {
        let output = extensions(folder.path(), word);
        assert_eq!(output.status.code(), Some(2), "{word}: {}", said(&output));
        assert!(!help.lines().any(|line| line.trim_start().split(' ').next() == Some(word)), "{help}");
    }
    assert!(help.contains("Usage: extensions "), "{help}");
    assert_eq!(extensions(folder.path(), "--version").status.code(), Some(0));
}
