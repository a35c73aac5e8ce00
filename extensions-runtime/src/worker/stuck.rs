//! Ends the claims of handlers that do not return: from the heartbeat's thread, since they may block every thread of the runtime.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::executor::Executor;
use super::job::{Job, Stop};
use super::leases::{Leases, PATIENCE, Stuck, What};
use super::outage::Outage;
use super::pulse::Pulse;
use super::report::add;
use super::status::Vitals;
use crate::job::{AttemptError, ErrorKind};
use crate::queue::{QueueBackend, Settle, Settled, Settlement};
use crate::registry::JobRunner;
use crate::task::block_on;
use crate::telemetry::names::event;

pub(super) struct StuckJobs {
    queue: Arc<dyn QueueBackend>,
    leases: Arc<Leases>,
    outage: Arc<Outage>,
    executor: Weak<Executor>,
    vitals: Arc<Vitals>,
    /// Ends that are not stored yet.
    unsettled: Vec<Unsettled>,
}

/// The end of a stuck handler's attempt.
struct Unsettled {
    job: Job,
    runner: Arc<JobRunner>,
    end: Settle,
}

impl Unsettled {
    fn settlement(&self) -> Settlement {
        Settlement { job: self.job.id(), token: self.job.token(), end: self.end.clone() }
    }
}

impl StuckJobs {
    pub(super) fn new(vitals: Arc<Vitals>, executor: Weak<Executor>) -> Self {
        Self {
            queue: Arc::clone(&vitals.queue),
            leases: Arc::clone(&vitals.leases),
            outage: Arc::clone(&vitals.outage),
            executor,
            vitals,
            unsettled: Vec::new(),
        }
    }

    pub(super) fn look(&mut self, pulse: &mut Pulse) {
        let Some(executor) = self.executor.upgrade() else { return };
        for stuck in self.leases.give_up_stuck(Instant::now()) {
            self.give_up(stuck, &executor);
        }
        while !self.unsettled.is_empty() && self.settle(&executor, pulse) {}
        let blocked = |since: Instant| since.elapsed() >= PATIENCE;
        if self.leases.outlived() > 0 && pulse.missing_since().is_some_and(blocked) {
            self.give_back_waiting(&executor);
        }
    }

    fn give_up(&mut self, stuck: Stuck, executor: &Executor) {
        let Stuck { job, runner, what, limit } = stuck;
        let outlived = self.leases.outlived();
        tracing::error!(
            name: event::HANDLER_STUCK,
            job = %job.id(), handler = %job.handler(), ?what, ?limit, stuck = outlived, slots = self.vitals.slots(),
            "stuck: past its time-out it does not return; its slot stays taken, and its job goes on without it"
        );
        add(&executor.counts.stuck);
        job.work().stuck();
        // A callback's debt stays, and ends with its lease; an open transaction of the handler's may hold the job's row.
        if what != What::Attempt || job.is_completed_within() {
            return self.leases.remove([(job.id(), job.token())]);
        }
        let end = if job.stopping() == Some(Stop::Cancelled) {
            executor.cancellation("cancelled while it ran".to_owned())
        } else {
            let message = format!("ran longer than its time-out of {limit:?}, and did not return");
            executor.verdict(&runner, &job, ErrorKind::TimedOut, message, None)
        };
        self.unsettled.push(Unsettled { job, runner, end });
    }

    /// Whether the queue has answered.
    fn settle(&mut self, executor: &Arc<Executor>, pulse: &Pulse) -> bool {
        let settlements = self.unsettled.iter().map(Unsettled::settlement).collect();
        let settled = match block_on(self.queue.settle(settlements)) {
            Ok(settled) => settled,
            Err(error) if error.is_retryable() => {
                self.outage.failed("settle", &error);
                return false;
            }
            Err(error) => {
                tracing::error!(name: event::STUCK_REFUSED, %error, "the ends of stuck handlers were refused; their leases will end");
                vec![Settled::LeaseLost; self.unsettled.len()]
            }
        };
        self.outage.works("settle");
        for (unsettled, settled) in std::mem::take(&mut self.unsettled).into_iter().zip(settled) {
            let claim = (unsettled.job.id(), unsettled.job.token());
            if settled == Settled::Done {
                self.note_settled(unsettled, executor, pulse);
            }
            if !self.unsettled.iter().any(|again| (again.job.id(), again.job.token()) == claim) {
                self.leases.given_up.fetch_add(1, Ordering::Relaxed);
                self.leases.remove([claim]);
            }
        }
        true
    }

    fn note_settled(&mut self, settled: Unsettled, executor: &Arc<Executor>, pulse: &Pulse) {
        let Unsettled { job, runner, end } = settled;
        if end != Settle::Release {
            executor.counts.note(&job, &end);
        }
        match &end {
            Settle::Retry { error, .. } if runner.options().on_retry => {
                let told: AttemptError = error.clone();
                let executor = Arc::clone(executor);
                pulse.runtime().spawn(async move { executor.tell_of_retry(&runner, &job, &told).await });
            }
            // The callback is for another claim, where a thread is free for it.
            Settle::Bury { owe_on_failure: true, .. } => {
                self.unsettled.push(Unsettled { job, runner, end: Settle::Release });
            }
            _ => {}
        }
    }

    /// Nothing will start here before the runtime runs again, so others shall.
    fn give_back_waiting(&self, executor: &Executor) {
        let waiting = self.leases.take_waiting();
        if waiting.is_empty() {
            return;
        }
        tracing::error!(
            name: event::RUNTIME_BLOCKED,
            jobs = waiting.len(),
            "a stuck handler blocks the runtime; the jobs that wait here are given back"
        );
        let release = |(job, token)| Settlement { job, token, end: Settle::Release };
        match block_on(self.queue.settle(waiting.into_iter().map(release).collect())) {
            Ok(settled) => {
                let done = settled.iter().filter(|settled| **settled == Settled::Done).count() as u64;
                executor.counts.released.fetch_add(done, Ordering::Relaxed);
            }
            Err(error) => {
                self.outage.failed("settle", &error);
            }
        }
    }
}
