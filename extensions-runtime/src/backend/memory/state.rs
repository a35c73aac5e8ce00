//! The jobs and their indexes. Every change of a job goes through [`State::change`], which keeps the indexes true.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::history::History;
use crate::backend::rules::{self, Routes};
use crate::job::{
    AttemptError, ClaimedJob, HandlerKey, JobId, JobRecord, JobState, LeaseToken, NewJob, Payload, Progress,
    Purpose, QueueName, UniqueKey, UniqueUntil, WorkerId,
};
use crate::queue::{
    AdminOutcome, ClaimRequest, Claimed, Extend, Extended, Finding, HistoryEntry, JobFilter, Pushed,
    QueueStats, Retention, Settle, Settled, Settlement, TakeLost, Tally, WaitCursor, WorkerInfo,
};
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

/// A job's place among those of its lane.
type Rank = (u8, Timestamp, u64, JobId);

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Lane {
    queue: QueueName,
    handler: HandlerKey,
    version: u32,
}

#[derive(Debug, Default)]
struct Index {
    ready: HashMap<Lane, BTreeSet<Rank>>,
    lost: HashMap<Lane, BTreeSet<Rank>>,
    owed: HashMap<Lane, BTreeSet<Rank>>,
    due: BTreeSet<(Timestamp, u64, JobId)>,
    claimed: HashSet<JobId>,
    generation: u64,
    changed: HashMap<QueueName, u64>,
}

#[derive(Debug)]
struct Lock {
    job: JobId,
    until: Option<Timestamp>,
}

#[derive(Debug, Clone)]
struct Claim {
    token: LeaseToken,
    worker: WorkerId,
    until: Timestamp,
}

#[derive(Debug)]
struct Entry {
    job: NewJob,
    lane: Lane,
    seq: u64,
    state: JobState,
    attempt: u32,
    lost_count: u32,
    suspect: bool,
    started: bool,
    callback_lost: u32,
    owes: bool,
    run_at: Timestamp,
    enqueued_at: Timestamp,
    ended_at: Timestamp,
    entered: BTreeMap<JobState, Timestamp>,
    errors: Vec<AttemptError>,
    reason: Option<String>,
    cancel: Option<String>,
    progress: Option<Progress>,
    result: Option<Payload>,
    claim: Option<Claim>,
}

impl Entry {
    fn enter(&mut self, state: JobState, now: Timestamp) {
        self.state = state;
        self.entered.insert(state, now);
        if state.is_final() {
            self.ended_at = now;
        }
    }

    fn wait_until(&mut self, state: JobState, at: Timestamp, now: Timestamp) {
        self.claim = None;
        self.run_at = at;
        self.enter(state, now);
    }

    fn cancel(&mut self, reason: String, now: Timestamp) {
        self.claim = None;
        self.reason = Some(reason);
        self.enter(JobState::Cancelled, now);
    }

    fn rank(&self) -> Rank {
        (self.job.priority, self.run_at, self.seq, self.job.id)
    }

    fn holds(&self, token: LeaseToken) -> bool {
        self.claim.as_ref().is_some_and(|claim| claim.token == token)
    }
}

impl Index {
    fn shelf(&mut self, entry: &Entry) -> Option<&mut HashMap<Lane, BTreeSet<Rank>>> {
        match entry.state {
            _ if entry.claim.is_some() => None,
            _ if entry.owes => Some(&mut self.owed),
            JobState::Available if entry.lost_count > 0 => Some(&mut self.lost),
            JobState::Available => Some(&mut self.ready),
            _ => None,
        }
    }

    fn is_due_later(entry: &Entry) -> bool {
        matches!(entry.state, JobState::Scheduled | JobState::Retryable)
    }

