//! How a worker is, for those who look from outside its task.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::feed::Feed;
use super::leases::Leases;
use super::outage::Outage;
use super::report::{Counts, StopReason, WorkerReport};
use super::watchdog::Claims;
use super::window::Mean;
use crate::job::{QueueName, WorkerId};
use crate::queue::QueueBackend;

/// The longest time in which the heartbeat's thread has made a turn, even where every call to the store runs into its time-out.
const LONGEST_TURN: Duration = Duration::from_secs(60);

/// How a worker is ([`Control::status`](super::Control::status)).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct WorkerStatus {
    /// Its id; nothing before it has started.
    pub worker: Option<WorkerId>,
    /// Whether it takes jobs: its first claim was answered, the connection to the queue is up, and it does not shut down.
    pub ready: bool,
    /// Whether it is well: the thread of its heartbeat runs, and its watchdog has no complaint. An unreachable queue is no complaint.
    pub live: bool,
    /// Whether the connection to the queue is up.
    pub up: bool,
    /// How many jobs it may run at once.
    pub slots: usize,
    /// How many slots are taken.
    pub busy: usize,
    /// How many claimed jobs wait for a slot.
    pub buffered: usize,
    /// How long ago a claim was answered last; nothing before the first answer.
    pub last_claim: Option<Duration>,
    /// How long a job has taken of late, the newest counting most; nothing before the first end.
    pub mean_run_time: Option<Duration>,
    /// The queues of the whole store that have available jobs and no live worker, as of its last look (once a minute, at first after
    /// 10 s).
    pub unserved: Vec<QueueName>,
    /// What it did so far. `stopped` says something only after its end.
    pub report: WorkerReport,
}

/// What a status is made of.
#[derive(Debug)]
pub(super) struct Vitals {
    pub(super) worker: WorkerId,
    pub(super) queue: Arc<dyn QueueBackend>,
    pub(super) leases: Arc<Leases>,
    pub(super) counts: Arc<Counts>,
    pub(super) outage: Arc<Outage>,
    pub(super) claims: Arc<Claims>,
    /// How many jobs may run at once.
    pub(super) slots: AtomicUsize,
    pub(super) feed: Arc<Feed>,
    pub(super) mean_run_time: Arc<Mean>,
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    /// When the heartbeat's thread made its last turn, while it runs.
    turned: Option<Instant>,
    /// Whether the watchdog has a complaint.
    complains: bool,
    unserved: Vec<QueueName>,
    stopped: StopReason,
}

/// A heartbeat's thread that runs, until this is dropped.
#[derive(Debug)]
pub(super) struct Turning(Arc<Vitals>);

impl Vitals {
    pub(super) fn new(
        worker: WorkerId,
        queue: Arc<dyn QueueBackend>,
        slots: usize,
        outage: Arc<Outage>,
    ) -> Self {
        Self {
            worker,
            queue,
            leases: Arc::default(),
            counts: Arc::default(),
            outage,
            claims: Arc::new(Claims::new()),
            slots: AtomicUsize::new(slots),
            feed: Arc::default(),
            mean_run_time: Arc::default(),
            noted: Mutex::default(),
        }
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slots, as a worker's entry says them.
    pub(super) fn slots(&self) -> u32 {
        u32::try_from(self.slots.load(Ordering::Relaxed)).unwrap_or(u32::MAX)
    }

    pub(super) fn note_unserved(&self, queues: Vec<QueueName>) {
        self.noted().unserved = queues;
    }

    pub(super) fn note_stopped(&self, why: StopReason) {
        self.noted().stopped = why;
    }

    pub(super) fn start_turning(self: Arc<Self>) -> Turning {
        self.noted().turned = Some(Instant::now());
        Turning(self)
    }

    pub(super) fn report(&self) -> WorkerReport {
        self.counts.report(self.noted().stopped, self.outage.losses())
    }

    pub(super) fn status(&self) -> WorkerStatus {
        let up = self.queue.connection().up;
        let (live, unserved) = {
            let noted = self.noted();
            let turns = noted.turned.is_some_and(|turned| turned.elapsed() < LONGEST_TURN);
            (turns && !noted.complains, noted.unserved.clone())
        };
        WorkerStatus {
            worker: Some(self.worker),
            ready: up && self.claims.goes_on() && self.claims.newest().is_some(),
            live,
            up,
            slots: self.slots.load(Ordering::Relaxed),
            busy: usize::try_from(self.leases.busy.load(Ordering::Relaxed)).unwrap_or(usize::MAX),
            buffered: self.feed.len(),
            last_claim: self.claims.newest().map(|answered| answered.elapsed()),
            mean_run_time: self.mean_run_time.get(),
            unserved,
            report: self.report(),
        }
    }

    /// The status after the end.
    pub(super) fn last_status(&self) -> WorkerStatus {
        WorkerStatus {
            ready: false,
            live: false,
            busy: 0,
            buffered: 0,
            unserved: Vec::new(),
            ..self.status()
        }
    }
}

impl Turning {
    pub(super) fn turn(&self) {
        self.0.noted().turned = Some(Instant::now());
    }

    pub(super) fn note_complaint(&self, complains: bool) {
        self.0.noted().complains = complains;
    }
}

impl Drop for Turning {
    fn drop(&mut self) {
        self.0.noted().turned = None;
    }
}
