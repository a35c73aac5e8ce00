//! The contract's suite on every backend, and the mutants that it must catch.
//!
//! Takes libtest's arguments, such as a part of a case's name or `--test-threads`. Prints a table of cases and backends
//! and one of the mutants.

mod faulty;
mod remote;
mod sqlite;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::Future;
use std::io::Write as _;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use extensions_runtime::conformance::mutants::{self, Fault};
use extensions_runtime::conformance::{self, Backend, Fixture, MemoryFixture, Outcome};
use libtest_mimic::{Arguments, Trial};
use tests::servers::Redis;

type Step<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How long a call waits for an obstacle.
const PATIENCE: Duration = Duration::from_millis(1500);

async fn memory() -> Box<dyn Fixture> {
    Box::new(MemoryFixture::new())
}

/// How each case ended on each backend.
type Outcomes = Arc<Mutex<BTreeMap<(&'static str, String), Outcome>>>;

fn cases_of(backend: &Backend, outcomes: &Outcomes) -> Vec<Trial> {
    let (outcomes, name) = (Arc::clone(outcomes), backend.name.clone());
    conformance::trials(backend, move |case, outcome| {
        outcomes.lock().expect("no panic in between").insert((case.name, name.clone()), outcome.clone());
    })
}

type Verdicts = Arc<Mutex<BTreeMap<&'static str, bool>>>;

fn hunt(fault: Fault, verdicts: &Verdicts) -> Trial {
    let verdicts = Arc::clone(verdicts);
    let run = move || {
        let verdict = mutants::hunt(fault);
        verdicts.lock().expect("no panic in between").insert(fault.what(), verdict.caught.is_some());
        verdict.caught.map(|_| ()).ok_or_else(|| format!("{} let it pass", fault.caught_by()).into())
    };
    Trial::test(format!("{fault:?}: {}", fault.what()), run).with_kind("mutant")
}

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let mut backends = vec![
        Backend::new("memory", memory),
        Backend::new("sqlite normal", sqlite::normal),
        Backend::new("sqlite full", sqlite::full),
        Backend::new("postgres", remote::postgres),
        Backend::new("redis", remote::redis),
        Backend::new("faulty", faulty::faulty),
        mutants::backend(None),
    ];
    if Redis::has_valkey() {
        backends.insert(5, Backend::new("valkey", remote::valkey));
    }
    let (outcomes, verdicts) = (Outcomes::default(), Verdicts::default());
    let mut trials: Vec<_> = backends.iter().flat_map(|backend| cases_of(backend, &outcomes)).collect();
    trials.extend(Fault::ALL.iter().map(|fault| hunt(*fault, &verdicts)));
    let mut arguments = Arguments::from_args();
    // The cases wait more than they compute.
    arguments.test_threads = arguments.test_threads.or(Some(8));
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        let names: Vec<_> = backends.iter().map(|backend| &*backend.name).collect();
        print(&table(&names, &outcomes.lock().expect("the cases are over")));
        print(&reasons(&outcomes.lock().expect("the cases are over")));
        print(&mutants_table(&verdicts.lock().expect("the hunts are over")));
    }
    conclusion.exit_code()
}

fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

fn table(backends: &[&str], outcomes: &BTreeMap<(&'static str, String), Outcome>) -> String {
    let widest = conformance::all().map(|case| case.name.len()).max().unwrap_or(0);
    let mut text = format!("{:<widest$}  {:<14}", "case", "rules");
    for backend in backends {
        let _ = write!(text, "  {backend}");
    }
    text.push('\n');
    for case in conformance::all() {
        let _ = write!(text, "{:<widest$}  {:<14}", case.name, case.rules_text());
        for backend in backends {
            let mark = match outcomes.get(&(case.name, (*backend).to_owned())) {
                Some(Outcome::Passed) => "ok",
                Some(Outcome::Ignored(_)) => "ignored",
                Some(Outcome::Failed(_)) => "FAILED",
                None => "-",
            };
            let _ = write!(text, "  {mark:<width$}", width = backend.len());
        }
        text.push('\n');
    }
    text
}

/// Why cases were ignored.
fn reasons(outcomes: &BTreeMap<(&'static str, String), Outcome>) -> String {
    let mut text = String::new();
    for ((case, backend), outcome) in outcomes {
        if let Outcome::Ignored(reason) = outcome {
            let _ = writeln!(text, "ignored: {case} on {backend}: {reason}");
        }
    }
    text
}

fn mutants_table(verdicts: &BTreeMap<&'static str, bool>) -> String {
    let mut text = format!("\n{:<60}  {:<7}  by\n", "mutant", "caught");
    for fault in Fault::ALL {
        let mark = match verdicts.get(fault.what()) {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "-",
        };
        let _ = writeln!(text, "{:<60}  {mark:<7}  {}", fault.what(), fault.caught_by());
    }
    text
}
