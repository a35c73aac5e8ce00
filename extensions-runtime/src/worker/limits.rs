//! How many jobs of one queue a worker may have at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::job::QueueName;

/// The queues of which a worker may have only so many jobs, running ones and those that wait here.
#[derive(Debug, Default)]
pub(super) struct Limits(BTreeMap<QueueName, Arc<Limit>>);

#[derive(Debug)]
struct Limit {
    most: usize,
    here: AtomicUsize,
}

/// The place of a job of a limited queue, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Limit>);

impl Limits {
    pub(super) fn new(limits: &BTreeMap<QueueName, usize>) -> Self {
        let limit = |most: usize| Arc::new(Limit { most, here: AtomicUsize::new(0) });
        Self(limits.iter().map(|(queue, most)| (queue.clone(), limit(*most))).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn queues(&self) -> impl Iterator<Item = &QueueName> {
        self.0.keys()
    }

    /// How many more jobs of the queue there may be; nothing where it has no limit.
    pub(super) fn room(&self, queue: &QueueName) -> Option<usize> {
        let limit = self.0.get(queue)?;
        Some(limit.most.saturating_sub(limit.here.load(Ordering::Relaxed)))
    }

    pub(super) fn is_full(&self, queue: &QueueName) -> bool {
        self.room(queue) == Some(0)
    }

    /// Counts a job that was claimed.
    pub(super) fn take(&self, queue: &QueueName) -> Option<Place> {
        let limit = self.0.get(queue)?;
        limit.here.fetch_add(1, Ordering::Relaxed);
        Some(Place(Arc::clone(limit)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.here.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Limits;

    #[test]
    fn a_place_is_taken_until_it_is_dropped() {
        let limits = Limits::new(&[("a".into(), 2)].into());
        let first = limits.take(&"a".into());
        assert_eq!((limits.room(&"a".into()), limits.is_full(&"a".into())), (Some(1), false));
        let second = limits.take(&"a".into());
        assert!(limits.is_full(&"a".into()));
        drop(first);
        assert_eq!(limits.room(&"a".into()), Some(1));
        drop(second);
        assert_eq!(limits.room(&"a".into()), Some(2));
    }

    #[test]
    fn a_queue_without_a_limit_is_never_full() {
        let limits = Limits::new(&[("a".into(), 1)].into());
        assert!(limits.take(&"b".into()).is_none());
        assert_eq!((limits.room(&"b".into()), limits.is_full(&"b".into())), (None, false));
    }
}
