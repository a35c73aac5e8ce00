//! What the loop claims, and how much.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Worker;
use super::round::Round;
use super::waiting::Pending;
use crate::job::QueueName;
use crate::queue::{ClaimRequest, KnownHandler, TakeLost};

impl Worker {
    /// A claim of a new round, if there is room for enough jobs to be worth one.
    pub(super) fn claim(&mut self) -> Pending {
        let looks_for_lost = self.is_lost_look_due();
        if self.room(looks_for_lost) == 0 {
            return Pending::Nothing;
        }
        self.round = Round::new(self.order.draw(fastrand::f64), &self.limits);
        self.round.looks_for_lost = looks_for_lost;
        self.round.began_at_rest = self.is_at_rest();
        self.last_took = TakeLost::All;
        self.given_up_before = self.leases.given_up.load(Ordering::Relaxed);
        if self.round.is_over() { Pending::Full } else { self.claim_next() }
    }

    /// The next claim of the round.
    pub(super) fn claim_next(&mut self) -> Pending {
        let room = self.room(self.round.looks_for_lost);
        let Some(group) = self.round.next().filter(|_| room > 0) else { return Pending::Nothing };
        let lost = self.take_lost();
        self.last_took = self.last_took.min(lost);
        self.keeps_slot = lost > TakeLost::None;
        let request = self.request(group.queues, room.min(group.most), lost);
        let queue = Arc::clone(&self.queue);
        Pending::Claim(Box::pin(async move {
            let asked = Instant::now();
            (asked, queue.reserve(request).await)
        }))
    }

    pub(super) fn request(&self, queues: Vec<QueueName>, max: usize, lost: TakeLost) -> ClaimRequest {
        ClaimRequest {
            worker: self.info.id,
            queues,
            handlers: self.claimable(),
            max,
            lease: self.lease,
            lost,
        }
    }

    /// How many more jobs could run now.
    pub(super) fn free_slots(&self) -> usize {
        let free = self.concurrency.saturating_sub(self.running.len() + self.feed.len());
        free.min(usize::try_from(self.jobs_left).unwrap_or(usize::MAX))
    }

    /// How many jobs a claim may bring; 0 where none is worth while.
    fn room(&self, looks_for_lost: bool) -> usize {
        let here = self.running.len() + self.feed.len();
        let looks_for_lost = looks_for_lost && self.running.len() < self.concurrency;
        let room =
            (self.concurrency + self.window.size()).saturating_sub(here).max(usize::from(looks_for_lost));
        let has_enough = !self.feed.is_empty() && room < self.window.worth();
        if has_enough && !looks_for_lost {
            return 0;
        }
        room.min(usize::try_from(self.jobs_left).unwrap_or(usize::MAX))
    }

    /// Whether a round may bring now what the last one could not.
    pub(super) fn may_find_more(&self) -> bool {
        self.has_looked_too_narrowly()
            || self.is_lost_look_due()
            || (self.takes_any && !self.circuits_are_at_rest())
            || (self.stop_when.is_some() && self.is_at_rest())
    }

    /// Whether the last round passed jobs by that may be claimed now.
    pub(super) fn has_looked_too_narrowly(&self) -> bool {
        self.take_lost() > self.last_took || self.round.has_left_out_too_much(&self.limits)
    }

    /// Whether no circuit holds anything back here.
    pub(super) fn circuits_are_at_rest(&self) -> bool {
        !self.heeds_breakers || self.extensions.premises().breakers.are_all_at_rest()
    }

    /// The handlers that this worker can run and whose circuits are closed. Others' jobs wait where they are.
    fn claimable(&self) -> Arc<[KnownHandler]> {
        let registry = self.extensions.registry();
        if self.circuits_are_at_rest() {
            return registry.known();
        }
        let can_run = |known: &&KnownHandler| registry.retry_in(&known.handler).is_none();
        registry.known().iter().filter(can_run).cloned().collect()
    }

    /// How long until the first circuit that is open may be tried.
    pub(super) fn next_circuit(&self) -> Option<Duration> {
        if self.circuits_are_at_rest() {
            return None;
        }
        let registry = self.extensions.registry();
        registry.known().iter().filter_map(|known| registry.retry_in(&known.handler)).min()
    }

    /// A job that was lost before is claimed only to be started at once, and one that may be to blame only when no other such runs.
    fn take_lost(&self) -> TakeLost {
        if self.running.len() >= self.concurrency {
            TakeLost::None
        } else if Arc::strong_count(&self.lost_here) > 1 {
            TakeLost::Uncounted
        } else {
            TakeLost::All
        }
    }

    /// Whether to keep a slot free until a claim has looked. Where no more may be claimed there is no look to wait for.
    pub(super) fn is_lost_look_due(&self) -> bool {
        self.jobs_left > 0 && !self.feed.is_empty() && self.next_lost_look <= Instant::now()
    }

    /// How many jobs may run now: every so often a slot stays free for a job that was lost before, which others would keep out.
    pub(super) fn slots(&self) -> usize {
        self.concurrency - usize::from(self.keeps_slot || self.is_lost_look_due())
    }
}
