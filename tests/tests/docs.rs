//! What the documents say is true of the code, as far as a program can tell. Their code blocks are doctests of the facade.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use extensions::job::JobState;
use extensions::prelude::*;
use extensions::queue::{Capabilities, Memory, QueueBackend, Sqlite, connect};
use serde::{Deserialize, Serialize};
use tests::servers::{Persistence, Postgres, Redis};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents of the repository; a page that the facade pulls in from `docs` counts once.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let kind = entry.file_type().expect("a kind");
            if kind.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if kind.is_file() && name.ends_with(".md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The rows of the first table whose head's first cell is `head`, the head included.
fn table(document: &str, head: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let mut lines = document.lines().skip_while(|line| !(line.starts_with('|') && cells(line)[0] == head));
    let first = lines.next().unwrap_or_else(|| panic!("no table with the head `{head}`"));
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    std::iter::once(cells(first)).chain(rows.map(cells)).collect()
}

/// The texts between back-ticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_readme_is_no_longer_than_200_lines() {
    let lines = text("README.md").lines().count();
    assert!(lines <= 200, "{lines} lines");
}

#[test]
fn every_relative_link_leads_to_a_file() {
    let documents = documents();
    assert!(documents.len() >= 10, "{documents:?}");
    let mut broken = Vec::new();
    for path in documents {
        let text = fs::read_to_string(&path).expect("UTF-8");
        for link in links(&text) {
            let file = link.split('#').next().unwrap_or_default();
            let outside =
                file.is_empty() || file.contains("://") || file.starts_with("mailto:") || file.contains("::");
            if !outside && !path.parent().expect("a folder").join(file).exists() {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Targets of `](…)` and of `[name]: …`, outside code.
fn links(text: &str) -> Vec<&str> {
    let mut links = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            links.extend(line[at + 2..].split([')', ' ']).next());
        }
        if let Some((name, target)) = line.split_once("]: ")
            && name.starts_with('[')
        {
            links.push(target.trim());
        }
    }
    links
}

#[test]
fn every_page_is_part_of_the_guide_and_of_the_readme() {
    let guide = text("extensions/src/guide.rs");
    let readme = text("README.md");
    for folder in ["docs", "extensions/src/docs"] {
        for entry in fs::read_dir(root().join(folder)).expect("the pages") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().to_string_lossy().into_owned();
            assert!(
                guide.contains(&format!("include_str!(\"docs/{name}\")")),
                "{folder}/{name} is not in guide.rs"
            );
            if entry.file_type().expect("a kind").is_file() {
                assert!(
                    readme.contains(&format!("({folder}/{name})")),
                    "{folder}/{name} is not in README.md"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_table_of_capabilities_is_what_the_code_declares() {
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = Sqlite::open(folder.path().join("jobs.db")).await.expect("a database");
    let (postgres, redis) = (Postgres::start().await, Redis::start(Persistence::None).await);
    let (postgres, redis) = (connect(&postgres.url()).await, connect(&redis.url()).await);
    let backends: [(&str, Capabilities); 4] = [
        ("`memory`", Memory::new().capabilities()),
        ("`sqlite`", sqlite.capabilities()),
        ("`postgres`", postgres.expect("a database").capabilities()),
        ("`redis`", redis.expect("a store").capabilities()),
    ];
    let rows = table(&text("docs/backends.md"), "capability");
    let column = |name: &str| {
        rows[0].iter().position(|cell| cell == name).unwrap_or_else(|| panic!("no column {name}"))
    };
    let documented: BTreeSet<_> = rows[1..].iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
    for (backend, capabilities) in backends {
        let names = capabilities.by_name();
        assert_eq!(documented, names.iter().map(|(name, _)| (*name).to_owned()).collect());
        for (name, can) in names {
            let row = rows.iter().find(|row| row[0] == format!("`{name}`")).expect("a row");
            assert_eq!(row[column(backend)], if can { "yes" } else { "no" }, "{name} of {backend}");
        }
    }
}

#[test]
fn the_table_of_features_is_that_of_the_manifest() {
    let manifest = text("extensions/Cargo.toml");
    let features =
        manifest.split("[features]").nth(1).and_then(|rest| rest.split("\n[").next()).expect("features");
    let named = |line: &str| line.split_once(" = ").map(|(name, _)| name.to_owned());
    let declared: BTreeSet<_> = features.lines().filter_map(named).filter(|name| name != "default").collect();
    for (document, what) in
        [(text("README.md"), "README.md"), (text("extensions/src/lib.rs").replace("//! ", ""), "lib.rs")]
    {
        let rows = table(&document, "feature");
        let documented: BTreeSet<_> =
            rows[1..].iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
        assert_eq!(documented, declared, "{what}");
    }
}

/// The words of a list of keys in the macros' source that are not answered with "not supported yet".
fn keys(list: &str) -> BTreeSet<String> {
    let source = text("extensions-macros/src/keys.rs");
    let body =
        source.split(&format!("const {list}: &[&str] =")).nth(1).and_then(|rest| rest.split("];").next());
    let names = body.expect("the list").trim().trim_start_matches("&[");
    let value = |constant: &str| {
        let line = source
            .lines()
            .find(|line| line.contains(&format!("const {constant}: &str")))
            .expect("a constant");
        line.split('"').nth(1).expect("a text").to_owned()
    };
    let refused = ["REDACT", "RATE_LIMIT", "MAX_CONCURRENCY", "LIMIT_BY", "ENCRYPT", "BATCH"];
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty() && !refused.contains(name));
    names.map(value).collect()
}

#[test]
fn the_tables_of_options_name_every_option_of_the_attributes_and_no_other() {
    for (page, list) in [
        ("docs/async.md", "ASYNC"),
        ("extensions/src/docs/handlers.md", "HANDLER"),
        ("extensions/src/docs/points.md", "POINT"),
    ] {
        let rows = table(&text(page), "option");
        let first_word = |code: &str| code.split([' ', '=']).next().unwrap_or_default().to_owned();
        let documented: BTreeSet<_> =
            rows[1..].iter().filter_map(|row| quoted(&row[0]).first().map(|code| first_word(code))).collect();
        assert_eq!(documented, keys(list), "{page}");
    }
}

#[derive(Serialize, Deserialize, ExtensionPoint)]
#[extension_point(queued)]
struct Defaults;

#[extension_handler(Defaults)]
#[async_handler]
async fn with_defaults() {}

#[tokio::test]
async fn the_documented_defaults_are_those_of_the_code() {
    let ext = Extensions::builder().discover().queue(Memory::new()).build().await.expect("an instance");
    let handlers = ext.handlers_of::<Defaults>();
    let options = handlers[0].options.as_ref().expect("options");
    let rows = table(&text("docs/async.md"), "option");
    let documented = |option: &str| {
        let row = rows.iter().find(|row| row[0].starts_with(&format!("`{option}"))).expect("a row");
        row[2].trim_matches(['`', '"']).to_owned()
    };
    assert_eq!(documented("queue"), options.queue.as_str());
    assert_eq!(documented("retries"), options.max_attempts.to_string());
    assert_eq!(documented("max_attempts"), options.max_attempts.to_string());
    assert_eq!(documented("timeout"), format!("{} s", options.timeout.expect("a time-out").as_secs()));
    assert_eq!(documented("priority"), options.priority.to_string());
    assert_eq!(documented("backoff_seconds"), options.backoff.delay(1, 0.5).as_secs().to_string());
    assert!(documented("backoff =").starts_with("exponential"));
    assert_eq!(options.backoff, Backoff::exponential(secs(10)));
    assert_eq!((documented("delay"), options.delay), ("none".to_owned(), secs(0)));
    assert_eq!((documented("unique ="), &options.unique), ("off".to_owned(), &None));
    assert_eq!((documented("missing"), options.discard_missing), ("fail".to_owned(), false));
}

#[test]
fn the_table_of_states_names_all_of_them_and_says_which_have_ended() {
    let rows = table(&text("docs/lifecycle.md"), "state");
    let documented: Vec<(String, bool)> =
        rows[1..].iter().map(|row| (row[0].trim_matches('`').to_owned(), row[2] == "yes")).collect();
    let mut states: Vec<_> =
        JobState::ALL.iter().map(|state| (state.to_string(), state.is_final())).collect();
    let mut sorted = documented;
    sorted.sort();
    states.sort();
    assert_eq!(sorted, states);
}

#[test]
fn the_table_of_roads_has_every_legal_step_and_no_other() {
    let rows = table(&text("docs/lifecycle.md"), "from");
    let state = |name: &&str| name.parse::<JobState>().ok();
    let mut documented = BTreeSet::new();
    for row in &rows[1..] {
        for from in quoted(&row[0]).iter().filter_map(state) {
            documented.extend(quoted(&row[1]).iter().filter_map(state).map(|to| (from, to)));
        }
    }
    let pairs = JobState::ALL.iter().flat_map(|from| JobState::ALL.iter().map(move |to| (*from, *to)));
    let legal: BTreeSet<_> = pairs.filter(|(from, to)| from.can_become(*to)).collect();
    assert_eq!(documented, legal);
}

#[test]
fn every_rule_of_the_contract_is_numbered_once_and_the_documents_name_the_last() {
    let source = text("extensions-runtime/src/queue/mod.rs");
    let numbers: Vec<u32> = source
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("/// - **Q")?.split("**").next()?.parse().ok())
        .collect();
    let last = u32::try_from(numbers.len()).expect("few");
    assert_eq!(numbers, (1..=last).collect::<Vec<_>>());
    assert!(text("docs/backends.md").contains(&format!("Q1 to Q{last}")), "docs/backends.md");
}
