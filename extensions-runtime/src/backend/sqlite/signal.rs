//! Which queues changed when, as far as this process knows: what idle workers wait on.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::job::QueueName;
use crate::queue::WaitCursor;

#[derive(Debug, Default)]
pub(super) struct Signal {
    changed: Mutex<HashMap<QueueName, u64>>,
    notify: Notify,
}

impl Signal {
    /// Takes note that queues changed, and wakes those who wait if that is news.
    pub(super) fn publish(&self, changes: impl IntoIterator<Item = (QueueName, u64)>) {
        let mut news = false;
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        for (queue, at) in changes {
            let known = changed.entry(queue).or_default();
            news |= at > *known;
            *known = at.max(*known);
        }
        drop(changed);
        if news {
            self.notify.notify_waiters();
        }
    }

    pub(super) fn changed_since(&self, queues: &[QueueName], cursor: WaitCursor) -> bool {
        let changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        queues.iter().any(|queue| changed.get(queue).is_some_and(|at| *at > cursor.0))
    }

    pub(super) fn news(&self) -> Notified<'_> {
        self.notify.notified()
    }
}
