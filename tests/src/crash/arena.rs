//! One crash test's site: a store, ledgers, processes and a seed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use extensions::job::JobState;
use extensions::queue::{QueueBackend, QueueError, QueueStats, connect};
use rustix::process::Signal;
use tempfile::TempDir;

use super::evidence::all;
use super::{
    Event, Evidence, FakeClock, Judgement, Ledger, LedgerWriter, Moment, Orders, Release, Role, Site,
    Subject, Terms, judge,
};
use crate::servers::PASSWORD;

/// How often an event is looked for.
const LOOK: Duration = Duration::from_millis(5);

/// A crash test's site. Everything in it panics with what went wrong, as a test does.
#[derive(Debug)]
pub struct Arena {
    folder: Option<TempDir>,
    path: PathBuf,
    program: PathBuf,
    site: Site,
    clock: Option<FakeClock>,
    seed: u64,
    queue: Arc<dyn QueueBackend>,
    ledgers: Vec<Ledger>,
    own: LedgerWriter,
    /// Whether processes of the run start others.
    is_supervised: bool,
    /// Variables of the subjects that are started from now on.
    pub variables: Vec<(&'static str, String)>,
    /// Where the test's own choices come from.
    pub rng: fastrand::Rng,
}

impl Arena {
    /// A site in a fresh folder, with the store that `site` makes there or elsewhere.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    pub async fn new(program: &Path, seed: u64, site: impl AsyncFnOnce(&Path) -> Site) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().to_owned();
        let site = site(&path).await;
        let queue = connect(site.url()).await.expect("the store opens");
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
            site,
            clock: None,
            seed,
            queue,
            ledgers: vec![Ledger::at("harness", &ledger)],
            own,
            is_supervised: false,
            variables: Vec::new(),
            rng: fastrand::Rng::with_seed(seed),
            path,
        }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the store is.
    #[must_use]
    pub const fn site(&self) -> &Site {
        &self.site
    }

    /// The same, to do something to it.
    pub const fn site_mut(&mut self) -> &mut Site {
        &mut self.site
    }

    /// Gives the subjects that are started from now on a wall clock that the harness sets.
    ///
    /// # Panics
    ///
    /// If it cannot be had.
    pub fn fake_clock(&mut self) -> FakeClock {
        self.clock.get_or_insert_with(|| FakeClock::new(&self.path)).clone()
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
        self.start_release(Release::Old, role).await
    }

