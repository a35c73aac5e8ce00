//! Calls to the queue that fail for a while: said once each way, however many calls of however many kinds fail.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::queue::{Link, QueueBackend, QueueError};
use crate::telemetry::names::event;

/// Which of a worker's calls fail at present.
#[derive(Debug)]
pub(super) struct Outage {
    queue: Arc<dyn QueueBackend>,
    /// How often the connection had been lost before this worker.
    losses_before: u64,
    is_any: AtomicBool,
    failing: Mutex<Failing>,
    /// A kind of call that failed works again.
    better: Notify,
}

#[derive(Debug, Default)]
struct Failing {
    /// How often each kind of call has failed in a row.
    calls: BTreeMap<&'static str, u32>,
    /// Whether this was said here, and not by the queue's own connection.
    said: bool,
}

impl Outage {
    pub(super) fn new(queue: Arc<dyn QueueBackend>) -> Self {
        let losses_before = queue.connection().losses;
        Self {
            queue,
            losses_before,
            is_any: AtomicBool::new(false),
            failing: Mutex::default(),
            better: Notify::new(),
        }
    }

    fn failing(&self) -> MutexGuard<'_, Failing> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call failed. How long to wait before it is made again.
    pub(super) fn failed(&self, call: &'static str, error: &QueueError) -> Duration {
        let mut failing = self.failing();
        self.is_any.store(true, Ordering::Relaxed);
        let failures = failing.calls.entry(call).or_default();
        *failures = failures.saturating_add(1);
        let wait = Link::back_off(*failures);
        if failing.said || !self.queue.connection().up {
            tracing::debug!(call, %error, "the queue still fails");
        } else {
            failing.said = true;
            tracing::warn!(name: event::STORE_FAILS, queue = self.queue.describe(), call, %error, "the queue fails; trying until it works again");
        }
        wait
    }

    /// A call failed. Waits until it should be made again: the back-off, or until another kind of call works again.
    pub(super) async fn wait(&self, call: &'static str, error: &QueueError) {
        let better = self.better.notified();
        let wait = self.failed(call, error);
        tokio::select! {
            () = better => {}
            () = tokio::time::sleep(wait) => {}
        }
    }

    /// Whether settlements or extensions fail, so that leases may have ended that are still wanted.
    pub(super) fn keeps_leases_waiting(&self) -> bool {
        self.is_any.load(Ordering::Relaxed)
            && ["settle", "extend"].iter().any(|call| self.failing().calls.contains_key(call))
    }

    /// A call was answered, or is not needed any more.
    pub(super) fn works(&self, call: &'static str) {
        if !self.is_any.load(Ordering::Relaxed) {
            return;
        }
        let mut failing = self.failing();
        if failing.calls.remove(call).is_some() {
            self.better.notify_waiters();
        }
        if failing.calls.is_empty() {
            self.is_any.store(false, Ordering::Relaxed);
            if std::mem::take(&mut failing.said) {
                tracing::info!(name: event::STORE_WORKS, queue = self.queue.describe(), "the queue works again");
            }
        }
    }

    /// How often the queue's connection was lost since.
    pub(super) fn losses(&self) -> u64 {
        self.queue.connection().losses.saturating_sub(self.losses_before)
    }
}
