//! Who may name whom: the direction of imports that CONTRIBUTING.md describes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A module of the runtime, and the modules of the runtime that it may name.
const LAYERS: &[(&str, &[&str])] = &[
    ("time", &[]),
    ("task", &[]),
    ("features", &["telemetry"]),
    ("policy", &["time"]),
    ("job", &["time"]),
    ("telemetry", &["job"]),
    ("queue", &["job", "time", "telemetry"]),
    ("backend", &["queue", "job", "time", "telemetry"]),
    ("conformance", &["queue", "job", "time", "task"]),
    ("point", &["job", "policy", "time"]),
    ("handler", &["point", "job", "policy", "time"]),
    ("breaker", &["policy", "time", "task", "telemetry"]),
    ("config", &["handler", "queue", "job", "features", "policy", "time"]),
    ("registry", &["config", "handler", "point", "queue", "job", "breaker", "features", "policy", "time"]),
    ("scope", &["instance", "registry", "handler", "point", "job"]),
    (
        "fire",
        &[
            "instance",
            "scope",
            "registry",
            "handler",
            "point",
            "queue",
            "job",
            "breaker",
            "policy",
            "features",
            "time",
            "task",
            "telemetry",
        ],
    ),
    (
        "worker",
        &[
            "config",
            "instance",
            "registry",
            "handler",
            "point",
            "queue",
            "job",
            "breaker",
            "policy",
            "time",
            "task",
            "telemetry",
        ],
    ),
    (
        "instance",
        &[
            "builder",
            "config",
            "fire",
            "worker",
            "scope",
            "registry",
            "handler",
            "point",
            "queue",
            "job",
            "policy",
            "features",
            "time",
            "telemetry",
        ],
    ),
    (
        "builder",
        &[
            "config",
            "instance",
            "testing",
            "fire",
            "worker",
            "registry",
            "handler",
            "point",
            "queue",
            "job",
            "breaker",
            "policy",
            "features",
            "time",
            "telemetry",
        ],
    ),
    ("supervisor", &["config", "worker", "telemetry", "queue", "job", "policy", "time"]),
    ("operator", &["config", "registry", "handler", "point", "queue", "job", "time"]),
    (
        "console",
        &[
            "operator",
            "supervisor",
            "builder",
            "instance",
            "config",
            "worker",
            "fire",
            "registry",
            "point",
            "queue",
            "job",
            "telemetry",
            "time",
        ],
    ),
    ("bridge", &["fire", "worker", "scope", "handler", "queue", "job", "telemetry"]),
    (
        "testing",
        &["instance", "builder", "fire", "worker", "registry", "handler", "point", "queue", "job", "time"],
    ),
];

/// The files that look up, each with what it may name and why.
const LOOKING_UP: &[(&str, &[&str], &str)] = &[
    ("queue/mod.rs", &["backend"], "re-exports the backends"),
    ("telemetry/queues.rs", &["queue", "job"], "shows how a store's queues stand"),
    (
        "point.rs",
        &["instance", "fire", "handler"],
        "a boxed point is fired as its own type, and its output may be a veto",
    ),
    (
        "handler/context.rs",
        &["instance", "fire", "scope"],
        "an inline handler fires nested points and sees the scopes that it runs in",
    ),
    (
        "breaker/handle.rs",
        &["instance", "handler", "point"],
        "an instance gives out its breakers, by point and handler",
    ),
    ("handler/stage.rs", &["fire"], "`Next` hands a nested pipeline's report on"),
    ("handler/traits.rs", &["worker"], "an async handler is given its `Job`"),
    ("worker/job.rs", &["fire"], "a job fires its follow-ups"),
    ("handler/callback.rs", &["worker"], "a callback is given the `Job` and its error"),
    (
        "registry/runner.rs",
        &["worker", "instance"],
        "a runner hands the `Job` to its handler, and what is around its task to the handler's thread",
    ),
];

/// Names of the crate's root that are no modules.
const ROOT: &[&str] = &["BoxError", "BoxFuture", "Extensions", "ExtensionsBuilder", "__private"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn runtime() -> PathBuf {
    root().join("extensions-runtime/src")
}

/// The Rust files of a folder with their path in it, and their text without comments.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(folder).expect("inside").display().to_string();
                found.push((name, without_comments(&fs::read_to_string(&path).expect("UTF-8"))));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no sources in {}", folder.display());
    found
}

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn module(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

/// What follows each `prefix`: one name, or all first names of a group in braces.
fn named_after(text: &str, prefix: &str) -> BTreeSet<String> {
    let word = |text: &str| {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
    };
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices(prefix) {
        let rest = &text[at + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut starts = true;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => starts = true,
                _ if starts && !c.is_whitespace() => {
                    names.insert(word(&group[at..]));
                    starts = false;
                }
                _ => {}
            }
        }
    }
    names
}

