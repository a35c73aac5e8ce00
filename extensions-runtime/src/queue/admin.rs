//! The operator's half of a backend.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::{Finding, HistoryEntry, QueueError, QueueErrorKind, QueueFuture, Retention, WorkerInfo};
use crate::job::{HandlerKey, JobId, JobRecord, JobState, QueueName};
use crate::time::{Clock, SystemClock, Timestamp};

/// What an operator can see and do. Every call is safe beside running workers.
///
/// A backend without the capability `list` answers `list`, `get`, `retry`, `cancel` and `forget` with an error of kind
/// `Unsupported`; one without `pause` does so for `pause` and `resume`, one without `history` for `history`.
pub trait QueueAdmin: Send + Sync + 'static {
    /// Counts by queue and state.
    fn stats(&self) -> QueueFuture<'_, Vec<QueueStats>>;

    /// Jobs that match the filter, oldest id first, or newest first where the filter says so (Q44).
    fn list(&self, filter: JobFilter) -> QueueFuture<'_, Vec<JobRecord>>;

    /// The jobs with these ids, in their order; `None` for one that is not there.
    fn get(&self, ids: Vec<JobId>) -> QueueFuture<'_, Vec<Option<JobRecord>>>;

    /// Makes dead, cancelled, quarantined, scheduled or retryable jobs available at once. A job that had ended starts again at
    /// attempt 1 with a `lost_count` of 0, keeps its errors, owes no callback, and takes its unique key again where
    /// no other job holds it.
    fn retry(&self, ids: Vec<JobId>) -> QueueFuture<'_, Vec<AdminOutcome>>;

    /// Cancels jobs: a waiting one at once, a running one through its worker's next heartbeat.
    fn cancel(&self, ids: Vec<JobId>, reason: String) -> QueueFuture<'_, Vec<AdminOutcome>>;

    /// Deletes the records of jobs that have ended.
    fn forget(&self, ids: Vec<JobId>) -> QueueFuture<'_, Vec<AdminOutcome>>;

    /// Deletes finished jobs that are older than the retention says, at most `limit`; the number of those deleted.
    fn prune(&self, retention: Retention, limit: u64) -> QueueFuture<'_, u64>;

    /// Stops all claims from a queue, for every worker, until `resume`; survives restarts.
    fn pause(&self, queue: QueueName) -> QueueFuture<'_, ()>;

    /// Ends a pause and wakes the workers.
    fn resume(&self, queue: QueueName) -> QueueFuture<'_, ()>;

    /// The live workers.
    fn workers(&self) -> QueueFuture<'_, Vec<WorkerInfo>>;

    /// What was done in the last `since`, of at most 48 h, by minute, queue and handler: the oldest minute first (Q43). The default is that
    /// of a backend without the capability.
    fn history(&self, since: Duration) -> QueueFuture<'_, Vec<HistoryEntry>> {
        let _ = since;
        let hint = "this queue keeps no history";
        Box::pin(async move { Err(QueueError::new(QueueErrorKind::Unsupported, "history", hint)) })
    }

    /// What is wrong with the store, and what is good to know of it (Q46). The default finds nothing.
    fn check(&self) -> QueueFuture<'_, Vec<Finding>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// The time by the backend's clock (Q45). The default is the machine's.
    fn now(&self) -> QueueFuture<'_, Timestamp> {
        Box::pin(async { Ok(SystemClock.now()) })
    }

    /// The statements or scripts that create and migrate the store, in order, for reading and running by hand.
    fn migrations(&self) -> Vec<Migration>;
}

/// One step of a backend's schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Migration {
    /// Its number, from 1.
    pub version: u32,
    /// What it does, as the backend runs it.
    pub text: String,
}

/// What became of one job of an operator's call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AdminOutcome {
    /// Done.
    Done,
    /// The job runs; its worker was asked and will answer at its next heartbeat.
    Requested,
    /// There is no such job.
    NotFound,
    /// A job in this state cannot be treated so.
    WrongState(JobState),
    /// The job's unique key is held by another job, so it cannot come back.
    Duplicate(JobId),
}

/// Which jobs to list. Conditions add up; an empty one is no condition.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Any of these states.
    pub states: Vec<JobState>,
    /// In this queue.
    pub queue: Option<QueueName>,
    /// Of this handler.
    pub handler: Option<HandlerKey>,
    /// Beyond this id in the list's order: the last id of the page before.
    pub after: Option<JobId>,
    /// The newest first; else the oldest.
    pub newest: bool,
    /// At most this many; 0 means 100.
    pub limit: usize,
}

/// The figures of one queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueStats {
    /// Its name.
    pub queue: QueueName,
    /// How many jobs are in each state; states without jobs are missing.
    pub counts: BTreeMap<JobState, u64>,
    /// Whether it is paused.
    pub paused: bool,
    /// How many live workers serve it.
    pub workers: u64,
    /// How long the job that has been available longest has been so.
    pub oldest_wait: Option<Duration>,
}

impl JobFilter {
    /// The largest number of records to list.
    #[must_use]
    pub const fn page(&self) -> usize {
        if self.limit == 0 { 100 } else { self.limit }
    }

    /// Whether a job of this id comes after the last id of the page before.
    #[must_use]
    pub fn is_beyond(&self, id: JobId) -> bool {
        self.after.is_none_or(|after| if self.newest { id < after } else { id > after })
    }
}

impl QueueStats {
    /// The figures of a queue in which nothing is.
    #[must_use]
    pub const fn empty(queue: QueueName) -> Self {
        Self { queue, counts: BTreeMap::new(), paused: false, workers: 0, oldest_wait: None }
    }

    /// How many jobs are in `state`.
    #[must_use]
    pub fn count(&self, state: JobState) -> u64 {
        self.counts.get(&state).copied().unwrap_or(0)
    }

    /// Whether jobs wait that no live worker serves: none will run before one is started.
    #[must_use]
    pub fn is_unserved(&self) -> bool {
        let waiting = self.count(JobState::Available) + self.count(JobState::Unroutable);
        !self.paused && self.workers == 0 && waiting > 0
    }

    /// How many jobs have not ended: scheduled, available, running, retryable or unroutable.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        self.counts.iter().filter(|(state, _)| !state.is_final()).map(|(_, n)| n).sum()
    }
}
