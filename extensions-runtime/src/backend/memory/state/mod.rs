//! The jobs and their indexes. Every change of a job goes through [`State::change`], which keeps the indexes true.

mod claims;
mod entry;
mod index;
mod operator;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use self::entry::Entry;
use self::index::Index;
use super::history::History;
use crate::job::{JobId, JobState, NewJob, QueueName, UniqueKey, WorkerId};
use crate::queue::{Pushed, Settle, Settlement, Tally, WaitCursor, WorkerInfo};
use crate::time::Timestamp;

#[derive(Debug, Default)]
pub(super) struct State {
    jobs: HashMap<JobId, Entry>,
    index: Index,
    locks: HashMap<UniqueKey, Lock>,
    /// Ids that stay taken without a record, with when that ends.
    taken: HashMap<JobId, Timestamp>,
    paused: HashSet<QueueName>,
    workers: HashMap<WorkerId, WorkerInfo>,
    history: History,
    next_seq: u64,
    next_token: u64,
}

#[derive(Debug)]
struct Lock {
    job: JobId,
    until: Option<Timestamp>,
}

impl State {
    pub(super) const fn generation(&self) -> u64 {
        self.index.generation
    }

    pub(super) fn changed_since(&self, queues: &[QueueName], cursor: WaitCursor) -> bool {
        queues.iter().any(|queue| self.index.changed.get(queue).is_some_and(|at| *at > cursor.0))
    }

    fn change<T>(&mut self, id: JobId, step: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let entry = self.jobs.get_mut(&id)?;
        self.index.remove(entry);
        let answer = step(entry);
        self.index.add(entry);
        if entry.state.is_final() {
            free(&mut self.locks, entry);
        }
        Some(answer)
    }

    fn delete(&mut self, id: JobId) {
        if let Some(entry) = self.jobs.remove(&id) {
            self.index.remove(&entry);
            free(&mut self.locks, &entry);
        }
    }

    pub(super) fn push(&mut self, job: &NewJob, now: Timestamp) -> Pushed {
        if self.jobs.contains_key(&job.id) || self.taken.get(&job.id).is_some_and(|until| *until > now) {
            return Pushed::Queued;
        }
        if let Some(of) = self.lock(job, now) {
            return Pushed::Duplicate { of };
        }
        let entry = Entry::new(job, self.next_seq, now);
        if let Some(once) = job.once {
            self.taken.insert(job.id, now.saturating_add(once));
        }
        self.next_seq += 1;
        self.index.add(&entry);
        self.jobs.insert(job.id, entry);
        Pushed::Queued
    }

    /// Takes the job's lock, or says who holds it.
    fn lock(&mut self, job: &NewJob, now: Timestamp) -> Option<JobId> {
        let unique = job.unique.as_ref()?;
        match self.locks.get(&unique.key) {
            Some(lock) if lock.job != job.id && lock.until.is_none_or(|until| until > now) => Some(lock.job),
            _ => {
                let until = unique.ttl.map(|ttl| now.saturating_add(ttl));
                self.locks.insert(unique.key.clone(), Lock { job: job.id, until });
                None
            }
        }
    }

    pub(super) fn promote(&mut self, now: Timestamp) -> u64 {
        let mut promoted = 0;
        while let Some(&(at, _, id)) = self.index.due.first()
            && at <= now
        {
            self.change(id, |entry| entry.enter(JobState::Available, now));
            promoted += 1;
        }
        promoted
    }

    pub(super) fn next_due(&self, queues: &[QueueName], now: Timestamp) -> Option<Duration> {
        let due = self.index.due.iter().find(|(_, _, id)| queues.contains(&self.jobs[id].job.queue))?;
        Some(due.0.since(now))
    }

    pub(super) fn beat(&mut self, mut worker: WorkerInfo, done: &[Tally], now: Timestamp) {
        self.history.add(done, now);
        worker.last_beat = now;
        self.workers.insert(worker.id, worker);
    }

    pub(super) fn leave(&mut self, worker: WorkerId, now: Timestamp) {
        self.workers.remove(&worker);
        let held = |id: &JobId| self.jobs[id].claim.as_ref().filter(|claim| claim.worker == worker);
        let ends: Vec<_> = self
            .index
            .claimed
            .iter()
            .filter_map(|id| Some(Settlement { job: *id, token: held(id)?.token, end: Settle::Release }))
            .collect();
        for end in ends {
            self.settle(end, now);
        }
    }

    pub(super) fn live_workers(&self, now: Timestamp) -> Vec<WorkerInfo> {
        let mut live: Vec<_> = self
            .workers
            .values()
            .filter(|worker| worker.last_beat.saturating_add(worker.live_for) > now)
            .cloned()
            .collect();
        live.sort_by_key(|worker| worker.id);
        live
    }
}

fn free(locks: &mut HashMap<UniqueKey, Lock>, entry: &Entry) {
    if let Some(unique) = &entry.job.unique
        && locks.get(&unique.key).is_some_and(|lock| lock.job == entry.job.id)
    {
        locks.remove(&unique.key);
    }
}
