//! One crash test's site: a store, ledgers, processes and a seed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use extensions::job::JobState;
use extensions::queue::{QueueBackend, QueueStats, connect};
use rustix::process::Signal;
use tempfile::TempDir;

use super::{Event, Evidence, Judgement, Ledger, LedgerWriter, Moment, Orders, Role, Subject, Terms, judge};

/// How often an event is looked for.
const LOOK: Duration = Duration::from_millis(5);

/// A crash test's site. Everything in it panics with what went wrong, as a test does.
#[derive(Debug)]
pub struct Arena {
    folder: Option<TempDir>,
    path: PathBuf,
    program: PathBuf,
    url: String,
    seed: u64,
    queue: Arc<dyn QueueBackend>,
    ledgers: Vec<Ledger>,
    own: LedgerWriter,
    /// Where the test's own choices come from.
    pub rng: fastrand::Rng,
}

impl Arena {
    /// A site in a fresh folder, with the store that `url` names in it.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    pub async fn new(program: &Path, seed: u64, url: impl FnOnce(&Path) -> String) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().to_owned();
        let url = url(&path);
        let queue = connect(&url).await.expect("the store opens");
        let ledger = path.join("harness.ledger");
        let own = LedgerWriter::create("harness", &ledger).expect("the harness's ledger can be made");
        let keep = std::env::var_os("CRASH_KEEP").is_some();
        let folder = if keep {
            drop(folder.keep());
            None
        } else {
            Some(folder)
        };
        Self {
            folder,
            program: program.to_owned(),
            url,
            seed,
            queue,
            ledgers: vec![Ledger::at("harness", &ledger)],
            own,
            rng: fastrand::Rng::with_seed(seed),
            path,
        }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The store.
    #[must_use]
    pub const fn queue(&self) -> &Arc<dyn QueueBackend> {
        &self.queue
    }

    /// Starts a subject and waits until it is ready.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn start(&mut self, role: Role) -> Subject {
        let kind = match &role {
            Role::Fire(_) => "fire",
            Role::Work(_) => "work",
            Role::Claim(_) => "claim",
            Role::Race(_) => "race",
        };
        let process = format!("{kind}-{}", self.ledgers.len());
        let ledger = self.path.join(format!("{process}.ledger"));
        self.ledgers.push(Ledger::at(&process, &ledger));
        let orders = Orders { process, ledger, queue_url: self.url.clone(), seed: self.seed, role };
        let subject = Subject::start(&self.program, &orders).expect("the subject starts");
        self.until("the subject is ready", 20, |arena| {
            arena.ledger(&subject).count(|event| matches!(event, Event::Ready)) > 0
        })
        .await;
        subject
    }

    /// What a subject has written down, as far as it was read.
    ///
    /// # Panics
    ///
    /// If it is not of this site.
    #[must_use]
    pub fn ledger(&self, subject: &Subject) -> &Ledger {
        let found = self.ledgers.iter().find(|ledger| ledger.process == subject.name());
        found.expect("the subject was started here")
    }

    /// Every ledger, as far as it was read.
    #[must_use]
    pub fn ledgers(&self) -> &[Ledger] {
        &self.ledgers
    }

    fn refresh(&mut self) {
        for ledger in &mut self.ledgers {
            ledger.refresh().expect("the ledgers can be read");
        }
    }

    /// Waits until the ledgers say so.
    ///
    /// # Panics
    ///
    /// If they do not within so many seconds.
    pub async fn until(&mut self, what: &str, seconds: u64, mut so: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            self.refresh();
            if so(self) {
                return;
            }
            assert!(Instant::now() < deadline, "not within {seconds} s: {what}\n{}", self.logs());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until every job that can run has ended.
    ///
    /// # Panics
    ///
    /// If some have not within so many seconds.
    pub async fn until_drained(&mut self, seconds: u64) {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            let stats = self.queue.stats().await.expect("the store can be asked");
            if stats.iter().all(is_drained) {
                return self.refresh();
            }
            assert!(Instant::now() < deadline, "not drained within {seconds} s: {stats:?}\n{}", self.logs());
            tokio::time::sleep(LOOK * 4).await;
        }
    }

    /// Writes an event of the harness's own down.
    pub async fn note(&self, event: Event) {
        self.own.write(event).await;
    }

    /// Kills a subject.
    ///
    /// # Panics
    ///
    /// If it had ended before.
    pub async fn kill(&mut self, subject: &mut Subject) {
        let from = subject.kill().await.expect("the subject lives until it is killed");
        self.fault(subject, "killed", from).await;
    }

    /// Notes what was done to a subject until now.
    pub async fn fault(&mut self, subject: &Subject, what: &str, from: Moment) {
        let process = subject.name().to_owned();
        self.note(Event::Fault { process, what: what.to_owned(), from }).await;
    }

    /// Ends a worker in order.
    ///
    /// # Panics
    ///
    /// If it does not end so.
    pub async fn stop(&mut self, subject: &mut Subject) {
        subject.signal(Signal::TERM).expect("the subject lives");
        let status = subject.ended(Duration::from_secs(20)).await;
        let status = status
            .unwrap_or_else(|error| panic!("{error}: {} did not end\n{}", subject.name(), subject.log()));
        assert_eq!(status.code(), Some(0), "{} ended with {status}\n{}", subject.name(), subject.log());
        self.refresh();
    }

    /// Holds what the run left against the invariants.
    ///
    /// # Panics
    ///
    /// If the store cannot be looked at.
    pub async fn judge(&mut self, terms: &Terms) -> (Evidence, Judgement) {
        self.refresh();
        let evidence =
            Evidence::gather(&self.ledgers, &self.queue).await.expect("the store can be looked at");
        let judgement = judge(&evidence, terms);
        (evidence, judgement)
    }

    /// The last lines of every subject's log.
    #[must_use]
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for ledger in &self.ledgers {
            let log = std::fs::read_to_string(self.path.join(format!("{}.log", ledger.process)));
            let log = log.unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(6)..];
            text.push_str(&format!(
                "{} ({} starts): {}\n",
                ledger.process,
                ledger.starts(),
                tail.join("\n    ")
            ));
        }
        if self.folder.is_none() {
            text.push_str(&format!("kept in {}\n", self.path.display()));
        }
        text
    }
}

fn is_drained(stats: &QueueStats) -> bool {
    stats.unfinished() == stats.count(JobState::Unroutable)
}
