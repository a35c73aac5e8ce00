//! A worker's options.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::control::Control;
use super::in_place::InPlace;
use super::memory;
use super::order::QueueOrder;
use super::report::WorkerReport;
use super::run::Worker;
use super::shutdown::Signals;
use crate::config::{Pool, PoolQueues};
use crate::instance::{Extensions, no_queue};
use crate::job::QueueName;
use crate::queue::{QueueError, QueueErrorKind};

/// A worker that is about to run, made by [`Extensions::worker`].
///
/// Without [`queues`](Self::queues) or [`weights`](Self::weights) it serves every queue that the instance's handlers name, with equal
/// weights.
#[derive(Debug)]
#[must_use = "a worker works once `.run().await` or `.run_until(…).await` is called"]
pub struct WorkerBuilder {
    extensions: Extensions,
    order: Option<QueueOrder>,
    pub(super) concurrency: usize,
    pub(super) queue_concurrency: BTreeMap<QueueName, usize>,
    pub(super) prefetch: usize,
    pub(super) lease: Duration,
    pub(super) grace: Duration,
    pub(super) stop_when: Option<StopWhen>,
    pub(super) max_jobs: Option<u64>,
    pub(super) max_time: Option<Duration>,
    pub(super) max_memory: Option<u64>,
    pub(super) control: Control,
    pub(super) watchdog: Option<Duration>,
    pub(super) in_place: Option<InPlace>,
}

const LONGEST_LEASE: Duration = Duration::from_secs(24 * 3600);
const SHORTEST_WATCH: Duration = Duration::from_secs(1);
const MOST_SLOTS: usize = 100_000;

/// When a worker ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopWhen {
    Empty,
    Drained,
}

impl WorkerBuilder {
    pub(crate) fn new(extensions: Extensions) -> Self {
        Self {
            extensions,
            order: None,
            concurrency: 64,
            queue_concurrency: BTreeMap::new(),
            prefetch: 500,
            lease: Duration::from_secs(30),
            grace: Duration::from_secs(25),
            stop_when: None,
            max_jobs: None,
            max_time: None,
            max_memory: None,
            control: Control::new(),
            watchdog: Some(Duration::from_secs(30)),
            in_place: None,
        }
    }

    /// The queues, the most urgent first: one is served only when those before it are empty.
    pub fn queues<Q: Into<QueueName>>(mut self, queues: impl IntoIterator<Item = Q>) -> Self {
        self.order = Some(QueueOrder::strict(queues.into_iter().map(Into::into)));
        self
    }

    /// The queues with weights: `payments` at 6 comes first six times as often as `default` at 1. A weight of 0 counts as 1.
    pub fn weights<Q: Into<QueueName>>(mut self, weights: impl IntoIterator<Item = (Q, u32)>) -> Self {
        self.order =
            Some(QueueOrder::weighted(weights.into_iter().map(|(queue, weight)| (queue.into(), weight))));
        self
    }

    /// What a pool of the configuration says (`[worker.NAME]`), each option as if it were called here: what is called later wins. How many
    /// processes there are, and whether the slots change, is a supervisor's affair.
    ///
    /// ```
    /// # use extensions_runtime::{BoxError, Extensions, config::Pool};
    /// # fn example(ext: &Extensions, name: &str) -> Option<()> {
    /// let pool: &Pool = ext.config().pools().get(name)?;
    /// let worker = ext.worker().pool(pool).concurrency(8);
    /// # Some(()) }
    /// ```
    pub fn pool(self, pool: &Pool) -> Self {
        let mut worker = match &pool.queues {
            PoolQueues::Strict(queues) => self.queues(queues.iter().cloned()),
            PoolQueues::Weighted(weights) => self.weights(weights.iter().cloned()),
        };
        let limits = pool.queue_concurrency.iter().map(|(queue, jobs)| (queue.clone(), *jobs));
        worker = worker.concurrency(pool.concurrency).queue_concurrency(limits);
        worker.prefetch = pool.prefetch.unwrap_or(worker.prefetch).min(MOST_SLOTS);
        worker.grace = pool.grace.unwrap_or(worker.grace);
        worker.max_jobs = pool.max_jobs.or(worker.max_jobs);
        worker.max_time = pool.max_time.or(worker.max_time);
        worker.max_memory = pool.max_memory.or(worker.max_memory);
        let lease = pool.lease.unwrap_or(worker.lease);
        worker.lease(lease)
    }

    /// How many jobs run at once; default 64, at least 1, at most 100,000.
    pub fn concurrency(mut self, slots: usize) -> Self {
        self.concurrency = possible_slots(slots);
        self
    }

    /// How many jobs of a queue this worker has at most at once, those included that it claimed ahead: `payments` at 2 never takes more
    /// than two of the slots. At least 1; a later number for a queue takes the place of an earlier one. Queues that are not named have
    /// no limit but [`concurrency`](Self::concurrency).
    ///
    /// Other workers have limits of their own.
    pub fn queue_concurrency<Q: Into<QueueName>>(
        mut self,
        limits: impl IntoIterator<Item = (Q, usize)>,
    ) -> Self {
        self.queue_concurrency
            .extend(limits.into_iter().map(|(queue, jobs)| (queue.into(), possible_slots(jobs))));
        self
    }

    /// The most jobs to claim ahead of free slots; default 500. How many are claimed follows how fast they are used up: none ahead
    /// where handlers are slow.
    pub fn prefetch(mut self, jobs: usize) -> Self {
        self.prefetch = jobs.min(MOST_SLOTS);
        self
    }

