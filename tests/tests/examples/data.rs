//! The deliveries that the `webhooks` example is run on, and what must come of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

/// Real deliveries, where the machine has them.
const REAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/github-webhooks.jsonl");
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/webhooks-sample.jsonl");

/// What must come of a file of deliveries.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) deliveries: u64,
    pub(crate) vetoed: u64,
    pub(crate) archived: u64,
    pub(crate) announcements: u64,
    pub(crate) by_event: BTreeMap<String, u64>,
}

/// The real deliveries, or else the sample; says which once.
pub(crate) fn deliveries() -> &'static Path {
    static CHOSEN: OnceLock<PathBuf> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let real = Path::new(REAL);
        let chosen = if real.is_file() { real } else { Path::new(SAMPLE) }.canonicalize().unwrap();
        // Not `eprintln!`, which the test harness keeps to itself.
        let mut stderr = std::io::stderr();
        writeln!(stderr, "webhook deliveries: {}", chosen.display()).unwrap();
        chosen
    })
}

pub(crate) fn is_real(path: &Path) -> bool {
    Path::new(REAL).canonicalize().is_ok_and(|real| real == path)
}

/// The deliveries, written again under other ids until there are enough for two workers to be busy for a while.
pub(crate) fn many_deliveries(folder: &Path) -> PathBuf {
    let source = deliveries();
    let lines = lines(source);
    if lines.len() >= 300 {
        return source.to_owned();
    }
    let mut text = String::new();
    for round in 0..=300 / lines.len() {
        for mut line in lines.iter().cloned() {
            line["delivery"] = format!("{}-{round}", line["delivery"].as_str().unwrap()).into();
            text.push_str(&format!("{line}\n"));
        }
    }
    let path = folder.join("many.jsonl");
    std::fs::write(&path, text).unwrap();
    path
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

impl Expected {
    /// Counts by a way of its own what must come of the file.
    pub(crate) fn of(path: &Path) -> Self {
        let mut expected = Self::default();
        let (mut archived, mut announced) = (BTreeSet::new(), BTreeSet::new());
        for line in lines(path) {
            let payload = &line["payload"];
            expected.deliveries += 1;
            *expected.by_event.entry(line["event"].as_str().unwrap().to_owned()).or_default() += 1;
            if !payload["sender"]["login"].is_string() {
                expected.vetoed += 1;
                continue;
            }
            archived.insert(line["delivery"].to_string());
            let news = match (line["event"].as_str().unwrap(), line["action"].as_str()) {
                ("issues", Some("opened")) | ("release", Some("published")) | ("push", _) => true,
                ("pull_request", Some("closed")) => payload["pull_request"]["merged"] == true,
                _ => false,
            };
            if news {
                announced.insert(line["delivery"].to_string());
            }
        }
        expected.archived = archived.len() as u64;
        expected.announcements = announced.len() as u64;
        if is_real(path) {
            let known = (expected.deliveries, expected.vetoed, expected.archived, expected.announcements);
            assert_eq!(known, (329, 4, 325, 14), "the real deliveries are known");
        }
        expected
    }

    /// Jobs that must be queued; also the fires that pass: one for each delivery, and one for each announcement.
    pub(crate) fn jobs(&self) -> u64 {
        self.archived + self.announcements
    }
}
