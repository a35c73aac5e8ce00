//! What becomes of a claimed job: decided here, for every connection alike, and carried out by whoever has one.

use std::sync::Arc;
use std::time::Duration;

use super::row::errors;
use super::shelf;
use super::value::Value;
use super::{available_shelf, claim_of, stored};
use crate::backend::rules::{self, AfterLoss};
use crate::job::{AttemptError, NewJob, WorkerId};
use crate::queue::{Settle, Settlement};
use crate::time::{Timestamp, millis};

/// The columns of [`Held`].
macro_rules! held {
    ($where:literal) => {
        concat!("SELECT seq, id, lane, attempt, owes, unique_key, cancel, started, lost_count, callback_lost, on_failure, errors FROM extensions_jobs WHERE ", $where)
    };
}

pub(crate) const HELD: &str = held!("id = ?1 AND token = ?2");
pub(super) const HELD_AT: &str = held!("seq = ?1 AND token = ?2");
/// How many columns these have.
pub(crate) const HELD_COLUMNS: usize = 12;

/// Counts jobs that left a claim.
pub(crate) const COUNT_LEFT: &str =
    "UPDATE extensions_claims SET remaining = remaining - ?2 WHERE claim = ?1 AND remaining > ?2";
/// Ends a claim without jobs.
pub(crate) const END_CLAIM: &str = "DELETE FROM extensions_claims WHERE claim = ?1";
pub(super) const UNLOCK: &str = "DELETE FROM extensions_locks WHERE key = ?1 AND job = ?2";

const DELETE: &str = "DELETE FROM extensions_jobs WHERE seq = ?1";
const WAIT: &str = "UPDATE extensions_jobs SET state = 3, token = NULL, lease_until = NULL, run_at = ?2, retryable_at = ?3 WHERE seq = ?1";
const SNOOZE: &str = "UPDATE extensions_jobs SET state = 0, token = NULL, lease_until = NULL, run_at = ?2, scheduled_at = ?3, attempt = max(attempt - 1, 0) WHERE seq = ?1";
const RELEASE: &str = concat!(
    "UPDATE extensions_jobs SET state = 1, shelf = ",
    available_shelf!(),
    ", token = NULL, lease_until = NULL, available_at = ?2, attempt = max(attempt - 1, 0) WHERE seq = ?1"
);
const COMPLETE: &str = "UPDATE extensions_jobs SET state = 4, token = NULL, lease_until = NULL, completed_at = ?2, ended_at = ?2, result = ?3 WHERE seq = ?1";
const CANCEL: &str = "UPDATE extensions_jobs SET state = 6, shelf = NULL, token = NULL, lease_until = NULL, cancelled_at = ?2, ended_at = ?2, reason = ?3 WHERE seq = ?1";
const BURY: &str = "UPDATE extensions_jobs SET state = 5, token = NULL, lease_until = NULL, dead_at = ?2, ended_at = ?2 WHERE seq = ?1";
const BURY_OWING: &str =
    "UPDATE extensions_jobs SET state = 5, owes = 1, dead_at = ?2, ended_at = ?2 WHERE seq = ?1";
const CALLBACK_DONE: &str =
    "UPDATE extensions_jobs SET owes = 0, shelf = NULL, token = NULL, lease_until = NULL WHERE seq = ?1";
const CALLBACK_BACK: &str = "UPDATE extensions_jobs SET shelf = 4, token = NULL, lease_until = NULL, suspect = ?2, callback_lost = ?3 WHERE seq = ?1";
const LOST: &str = "UPDATE extensions_jobs SET suspect = 1, lost_count = ?2 WHERE seq = ?1";
const QUARANTINE: &str = "UPDATE extensions_jobs SET state = 8, token = NULL, lease_until = NULL, quarantined_at = ?2, ended_at = ?2, lost_count = ?3, suspect = 1, owes = ?4, shelf = ?5 WHERE seq = ?1";
const SET_ERRORS: &str = "UPDATE extensions_jobs SET errors = ?2 WHERE seq = ?1";
const SET_UNREADABLE_ERRORS: &str =
    "UPDATE extensions_jobs SET unread = coalesce(unread, errors), errors = ?2 WHERE seq = ?1";

