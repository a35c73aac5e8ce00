//! A job, where it stands.

use std::collections::BTreeMap;

use super::index::{Lane, Rank};
use crate::backend::rules;
use crate::job::{
    AttemptError, ClaimedJob, JobState, LeaseToken, NewJob, Payload, Progress, Purpose, WorkerId,
};
use crate::time::Timestamp;

#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) token: LeaseToken,
    pub(super) worker: WorkerId,
    pub(super) until: Timestamp,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) job: NewJob,
    pub(super) lane: Lane,
    pub(super) seq: u64,
    pub(super) state: JobState,
    pub(super) attempt: u32,
    pub(super) lost_count: u32,
    pub(super) suspect: bool,
    pub(super) started: bool,
    pub(super) callback_lost: u32,
    pub(super) owes: bool,
    pub(super) run_at: Timestamp,
    pub(super) enqueued_at: Timestamp,
    pub(super) ended_at: Timestamp,
    pub(super) entered: BTreeMap<JobState, Timestamp>,
    pub(super) errors: Vec<AttemptError>,
    pub(super) reason: Option<String>,
    pub(super) cancel: Option<String>,
    pub(super) progress: Option<Progress>,
    pub(super) result: Option<Payload>,
    pub(super) claim: Option<Claim>,
}

impl Entry {
    /// A job as it is pushed.
    pub(super) fn new(job: &NewJob, seq: u64, now: Timestamp) -> Self {
        let mut entry = Self {
            lane: Lane { queue: job.queue.clone(), handler: job.handler.clone(), version: job.point_version },
            job: job.clone(),
            seq,
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
        entry.enter(if job.delay.is_zero() { JobState::Available } else { JobState::Scheduled }, now);
        entry
    }

    pub(super) fn enter(&mut self, state: JobState, now: Timestamp) {
        self.state = state;
        self.entered.insert(state, now);
        if state.is_final() {
            self.ended_at = now;
        }
    }

    pub(super) fn wait_until(&mut self, state: JobState, at: Timestamp, now: Timestamp) {
        self.claim = None;
        self.run_at = at;
        self.enter(state, now);
    }

    pub(super) fn cancel(&mut self, reason: String, now: Timestamp) {
        self.claim = None;
        self.reason = Some(reason);
        self.enter(JobState::Cancelled, now);
    }

    pub(super) fn rank(&self) -> Rank {
        (self.job.priority, self.run_at, self.seq, self.job.id)
    }

    pub(super) fn holds(&self, token: LeaseToken) -> bool {
        self.claim.as_ref().is_some_and(|claim| claim.token == token)
    }

    /// A cancellation that was asked for takes effect when the claim ends in any other way than the job's end (Q37).
    pub(super) fn honour_cancel(&mut self, now: Timestamp) {
        if !self.state.is_final()
            && let Some(reason) = self.cancel.take()
        {
            self.cancel(reason, now);
        }
    }

    pub(super) fn lose_callback(&mut self, worker: Option<WorkerId>, now: Timestamp) {
        self.callback_lost += 1;
        if self.callback_lost >= rules::CALLBACK_LOSSES {
            self.owes = false;
            let error = rules::callback_dropped_error(self.attempt, now, worker);
            rules::keep_error(&mut self.errors, error);
        }
    }

    pub(super) fn start_over(&mut self, now: Timestamp) {
        self.attempt = 0;
        self.lost_count = 0;
        self.callback_lost = 0;
        self.suspect = false;
        self.started = false;
        self.owes = false;
        self.reason = None;
        self.cancel = None;
        self.progress = None;
        self.result = None;
        self.wait_until(JobState::Available, now, now);
    }

    pub(super) fn claimed(&self, token: LeaseToken, now: Timestamp) -> ClaimedJob {
        ClaimedJob {
            id: self.job.id,
            token,
            purpose: if self.owes { Purpose::OnFailure } else { Purpose::Attempt },
            handler: self.job.handler.clone(),
            point_version: self.job.point_version,
            payload: self.job.payload.clone(),
            queue: self.job.queue.clone(),
            priority: self.job.priority,
            attempt: self.attempt,
            max_attempts: self.job.max_attempts,
            lost_count: self.lost_count,
            enqueued_at: self.enqueued_at,
            age: now.since(self.enqueued_at),
            on_failure: self.job.on_failure,
            last_error: if self.owes { self.errors.last().cloned() } else { None },
            meta: self.job.meta.clone(),
        }
    }
}
