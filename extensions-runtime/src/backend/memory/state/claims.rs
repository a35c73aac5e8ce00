//! Claims and how they end.

use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use super::entry::{Claim, Entry};
use super::index::{Lane, Rank};
use super::{State, free};
use crate::backend::rules;
use crate::job::{AttemptError, ClaimedJob, JobId, JobState, LeaseToken, QueueName, UniqueUntil};
use crate::queue::{
    ClaimRequest, Claimed, Extend, Extended, Settle, Settled, Settlement, TakeLost, WaitCursor,
};
use crate::time::Timestamp;

impl State {
    pub(crate) fn reserve(&mut self, request: &ClaimRequest, now: Timestamp) -> Claimed {
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
        entry.claimed(token, now)
    }

    pub(crate) fn settle(&mut self, settlement: Settlement, now: Timestamp) -> Settled {
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
            entry.honour_cancel(now);
            true
        })
        .unwrap_or(false)
    }

    pub(crate) fn extend(&mut self, claim: Extend, until: Timestamp) -> Extended {
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
    pub(crate) fn rescue(&mut self, now: Timestamp) -> (u64, u64) {
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
                entry.lose_callback(worker, now);
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
}
