//! What is counted and measured: one function for each event. Without the feature `metrics` they do nothing.

use std::sync::Arc;
use std::time::Duration;

use super::names::{self, Metric};
use crate::job::{HandlerKey, NewJob, QueueName};

/// The value of a label. Names that many jobs share are shared with the metric too.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "metrics"), allow(dead_code))]
pub(super) enum Value<'a> {
    Fixed(&'static str),
    Shared(&'a Arc<str>),
    Text(&'a str),
}

pub(crate) fn fired(point: &'static str, outcome: &'static str, times: u64) {
    count(&names::FIRES, &[Value::Fixed(point), Value::Fixed(outcome)], times);
}

pub(crate) fn handled(point: &Arc<str>, handler: &str, took: Duration) {
    observe(&names::HANDLER_TIME, &[Value::Shared(point), Value::Text(handler)], took);
}

/// A job and where it stands, as far as metrics say it.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Work<'a> {
    pub(crate) handler: &'a HandlerKey,
    pub(crate) queue: &'a QueueName,
}

impl<'a> Work<'a> {
    pub(crate) const fn of(job: &'a NewJob) -> Self {
        Self { handler: &job.handler, queue: &job.queue }
    }

    const fn labels(self) -> [Value<'a>; 2] {
        [Value::Shared(self.handler.shared()), Value::Shared(self.queue.shared())]
    }

    /// A worker can run such jobs: what there was none of yet shows as 0, so that the first one is seen as an increase.
    pub(crate) fn known(self) {
        for outcome in ["completed", "retried", "dead"] {
            self.count_ends(outcome, 0);
        }
        for metric in [&names::JOBS_DEAD, &names::LEASES_LOST, &names::HANDLERS_STUCK] {
            count(metric, &self.labels(), 0);
        }
    }

    /// Jobs were pushed: so many of them stored, and so many not, as another one had their key.
    pub(crate) fn pushed(self, stored: usize, duplicates: usize) {
        for (metric, jobs) in [(&names::JOBS_QUEUED, stored), (&names::JOBS_DUPLICATE, duplicates)] {
            if jobs > 0 {
                count(metric, &self.labels(), jobs as u64);
            }
        }
    }

    /// The first attempt of a job of this age begins.
    pub(crate) fn waited(self, age: Duration) {
        observe(&names::JOB_WAIT, &self.labels(), age);
    }

    pub(crate) fn ran(self, took: Duration) {
        observe(&names::ATTEMPT_TIME, &self.labels(), took);
    }

    /// The end of a claim has taken effect.
    pub(crate) fn ended(self, outcome: &'static str) {
        self.count_ends(outcome, 1);
    }

    fn count_ends(self, outcome: &'static str, n: u64) {
        let [handler, queue] = self.labels();
        count(&names::ATTEMPTS, &[handler, queue, Value::Fixed(outcome)], n);
    }

    pub(crate) fn dead(self) {
        count(&names::JOBS_DEAD, &self.labels(), 1);
    }

    pub(crate) fn lost(self) {
        self.ended("lost");
        count(&names::LEASES_LOST, &self.labels(), 1);
    }

    pub(crate) fn stuck(self) {
        count(&names::HANDLERS_STUCK, &self.labels(), 1);
    }
}

/// A round of upkeep.
pub(crate) fn maintained(rescued: u64, quarantined: u64) {
    count(&names::JOBS_RESCUED, &[], rescued);
    count(&names::JOBS_QUARANTINED, &[], quarantined);
}

pub(crate) fn connection_lost(store: &str) {
    count(&names::CONNECTION_LOSSES, &[Value::Text(store)], 1);
}

/// A breaker has come to a state; the number grows with how much it holds back.
pub(crate) fn breaker_changed(breaker: &str, state: &str, number: u8) {
    count(&names::BREAKER_CHANGES, &[Value::Text(breaker), Value::Text(state)], 1);
    show(&names::BREAKER_STATE, &[Value::Text(breaker)], f64::from(number));
}

/// Whether jobs wait in a queue that nobody serves.
#[cfg_attr(not(feature = "metrics"), allow(dead_code))]
pub(crate) fn unserved(queue: &QueueName, unserved: bool) {
    show(&names::QUEUE_UNSERVED, &[Value::Shared(queue.shared())], f64::from(u8::from(unserved)));
}

/// A process of a pool took the place of one that had ended by itself.
#[cfg(feature = "supervisor")]
pub(crate) fn process_restarted(pool: &str) {
    count(&names::SUPERVISOR_RESTARTS, &[Value::Text(pool)], 1);
}

/// A pool has other processes: so many ready, not ready and draining ones, with so many slots.
#[cfg(feature = "supervisor")]
pub(crate) fn pool_changed(pool: &str, [ready, unready, draining, slots]: [u32; 4]) {
    for (state, processes) in [("ready", ready), ("unready", unready), ("draining", draining)] {
        show(&names::SUPERVISOR_PROCESSES, &[Value::Text(pool), Value::Fixed(state)], f64::from(processes));
    }
    show(&names::SUPERVISOR_SLOTS, &[Value::Text(pool)], f64::from(slots));
}

/// A share in a gauge that ends with it: a worker's slots, a slot that is taken.
#[derive(Debug)]
pub(crate) struct Share {
    metric: &'static Metric,
    size: f64,
}

impl Share {
    /// A worker's slots.
    pub(crate) fn of_slots(slots: u32) -> Self {
        Self::new(&names::WORKER_SLOTS, slots)
    }

    /// One slot that is taken.
    pub(crate) fn of_busy() -> Self {
        Self::new(&names::WORKER_BUSY, 1)
    }

    fn new(metric: &'static Metric, size: u32) -> Self {
        let mut share = Self { metric, size: 0.0 };
        share.set(size);
        share
    }

    /// Changes its size.
    pub(crate) fn set(&mut self, size: u32) {
        let size = f64::from(size);
        shift(self.metric, size - self.size);
        self.size = size;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        shift(self.metric, -self.size);
    }
}

#[cfg(feature = "metrics")]
pub(super) use self::emit::show;
#[cfg(feature = "metrics")]
use self::emit::{count, observe, shift};

#[cfg(feature = "metrics")]
mod emit {
    use std::sync::Arc;
    use std::time::Duration;

    use metrics::{Key, Label, Level, Metadata, Recorder, SharedString, with_recorder};

    use super::{Metric, Value};

    static METADATA: Metadata<'static> = Metadata::new("extensions", Level::INFO, Some(module_path!()));

    impl From<Value<'_>> for SharedString {
        fn from(value: Value<'_>) -> Self {
            match value {
                Value::Fixed(text) => Self::const_str(text),
                Value::Shared(text) => Self::from_shared(Arc::clone(text)),
                Value::Text(text) => Self::from_owned(text.to_owned()),
            }
        }
    }

    fn with(metric: &Metric, labels: &[Value<'_>], emit: impl FnOnce(&dyn Recorder, &Key)) {
        debug_assert_eq!(metric.labels.len(), labels.len(), "{}", metric.name);
        let labels = metric.labels.iter().zip(labels);
        let labels: Vec<_> = labels.map(|(name, value)| Label::new(*name, *value)).collect();
        with_recorder(|recorder| emit(recorder, &Key::from_parts(metric.name, labels)));
    }

    pub(super) fn count(metric: &Metric, labels: &[Value<'_>], n: u64) {
        with(metric, labels, |recorder, key| recorder.register_counter(key, &METADATA).increment(n));
    }

    pub(super) fn observe(metric: &Metric, labels: &[Value<'_>], took: Duration) {
        with(metric, labels, |recorder, key| recorder.register_histogram(key, &METADATA).record(took));
    }

    pub(in crate::telemetry) fn show(metric: &Metric, labels: &[Value<'_>], value: f64) {
        with(metric, labels, |recorder, key| recorder.register_gauge(key, &METADATA).set(value));
    }

    pub(super) fn shift(metric: &Metric, by: f64) {
        with(metric, &[], |recorder, key| recorder.register_gauge(key, &METADATA).increment(by));
    }
}

#[cfg(not(feature = "metrics"))]
fn count(_: &Metric, _: &[Value<'_>], _: u64) {}

#[cfg(not(feature = "metrics"))]
fn observe(_: &Metric, _: &[Value<'_>], _: Duration) {}

#[cfg(not(feature = "metrics"))]
fn show(_: &Metric, _: &[Value<'_>], _: f64) {}

#[cfg(not(feature = "metrics"))]
fn shift(_: &Metric, _: f64) {}
