//! `compare --quick` runs, and what it prints can be read by programs. Its times are nobody's business here.

use std::process::Command;

use benches::stores::BACKENDS;
use serde_json::Value;

const OF_EACH_BACKEND: [&str; 18] = [
    "fire 1",
    "fire 64",
    "fan-out 16",
    "bulk 1000",
    "drain, dropped",
    "drain, kept",
    "drain 2, dropped",
    "drain, defaults",
    "latency p50",
    "latency p99",
    "latency p50, other process",
    "latency p99, other process",
    "idle, worker, CPU",
    "idle, worker, memory",
    "idle, supervisor, CPU",
    "idle, supervisor, memory",
    "depth fire, 20000 waiting",
    "depth claim, 20000 finished",
];

const INLINE: [&str; 11] = [
    "inline 0",
    "inline 0 await",
    "inline 1",
    "inline 1 await",
    "inline 4",
    "inline 4 await",
    "inline 16",
    "inline 16 await",
    "awaited 1",
    "awaited 4",
    "awaited 16",
];

#[test]
fn a_quick_comparison_has_every_case_and_its_json_is_read() {
    let mut compare = Command::new(env!("CARGO_BIN_EXE_compare"));
    let output = compare.args(["--quick", "--no-peers", "--json"]).output().expect("it starts");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaint}", output.status);
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert!(report["machine"]["cores"].as_u64().is_some_and(|cores| cores > 0), "{report}");
    let rows = report["results"].as_array().expect("rows");
    let row = |case: &str, backend: &str| {
        let found = rows.iter().find(|row| row["case"] == case && row["backend"] == backend);
        found.unwrap_or_else(|| panic!("no `{case}` on {backend}: {report:#}"))
    };
    let of_backends = BACKENDS.iter().flat_map(|backend| OF_EACH_BACKEND.map(|case| row(case, backend)));
    for row in of_backends.chain(INLINE.map(|case| row(case, "inline"))) {
        assert!(row["ours"].as_f64().is_some_and(|ours| ours >= 0.0), "{row}");
        let goal = row["goal"].as_str().expect("a goal, or none");
        assert!(row["met"].is_boolean() || goal.is_empty() || goal.contains("peer"), "{row}");
        assert!(row["unit"].is_string() && row["left_out"].is_array(), "{row}");
        assert!(row["limit"].is_null() == row["ratio_limit"].is_null(), "{row}");
        assert!(row["peers"].as_object().is_some_and(serde_json::Map::is_empty), "{row}");
        assert!(row["durability"].is_string() == (row["backend"] != "inline"), "{row}");
    }
}

#[test]
fn an_unknown_case_is_named_with_those_that_there_are() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_compare")).args(["--only", "fire-1"]).output().expect("it starts");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && complaint.contains("`fire-1` is not known here"), "{complaint}");
    assert!(complaint.contains("fire 1, fire 64"), "{complaint}");
}
