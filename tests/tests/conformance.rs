//! The contract's suite on every backend, and the mutants that it must catch.
//!
//! Takes libtest's arguments, such as a part of a case's name or `--test-threads`. Prints a table of cases and backends
//! and one of the mutants.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::Future;
use std::io::Write as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use extensions_runtime::conformance::mutants::{self, Fault};
use extensions_runtime::conformance::{self, Backend, Fixture, MemoryFixture, Outcome, Part};
use extensions_runtime::job::{JobId, WorkerId};
use extensions_runtime::queue::{QueueBackend, Sqlite, Synchronous};
use extensions_runtime::testing::FaultyQueue;
use libtest_mimic::{Arguments, Trial};

type Step<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A database in a folder of its own, which goes with the fixture.
struct SqliteFixture {
    folder: PathBuf,
    synchronous: Synchronous,
    backend: Sqlite,
}

/// How long a call waits for an obstacle.
const PATIENCE: Duration = Duration::from_millis(1500);

impl SqliteFixture {
    async fn new(synchronous: Synchronous) -> Self {
        let folder = std::env::temp_dir().join(format!("extensions-conformance-{}", WorkerId::new()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let path = folder.join("jobs.db");
        let backend = Sqlite::open(path).synchronous(synchronous).busy_timeout(PATIENCE).await;
        Self { folder, synchronous, backend: backend.expect("the database opens") }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("jobs.db")
    }

    fn connection(&self) -> rusqlite::Connection {
        let conn = rusqlite::Connection::open(self.path()).expect("a second connection");
        conn.busy_timeout(Duration::from_secs(20)).expect("a time-out");
        conn
    }
}

impl Drop for SqliteFixture {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Fixture for SqliteFixture {
    fn backend(&self) -> Arc<dyn QueueBackend> {
        Arc::new(self.backend.clone())
    }

    fn reopen(&self) -> Step<'_, Arc<dyn QueueBackend>> {
        Box::pin(async {
            let again = Sqlite::open(self.path()).synchronous(self.synchronous).await;
            Arc::new(again.expect("the database opens again")) as Arc<dyn QueueBackend>
        })
    }

    fn can_spoil(&self) -> bool {
        true
    }

    fn spoil(&self, job: JobId, part: Part, garbage: Vec<u8>) -> Step<'_, ()> {
        let column = match part {
            Part::Payload => "payload",
            Part::Meta => "meta",
            Part::Errors => "errors",
        };
        let sql = format!("UPDATE extensions_jobs SET {column} = ?1 WHERE id = ?2");
        let spoiled = self.connection().execute(&sql, rusqlite::params![garbage, job.as_bytes()]);
        assert_eq!(spoiled.expect("the job can be spoiled"), 1);
        Box::pin(async {})
    }

    fn can_obstruct(&self) -> bool {
        true
    }

    fn obstruct(&self) -> Box<dyn Any + Send> {
        let conn = self.connection();
        conn.execute_batch("BEGIN IMMEDIATE").expect("the write lock");
        Box::new(WriteLock(conn))
    }
}

/// Keeps the database's write lock until it is dropped.
struct WriteLock(rusqlite::Connection);

impl Drop for WriteLock {
    fn drop(&mut self) {
        let _ = self.0.execute_batch("ROLLBACK");
    }
}

/// A queue that could fail and is told to only where a case asks for it.
struct FaultyFixture {
    memory: MemoryFixture,
    queue: FaultyQueue,
}

impl FaultyFixture {
    fn new() -> Self {
        let memory = MemoryFixture::new();
        let queue = FaultyQueue::new(memory.memory());
        Self { memory, queue }
    }
}

impl Fixture for FaultyFixture {
    fn backend(&self) -> Arc<dyn QueueBackend> {
        Arc::new(self.queue.clone())
    }

    fn advance(&self, by: Duration) -> Step<'_, ()> {
        self.memory.advance(by)
    }

    fn can_obstruct(&self) -> bool {
        true
    }

    fn obstruct(&self) -> Box<dyn Any + Send> {
        self.queue.disconnect();
        Box::new(Disconnected(self.queue.clone()))
    }
}

/// Keeps the queue disconnected until it is dropped.
struct Disconnected(FaultyQueue);

impl Drop for Disconnected {
    fn drop(&mut self) {
        self.0.reconnect();
    }
}

async fn faulty() -> Box<dyn Fixture> {
    Box::new(FaultyFixture::new())
}

async fn memory() -> Box<dyn Fixture> {
    Box::new(MemoryFixture::new())
}

async fn sqlite_normal() -> Box<dyn Fixture> {
    Box::new(SqliteFixture::new(Synchronous::Normal).await)
}

async fn sqlite_full() -> Box<dyn Fixture> {
    Box::new(SqliteFixture::new(Synchronous::Full).await)
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
    let backends = [
        Backend::new("memory", memory),
        Backend::new("sqlite normal", sqlite_normal),
        Backend::new("sqlite full", sqlite_full),
        Backend::new("faulty", faulty),
        mutants::backend(None),
    ];
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
