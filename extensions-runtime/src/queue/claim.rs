//! Claims and what ends them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::job::{
    AttemptError, ClaimedJob, HandlerKey, JobId, LeaseToken, NewJob, Payload, Progress, QueueName, WorkerId,
};
use crate::time::Timestamp;

/// A handler that a worker can run, with the newest payload version it understands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct KnownHandler {
    /// The handler.
    pub handler: HandlerKey,
    /// The newest version of its point's payload that the worker can decode.
    pub max_version: u32,
}

/// What a worker asks for.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// Who asks.
    pub worker: WorkerId,
    /// The queues, the most urgent first; a later one is looked at only when the earlier ones gave too little.
    pub queues: Vec<QueueName>,
    /// What the worker can run. Held-back handlers are simply not named.
    pub handlers: Arc<[KnownHandler]>,
    /// The largest number of jobs to take.
    pub max: usize,
    /// How long the claim holds unless it is extended.
    pub lease: Duration,
    /// Which jobs that were lost before may be taken.
    pub lost: TakeLost,
}

/// Which jobs whose worker was lost before a claim may bring. Such a job's start is recorded in the claim, so a worker asks for one
/// only when it can start it at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TakeLost {
    /// None of them.
    None,
    /// Those with a `lost_count` of 0: it is unknown whether they had started.
    Uncounted,
    /// All: a worker runs one job with a higher `lost_count` at a time, so that no other is blamed for what it does.
    All,
}

/// What a claim brought.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The jobs, in the order in which they should start.
    pub jobs: Vec<ClaimedJob>,
    /// To be handed to `wait`, so that no wake-up between this claim and the wait is lost.
    pub cursor: WaitCursor,
    /// How long until the next scheduled or retryable job of these queues is due, if any.
    pub next_due: Option<Duration>,
}

/// A claim that a wait brought.
#[derive(Debug, Clone)]
pub struct Handed {
    /// The jobs; at least one.
    pub claimed: Claimed,
    /// From when on the lease is to be counted: before the claim was made.
    pub since: Instant,
}

/// How much of the backend's changes a claim had seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct WaitCursor(pub u64);

/// What an idle worker waits for.
#[derive(Debug, Clone)]
pub struct WaitRequest {
    /// The queues it serves.
    pub queues: Vec<QueueName>,
    /// What the last claim had seen.
    pub cursor: WaitCursor,
    /// The longest time to wait.
    pub timeout: Duration,
}

/// What became of a pushed job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It is stored (now, or by an earlier push of the same id).
    Queued,
    /// Its unique key is held by that job; it is not stored.
    Duplicate {
        /// The job that holds the key.
        of: JobId,
    },
}

/// The end of a claim.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// The job.
    pub job: JobId,
    /// The claim's token.
    pub token: LeaseToken,
    /// How it ends.
    pub end: Settle,
}

/// How a claim ends.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Settle {
    /// The job is completed. With `keep` false its record is deleted in the same step.
    Complete {
        /// Whether the record is kept for a while.
        keep: bool,
        /// What is kept of its work with the record, as JSON.
        result: Option<Payload>,
        /// Jobs that are stored in the same step, as by a push.
        follow_ups: Arc<[NewJob]>,
    },
    /// The attempt failed; the job is `retryable` and available again after the delay.
    Retry {
        /// How long to wait, by the backend's clock.
        delay: Duration,
        /// What went wrong.
        error: AttemptError,
    },
    /// The job is `scheduled` again after the delay; the attempt is given back.
    Snooze {
        /// How long to wait, by the backend's clock.
        delay: Duration,
    },
    /// The job is `available` at once; the attempt is given back.
    Release,
    /// The job is `cancelled`.
    Cancel {
        /// Why.
        reason: String,
        /// Whether the record is kept for a while.
        keep: bool,
    },
    /// The job is `dead`.
    Bury {
        /// What went wrong.
        error: AttemptError,
        /// Whether `on_failure` is owed; then the lease goes on until [`Settle::CallbackDone`].
        owe_on_failure: bool,
    },
    /// The owed `on_failure` was called; the lease ends.
    CallbackDone,
}

/// What became of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It took effect.
    Done,
    /// The token is not the job's current one (or the job is gone); nothing was changed.
    LeaseLost,
}

/// A claim to be extended.
#[derive(Debug, Clone, PartialEq)]
pub struct Extend {
    /// The job.
    pub job: JobId,
    /// The claim's token.
    pub token: LeaseToken,
    /// What the handler last said of its progress, if that is new.
    pub progress: Option<Progress>,
}

/// What became of an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extended {
    /// The claim holds for the asked time from now.
    Held,
    /// The claim holds, and someone asked for the job to be cancelled.
    CancelRequested,
    /// The token is not the job's current one (or the job is gone).
    LeaseLost,
}

/// What a live worker says of itself at every beat.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct WorkerInfo {
    /// Its id, new at every start.
    pub id: WorkerId,
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// The version of the framework.
    pub version: String,
    /// The queues it serves.
    pub queues: Vec<QueueName>,
    /// The handlers it can run.
    pub handlers: Vec<KnownHandler>,
    /// How many jobs it runs at once.
    pub slots: u32,
    /// How many of them are taken.
    pub busy: u32,
    /// When it started, by its own clock.
    pub started_at: Timestamp,
    /// When it last said so, by the backend's clock; what the worker puts here is ignored.
    pub last_beat: Timestamp,
    /// How long after `last_beat` it still counts as live.
    pub live_for: Duration,
}

/// How long finished jobs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Completed jobs; zero deletes in the settling step. Default 1 h.
    pub completed: Duration,
    /// Cancelled jobs; zero deletes in the settling step. Default 24 h.
    pub cancelled: Duration,
    /// Dead and quarantined jobs. Default 14 days.
    pub dead: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        const HOUR: u64 = 3600;
        Self {
            completed: Duration::from_secs(HOUR),
            cancelled: Duration::from_secs(24 * HOUR),
            dead: Duration::from_secs(14 * 24 * HOUR),
        }
    }
}

/// What a round of maintenance did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Maintained {
    /// Jobs whose lease had ended or whose worker was found dead, now available again.
    pub rescued: u64,
    /// Jobs that were lost too often.
    pub quarantined: u64,
    /// Scheduled and retryable jobs whose time had come.
    pub promoted: u64,
    /// Finished jobs that were deleted.
    pub pruned: u64,
}

impl ClaimRequest {
    /// Whether the worker can run jobs of `handler` with a payload of `version`.
    #[must_use]
    pub fn knows(&self, handler: &HandlerKey, version: u32) -> bool {
        self.handlers.iter().any(|known| known.handler == *handler && version <= known.max_version)
    }
}

impl Settle {
    /// `Complete` without a result and without follow-ups.
    #[must_use]
    pub fn complete(keep: bool) -> Self {
        Self::Complete { keep, result: None, follow_ups: Arc::default() }
    }
}
