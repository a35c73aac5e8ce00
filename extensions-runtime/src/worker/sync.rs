//! `sync:`: the jobs of a push are run before it returns.
//!
//! Each push has a queue in memory and a clock of its own, so that pushes side by side and one inside another see nothing of each other,
//! but for the unique keys.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use super::in_place::InPlace;
use super::threads::Threads;
use crate::instance::{Around, Extensions};
use crate::job::{JobId, JobRecord, JobState, NewJob, UniqueKey, UniqueUntil};
use crate::queue::{Pushed, QueueError, QueueErrorKind, in_memory};
use crate::telemetry::names::event;
use crate::time::{ManualClock, Timestamp};

/// The states of jobs that did not succeed.
const NOT_DONE: &[JobState] = &[
    JobState::Dead,
    JobState::Quarantined,
    JobState::Available,
    JobState::Scheduled,
    JobState::Retryable,
    JobState::Unroutable,
];

/// Runs jobs in place.
#[derive(Debug, Default)]
pub(crate) struct SyncMode {
    threads: Threads,
    held: Arc<Mutex<HashMap<UniqueKey, JobId>>>,
    /// The ids of fires with an idempotency key, and until when each is taken.
    taken: Mutex<HashMap<JobId, Timestamp>>,
}

/// The unique keys of the jobs of one push, until all of them have ended.
struct Keys {
    mine: Vec<UniqueKey>,
    held: Arc<Mutex<HashMap<UniqueKey, JobId>>>,
}

impl Drop for Keys {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        for key in &self.mine {
            held.remove(key);
        }
    }
}

impl SyncMode {
    /// Runs the jobs to their ends. That one fails is logged and no error.
    pub(crate) async fn push(
        &self,
        extensions: &Extensions,
        jobs: Arc<[NewJob]>,
    ) -> Result<Vec<Pushed>, QueueError> {
        let mut around = Around::current().unwrap_or_default();
        around.depth += 1;
        let limit = extensions.max_depth();
        if around.depth > limit {
            let handlers: Vec<_> = jobs.iter().map(|job| job.handler.to_string()).collect();
            tracing::error!(name: event::SYNC_TOO_DEEP, ?handlers, "sync: jobs fire jobs, {limit} deep; these are not run");
            return Ok(vec![Pushed::Queued; jobs.len()]);
        }
        let now = extensions.settings().clock.now();
        let pushed = jobs.len();
        let (fresh, jobs) = self.without_taken(&jobs, now);
        let (mut answers, keys) = self.take_keys(&jobs);
        let queued = answers.iter().map(|answer| *answer == Pushed::Queued);
        let accepted: Arc<[NewJob]> =
            jobs.iter().zip(queued).filter(|(_, queued)| *queued).map(|(job, _)| job.clone()).collect();
        self.note_taken(&accepted, now);
        let clock = Arc::new(ManualClock::new(now));
        let queue = in_memory(Arc::clone(&clock) as _);
        let mut stored = queue.push(accepted).await?.into_iter();
        for answer in answers.iter_mut().filter(|answer| **answer == Pushed::Queued) {
            *answer = stored.next().unwrap_or(Pushed::Queued);
        }
        let in_place = InPlace { queue, clock, heeds_breakers: false };
        let extensions = extensions.clone();
        let work = around.carry(async move {
            let ended = in_place.run_all(&extensions).await;
            drop(keys);
            (ended, in_place.list(NOT_DONE).await.unwrap_or_default())
        });
        match self.threads.run(work).await.map_err(no_thread)? {
            None => tracing::error!(name: event::SYNC_PANICKED, "sync: the runner of jobs panicked"),
            Some((ended, not_done)) => {
                not_done.iter().for_each(log);
                if let Err(error) = ended {
                    tracing::error!(name: event::SYNC_UNFINISHED, %error, "sync: not all jobs were run to their ends");
                }
            }
        }
        let mut all = vec![Pushed::Queued; pushed];
        for (at, answer) in fresh.into_iter().zip(answers) {
            all[at] = answer;
        }
        Ok(all)
    }

    /// The jobs whose ids are free, and their places.
    fn without_taken(&self, jobs: &[NewJob], now: Timestamp) -> (Vec<usize>, Vec<NewJob>) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|_, until| *until > now);
        let fresh = jobs.iter().enumerate().filter(|(_, job)| !taken.contains_key(&job.id));
        fresh.map(|(at, job)| (at, job.clone())).unzip()
    }

    fn note_taken(&self, jobs: &[NewJob], now: Timestamp) {
        let keyed = jobs.iter().filter_map(|job| Some((job.id, now.saturating_add(job.once?))));
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).extend(keyed);
    }

    /// Takes the unique keys that are free. One that holds until its job starts keeps out nothing here: all start at once.
    fn take_keys(&self, jobs: &[NewJob]) -> (Vec<Pushed>, Keys) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut mine = Vec::new();
        let answers = jobs.iter().map(|job| {
            let unique = job.unique.as_ref().filter(|unique| unique.until == UniqueUntil::End);
            let Some(unique) = unique else { return Pushed::Queued };
            match held.entry(unique.key.clone()) {
                Entry::Occupied(taken) => Pushed::Duplicate { of: *taken.get() },
                Entry::Vacant(free) => {
                    free.insert(job.id);
                    mine.push(unique.key.clone());
                    Pushed::Queued
                }
            }
        });
        let answers = answers.collect();
        (answers, Keys { mine, held: Arc::clone(&self.held) })
    }
}

fn no_thread(error: std::io::Error) -> QueueError {
    let hint = "the thread that runs jobs in place could not be started";
    QueueError::new(QueueErrorKind::Other, "push", hint).with_source(error)
}

fn log(job: &JobRecord) {
    let (point, handler) = (job.handler.point(), job.handler.handler());
    match job.errors.last() {
        Some(error) => {
            tracing::error!(name: event::SYNC_JOB_FAILED, point, handler, job = %job.id, kind = %error.kind, error = error.message, "sync: a job failed")
        }
        None => {
            tracing::error!(name: event::SYNC_JOB_NOT_RUN, point, handler, job = %job.id, state = %job.state, "sync: a job was not run: no handler here can")
        }
    }
}