    fn add(&mut self, entry: &Entry) {
        if entry.claim.is_some() {
            self.claimed.insert(entry.job.id);
        } else if Self::is_due_later(entry) {
            self.due.insert((entry.run_at, entry.seq, entry.job.id));
            self.signal(&entry.job.queue);
        } else if let Some(shelf) = self.shelf(entry) {
            shelf.entry(entry.lane.clone()).or_default().insert(entry.rank());
            self.signal(&entry.job.queue);
        }
    }

    fn remove(&mut self, entry: &Entry) {
        self.claimed.remove(&entry.job.id);
        if Self::is_due_later(entry) {
            self.due.remove(&(entry.run_at, entry.seq, entry.job.id));
        }
        if let Some(shelf) = self.shelf(entry)
            && let Some(ranks) = shelf.get_mut(&entry.lane)
        {
            ranks.remove(&entry.rank());
            if ranks.is_empty() {
                shelf.remove(&entry.lane);
            }
        }
    }

    fn signal(&mut self, queue: &QueueName) {
        self.generation += 1;
        self.changed.insert(queue.clone(), self.generation);
    }
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
        let mut entry = Entry {
            lane: Lane { queue: job.queue.clone(), handler: job.handler.clone(), version: job.point_version },
            job: job.clone(),
            seq: self.next_seq,
            state: JobState::Available,
            attempt: 0,
            lost_count: 0,
            suspect: false,
            started: false,
            callback_lost: 0,
            owes: false,
            run_at: now.saturating_add(job.delay),
            enqueued_at: now,
            ended_at: now,
            entered: BTreeMap::new(),
            errors: Vec::new(),
            reason: None,
            cancel: None,
            progress: None,
            result: None,
            claim: None,
        };
        if let Some(once) = job.once {
            self.taken.insert(job.id, now.saturating_add(once));
        }
        self.next_seq += 1;
        entry.enter(if job.delay.is_zero() { JobState::Available } else { JobState::Scheduled }, now);
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

    pub(super) fn reserve(&mut self, request: &ClaimRequest, now: Timestamp) -> Claimed {
        self.promote(now);
        let jobs = self.choose(request).into_iter().map(|id| self.claim(id, request, now)).collect();
        Claimed {
            jobs,
            cursor: WaitCursor(self.index.generation),
            next_due: self.next_due(&request.queues, now),
        }
    }

    fn choose(&self, request: &ClaimRequest) -> Vec<JobId> {
        let mut chosen = Vec::new();
        let mut seen = HashSet::new();
        let queues =
            request.queues.iter().filter(|queue| !self.paused.contains(queue) && seen.insert(*queue));
        let queues: Vec<_> = queues.collect();
        let callbacks = [&self.index.owed];
        let attempts = [&self.index.ready, &self.index.lost];
        let attempts = &attempts[..if request.lost == TakeLost::All { 2 } else { 1 }];
        let rounds = queues.iter().map(|queue| (*queue, &callbacks[..]));
        for (queue, shelves) in rounds.chain(queues.iter().map(|queue| (*queue, attempts))) {
            if !self.choose_from(queue, shelves, request, &mut chosen) {
                break;
            }
        }
        chosen
    }

    /// Takes the first of a queue's jobs; false when nothing more may be taken.
    fn choose_from(
        &self,
        queue: &QueueName,
        shelves: &[&HashMap<Lane, BTreeSet<Rank>>],
        request: &ClaimRequest,
        chosen: &mut Vec<JobId>,
    ) -> bool {
        let lanes = shelves.iter().flat_map(|shelf| shelf.iter());
        let mut lanes: Vec<_> = lanes
            .filter(|(lane, _)| lane.queue == *queue && request.knows(&lane.handler, lane.version))
            .map(|(_, ranks)| ranks.iter())
            .collect();
        let mut heads: BinaryHeap<_> = lanes
            .iter_mut()
            .enumerate()
            .filter_map(|(at, ranks)| Some(std::cmp::Reverse((*ranks.next()?, at))))
            .collect();
        while chosen.len() < request.max {
            let Some(std::cmp::Reverse(((_, _, _, id), at))) = heads.pop() else { return true };
            let suspect = self.jobs[&id].suspect;
            if suspect && request.lost > TakeLost::None {
                if chosen.is_empty() {
                    chosen.push(id);
                }
                return false;
            }
            if !suspect {
                chosen.push(id);
            }
            heads.extend(lanes[at].next().map(|rank| std::cmp::Reverse((*rank, at))));
        }
        false
    }

