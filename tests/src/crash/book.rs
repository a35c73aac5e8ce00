//! All ledgers of a run, joined.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use extensions::job::{HandlerKey, JobId};
use extensions::time::Timestamp;

use super::{Event, Ledger, Moment, Outcome, RunId};

/// What all processes of a run wrote down.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// Every fire by its number.
    pub fires: BTreeMap<u64, Fire>,
    /// Every run of a handler, by start.
    pub runs: Vec<Run>,
    /// What was done to processes.
    pub faults: Vec<Fault>,
    /// The jobs for which `on_failure` was called, once for each call.
    pub told: Vec<JobId>,
    /// The jobs put into the store past `fire`.
    pub planted: BTreeSet<JobId>,
}

/// A fire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fire {
    /// How many jobs it makes, if that is known.
    pub jobs: Option<usize>,
    /// Whether it stopped at the marker between its inline handlers and its push.
    pub at_marker: bool,
    /// What came back.
    pub answer: Answer,
}

/// What a fire answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nothing, or an error after which nobody knows.
    None,
    /// Jobs.
    Queued {
        /// Those reported as queued.
        queued: Vec<JobId>,
        /// The holders of the keys of the others.
        duplicates: Vec<JobId>,
    },
}

/// A run of a handler.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The process in which it ran.
    pub process: String,
    /// Its job.
    pub job: JobId,
    /// Its handler.
    pub handler: HandlerKey,
    /// The attempt.
    pub attempt: u32,
    /// When it started.
    pub started: Moment,
    /// How and when it ended, if it did.
    pub ended: Option<End>,
}

/// The end of a run.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// When.
    pub at: Moment,
    /// When, by the wall clock.
    pub wall: Timestamp,
    /// How.
    pub outcome: Outcome,
}

/// Something that was done to a process.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The process.
    pub process: String,
    /// What.
    pub what: String,
    /// When it began.
    pub from: Moment,
    /// When it was over.
    pub to: Moment,
    /// When it began, by the wall clock, at the latest.
    pub wall: Timestamp,
}

/// The process of faults that hit the store, and with it everyone.
pub const STORE: &str = "the store";

impl Fault {
    /// Whether a process was hit by it.
    #[must_use]
    pub fn hits(&self, process: &str) -> bool {
        self.process == STORE || self.process == process
    }
}

impl Book {
    /// Joins ledgers.
    #[must_use]
    pub fn of<'a>(ledgers: impl IntoIterator<Item = &'a Ledger>) -> Self {
        let mut book = Self::default();
        let mut ends = HashMap::new();
        for ledger in ledgers {
            book.add(ledger, &mut ends);
        }
        for run in &mut book.runs {
            run.ended = ends.get(&run.id).copied();
        }
        book.runs.sort_by_key(|run| run.started);
        book.faults.sort_by_key(|fault| fault.from);
        book
    }

    fn add(&mut self, ledger: &Ledger, ends: &mut HashMap<RunId, End>) {
        for entry in &ledger.entries {
            match &entry.event {
                Event::Firing { fire, jobs } => {
                    self.fires.insert(*fire, Fire { jobs: *jobs, at_marker: false, answer: Answer::None });
                }
                Event::AtMarker { fire } => {
                    self.fires.entry(*fire).and_modify(|fire| fire.at_marker = true);
                }
                Event::Answered { fire, queued, duplicates } => {
                    let answer = Answer::Queued { queued: queued.clone(), duplicates: duplicates.clone() };
                    self.fires.entry(*fire).and_modify(|fire| fire.answer = answer);
                }
                Event::Planted { jobs } => self.planted.extend(jobs),
                Event::Started { run, job, handler, attempt } => self.runs.push(Run {
                    id: run.clone(),
                    process: ledger.process.clone(),
                    job: *job,
                    handler: handler.clone(),
                    attempt: *attempt,
                    started: entry.at,
                    ended: None,
                }),
                Event::Ended { run, outcome } => {
                    ends.insert(run.clone(), End { at: entry.at, wall: entry.wall, outcome: *outcome });
                }
                Event::ToldOfFailure { job } => self.told.push(*job),
                Event::Fault { process, what, from } => self.faults.push(Fault {
                    process: process.clone(),
                    what: what.clone(),
                    from: *from,
                    to: entry.at,
                    wall: entry.wall.saturating_sub(entry.at.since(*from)),
                }),
                Event::Ready | Event::Unanswered { .. } | Event::Report { .. } => {}
            }
        }
    }

    /// The jobs that `fire` reported as queued, and those put into the store past it.
    #[must_use]
    pub fn accepted(&self) -> BTreeSet<JobId> {
        let mut accepted = self.planted.clone();
        for fire in self.fires.values() {
            if let Answer::Queued { queued, .. } = &fire.answer {
                accepted.extend(queued);
            }
        }
        accepted
    }

    /// The runs of each job, by start.
    #[must_use]
    pub fn runs_by_job(&self) -> BTreeMap<JobId, Vec<&Run>> {
        let mut by_job = BTreeMap::<_, Vec<_>>::new();
        for run in &self.runs {
            by_job.entry(run.job).or_default().push(run);
        }
        by_job
    }
}

impl Run {
    /// What it returned, if it ended.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.ended.map(|end| end.outcome)
    }
}
