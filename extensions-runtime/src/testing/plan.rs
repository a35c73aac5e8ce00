//! What is to go wrong, and what did.

use std::collections::HashMap;
use std::time::Duration;

use crate::job::{ClaimedJob, JobId, LeaseToken};
use crate::queue::{Extend, QueueErrorKind, Settle, Settlement};

/// How often a [`FaultyQueue`](super::FaultyQueue) did what it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Injected {
    /// Pushes that were refused.
    pub failed_pushes: u64,
    /// Pushes that were stored and answered with an error.
    pub lost_push_answers: u64,
    /// Claims that were refused.
    pub failed_claims: u64,
    /// Settlements that were answered with `Done` and never stored.
    pub lost_settlements: u64,
    /// Leases that were made to end.
    pub expired_leases: u64,
    /// Calls that failed because the queue was disconnected.
    pub refused_calls: u64,
    /// Calls that were delayed.
    pub delayed_calls: u64,
}

/// What is still to go wrong.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) failing_pushes: Option<(u64, QueueErrorKind)>,
    pub(super) lost_push_answers: u64,
    pub(super) failing_claims: u64,
    pub(super) lost_settlements: u64,
    pub(super) delay: Duration,
    pub(super) injected: Injected,
    /// The claims that were given out and not settled.
    leases: HashMap<JobId, LeaseToken>,
}

impl Plan {
    pub(super) fn fails_push(&mut self) -> Option<QueueErrorKind> {
        let (left, kind) = self.failing_pushes.as_mut()?;
        let fails = take(left, 1, &mut self.injected.failed_pushes) == 1;
        fails.then_some(*kind)
    }

    pub(super) fn loses_push_answer(&mut self) -> bool {
        take(&mut self.lost_push_answers, 1, &mut self.injected.lost_push_answers) == 1
    }

    pub(super) fn fails_claim(&mut self) -> bool {
        take(&mut self.failing_claims, 1, &mut self.injected.failed_claims) == 1
    }

    /// Drops the first settlements, as many as are to be lost: how many.
    pub(super) fn lose(&mut self, settlements: &mut Vec<Settlement>) -> usize {
        let lost =
            take(&mut self.lost_settlements, settlements.len() as u64, &mut self.injected.lost_settlements);
        let lost = usize::try_from(lost).unwrap_or(settlements.len());
        settlements.drain(..lost);
        lost
    }

    /// Takes back what [`lose`](Self::lose) did, because the call failed.
    pub(super) fn unlose(&mut self, lost: usize) {
        self.lost_settlements += lost as u64;
        self.injected.lost_settlements -= lost as u64;
    }

    pub(super) fn note_claimed(&mut self, jobs: &[ClaimedJob]) {
        self.leases.extend(jobs.iter().map(|job| (job.id, job.token)));
    }

    pub(super) fn note_settled(&mut self, settlement: &Settlement) {
        let goes_on = matches!(settlement.end, Settle::Bury { owe_on_failure: true, .. });
        if !goes_on {
            self.note_ended(settlement.job, settlement.token);
        }
    }

    pub(super) fn note_ended(&mut self, job: JobId, token: LeaseToken) {
        if self.leases.get(&job) == Some(&token) {
            self.leases.remove(&job);
        }
    }

    pub(super) fn leases(&self) -> Vec<Extend> {
        self.leases.iter().map(|(job, token)| Extend { job: *job, token: *token, progress: None }).collect()
    }
}

/// Takes up to `wanted` of what is left, and counts it.
fn take(left: &mut u64, wanted: u64, counted: &mut u64) -> u64 {
    let taken = wanted.min(*left);
    *left -= taken;
    *counted += taken;
    taken
}