    fn claim(&mut self, id: JobId, request: &ClaimRequest, now: Timestamp) -> ClaimedJob {
        self.next_token += 1;
        let claim = Claim {
            token: LeaseToken(self.next_token),
            worker: request.worker,
            until: now.saturating_add(request.lease),
        };
        let token = claim.token;
        let taken = self.change(id, |entry| {
            entry.claim = Some(claim);
            if !entry.owes {
                entry.attempt += 1;
                entry.started = entry.suspect;
                entry.progress = None;
                entry.enter(JobState::Running, now);
            }
        });
        debug_assert!(taken.is_some(), "a chosen job is there");
        let entry = &self.jobs[&id];
        if entry.job.unique.as_ref().is_some_and(|unique| unique.until == UniqueUntil::Start) {
            free(&mut self.locks, entry);
        }
        claimed(entry, token, now)
    }

    pub(super) fn settle(&mut self, settlement: Settlement, now: Timestamp) -> Settled {
        let Settlement { job: id, token, end } = settlement;
        let Some(entry) = self.jobs.get(&id).filter(|entry| entry.holds(token)) else {
            return Settled::LeaseLost;
        };
        let follow_ups = match &end {
            Settle::Complete { follow_ups, .. } => Arc::clone(follow_ups),
            _ => Arc::default(),
        };
        let done =
            if entry.owes { self.settle_callback(id, &end) } else { self.settle_attempt(id, end, now) };
        if !done {
            return Settled::LeaseLost;
        }
        for job in follow_ups.iter() {
            self.push(job, now);
        }
        Settled::Done
    }

    fn settle_callback(&mut self, id: JobId, end: &Settle) -> bool {
        match end {
            Settle::CallbackDone => self.change(id, |entry| {
                entry.claim = None;
                entry.owes = false;
            }),
            Settle::Release => self.change(id, |entry| entry.claim = None),
            _ => None,
        }
        .is_some()
    }

    fn settle_attempt(&mut self, id: JobId, end: Settle, now: Timestamp) -> bool {
        if matches!(end, Settle::Complete { keep: false, .. } | Settle::Cancel { keep: false, .. }) {
            self.delete(id);
            return true;
        }
        self.change(id, |entry| {
            match end {
                Settle::Complete { result, .. } => {
                    entry.claim = None;
                    entry.result = result;
                    entry.enter(JobState::Completed, now);
                }
                Settle::Retry { delay, error } => {
                    rules::keep_error(&mut entry.errors, AttemptError { at: now, ..error });
                    entry.wait_until(JobState::Retryable, now.saturating_add(delay), now);
                }
                Settle::Snooze { delay } => {
                    entry.attempt = entry.attempt.saturating_sub(1);
                    entry.wait_until(JobState::Scheduled, now.saturating_add(delay), now);
                }
                Settle::Release => {
                    entry.attempt = entry.attempt.saturating_sub(1);
                    entry.wait_until(JobState::Available, entry.run_at, now);
                }
                Settle::Cancel { reason, .. } => entry.cancel(entry.cancel.clone().unwrap_or(reason), now),
                Settle::Bury { error, owe_on_failure } => {
                    rules::keep_error(&mut entry.errors, AttemptError { at: now, ..error });
                    entry.owes = owe_on_failure;
                    if !owe_on_failure {
                        entry.claim = None;
                    }
                    entry.enter(JobState::Dead, now);
                }
                Settle::CallbackDone => return false,
            }
            honour_cancel(entry, now);
            true
        })
        .unwrap_or(false)
    }

