//! The jobs that were claimed and not started, and the tasks that run them one after the other.
//!
//! A task that has run its job takes the next one, so that quick handlers take no task each, and the loop is called only when few are left.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use tokio::task::coop::consume_budget;

use super::executor::Executor;
use super::job::Job;
use super::limits::Place;
use super::window::Mean;

/// A claimed job that was not started yet.
#[derive(Debug)]
pub(super) struct Buffered {
    pub(super) job: Job,
    /// Held until the end of a job that was lost before.
    pub(super) lost: Option<Arc<()>>,
    /// Held until the end of a job whose queue has a limit here.
    pub(super) place: Option<Place>,
}

/// What is there to run.
#[derive(Debug, Default)]
pub(super) struct Feed {
    jobs: Mutex<VecDeque<Buffered>>,
    len: AtomicUsize,
    /// How many tasks run jobs.
    tasks: AtomicUsize,
    /// How many of them may go on to another job.
    most_tasks: AtomicUsize,
    /// The loop is called when no more jobs than this are left.
    few: AtomicUsize,
    is_called: AtomicBool,
    /// Calls the loop.
    pub(super) low: Notify,
}

impl Feed {
    fn jobs(&self) -> MutexGuard<'_, VecDeque<Buffered>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes in what was claimed.
    pub(super) fn extend(&self, more: Vec<Buffered>) {
        let mut jobs = self.jobs();
        // A job that was lost before comes alone, and starts before the others.
        if more.len() == 1 {
            more.into_iter().for_each(|one| jobs.push_front(one));
        } else {
            jobs.extend(more);
        }
        self.len.store(jobs.len(), Ordering::Relaxed);
    }

    /// The next job.
    pub(super) fn pop(&self) -> Option<Buffered> {
        let mut jobs = self.jobs();
        let next = jobs.pop_front();
        self.len.store(jobs.len(), Ordering::Relaxed);
        next
    }

    /// All that was not started.
    pub(super) fn take_all(&self) -> VecDeque<Buffered> {
        let mut jobs = self.jobs();
        self.len.store(0, Ordering::Relaxed);
        std::mem::take(&mut *jobs)
    }

    /// Lets so many tasks go on to another job, and calls the loop when no more than `few` are left.
    pub(super) fn keep_going(&self, tasks: usize, few: usize) {
        self.most_tasks.store(tasks, Ordering::Relaxed);
        self.few.store(few, Ordering::Relaxed);
        // Where few are left already, the loop knows.
        self.is_called.store(self.len() <= few, Ordering::Relaxed);
    }

    /// Lets every task end with its job.
    pub(super) fn stop(&self) {
        self.keep_going(0, 0);
    }

    /// The job that a task goes on with.
    fn next(&self) -> Option<Buffered> {
        if self.tasks.load(Ordering::Relaxed) > self.most_tasks.load(Ordering::Relaxed) {
            return None;
        }
        let next = self.pop();
        if self.len() <= self.few.load(Ordering::Relaxed) && !self.is_called.swap(true, Ordering::Relaxed) {
            self.low.notify_one();
        }
        next
    }

    /// Runs a job, and the next ones for as long as there are any and the task may go on.
    pub(super) async fn run(self: Arc<Self>, first: Buffered, executor: Arc<Executor>, mean: Arc<Mean>) {
        self.tasks.fetch_add(1, Ordering::Relaxed);
        let _task = Task(&self);
        let mut next = Some(first);
        while let Some(Buffered { job, lost, place }) = next {
            let may_go_on = lost.is_none() && place.is_none();
            let started = Instant::now();
            executor.execute(job).await;
            mean.note(started.elapsed());
            // What waits for the end of this job is the loop's business.
            if !may_go_on {
                return;
            }
            // Handlers that are ready at once would keep the thread for themselves.
            consume_budget().await;
            next = self.next();
        }
    }
}

/// Counts a task until it ends, however.
struct Task<'a>(&'a Feed);

impl Drop for Task<'_> {
    fn drop(&mut self) {
        self.0.tasks.fetch_sub(1, Ordering::Relaxed);
    }
}
