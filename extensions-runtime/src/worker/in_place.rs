//! Runs jobs where the caller waits for them, one after the other, by a clock that can be moved.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{StopReason, WorkerReport};
use crate::instance::Extensions;
use crate::job::{JobRecord, JobState, QueueName};
use crate::queue::{JobFilter, QueueBackend, QueueError, QueueErrorKind};
use crate::time::{Clock, ManualClock};

/// How often the clock is moved for jobs that are not done before it is given up.
const MOST_MOVES: u32 = 1_000;

/// A queue whose jobs are run in place, and its clock.
#[derive(Debug, Clone)]
pub(crate) struct InPlace {
    pub(crate) queue: Arc<dyn QueueBackend>,
    pub(crate) clock: Arc<ManualClock>,
    /// Whether open circuits hold jobs back.
    pub(crate) heeds_breakers: bool,
}

impl InPlace {
    /// Runs what is due now, and what that makes due now.
    pub(crate) async fn run_due(&self, extensions: &Extensions) -> Result<WorkerReport, QueueError> {
        let mut total = WorkerReport { stopped: StopReason::Empty, ..WorkerReport::default() };
        // The worker's own upkeep runs beside its claims: what a run that was dropped left behind would come back too late.
        self.queue.maintain(extensions.settings().retention).await?;
        let mut served = BTreeSet::new();
        loop {
            let queues = self.queues().await?;
            if queues == served {
                return Ok(total);
            }
            let worker = extensions.worker().queues(queues.iter().cloned()).in_place(self.clone());
            total.add(worker.run_until(std::future::pending()).await?);
            served = queues;
        }
    }

    /// Runs everything, and moves the clock to when the next job is due, until none is left that can be run.
    pub(crate) async fn run_all(&self, extensions: &Extensions) -> Result<WorkerReport, QueueError> {
        let mut total = self.run_due(extensions).await?;
        for _ in 0..MOST_MOVES {
            let Some(due) = self.next_due(extensions).await? else { return Ok(total) };
            self.clock.advance(due);
            total.add(self.run_due(extensions).await?);
        }
        let hint = format!("jobs put themselves off again and again: given up after {MOST_MOVES} waits");
        Err(QueueError::new(QueueErrorKind::Other, "work", hint))
    }

    /// Jobs in any of these states.
    pub(crate) async fn list(&self, states: &[JobState]) -> Result<Vec<JobRecord>, QueueError> {
        let filter = JobFilter { states: states.to_vec(), limit: usize::MAX, ..JobFilter::default() };
        self.queue.list(filter).await
    }

    async fn queues(&self) -> Result<BTreeSet<QueueName>, QueueError> {
        Ok(self.queue.stats().await?.into_iter().map(|stats| stats.queue).collect())
    }

    /// How long until a job that is held back by time alone can be run.
    async fn next_due(&self, extensions: &Extensions) -> Result<Option<Duration>, QueueError> {
        let now = self.clock.now();
        let waiting = self.list(&[JobState::Scheduled, JobState::Retryable]).await?;
        let by_time = waiting.iter().map(|job| job.run_at.since(now));
        let held = if self.heeds_breakers { self.list(&[JobState::Available]).await? } else { Vec::new() };
        let registry = extensions.registry();
        let by_circuit = held.iter().filter_map(|job| registry.retry_in(&job.handler));
        let is_an_end = |wait: &Duration| !wait.is_zero() && *wait < Duration::MAX;
        Ok(by_time.chain(by_circuit.filter(is_an_end)).min())
    }
}
