//! What the compiler tells a user: every documented form compiles and runs, every wrong use is an error in the right place
//! that says what to write. `TRYBUILD=overwrite` records the messages again.

use std::fs;

const WRONG: &[&str] = &[
    "point",
    "handler",
    "function",
    "async_handler",
    "backoff",
    "duration",
    "unique",
    "declare",
    "when",
    "circuit_breaker",
    "order",
    "bounds",
    "later",
    "strategy",
];

#[test]
fn the_compiler_says_what_to_write() {
    every_folder_is_known();
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    for topic in WRONG {
        cases.compile_fail(format!("tests/ui/{topic}/*.rs"));
    }
}

fn every_folder_is_known() {
    for entry in fs::read_dir("tests/ui").expect("the cases") {
        let name = entry.expect("a folder").file_name();
        let name = name.to_string_lossy();
        assert!(name == "pass" || WRONG.contains(&&*name), "`{name}` is in no list");
    }
}