    pub(super) fn extend(&mut self, claim: Extend, until: Timestamp) -> Extended {
        let Some(entry) = self.jobs.get_mut(&claim.job) else { return Extended::LeaseLost };
        let Some(held) = entry.claim.as_mut().filter(|held| held.token == claim.token) else {
            return Extended::LeaseLost;
        };
        held.until = until;
        if claim.progress.is_some() {
            entry.progress = claim.progress;
        }
        if entry.cancel.is_some() { Extended::CancelRequested } else { Extended::Held }
    }

    /// Takes back ended leases: how many jobs came back, and how many were lost too often.
    pub(super) fn rescue(&mut self, now: Timestamp) -> (u64, u64) {
        let ended = |entry: &Entry| entry.claim.as_ref().is_some_and(|claim| claim.until <= now);
        let ids: Vec<_> = self.index.claimed.iter().copied().filter(|id| ended(&self.jobs[id])).collect();
        let quarantined = ids.iter().filter(|id| self.lose(**id, now)).count() as u64;
        (ids.len() as u64 - quarantined, quarantined)
    }

    /// Ends a claim whose worker is gone; whether that quarantined the job.
    fn lose(&mut self, id: JobId, now: Timestamp) -> bool {
        let lost = self.change(id, |entry| {
            let worker = entry.claim.take().map(|claim| claim.worker);
            entry.suspect = true;
            if entry.owes {
                lose_callback(entry, worker, now);
                return false;
            }
            match rules::after_loss(entry.started, entry.lost_count, entry.cancel.is_some()) {
                rules::AfterLoss::Again { lost_count } => {
                    entry.lost_count = lost_count;
                    entry.attempt = entry.attempt.saturating_sub(1);
                    entry.enter(JobState::Available, now);
                }
                rules::AfterLoss::Cancelled { lost_count } => {
                    entry.lost_count = lost_count;
                    let reason = entry.cancel.clone().unwrap_or_default();
                    entry.cancel(reason, now);
                }
                rules::AfterLoss::Quarantined { lost_count } => {
                    entry.lost_count = lost_count;
                    rules::keep_error(&mut entry.errors, rules::quarantine_error(entry.attempt, now, worker));
                    entry.owes = entry.job.on_failure;
                    entry.enter(JobState::Quarantined, now);
                    return true;
                }
            }
            false
        });
        lost.unwrap_or(false)
    }

