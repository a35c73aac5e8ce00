//! What operators see and do.

use std::collections::BTreeMap;
use std::time::Duration;

use super::entry::Entry;
use super::index::Lane;
use super::{Lock, State};
use crate::backend::rules::{self, Routes};
use crate::job::{JobId, JobRecord, JobState, QueueName};
use crate::queue::{AdminOutcome, Finding, HistoryEntry, JobFilter, QueueStats, Retention};
use crate::time::Timestamp;

impl State {
    /// Writes down since when jobs are unroutable.
    pub(crate) fn note_unroutable(&mut self, now: Timestamp) {
        let workers = self.live_workers(now);
        let routes = Routes::of(&workers);
        let lanes: Vec<_> = self
            .index
            .ready
            .keys()
            .filter(|lane| routes.lack(&lane.queue, &lane.handler, lane.version))
            .collect();
        for lane in lanes {
            for (_, _, _, id) in &self.index.ready[lane] {
                if let Some(entry) = self.jobs.get_mut(id) {
                    entry.entered.entry(JobState::Unroutable).or_insert(now);
                }
            }
        }
    }

    pub(crate) fn record(&self, id: JobId, now: Timestamp) -> Option<JobRecord> {
        Some(Self::describe(self.jobs.get(&id)?, &Routes::of(&self.live_workers(now)), now))
    }

    pub(crate) fn list(&self, filter: &JobFilter, now: Timestamp) -> Vec<JobRecord> {
        let workers = self.live_workers(now);
        let routes = Routes::of(&workers);
        let mut found: Vec<_> = self
            .jobs
            .values()
            .filter(|entry| filter.is_beyond(entry.job.id))
            .filter(|entry| filter.queue.as_ref().is_none_or(|queue| entry.job.queue == *queue))
            .filter(|entry| filter.handler.as_ref().is_none_or(|handler| entry.job.handler == *handler))
            .filter(|entry| filter.states.is_empty() || filter.states.contains(&Self::shown(entry, &routes)))
            .collect();
        found.sort_by_key(|entry| entry.job.id);
        if filter.newest {
            found.reverse();
        }
        found.truncate(filter.page());
        found.into_iter().map(|entry| Self::describe(entry, &routes, now)).collect()
    }

    pub(crate) fn stats(&self, now: Timestamp) -> Vec<QueueStats> {
        let workers = self.live_workers(now);
        let routes = Routes::of(&workers);
        let mut queues: BTreeMap<QueueName, QueueStats> = BTreeMap::new();
        for entry in self.jobs.values() {
            let stats = queue_stats(&mut queues, &entry.job.queue);
            *stats.counts.entry(Self::shown(entry, &routes)).or_default() += 1;
            if entry.state == JobState::Available {
                let waited = now.since(entry.run_at);
                stats.oldest_wait = Some(stats.oldest_wait.map_or(waited, |oldest| oldest.max(waited)));
            }
        }
        for queue in &self.paused {
            queue_stats(&mut queues, queue).paused = true;
        }
        for queue in workers.iter().flat_map(|worker| &worker.queues) {
            queue_stats(&mut queues, queue).workers += 1;
        }
        queues.into_values().collect()
    }

    pub(crate) fn history(&self, since: Duration, now: Timestamp) -> Vec<HistoryEntry> {
        self.history.since(since, now)
    }

    /// Keys that are held by no job are the only thing that can be wrong here.
    pub(crate) fn check(&self, now: Timestamp) -> Vec<Finding> {
        let holds = |lock: &&Lock| lock.until.is_none_or(|until| until > now);
        let is_over = |lock: &&Lock| self.jobs.get(&lock.job).is_none_or(|entry| entry.state.is_final());
        let orphaned = self.locks.values().filter(holds).filter(is_over).count() as u64;
        rules::orphaned_keys(orphaned).into_iter().collect()
    }