    /// The same for a release of one's choice.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn start_release(&mut self, release: Release, role: Role) -> Subject {
        let kind = match &role {
            Role::Fire(_) => "fire",
            Role::Sell { .. } => "sell",
            Role::Work(_) => "work",
            Role::Supervise { .. } => "supervise",
            Role::Pool => "pool",
            Role::Claim(_) => "claim",
            Role::Race(_) => "race",
        };
        self.is_supervised |= matches!(role, Role::Supervise { .. });
        let process = format!("{kind}-{}", self.ledgers.len());
        let ledger = self.path.join(format!("{process}.ledger"));
        self.ledgers.push(Ledger::at(&process, &ledger));
        let queue_url = self.site.subjects_url();
        let orders = Orders { process, ledger, queue_url, seed: self.seed, release, role };
        let subject = Subject::start(&self.program, &orders, &self.variables, self.clock.as_ref());
        let (mut subject, mut ended) = (subject.expect("the subject starts"), false);
        self.until("the subject is ready", 30, |arena| {
            let is_ready = arena.ledger(&subject).count(|event| matches!(event, Event::Ready)) > 0;
            // What a short-lived one wrote last is read with the look after its end.
            assert!(is_ready || !ended, "{} has ended\n{}", subject.name(), subject.log());
            ended = !subject.lives().unwrap_or(false);
            is_ready
        })
        .await;
        subject
    }

    /// Writes the configuration of a supervisor: its options and its pools as in the file. Its processes are subjects, unless the options
    /// have a `command`.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    #[must_use]
    pub fn configure(&self, options: &str, pools: &str) -> PathBuf {
        let orders = Orders {
            process: "pool".to_owned(),
            ledger: self.path.join("pool.ledger"),
            queue_url: self.site.subjects_url(),
            seed: self.seed,
            release: Release::Old,
            role: Role::Pool,
        };
        let orders = serde_json::to_string(&orders).expect("orders are JSON");
        // A string of JSON is one of TOML.
        let command = serde_json::json!([self.program, "subject", orders]);
        let command =
            if options.contains("command") { String::new() } else { format!("command = {command}") };
        let url = serde_json::json!(self.site.subjects_url());
        let text = format!("queue_url = {url}\n[supervisor]\n{options}\n{command}\n{pools}");
        let path = self.path.join("extensions.toml");
        std::fs::write(&path, text).expect("the configuration can be written");
        path
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

    /// Finds the ledgers of processes that subjects have started.
    fn adopt(&mut self) {
        if !self.is_supervised {
            return;
        }
        for entry in std::fs::read_dir(&self.path).expect("the folder can be read") {
            let path = entry.expect("an entry").path();
            let is_ledger = path.extension().is_some_and(|extension| extension == "ledger");
            let process = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if is_ledger && self.ledgers.iter().all(|ledger| ledger.process != process) {
                self.ledgers.push(Ledger::at(process, &path));
            }
        }
    }

    /// Every ledger, as far as it was read.
    #[must_use]
    pub fn ledgers(&self) -> &[Ledger] {
        &self.ledgers
    }

    fn refresh(&mut self) {
        self.adopt();
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
        if let Err(left) = self.drained_within(seconds).await {
            panic!("{left}\n{}", self.logs());
        }
    }

    /// The same, and what is left if some have not.
    ///
    /// # Errors
    ///
    /// What is left.
    ///
    /// # Panics
    ///
    /// If the ledgers cannot be read.
    pub async fn drained_within(&mut self, seconds: u64) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            let left = match self.left().await {
                Ok(None) => {
                    self.refresh();
                    return Ok(());
                }
                Ok(Some(left)) => left,
                Err(error) => error.to_string(),
            };
            if Instant::now() > deadline {
                self.refresh();
                return Err(format!("not drained within {seconds} s: {left}"));
            }
            tokio::time::sleep(LOOK * 4).await;
        }
    }

    /// What is still to be done, calls of `on_failure` included.
    async fn left(&self) -> Result<Option<String>, QueueError> {
        let stats = self.queue.stats().await?;
        if !stats.iter().all(is_drained) {
            return Ok(Some(format!("{stats:?}")));
        }
        let failures = vec![JobState::Dead, JobState::Quarantined];
        let failed = all(&self.queue, failures).await?;
        let owing = failed.iter().find(|record| record.owes_on_failure);
        Ok(owing.map(|record| format!("job {} of {} owes `on_failure`", record.id, record.handler)))
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
        self.fault_of(subject.name(), what, from).await;
    }

    /// Notes what was done until now to a process, or to [`STORE`](super::STORE).
    pub async fn fault_of(&self, process: &str, what: &str, from: Moment) {
        self.note(Event::Fault { process: process.to_owned(), what: what.to_owned(), from }).await;
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
        self.look_for_secrets();
        let evidence =
            Evidence::gather(&self.ledgers, &self.queue).await.expect("the store can be looked at");
        let judgement = judge(&evidence, terms);
        (evidence, judgement)
    }

    /// No log may show what opens the store.
    fn look_for_secrets(&self) {
        for ledger in &self.ledgers {
            let log = std::fs::read_to_string(self.log_of(ledger)).unwrap_or_default();
            let line = log.lines().find(|line| line.contains(PASSWORD));
            assert!(line.is_none(), "{} has logged the store's password: {line:?}", ledger.process);
        }
    }

    fn log_of(&self, ledger: &Ledger) -> PathBuf {
        self.path.join(format!("{}.log", ledger.process))
    }

    /// The last lines of every subject's log.
    #[must_use]
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for ledger in &self.ledgers {
            let log = std::fs::read_to_string(self.log_of(ledger));
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
