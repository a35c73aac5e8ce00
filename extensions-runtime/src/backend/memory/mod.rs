//! Jobs in the process's memory: for tests and trials.
//!
//! Keeps every rule of [`QueueBackend`] but outlives nothing. With a [`ManualClock`](crate::time::ManualClock) time
//! stands still until the test moves it.

mod history;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use self::state::State;
use crate::job::{JobId, JobRecord, NewJob, QueueName, WorkerId};
use crate::queue::{
    AdminOutcome, Capabilities, ClaimRequest, Claimed, Extend, Extended, Finding, HistoryEntry, JobFilter,
    Maintained, Migration, Pushed, QueueAdmin, QueueBackend, QueueFuture, QueueStats, Retention, Settled,
    Settlement, Tally, WaitRequest, WorkerInfo,
};
use crate::time::{Clock, SystemClock, Timestamp};

/// A queue in memory. Clones are handles to the same queue.
#[derive(Debug, Clone)]
pub struct Memory {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
    clock: Arc<dyn Clock>,
}

/// How often a waiting worker looks at a clock that may be moved by hand.
const CLOCK_CHECK: Duration = Duration::from_millis(5);

/// How many jobs one round of upkeep deletes at most.
const PRUNE_LIMIT: u64 = 10_000;

impl Memory {
    /// An empty queue on the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// An empty queue on the given clock, which decides on delays, leases and retention.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { shared: Arc::new(Shared { state: Mutex::default(), changed: Notify::new(), clock }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call<'a, T: Send + 'a>(
        &'a self,
        step: impl FnOnce(&mut State, Timestamp) -> T + Send + 'a,
    ) -> QueueFuture<'a, T> {
        Box::pin(async move {
            let mut state = self.state();
            let before = state.generation();
            let answer = step(&mut state, self.shared.clock.now());
            let woken = state.generation() != before;
            drop(state);
            if woken {
                self.shared.changed.notify_waiters();
            }
            Ok(answer)
        })
    }

    /// Whether a claim may be worth while, and whether that can change by time alone.
    fn look(&self, request: &WaitRequest) -> (bool, bool) {
        let state = self.state();
        let due = state.next_due(&request.queues, self.shared.clock.now());
        (state.changed_since(&request.queues, request.cursor) || due == Some(Duration::ZERO), due.is_some())
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl QueueBackend for Memory {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL.not_durable().without_transactions()
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }

    fn push(&self, jobs: Arc<[NewJob]>) -> QueueFuture<'_, Vec<Pushed>> {
        self.call(move |state, now| jobs.iter().map(|job| state.push(job, now)).collect())
    }

    fn reserve(&self, request: ClaimRequest) -> QueueFuture<'_, Claimed> {
        self.call(move |state, now| state.reserve(&request, now))
    }

    fn settle(&self, settlements: Vec<Settlement>) -> QueueFuture<'_, Vec<Settled>> {
        self.call(move |state, now| settlements.into_iter().map(|end| state.settle(end, now)).collect())
    }

    fn extend(&self, claims: Vec<Extend>, lease: Duration) -> QueueFuture<'_, Vec<Extended>> {
        self.call(move |state, now| {
            let until = now.saturating_add(lease);
            claims.into_iter().map(|claim| state.extend(claim, until)).collect()
        })
    }

    fn wait(&self, request: WaitRequest) -> QueueFuture<'_, ()> {
        Box::pin(async move {
            let timeout = tokio::time::sleep(request.timeout);
            tokio::pin!(timeout);
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                let (ready, timed) = self.look(&request);
                if ready {
                    return Ok(());
                }
                tokio::select! {
                    () = &mut changed => {}
                    () = tokio::time::sleep(CLOCK_CHECK), if timed => {}
                    () = &mut timeout => return Ok(()),
                }
            }
        })
    }

    fn maintain(&self, retention: Retention) -> QueueFuture<'_, Maintained> {
        self.call(move |state, now| {
            let (rescued, quarantined) = state.rescue(now);
            state.note_unroutable(now);
            Maintained {
                rescued,
                quarantined,
                promoted: state.promote(now),
                pruned: state.prune(retention, PRUNE_LIMIT, now),
            }
        })
    }

    fn beat(&self, worker: WorkerInfo, done: Vec<Tally>) -> QueueFuture<'_, ()> {
        self.call(move |state, now| state.beat(worker, &done, now))
    }

    fn leave(&self, worker: WorkerId) -> QueueFuture<'_, ()> {
        self.call(move |state, now| state.leave(worker, now))
    }
}

impl QueueAdmin for Memory {
    fn stats(&self) -> QueueFuture<'_, Vec<QueueStats>> {
        self.call(|state, now| state.stats(now))
    }

    fn list(&self, filter: JobFilter) -> QueueFuture<'_, Vec<JobRecord>> {
        self.call(move |state, now| state.list(&filter, now))
    }

    fn get(&self, ids: Vec<JobId>) -> QueueFuture<'_, Vec<Option<JobRecord>>> {
        self.call(move |state, now| ids.into_iter().map(|id| state.record(id, now)).collect())
    }

    fn retry(&self, ids: Vec<JobId>) -> QueueFuture<'_, Vec<AdminOutcome>> {
        self.call(move |state, now| ids.into_iter().map(|id| state.retry(id, now)).collect())
    }

    fn cancel(&self, ids: Vec<JobId>, reason: String) -> QueueFuture<'_, Vec<AdminOutcome>> {
        self.call(move |state, now| ids.into_iter().map(|id| state.cancel(id, &reason, now)).collect())
    }

    fn forget(&self, ids: Vec<JobId>) -> QueueFuture<'_, Vec<AdminOutcome>> {
        self.call(move |state, now| ids.into_iter().map(|id| state.forget(id, now)).collect())
    }

    fn prune(&self, retention: Retention, limit: u64) -> QueueFuture<'_, u64> {
        self.call(move |state, now| state.prune(retention, limit, now))
    }

    fn pause(&self, queue: QueueName) -> QueueFuture<'_, ()> {
        self.call(move |state, _| state.pause(queue))
    }

    fn resume(&self, queue: QueueName) -> QueueFuture<'_, ()> {
        self.call(move |state, _| state.resume(&queue))
    }

    fn workers(&self) -> QueueFuture<'_, Vec<WorkerInfo>> {
        self.call(|state, now| state.live_workers(now))
    }

    fn history(&self, since: Duration) -> QueueFuture<'_, Vec<HistoryEntry>> {
        self.call(move |state, now| state.history(since, now))
    }

    fn check(&self) -> QueueFuture<'_, Vec<Finding>> {
        self.call(|state, now| state.check(now))
    }

    fn now(&self) -> QueueFuture<'_, Timestamp> {
        self.call(|_, now| now)
    }

    fn migrations(&self) -> Vec<Migration> {
        Vec::new()
    }
}