#[test]
fn modules_name_only_those_below_them() {
    let mut wrong = Vec::new();
    for (file, text) in sources(&runtime()) {
        let module = module(&file);
        if module == "lib" {
            continue;
        }
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!(
                "{file}: the module `{module}` has no row in LAYERS; add one, here and in CONTRIBUTING.md"
            ));
            continue;
        };
        let upward =
            LOOKING_UP.iter().find(|(name, ..)| *name == file).map_or(&[][..], |(_, names, _)| names);
        for named in named_after(&text, "crate::") {
            let known =
                named == module || [*allowed, upward, ROOT].iter().any(|list| list.contains(&named.as_str()));
            if !known {
                wrong.push(format!("{file} names `crate::{named}`, which is not below `{module}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn of_telemetry_only_what_makes_instances_and_what_serves_name_more_than_the_names_and_the_record() {
    for (file, text) in sources(&runtime()) {
        if ["lib", "builder", "console", "supervisor", "telemetry"].contains(&module(&file)) {
            continue;
        }
        for named in named_after(&text, "crate::telemetry::") {
            assert!(["names", "record"].contains(&&*named), "{file} names `crate::telemetry::{named}`");
        }
    }
}

#[test]
fn no_exception_outlives_its_reason() {
    let sources = sources(&runtime());
    for (file, names, why) in LOOKING_UP {
        let (_, text) =
            sources.iter().find(|(name, _)| name == file).unwrap_or_else(|| panic!("{file} is gone"));
        let named = named_after(text, "crate::");
        for name in *names {
            assert!(named.contains(*name), "{file} no longer names `{name}` ({why}); remove the exception");
        }
    }
}

#[test]
fn a_backend_names_neither_another_one_nor_the_framework_above_it() {
    let backends = backends();
    assert!(backends.contains("memory"), "{backends:?}");
    for (file, text) in sources(&runtime().join("backend")) {
        let own = module(&file);
        for other in backends.iter().filter(|other| *other != own && own != "mod") {
            for path in [format!("backend::{other}"), format!("super::{other}")] {
                assert!(!text.contains(&path), "backend/{file} names `{path}`");
            }
        }
        for above in ["Registry", "Extensions::", "WorkerBuilder", "Fired"] {
            assert!(!text.contains(above), "backend/{file} names `{above}`");
        }
    }
}

/// The folders of backends.
fn backends() -> BTreeSet<String> {
    let folders = fs::read_dir(runtime().join("backend")).expect("the backends");
    let folders = folders.map(|entry| entry.expect("an entry")).filter(|entry| entry.path().is_dir());
    folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn only_the_queue_module_names_a_concrete_backend() {
    let mut names = vec!["queue::Memory".to_owned(), "queue::Sqlite".to_owned()];
    names.extend(backends().iter().map(|backend| format!("backend::{backend}")));
    for (file, text) in sources(&runtime()) {
        let may = module(&file) == "backend" || ["queue/mod.rs", "queue/connect.rs"].contains(&file.as_str());
        if may || module(&file) == "conformance" {
            continue;
        }
        for name in &names {
            assert!(!text.contains(name), "{file} names `{name}`");
        }
    }
}

#[test]
fn only_time_rs_reads_the_machines_clock() {
    for (file, text) in sources(&runtime()) {
        // A file of tests may name its folders after the time.
        if file == "time.rs" || file.ends_with("/tests.rs") {
            continue;
        }
        for clock in ["SystemTime", "UNIX_EPOCH", "now_v7", "Utc::now", "Local::now"] {
            assert!(!text.contains(clock), "{file} uses `{clock}`; take a `Clock` or a `Timestamp`");
        }
    }
}

#[test]
fn policies_and_states_are_free_of_tasks_and_io() {
    for (file, text) in sources(&runtime()) {
        if !["policy", "job"].contains(&module(&file)) {
            continue;
        }
        for name in ["tokio", "tracing", "std::fs", "std::net", "std::thread", "async fn", ".await"] {
            assert!(!text.contains(name), "{file} uses `{name}`");
        }
    }
}

#[test]
fn the_facade_has_no_logic() {
    for (file, text) in sources(&root().join("extensions/src")) {
        if file.starts_with("bin/") {
            continue;
        }
        for word in ["fn ", "impl ", "struct ", "enum "] {
            let line =
                text.lines().find(|line| line.trim_start().trim_start_matches("pub ").starts_with(word));
            assert_eq!(line, None, "extensions/src/{file}");
        }
    }
}

#[test]
fn a_group_of_imports_is_read_whole() {
    let text = "use crate::{job, queue::{Memory, a::{b}}, time::secs};\nuse crate::fire::Fired;";
    let names = named_after(text, "crate::");
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["fire", "job", "queue", "time"]);
}