/// A job under a claim.
pub(crate) struct Held {
    pub(super) seq: i64,
    id: Value<'static>,
    lane: i64,
    attempt: u32,
    owes: bool,
    key: Option<String>,
    cancel: Option<String>,
    started: bool,
    lost_count: u32,
    callback_lost: u32,
    on_failure: bool,
    errors: Option<Vec<AttemptError>>,
}

impl From<[Value<'static>; HELD_COLUMNS]> for Held {
    fn from(row: [Value<'static>; HELD_COLUMNS]) -> Self {
        let [seq, id, lane, attempt, owes, key, cancel, started, lost_count, callback_lost, on_failure, kept] =
            row;
        Self {
            seq: seq.int(),
            id,
            lane: lane.int(),
            attempt: attempt.count(),
            owes: owes.is_true(),
            key: key.text(),
            cancel: cancel.text(),
            started: started.is_true(),
            lost_count: lost_count.count(),
            callback_lost: callback_lost.count(),
            on_failure: on_failure.is_true(),
            errors: errors(kept.as_ref()),
        }
    }
}

/// One statement of an end.
pub(crate) struct Step {
    pub(crate) sql: &'static str,
    pub(crate) arguments: Vec<Value<'static>>,
}

/// How a claimed job goes on.
#[derive(Default)]
pub(crate) struct End {
    /// What to do, in order.
    pub(crate) steps: Vec<Step>,
    /// The lane in which something became claimable.
    pub(crate) lane: Option<i64>,
    /// Whether the job stays under its claim.
    pub(crate) stays: bool,
}

impl End {
    fn step<const N: usize>(&mut self, sql: &'static str, arguments: [Value<'static>; N]) {
        self.steps.push(Step { sql, arguments: arguments.into() });
    }

    /// Ends a job's lock.
    fn unlock(&mut self, held: &Held) {
        if let Some(key) = &held.key {
            self.step(UNLOCK, [key.clone().into(), held.id.clone()]);
        }
    }

    fn cancel(&mut self, held: &Held, reason: &str, now: i64) {
        self.unlock(held);
        self.step(CANCEL, [held.seq.into(), now.into(), reason.to_owned().into()]);
    }

    fn delete(&mut self, held: &Held) {
        self.unlock(held);
        self.step(DELETE, [held.seq.into()]);
    }

    /// Lets a job wait for another claim, unless its cancellation was asked for (Q37).
    fn put_back(&mut self, held: &Held, sql: &'static str, delay: Option<Duration>, now: i64) {
        if let Some(reason) = &held.cancel {
            return self.cancel(held, reason, now);
        }
        match delay {
            Some(delay) => {
                let at = now.saturating_add(millis(delay));
                self.step(sql, [held.seq.into(), at.into(), now.into()]);
            }
            None => self.step(sql, [held.seq.into(), now.into()]),
        }
        self.lane = Some(held.lane);
    }

    fn give_callback_back(&mut self, held: &Held, suspect: bool, losses: u32) {
        self.step(CALLBACK_BACK, [held.seq.into(), suspect.into(), losses.into()]);
        self.lane = Some(held.lane);
    }

    /// Adds an error. Bytes that cannot be read are moved aside and kept (Q39).
    fn add_error(&mut self, held: &Held, error: AttemptError) {
        let sql = if held.errors.is_some() { SET_ERRORS } else { SET_UNREADABLE_ERRORS };
        let mut errors = held.errors.clone().unwrap_or_default();
        rules::keep_error(&mut errors, error);
        let text = serde_json::to_string(&errors).unwrap_or_default();
        self.step(sql, [held.seq.into(), text.into()]);
    }
}

/// How the job goes on; nothing where the settlement does not fit its claim.
pub(crate) fn settled(held: &Held, settle: &Settle, now: i64) -> Option<End> {
    let mut end = End::default();
    let fits = if held.owes {
        settle_callback(held, settle, &mut end)
    } else {
        settle_attempt(held, settle, now, &mut end)
    };
    fits.then_some(end)
}

/// How a job goes on that is given back.
pub(super) fn released(held: &Held, now: i64) -> End {
    settled(held, &Settle::Release, now).unwrap_or_default()
}

