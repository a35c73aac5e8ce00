//! Looks whether a worker that could do something does nothing.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::leases::Leases;
use super::limits::Limits;
use super::pulse::Pulse;
use super::status::Vitals;
use crate::job::{JobState, WorkerId};
use crate::queue::{QueueBackend, QueueStats, WorkerInfo};
use crate::task::block_on_within;
use crate::telemetry::names::event;

/// The exit code of a process whose worker claimed nothing although jobs waited and slots were free
/// ([`WorkerBuilder::watchdog`](super::WorkerBuilder::watchdog)): 70, `EX_SOFTWARE` of sysexits.h.
pub const WATCHDOG_EXIT: i32 = 70;

/// How long the store may take to answer the watchdog.
const PROMPT: Duration = Duration::from_secs(3);

/// When a claim was answered last.
#[derive(Debug)]
pub(super) struct Claims {
    answers: Mutex<Answers>,
    /// Ends a claim under way that is not answered.
    pub(super) again: Notify,
}

#[derive(Debug)]
struct Answers {
    started: Instant,
    newest: Option<Instant>,
    over: bool,
}

impl Claims {
    pub(super) fn new() -> Self {
        let answers = Answers { started: Instant::now(), newest: None, over: false };
        Self { answers: Mutex::new(answers), again: Notify::new() }
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_answered(&self) {
        self.answers().newest = Some(Instant::now());
    }

    /// Nothing more is to be claimed.
    pub(super) fn end(&self) {
        self.answers().over = true;
    }

    /// Whether more is to be claimed.
    pub(super) fn goes_on(&self) -> bool {
        !self.answers().over
    }

    /// When a claim was answered last.
    pub(super) fn newest(&self) -> Option<Instant> {
        self.answers().newest
    }

    /// Since when there is silence, while claims are to be answered.
    fn last(&self) -> Option<Instant> {
        let answers = self.answers();
        (!answers.over).then(|| answers.newest.unwrap_or(answers.started))
    }
}

#[derive(Debug)]
pub(super) struct Watchdog {
    queue: Arc<dyn QueueBackend>,
    leases: Arc<Leases>,
    claims: Arc<Claims>,
    limits: Arc<Limits>,
    patience: Duration,
    /// From when on nothing is known that would excuse silence.
    unexcused: Instant,
    /// When the connection was rebuilt because of this silence.
    rebuilt: Option<Instant>,
    /// Whether jobs waited when it looked last.
    suspects: bool,
}

impl Watchdog {
    pub(super) fn new(vitals: &Vitals, limits: Arc<Limits>, patience: Duration) -> Self {
        Self {
            queue: Arc::clone(&vitals.queue),
            leases: Arc::clone(&vitals.leases),
            claims: Arc::clone(&vitals.claims),
            limits,
            patience,
            unexcused: Instant::now(),
            rebuilt: None,
            suspects: false,
        }
    }

    /// Whether something was wrong when it looked last, and no claim was answered since.
    pub(super) fn complains(&self) -> bool {
        self.suspects || self.rebuilt.is_some_and(|rebuilt| self.claims.newest() < Some(rebuilt))
    }

    /// How often to look.
    pub(super) fn every(&self) -> Duration {
        (self.patience / 4).min(Duration::from_secs(1))
    }

    pub(super) fn look(&mut self, worker: &WorkerInfo, pulse: &mut Pulse) {
        let now = Instant::now();
        let busy = self.leases.busy.load(Ordering::Relaxed);
        let Some(answered) = self.claims.last().filter(|_| busy < worker.slots) else {
            return self.excuse(now);
        };
        if self.rebuilt.is_some_and(|rebuilt| rebuilt < answered) {
            self.rebuilt = None;
        }
        if now.duration_since(answered.max(self.unexcused)) < self.patience {
            self.suspects = false;
            return;
        }
        // A handler that blocks the runtime may do so for as long as it has time.
        if pulse.is_missing() && self.leases.has_one_in_time() {
            return;
        }
        if !self.do_jobs_wait(worker) {
            return self.excuse(now);
        }
        if !std::mem::replace(&mut self.suspects, true) {
            return;
        }
        self.act(worker.id, now);
    }

    fn excuse(&mut self, now: Instant) {
        (self.unexcused, self.suspects) = (now, false);
    }

    /// A store that does not answer is no reason to do anything.
    fn do_jobs_wait(&self, worker: &WorkerInfo) -> bool {
        let waits = |stats: &QueueStats| {
            !stats.paused
                && worker.queues.contains(&stats.queue)
                && !self.limits.is_full(&stats.queue)
                && stats.count(JobState::Available) > 0
        };
        matches!(block_on_within(self.queue.stats(), PROMPT), Some(Ok(stats)) if stats.iter().any(waits))
    }

    fn act(&mut self, worker: WorkerId, now: Instant) {
        let (silent, queue) = (self.patience, self.queue.describe());
        if self.rebuilt.is_some() {
            tracing::error!(
                name: event::WATCHDOG_ENDS,
                queue,
                ?silent,
                exit_code = WATCHDOG_EXIT,
                "jobs wait, slots are free, and still no claim was answered; the process ends"
            );
            let _ = block_on_within(self.queue.leave(worker), PROMPT);
            std::process::exit(WATCHDOG_EXIT);
        }
        tracing::error!(
            name: event::WATCHDOG_RECONNECTS,
            queue,
            ?silent,
            "jobs wait, slots are free, and no claim was answered; the connection is rebuilt"
        );
        self.queue.reconnect();
        self.claims.again.notify_one();
        self.rebuilt = Some(now);
        self.excuse(now);
    }
}
