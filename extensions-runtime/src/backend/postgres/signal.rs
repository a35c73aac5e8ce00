//! Which queues changed, numbered, for those who wait.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::job::QueueName;
use crate::queue::WaitCursor;

#[derive(Debug, Default)]
pub(super) struct Signal {
    changes: Mutex<Changes>,
    news: Notify,
    wanted: Notify,
    listening: AtomicBool,
}

#[derive(Debug, Default)]
struct Changes {
    newest: u64,
    by_queue: HashMap<QueueName, u64>,
    all: u64,
}

impl Signal {
    fn changes(&self) -> std::sync::MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What has been seen so far. To be asked before a claim is sent.
    pub(super) fn cursor(&self) -> WaitCursor {
        WaitCursor(self.changes().newest)
    }

    /// Something changed in a queue; in one that is not known here, in any.
    pub(super) fn changed(&self, queue: Option<QueueName>) {
        let mut changes = self.changes();
        changes.newest += 1;
        let newest = changes.newest;
        match queue {
            Some(queue) => changes.by_queue.insert(queue, newest),
            None => Some(std::mem::replace(&mut changes.all, newest)),
        };
        drop(changes);
        self.news.notify_waiters();
    }

    pub(super) fn changed_since(&self, queues: &[QueueName], cursor: WaitCursor) -> bool {
        let changes = self.changes();
        changes.all > cursor.0
            || queues.iter().any(|queue| changes.by_queue.get(queue).is_some_and(|at| *at > cursor.0))
    }

    pub(super) fn news(&self) -> tokio::sync::futures::Notified<'_> {
        self.news.notified()
    }

    /// Somebody waits for changes, or will.
    pub(super) fn want(&self) {
        self.wanted.notify_one();
    }

    /// Ends as soon as somebody waits; at once if somebody did since it last ended.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Whether changes of other processes arrive at once.
    pub(super) fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Relaxed)
    }

    /// From now on they do, or no more. What happened in between is unknown, so everybody looks.
    pub(super) fn set_listening(&self, listening: bool) {
        self.listening.store(listening, Ordering::Relaxed);
        self.changed(None);
    }
}
