//! What the contract decides alike for every backend, free of any store.

use std::collections::{HashMap, HashSet};
#[cfg(any(feature = "postgres", feature = "redis"))]
use std::time::Duration;

use crate::job::{
    AttemptError, ErrorKind, HandlerKey, KEPT_ERRORS, LOSSES_TO_QUARANTINE, QueueName, WorkerId,
};
use crate::queue::{Finding, WorkerInfo};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::queue::{QueueError, QueueErrorKind};
use crate::time::Timestamp;

/// How often an `on_failure` call may be lost before it is dropped (Q30).
pub(super) const CALLBACK_LOSSES: u32 = 3;

/// A connection was given on which no transaction was begun: what is done on it would not share the fate of the caller's rows.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) fn no_transaction(operation: &'static str) -> QueueError {
    let what = "no transaction was begun on this connection; begin one, so that the jobs share its end";
    QueueError::new(QueueErrorKind::InvalidConfig, operation, what)
}

/// What a job becomes whose claim ended without a settlement (Q19–Q22).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterLoss {
    /// Available again.
    Again { lost_count: u32 },
    /// Cancelled, as someone asked while it ran.
    Cancelled { lost_count: u32 },
    /// Lost too often.
    Quarantined { lost_count: u32 },
}

pub(super) const fn after_loss(started: bool, lost_count: u32, cancel_requested: bool) -> AfterLoss {
    let lost_count = lost_count.saturating_add(started as u32);
    if lost_count >= LOSSES_TO_QUARANTINE {
        AfterLoss::Quarantined { lost_count }
    } else if cancel_requested {
        AfterLoss::Cancelled { lost_count }
    } else {
        AfterLoss::Again { lost_count }
    }
}

/// Adds an error, the oldest going first (Q31).
pub(super) fn keep_error(errors: &mut Vec<AttemptError>, error: AttemptError) {
    errors.push(error);
    if errors.len() > KEPT_ERRORS {
        errors.drain(..errors.len() - KEPT_ERRORS);
    }
}

pub(super) fn quarantine_error(attempt: u32, at: Timestamp, worker: Option<WorkerId>) -> AttemptError {
    let message = format!(
        "quarantined: {LOSSES_TO_QUARANTINE} workers died over this job after it had started; see what it does to its process, then retry it by hand"
    );
    AttemptError { attempt, at, kind: ErrorKind::Lost, message, worker, took: None }
}

pub(super) fn callback_dropped_error(attempt: u32, at: Timestamp, worker: Option<WorkerId>) -> AttemptError {
    let message =
        format!("on_failure was dropped: its call was lost {CALLBACK_LOSSES} times with its worker");
    AttemptError { attempt, at, kind: ErrorKind::Lost, message, worker, took: None }
}

/// What is wrong where unique keys are held by jobs that are over or gone.
pub(super) fn orphaned_keys(keys: u64) -> Option<Finding> {
    let what = format!("{keys} unique keys are held by jobs that are over or gone, and keep new jobs out");
    let advice = "see how that came about (a crash of the server, rows deleted by hand), and delete them";
    (keys > 0).then(|| Finding::warning(what, advice))
}

/// What is wrong where the store's clock and the machine's show different times. The store's time decides.
#[cfg(any(feature = "postgres", feature = "redis"))]
pub(super) fn clock_skew(store: Timestamp, machine: Timestamp) -> Option<Finding> {
    const TOLERATED: Duration = Duration::from_secs(5);
    let skew = store.since(machine).max(machine.since(store));
    let what = format!("the clocks of the server and of this machine are {skew:.1?} apart");
    let advice =
        "let both be set by NTP: jobs are due by the server's clock, and logs are written by this one";
    (skew > TOLERATED).then(|| Finding::warning(what, advice))
}

/// What the live workers can run.
#[derive(Debug)]
pub(super) struct Routes<'a> {
    queues: HashSet<&'a QueueName>,
    newest: HashMap<&'a HandlerKey, u32>,
}

impl<'a> Routes<'a> {
    pub(super) fn of(workers: &'a [WorkerInfo]) -> Self {
        let queues = workers.iter().flat_map(|worker| &worker.queues).collect();
        let mut newest: HashMap<_, u32> = HashMap::new();
        for known in workers.iter().flat_map(|worker| &worker.handlers) {
            let version = newest.entry(&known.handler).or_default();
            *version = known.max_version.max(*version);
        }
        Self { queues, newest }
    }

    /// Whether live workers serve the queue and none of them knows the handler in this version (Q35).
    pub(super) fn lack(&self, queue: &QueueName, handler: &HandlerKey, version: u32) -> bool {
        self.queues.contains(queue) && self.newest.get(handler).is_none_or(|newest| version > *newest)
    }
}

#[cfg(test)]
mod tests {
    use super::{AfterLoss, after_loss, keep_error, quarantine_error};
    use crate::job::KEPT_ERRORS;
    use crate::time::Timestamp;

    #[test]
    fn only_losses_after_a_recorded_start_count_and_the_third_ends_the_job() {
        assert_eq!(after_loss(false, 0, false), AfterLoss::Again { lost_count: 0 });
        assert_eq!(after_loss(true, 0, false), AfterLoss::Again { lost_count: 1 });
        assert_eq!(after_loss(true, 1, true), AfterLoss::Cancelled { lost_count: 2 });
        assert_eq!(after_loss(true, 2, true), AfterLoss::Quarantined { lost_count: 3 });
    }

    #[test]
    fn the_oldest_errors_go_first() {
        let mut errors = Vec::new();
        for attempt in 1..=25 {
            keep_error(&mut errors, quarantine_error(attempt, Timestamp::default(), None));
        }
        assert_eq!(errors.len(), KEPT_ERRORS);
        assert_eq!((errors[0].attempt, errors[19].attempt), (6, 25));
    }
}