    /// How long a claim holds without a heartbeat: after so long the jobs of a worker that died are taken up by others. Default 30 s, at
    /// least 1 s, at most a day.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease.clamp(Duration::from_secs(1), LONGEST_LEASE);
        self
    }

    /// How long running handlers may go on at shut-down before they are told to stop; default 25 s. Five seconds later they are
    /// dropped and their jobs given back.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Ends as soon as nothing is available on its queues; what is scheduled for later stays. For workers that cron starts.
    pub fn stop_when_empty(mut self) -> Self {
        self.stop_when = Some(StopWhen::Empty);
        self
    }

    /// Ends when nothing is left on its queues at all: nothing available, scheduled, retryable, or running, here or elsewhere. Jobs
    /// that no live worker can run do not keep it.
    pub fn stop_when_drained(mut self) -> Self {
        self.stop_when = Some(StopWhen::Drained);
        self
    }

    /// Ends after this many jobs.
    pub fn max_jobs(mut self, jobs: u64) -> Self {
        self.max_jobs = Some(jobs);
        self
    }

    /// Ends after this long.
    pub fn max_time(mut self, time: Duration) -> Self {
        self.max_time = Some(time);
        self
    }

    /// Ends when the process has more memory than this, in bytes: its resident set, looked at every second. Running handlers have the
    /// usual grace. For workers that are started anew when they end; the limit is for the whole process, whatever else it does.
    pub fn max_memory(mut self, bytes: u64) -> Self {
        self.max_memory = Some(bytes);
        self
    }

    /// Runs one job, or none where there is none to be run now, and ends.
    pub fn once(self) -> Self {
        self.concurrency(1).prefetch(0).max_jobs(1).stop_when_empty()
    }

    /// Ties the worker to a [`Control`], through which it can be changed, ended and watched while it runs.
    pub fn control(mut self, control: &Control) -> Self {
        self.control = control.clone();
        self
    }

    /// How long the worker may do nothing although slots are free and jobs are available on its queues: no claim was answered for so long.
    /// Then the connection to the queue is rebuilt, and after the same time again the process ends with exit code
    /// [`WATCHDOG_EXIT`](super::WATCHDOG_EXIT), 70, for whatever started it to start it anew. Default 30 s, at least 1 s;
    /// `Duration::MAX` turns it off.
    ///
    /// A queue that cannot be reached is no reason for either, and neither is a handler that blocks the runtime while it has time.
    pub fn watchdog(mut self, patience: Duration) -> Self {
        self.watchdog = (patience < Duration::MAX).then(|| patience.max(SHORTEST_WATCH));
        self
    }

    /// Runs what is due in another queue than the instance's, by its clock, one job after the other.
    pub(super) fn in_place(mut self, in_place: InPlace) -> Self {
        self.in_place = Some(in_place);
        self.concurrency(1).prefetch(0).stop_when_empty()
    }

    /// Works until SIGTERM, SIGINT or SIGHUP, or until one of the options ends it. A second signal ends the process at once, with
    /// 128 plus its number; so does any signal once the worker has ended, since the signals' own effect cannot be brought back.
    ///
    /// A blocking handler that never returns keeps its thread, and a Tokio runtime waits for such threads when it is dropped: end the
    /// process itself (`std::process::exit`, or `Runtime::shutdown_timeout`) where handlers may hang.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the instance has no queue, and for [`max_memory`](Self::max_memory) where the system does not say how much
    /// memory a process has (only Linux does); `InvalidConfig` for options that cannot be, or outside a Tokio runtime. An unreachable
    /// queue is no error: the worker tries until it is back.
    pub async fn run(self) -> Result<WorkerReport, QueueError> {
        needs_tokio()?;
        let signals = Signals::listen().map_err(|error| {
            QueueError::new(QueueErrorKind::Other, "work", "signals cannot be listened for")
                .with_source(error)
        })?;
        self.run_until(signals.first()).await
    }

    /// Works until the future ends, or until one of the options ends it. Signals are left alone.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves its claimed jobs to their leases; end it through the future instead.
    pub async fn run_until(
        mut self,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<WorkerReport, QueueError> {
        needs_tokio()?;
        let in_place = self.in_place.as_ref().map(|in_place| Arc::clone(&in_place.queue));
        let Some(queue) = in_place.or_else(|| self.extensions.queue().cloned()) else {
            return Err(no_queue("work"));
        };
        let order = self.order.take().unwrap_or_else(|| every_queue(&self.extensions));
        if order.names().is_empty() {
            let hint = "the worker serves no queue; name one with `.queues([…])`";
            return Err(QueueError::new(QueueErrorKind::InvalidConfig, "work", hint));
        }
        if self.max_memory.is_some() && memory::resident().is_none() {
            let hint = "this system does not say how much memory the process has; leave `max_memory` out";
            return Err(QueueError::new(QueueErrorKind::Unsupported, "work", hint));
        }
        Worker::new(self.extensions.clone(), queue, order, &self).run(shutdown).await
    }
}

/// The nearest number of slots that can be.
pub(super) fn possible_slots(slots: usize) -> usize {
    slots.clamp(1, MOST_SLOTS)
}

fn needs_tokio() -> Result<(), QueueError> {
    let missing = |error| {
        let hint = "a worker runs on Tokio; await it in a Tokio runtime, such as that of `#[tokio::main]`";
        QueueError::new(QueueErrorKind::InvalidConfig, "work", hint).with_source(error)
    };
    tokio::runtime::Handle::try_current().map(|_| ()).map_err(missing)
}

fn every_queue(extensions: &Extensions) -> QueueOrder {
    let registry = extensions.registry();
    let handlers = registry.handlers().iter();
    let mut names: BTreeSet<QueueName> =
        handlers.filter_map(|info| info.options.as_ref()).map(|options| options.queue.clone()).collect();
    names.insert("default".into());
    QueueOrder::Weighted(names.into_iter().map(|queue| (queue, 1)).collect())
}
