//! What was done here since the last beat.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::job::Job;
use crate::job::{ErrorKind, HandlerKey};
use crate::queue::{Settle, Tally};

/// Collected until the next beat takes it along.
#[derive(Debug, Default)]
pub(super) struct Tallies(Mutex<HashMap<HandlerKey, Vec<Tally>>>);

impl Tallies {
    fn all(&self) -> MutexGuard<'_, HashMap<HandlerKey, Vec<Tally>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the end of a claim that took effect, if it says anything of the handler.
    pub(super) fn note(&self, job: &Job, end: &Settle) {
        let mut done = nothing(job);
        match end {
            Settle::Complete { .. } => done.completed = 1,
            Settle::Retry { .. } => (done.failed, done.retried) = (1, 1),
            Settle::Bury { error, .. } => {
                (done.failed, done.dead) = (u64::from(error.kind != ErrorKind::Expired), 1);
            }
            Settle::Cancel { .. } => done.cancelled = 1,
            Settle::Snooze { .. } | Settle::Release | Settle::CallbackDone => return,
        }
        self.note_attempt(job, done);
    }

    /// Counts a job that its handler has completed in a transaction of its own.
    pub(super) fn note_completed(&self, job: &Job) {
        self.note_attempt(job, Tally { completed: 1, ..nothing(job) });
    }

    fn note_attempt(&self, job: &Job, mut done: Tally) {
        if let Some((waited, ran)) = job.times() {
            if done.attempts() > 0 {
                (done.run_time, done.longest) = (ran, ran);
            }
            if job.attempt() == 1 {
                (done.started, done.wait) = (1, waited);
            }
        }
        self.add(&[done]);
    }

    /// Takes in more, such as what a beat did not bring to the store.
    pub(super) fn add(&self, more: &[Tally]) {
        let mut all = self.all();
        for more in more {
            let queues = all.entry(more.handler.clone()).or_default();
            match queues.iter_mut().find(|tally| tally.queue == more.queue) {
                Some(tally) => tally.add(more),
                None => queues.push(more.clone()),
            }
        }
    }

    /// Everything, which is now on its way.
    pub(super) fn take(&self) -> Vec<Tally> {
        std::mem::take(&mut *self.all()).into_values().flatten().collect()
    }
}

fn nothing(job: &Job) -> Tally {
    Tally::new(job.queue().clone(), job.handler().clone())
}