fn settle_callback(held: &Held, settle: &Settle, end: &mut End) -> bool {
    match settle {
        Settle::CallbackDone => end.step(CALLBACK_DONE, [held.seq.into()]),
        Settle::Release => end.give_callback_back(held, held.callback_lost > 0, held.callback_lost),
        _ => return false,
    }
    true
}

fn settle_attempt(held: &Held, settle: &Settle, now: i64, end: &mut End) -> bool {
    let seq = || Value::from(held.seq);
    match settle {
        Settle::Complete { keep: false, .. } | Settle::Cancel { keep: false, .. } => end.delete(held),
        Settle::Complete { result, .. } => {
            end.unlock(held);
            let result = result.as_ref().map(|result| Value::Blob(result.as_bytes().to_vec().into()));
            end.step(COMPLETE, [seq(), now.into(), result.into()]);
        }
        Settle::Cancel { reason, .. } => end.cancel(held, held.cancel.as_ref().unwrap_or(reason), now),
        Settle::Bury { error, owe_on_failure } => {
            end.add_error(held, at(error, now));
            end.unlock(held);
            end.step(if *owe_on_failure { BURY_OWING } else { BURY }, [seq(), now.into()]);
            end.stays = *owe_on_failure;
        }
        Settle::Retry { delay, error } => {
            end.add_error(held, at(error, now));
            end.put_back(held, WAIT, Some(*delay), now);
        }
        Settle::Snooze { delay } => end.put_back(held, SNOOZE, Some(*delay), now),
        Settle::Release => end.put_back(held, RELEASE, None, now),
        Settle::CallbackDone => return false,
    }
    true
}

/// How a job goes on whose worker is gone; and whether that quarantined it.
pub(super) fn lost(held: &Held, worker: Option<WorkerId>, now: i64) -> (End, bool) {
    let mut end = End::default();
    if held.owes {
        lose_callback(held, worker, now, &mut end);
        return (end, false);
    }
    match rules::after_loss(held.started, held.lost_count, held.cancel.is_some()) {
        AfterLoss::Again { lost_count } | AfterLoss::Cancelled { lost_count } => {
            end.step(LOST, [held.seq.into(), lost_count.into()]);
            end.put_back(held, RELEASE, None, now);
            (end, false)
        }
        AfterLoss::Quarantined { lost_count } => {
            quarantine(held, lost_count, worker, now, &mut end);
            (end, true)
        }
    }
}

fn quarantine(held: &Held, lost_count: u32, worker: Option<WorkerId>, now: i64, end: &mut End) {
    end.add_error(held, rules::quarantine_error(held.attempt, Timestamp::from_millis(now), worker));
    end.unlock(held);
    let shelf = held.on_failure.then_some(shelf::OWED);
    end.step(
        QUARANTINE,
        [held.seq.into(), now.into(), lost_count.into(), held.on_failure.into(), shelf.into()],
    );
    end.lane = Some(held.lane);
}

fn lose_callback(held: &Held, worker: Option<WorkerId>, now: i64, end: &mut End) {
    let losses = held.callback_lost.saturating_add(1);
    if losses >= rules::CALLBACK_LOSSES {
        let at = Timestamp::from_millis(now);
        end.add_error(held, rules::callback_dropped_error(held.attempt, at, worker));
        end.step(CALLBACK_DONE, [held.seq.into()]);
    } else {
        end.give_callback_back(held, true, losses);
    }
}

fn at(error: &AttemptError, now: i64) -> AttemptError {
    AttemptError { at: Timestamp::from_millis(now), ..error.clone() }
}

/// The claim that a settlement speaks of.
pub(crate) fn claim(settlement: &Settlement) -> i64 {
    claim_of(stored(settlement.token))
}

/// The arguments that find the settlement's job.
pub(crate) fn found_by(settlement: &Settlement) -> [Value<'_>; 2] {
    [settlement.job.as_bytes().into(), stored(settlement.token).into()]
}

/// What is pushed once the settlement has taken effect.
pub(crate) fn follow_ups(settlement: &Settlement) -> Option<Arc<[NewJob]>> {
    match &settlement.end {
        Settle::Complete { follow_ups, .. } if !follow_ups.is_empty() => Some(Arc::clone(follow_ups)),
        _ => None,
    }
}
