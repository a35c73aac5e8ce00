//! Queues and workers, as an operator sees them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::bulk::{Act, Bulk};
use super::selection::{Selection, WAITING};
use crate::job::{JobState, QueueName, WorkerId};
use crate::queue::{QueueAdmin, QueueError, QueueStats, Retention, WorkerInfo};
use crate::time::Timestamp;

/// How many jobs are deleted in one call.
const PRUNED_AT_ONCE: u64 = 10_000;
/// As good as for ever, and far from any overflow.
const FOR_EVER: Duration = Duration::from_secs(1_000 * 365 * 24 * 60 * 60);

/// Durations in JSON are seconds.
fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// The same where there may be none.
#[allow(clippy::ref_option, reason = "serde gives a reference")]
fn maybe_seconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| duration.as_secs_f64()).serialize(serializer)
}

/// The figures of one queue.
#[derive(Debug, Serialize)]
pub(crate) struct QueueView {
    /// Its name.
    pub(crate) queue: QueueName,
    /// Whether it is paused.
    pub(crate) paused: bool,
    /// How many live workers serve it.
    pub(crate) workers: u64,
    /// Whether jobs wait that could run, and no live worker serves it.
    pub(crate) unserved: bool,
    /// How many seconds the job that has been available longest has been so.
    #[serde(serialize_with = "maybe_seconds")]
    pub(crate) oldest_wait: Option<Duration>,
    /// How many jobs are in each state; every state is there.
    pub(crate) counts: BTreeMap<JobState, u64>,
}

impl QueueView {
    /// How many jobs are in any of these states.
    pub(crate) fn count(&self, states: &[JobState]) -> u64 {
        states.iter().filter_map(|state| self.counts.get(state)).sum()
    }
}

impl From<QueueStats> for QueueView {
    fn from(stats: QueueStats) -> Self {
        let could_run = stats.count(JobState::Available) + stats.count(JobState::Unroutable);
        Self {
            paused: stats.paused,
            workers: stats.workers,
            unserved: could_run > 0 && stats.workers == 0,
            oldest_wait: stats.oldest_wait,
            counts: JobState::ALL.into_iter().map(|state| (state, stats.count(state))).collect(),
            queue: stats.queue,
        }
    }
}

/// A live worker.
#[derive(Debug, Serialize)]
pub(crate) struct WorkerView {
    pub(crate) id: WorkerId,
    pub(crate) host: String,
    pub(crate) pid: u32,
    pub(crate) version: String,
    pub(crate) queues: Vec<QueueName>,
    /// The handlers that it can run, by key.
    pub(crate) handlers: Vec<String>,
    pub(crate) slots: u32,
    pub(crate) busy: u32,
    pub(crate) started_at: String,
    pub(crate) last_beat: String,
    /// How many seconds after its last beat it still counts as live.
    #[serde(serialize_with = "seconds")]
    pub(crate) live_for: Duration,
    #[serde(skip)]
    pub(crate) started: Timestamp,
    #[serde(skip)]
    pub(crate) beat: Timestamp,
}

impl From<WorkerInfo> for WorkerView {
    fn from(worker: WorkerInfo) -> Self {
        Self {
            id: worker.id,
            host: worker.host,
            pid: worker.pid,
            version: worker.version,
            queues: worker.queues,
            handlers: worker.handlers.iter().map(|known| known.handler.to_string()).collect(),
            slots: worker.slots,
            busy: worker.busy,
            started_at: worker.started_at.to_string(),
            last_beat: worker.last_beat.to_string(),
            live_for: worker.live_for,
            started: worker.started_at,
            beat: worker.last_beat,
        }
    }
}

/// Deletes every job of a queue that waits; one that a worker takes meanwhile is left to it. Answers what the cancelling and the
/// deleting came to.
pub(crate) async fn clear(queue: &dyn QueueAdmin, name: &QueueName, now: Timestamp) -> (Bulk, Bulk) {
    const REASON: &str = "the queue was cleared";
    let of_queue =
        |states: &[JobState]| Selection { queue: Some(name.clone()), ..Selection::in_states(states) };
    let cancelled = Bulk::run(queue, &of_queue(WAITING), &Act::Cancel(REASON.to_owned()), now).await;
    let cleared = Selection { error: Some(REASON.to_owned()), ..of_queue(&[JobState::Cancelled]) };
    let forgotten = Bulk::run(queue, &cleared, &Act::Forget, now).await;
    (cancelled, forgotten)
}

/// Deletes dead and quarantined jobs that have been so for longer than `age`; how many.
///
/// # Errors
///
/// Those of the queue.
pub(crate) async fn prune_failed(queue: &dyn QueueAdmin, age: Duration) -> Result<u64, QueueError> {
    let retention = Retention { completed: FOR_EVER, cancelled: FOR_EVER, dead: age };
    let mut pruned = 0;
    loop {
        let round = queue.prune(retention, PRUNED_AT_ONCE).await?;
        pruned += round;
        if round < PRUNED_AT_ONCE {
            return Ok(pruned);
        }
    }
}