    pub(super) fn prune(&mut self, retention: Retention, limit: u64, now: Timestamp) -> u64 {
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

    pub(super) fn beat(&mut self, mut worker: WorkerInfo, done: &[Tally], now: Timestamp) {
        self.history.add(done, now);
        worker.last_beat = now;
        self.workers.insert(worker.id, worker);
    }

    pub(super) fn history(&self, since: Duration, now: Timestamp) -> Vec<HistoryEntry> {
        self.history.since(since, now)
    }

    /// Keys that are held by no job are the only thing that can be wrong here.
    pub(super) fn check(&self, now: Timestamp) -> Vec<Finding> {
        let holds = |lock: &&Lock| lock.until.is_none_or(|until| until > now);
        let is_over = |lock: &&Lock| self.jobs.get(&lock.job).is_none_or(|entry| entry.state.is_final());
        let orphaned = self.locks.values().filter(holds).filter(is_over).count() as u64;
        rules::orphaned_keys(orphaned).into_iter().collect()
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

    fn shown(entry: &Entry, routes: &Routes<'_>) -> JobState {
        let Lane { queue, handler, version } = &entry.lane;
        if entry.state == JobState::Available && routes.lack(queue, handler, *version) {
            JobState::Unroutable
        } else {
            entry.state
        }
    }

    /// Writes down since when jobs are unroutable.
    pub(super) fn note_unroutable(&mut self, now: Timestamp) {
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

    pub(super) fn record(&self, id: JobId, now: Timestamp) -> Option<JobRecord> {
        Some(Self::describe(self.jobs.get(&id)?, &Routes::of(&self.live_workers(now)), now))
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

    pub(super) fn list(&self, filter: &JobFilter, now: Timestamp) -> Vec<JobRecord> {
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

    pub(super) fn stats(&self, now: Timestamp) -> Vec<QueueStats> {
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

    pub(super) fn retry(&mut self, id: JobId, now: Timestamp) -> AdminOutcome {
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
                self.change(id, |entry| start_over(entry, now));
            }
            _ => return AdminOutcome::WrongState(state),
        }
        AdminOutcome::Done
    }

    pub(super) fn cancel(&mut self, id: JobId, reason: &str, now: Timestamp) -> AdminOutcome {
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

    pub(super) fn forget(&mut self, id: JobId, now: Timestamp) -> AdminOutcome {
        let workers = self.live_workers(now);
        let Some(entry) = self.jobs.get(&id) else { return AdminOutcome::NotFound };
        if !entry.state.is_final() || entry.claim.is_some() {
            return AdminOutcome::WrongState(Self::shown(entry, &Routes::of(&workers)));
        }
        self.delete(id);
        AdminOutcome::Done
    }

    pub(super) fn pause(&mut self, queue: QueueName) {
        self.paused.insert(queue);
    }

    pub(super) fn resume(&mut self, queue: &QueueName) {
        self.paused.remove(queue);
        self.index.signal(queue);
    }
}

fn free(locks: &mut HashMap<UniqueKey, Lock>, entry: &Entry) {
    if let Some(unique) = &entry.job.unique
        && locks.get(&unique.key).is_some_and(|lock| lock.job == entry.job.id)
    {
        locks.remove(&unique.key);
    }
}

/// A cancellation that was asked for takes effect when the claim ends in any other way than the job's end (Q37).
fn honour_cancel(entry: &mut Entry, now: Timestamp) {
    if !entry.state.is_final()
        && let Some(reason) = entry.cancel.take()
    {
        entry.cancel(reason, now);
    }
}

fn lose_callback(entry: &mut Entry, worker: Option<WorkerId>, now: Timestamp) {
    entry.callback_lost += 1;
    if entry.callback_lost >= rules::CALLBACK_LOSSES {
        entry.owes = false;
        let error = rules::callback_dropped_error(entry.attempt, now, worker);
        rules::keep_error(&mut entry.errors, error);
    }
}

fn start_over(entry: &mut Entry, now: Timestamp) {
    entry.attempt = 0;
    entry.lost_count = 0;
    entry.callback_lost = 0;
    entry.suspect = false;
    entry.started = false;
    entry.owes = false;
    entry.reason = None;
    entry.cancel = None;
    entry.progress = None;
    entry.result = None;
    entry.wait_until(JobState::Available, now, now);
}

fn claimed(entry: &Entry, token: LeaseToken, now: Timestamp) -> ClaimedJob {
    ClaimedJob {
        id: entry.job.id,
        token,
        purpose: if entry.owes { Purpose::OnFailure } else { Purpose::Attempt },
        handler: entry.job.handler.clone(),
        point_version: entry.job.point_version,
        payload: entry.job.payload.clone(),
        queue: entry.job.queue.clone(),
        priority: entry.job.priority,
        attempt: entry.attempt,
        max_attempts: entry.job.max_attempts,
        lost_count: entry.lost_count,
        enqueued_at: entry.enqueued_at,
        age: now.since(entry.enqueued_at),
        on_failure: entry.job.on_failure,
        last_error: if entry.owes { entry.errors.last().cloned() } else { None },
        meta: entry.job.meta.clone(),
    }
}

fn queue_stats<'a>(queues: &'a mut BTreeMap<QueueName, QueueStats>, queue: &QueueName) -> &'a mut QueueStats {
    queues.entry(queue.clone()).or_insert_with(|| QueueStats::empty(queue.clone()))
}