    pub(crate) fn retry(&mut self, id: JobId, now: Timestamp) -> AdminOutcome {
        let workers = self.live_workers(now);
        let Some(entry) = self.jobs.get(&id) else { return AdminOutcome::NotFound };
        let state = Self::shown(entry, &Routes::of(&workers));
        match state {
            JobState::Scheduled | JobState::Retryable => {
                self.change(id, |entry| entry.wait_until(JobState::Available, now, now));
            }
            JobState::Dead | JobState::Cancelled | JobState::Quarantined if entry.claim.is_none() => {
                let job = entry.job.clone();
                if let Some(of) = self.lock(&job, now) {
                    return AdminOutcome::Duplicate(of);
                }
                self.change(id, |entry| entry.start_over(now));
            }
            _ => return AdminOutcome::WrongState(state),
        }
        AdminOutcome::Done
    }

    pub(crate) fn cancel(&mut self, id: JobId, reason: &str, now: Timestamp) -> AdminOutcome {
        let Some(entry) = self.jobs.get_mut(&id) else { return AdminOutcome::NotFound };
        match entry.state {
            JobState::Running => {
                entry.cancel = Some(reason.to_owned());
                AdminOutcome::Requested
            }
            state if state.is_final() => AdminOutcome::WrongState(state),
            _ => {
                self.change(id, |entry| entry.cancel(reason.to_owned(), now));
                AdminOutcome::Done
            }
        }
    }

    pub(crate) fn forget(&mut self, id: JobId, now: Timestamp) -> AdminOutcome {
        let workers = self.live_workers(now);
        let Some(entry) = self.jobs.get(&id) else { return AdminOutcome::NotFound };
        if !entry.state.is_final() || entry.claim.is_some() {
            return AdminOutcome::WrongState(Self::shown(entry, &Routes::of(&workers)));
        }
        self.delete(id);
        AdminOutcome::Done
    }

    pub(crate) fn prune(&mut self, retention: Retention, limit: u64, now: Timestamp) -> u64 {
        let old = |entry: &&Entry| {
            let kept_for = match entry.state {
                JobState::Completed => retention.completed,
                JobState::Cancelled => retention.cancelled,
                JobState::Dead | JobState::Quarantined => retention.dead,
                _ => return false,
            };
            !entry.owes && entry.claim.is_none() && entry.ended_at.saturating_add(kept_for) <= now
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let ids: Vec<_> = self.jobs.values().filter(old).map(|entry| entry.job.id).take(limit).collect();
        ids.iter().for_each(|id| self.delete(*id));
        self.taken.retain(|_, until| *until > now);
        ids.len() as u64
    }

    pub(crate) fn pause(&mut self, queue: QueueName) {
        self.paused.insert(queue);
    }

    pub(crate) fn resume(&mut self, queue: &QueueName) {
        self.paused.remove(queue);
        self.index.signal(queue);
    }

    fn shown(entry: &Entry, routes: &Routes<'_>) -> JobState {
        let Lane { queue, handler, version } = &entry.lane;
        if entry.state == JobState::Available && routes.lack(queue, handler, *version) {
            JobState::Unroutable
        } else {
            entry.state
        }
    }

    fn describe(entry: &Entry, routes: &Routes<'_>, now: Timestamp) -> JobRecord {
        let state = Self::shown(entry, routes);
        let mut entered = entry.entered.clone();
        if state == JobState::Unroutable {
            entered.entry(state).or_insert(now);
        }
        JobRecord {
            id: entry.job.id,
            state,
            handler: entry.job.handler.clone(),
            point_version: entry.job.point_version,
            payload: entry.job.payload.clone(),
            queue: entry.job.queue.clone(),
            priority: entry.job.priority,
            attempt: entry.attempt,
            max_attempts: entry.job.max_attempts,
            lost_count: entry.lost_count,
            run_at: entry.run_at,
            enqueued_at: entry.enqueued_at,
            entered,
            errors: entry.errors.clone(),
            reason: entry.reason.clone(),
            unique: entry.job.unique.as_ref().map(|unique| unique.key.clone()),
            worker: entry.claim.as_ref().map(|claim| claim.worker),
            progress: entry.progress.clone(),
            result: entry.result.clone(),
            owes_on_failure: entry.owes,
            meta: entry.job.meta.clone(),
        }
    }
}

fn queue_stats<'a>(queues: &'a mut BTreeMap<QueueName, QueueStats>, queue: &QueueName) -> &'a mut QueueStats {
    queues.entry(queue.clone()).or_insert_with(|| QueueStats::empty(queue.clone()))
}
