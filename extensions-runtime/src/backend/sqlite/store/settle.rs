//! Ending and extending claims (Q19–Q31).

use std::collections::HashMap;
use std::time::Duration;

use rusqlite::{CachedStatement, OptionalExtension, Row, params};

use super::row::{errors, text};
use super::{Tx, available_shelf, claim_of, shelf, stored};
use crate::backend::rules::{self, AfterLoss};
use crate::job::{AttemptError, WorkerId};
use crate::queue::{Extend, Extended, Settle, Settled, Settlement};
use crate::time::{Timestamp, millis};

/// The common end, in one statement; jobs with a lock go the long way.
const DROP: &str =
    "DELETE FROM extensions_jobs WHERE id = ?1 AND token = ?2 AND state = 2 AND unique_key IS NULL";
const KEEP: &str = "UPDATE extensions_jobs SET state = 4, token = NULL, lease_until = NULL, completed_at = ?3, ended_at = ?3 WHERE id = ?1 AND token = ?2 AND state = 2 AND unique_key IS NULL";

macro_rules! held {
    ($where:literal) => {
        concat!("SELECT seq, id, lane, attempt, owes, unique_key, cancel, started, lost_count, callback_lost, on_failure, errors FROM extensions_jobs WHERE ", $where)
    };
}

const WAIT: &str = "UPDATE extensions_jobs SET state = 3, token = NULL, lease_until = NULL, run_at = ?2, retryable_at = ?3 WHERE seq = ?1";
const SNOOZE: &str = "UPDATE extensions_jobs SET state = 0, token = NULL, lease_until = NULL, run_at = ?2, scheduled_at = ?3, attempt = max(attempt - 1, 0) WHERE seq = ?1";
const RELEASE: &str = concat!(
    "UPDATE extensions_jobs SET state = 1, shelf = ",
    available_shelf!(),
    ", token = NULL, lease_until = NULL, available_at = ?2, attempt = max(attempt - 1, 0) WHERE seq = ?1"
);
const COMPLETE: &str = "UPDATE extensions_jobs SET state = 4, token = NULL, lease_until = NULL, completed_at = ?2, ended_at = ?2 WHERE seq = ?1";
const CANCEL: &str = "UPDATE extensions_jobs SET state = 6, shelf = NULL, token = NULL, lease_until = NULL, cancelled_at = ?2, ended_at = ?2, reason = ?3 WHERE seq = ?1";
const BURY: &str = "UPDATE extensions_jobs SET state = 5, token = NULL, lease_until = NULL, dead_at = ?2, ended_at = ?2 WHERE seq = ?1";
const BURY_OWING: &str =
    "UPDATE extensions_jobs SET state = 5, owes = 1, dead_at = ?2, ended_at = ?2 WHERE seq = ?1";
const CALLBACK_DONE: &str =
    "UPDATE extensions_jobs SET owes = 0, shelf = NULL, token = NULL, lease_until = NULL WHERE seq = ?1";
const CALLBACK_BACK: &str = "UPDATE extensions_jobs SET shelf = 4, token = NULL, lease_until = NULL, suspect = ?2, callback_lost = ?3 WHERE seq = ?1";
const QUARANTINE: &str = "UPDATE extensions_jobs SET state = 8, token = NULL, lease_until = NULL, quarantined_at = ?2, ended_at = ?2, lost_count = ?3, suspect = 1, owes = ?4, shelf = ?5 WHERE seq = ?1";
const SET_ERRORS: &str = "UPDATE extensions_jobs SET errors = ?2 WHERE seq = ?1";
const SET_UNREADABLE_ERRORS: &str =
    "UPDATE extensions_jobs SET unread = coalesce(unread, errors), errors = ?2 WHERE seq = ?1";
const EXTEND: &str = "UPDATE extensions_jobs SET lease_until = ?3, progress = coalesce(?4, progress) WHERE id = ?1 AND token = ?2 RETURNING cancel IS NOT NULL";

/// A job under a claim.
pub(super) struct Held {
    pub(super) seq: i64,
    id: [u8; 16],
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

impl Held {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            id: row.get(1)?,
            lane: row.get(2)?,
            attempt: row.get(3)?,
            owes: row.get(4)?,
            key: text(row.get_ref(5)?),
            cancel: text(row.get_ref(6)?),
            started: row.get(7)?,
            lost_count: row.get(8)?,
            callback_lost: row.get(9)?,
            on_failure: row.get(10)?,
            errors: errors(row.get_ref(11)?),
        })
    }
}

/// Whether a settlement ended the claim.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Claim,
    JobOnly,
    Nothing,
}

impl Tx<'_> {
    pub(crate) fn settle(&mut self, settlements: &[Settlement]) -> rusqlite::Result<Vec<Settled>> {
        let now = super::now();
        let conn = self.conn;
        let (mut drop, mut keep) = (conn.prepare_cached(DROP)?, conn.prepare_cached(KEEP)?);
        let mut left: HashMap<i64, i64> = HashMap::new();
        let mut answers = Vec::with_capacity(settlements.len());
        for settlement in settlements {
            let token = stored(settlement.token);
            let ended = if completed(settlement, token, now, &mut drop, &mut keep)? {
                Ended::Claim
            } else {
                self.settle_one(settlement, token, now)?
            };
            if ended == Ended::Claim {
                *left.entry(claim_of(token)).or_default() += 1;
            }
            answers.push(if ended == Ended::Nothing { Settled::LeaseLost } else { Settled::Done });
        }
        self.leave_claims(&left)?;
        Ok(answers)
    }

    fn settle_one(&mut self, settlement: &Settlement, token: i64, now: i64) -> rusqlite::Result<Ended> {
        let sql = held!("id = ?1 AND token = ?2");
        let id = settlement.job.as_bytes();
        let held = self.statement(sql)?.query_row(params![id, token], Held::read).optional()?;
        let Some(held) = held else { return Ok(Ended::Nothing) };
        if held.owes {
            self.settle_callback(&held, &settlement.end)
        } else {
            self.settle_attempt(&held, &settlement.end, now)
        }
    }

    fn settle_callback(&mut self, held: &Held, end: &Settle) -> rusqlite::Result<Ended> {
        match end {
            Settle::CallbackDone => {
                self.statement(CALLBACK_DONE)?.execute([held.seq])?;
            }
            Settle::Release => {
                let suspect = held.callback_lost > 0;
                self.statement(CALLBACK_BACK)?.execute(params![held.seq, suspect, held.callback_lost])?;
                self.touch_lane(held.lane)?;
            }
            _ => return Ok(Ended::Nothing),
        }
        Ok(Ended::Claim)
    }

    fn settle_attempt(&mut self, held: &Held, end: &Settle, now: i64) -> rusqlite::Result<Ended> {
        match end {
            Settle::Complete { keep, .. } => {
                self.finish(held, *keep, |tx| tx.statement(COMPLETE)?.execute([held.seq, now]))?;
            }
            Settle::Cancel { reason, keep } => {
                let reason = held.cancel.as_ref().unwrap_or(reason);
                let cancel = |tx: &Self| tx.statement(CANCEL)?.execute(params![held.seq, now, reason]);
                self.finish(held, *keep, cancel)?;
            }
            Settle::Bury { error, owe_on_failure } => {
                self.add_error(held, at(error, now))?;
                let sql = if *owe_on_failure { BURY_OWING } else { BURY };
                self.finish(held, true, |tx| tx.statement(sql)?.execute([held.seq, now]))?;
                if *owe_on_failure {
                    return Ok(Ended::JobOnly);
                }
            }
            Settle::Retry { delay, error } => {
                self.add_error(held, at(error, now))?;
                self.put_back(held, WAIT, Some(*delay), now)?;
            }
            Settle::Snooze { delay } => self.put_back(held, SNOOZE, Some(*delay), now)?,
            Settle::Release => self.put_back(held, RELEASE, None, now)?,
            Settle::CallbackDone => return Ok(Ended::Nothing),
        }
        Ok(Ended::Claim)
    }

    /// Ends a job and its lock.
    fn finish(
        &self,
        held: &Held,
        keep: bool,
        end: impl FnOnce(&Self) -> rusqlite::Result<usize>,
    ) -> rusqlite::Result<()> {
        self.unlock(held.key.as_deref(), &held.id)?;
        if keep {
            end(self)?;
        } else {
            self.statement("DELETE FROM extensions_jobs WHERE seq = ?1")?.execute([held.seq])?;
        }
        Ok(())
    }

    /// Lets a job wait for another claim, unless its cancellation was asked for (Q37).
    fn put_back(
        &mut self,
        held: &Held,
        sql: &str,
        delay: Option<Duration>,
        now: i64,
    ) -> rusqlite::Result<()> {
        if self.honour_cancel(held, now)? {
            return Ok(());
        }
        let mut update = self.statement(sql)?;
        match delay {
            Some(delay) => update.execute([held.seq, now.saturating_add(millis(delay)), now])?,
            None => update.execute([held.seq, now])?,
        };
        drop(update);
        self.touch_lane(held.lane)
    }

    fn honour_cancel(&self, held: &Held, now: i64) -> rusqlite::Result<bool> {
        let Some(reason) = &held.cancel else { return Ok(false) };
        self.finish(held, true, |tx| tx.statement(CANCEL)?.execute(params![held.seq, now, reason]))?;
        Ok(true)
    }

    /// Adds an error. Bytes that cannot be read are moved aside and kept (Q39).
    fn add_error(&self, held: &Held, error: AttemptError) -> rusqlite::Result<()> {
        let sql = if held.errors.is_some() { SET_ERRORS } else { SET_UNREADABLE_ERRORS };
        let mut errors = held.errors.clone().unwrap_or_default();
        rules::keep_error(&mut errors, error);
        let text = serde_json::to_string(&errors).unwrap_or_default();
        self.statement(sql)?.execute(params![held.seq, text])?;
        Ok(())
    }

    /// Gives back every job of a claim whose worker cannot use it.
    pub(crate) fn release_claim(&mut self, claim: i64) -> rusqlite::Result<()> {
        let sql = "SELECT seqs FROM extensions_claims WHERE claim = ?1";
        let seqs: Option<Vec<u8>> = self.statement(sql)?.query_row([claim], |row| row.get(0)).optional()?;
        let now = super::now();
        for held in self.held(claim, &seqs.unwrap_or_default())? {
            if held.owes {
                self.settle_callback(&held, &Settle::Release)?;
            } else {
                self.settle_attempt(&held, &Settle::Release, now)?;
            }
        }
        self.statement("DELETE FROM extensions_claims WHERE claim = ?1")?.execute([claim])?;
        Ok(())
    }

    /// The jobs that are still under a claim.
    pub(super) fn held(&self, claim: i64, seqs: &[u8]) -> rusqlite::Result<Vec<Held>> {
        let mut select = self.statement(held!("seq = ?1 AND token = ?2"))?;
        let mut held = Vec::new();
        for (place, seq) in super::upkeep::seqs(seqs).enumerate() {
            let token = stored(super::token(claim, place));
            held.extend(select.query_row([seq, token], Held::read).optional()?);
        }
        Ok(held)
    }

    /// Ends the claim of a job whose worker is gone; whether that quarantined it.
    pub(super) fn lose(&mut self, held: &Held, worker: Option<WorkerId>, now: i64) -> rusqlite::Result<bool> {
        let at = Timestamp::from_millis(now);
        if held.owes {
            self.lose_callback(held, worker, at)?;
            return Ok(false);
        }
        let set_lost = "UPDATE extensions_jobs SET suspect = 1, lost_count = ?2 WHERE seq = ?1";
        match rules::after_loss(held.started, held.lost_count, held.cancel.is_some()) {
            AfterLoss::Again { lost_count } | AfterLoss::Cancelled { lost_count } => {
                self.statement(set_lost)?.execute(params![held.seq, lost_count])?;
                self.put_back(held, RELEASE, None, now)?;
                Ok(false)
            }
            AfterLoss::Quarantined { lost_count } => {
                self.add_error(held, rules::quarantine_error(held.attempt, at, worker))?;
                let shelf = held.on_failure.then_some(shelf::OWED);
                self.finish(held, true, |tx| {
                    tx.statement(QUARANTINE)?.execute(params![
                        held.seq,
                        now,
                        lost_count,
                        held.on_failure,
                        shelf
                    ])
                })?;
                self.touch_lane(held.lane)?;
                Ok(true)
            }
        }
    }

    fn lose_callback(
        &mut self,
        held: &Held,
        worker: Option<WorkerId>,
        at: Timestamp,
    ) -> rusqlite::Result<()> {
        let losses = held.callback_lost + 1;
        if losses >= rules::CALLBACK_LOSSES {
            self.add_error(held, rules::callback_dropped_error(held.attempt, at, worker))?;
            self.statement(CALLBACK_DONE)?.execute([held.seq])?;
        } else {
            self.statement(CALLBACK_BACK)?.execute(params![held.seq, true, losses])?;
            self.touch_lane(held.lane)?;
        }
        Ok(())
    }

    pub(crate) fn extend(&self, claims: &[Extend], lease: Duration) -> rusqlite::Result<Vec<Extended>> {
        let until = self.boot.clock.now().saturating_add(millis(lease));
        let mut extend = self.statement(EXTEND)?;
        let mut shorten = self.statement(
            "UPDATE extensions_claims SET lease_until = ?2 WHERE claim = ?1 AND lease_until > ?2",
        )?;
        let mut last = None;
        let mut answers = Vec::with_capacity(claims.len());
        for claim in claims {
            let token = stored(claim.token);
            let progress = claim.progress.as_ref().and_then(|progress| serde_json::to_string(progress).ok());
            let id = claim.job.as_bytes();
            let asked = extend.query_row(params![id, token, until, progress], |row| row.get(0)).optional()?;
            if asked.is_some() && last != Some(claim_of(token)) {
                last = Some(claim_of(token));
                shorten.execute([claim_of(token), until])?;
            }
            answers.push(match asked {
                None => Extended::LeaseLost,
                Some(true) => Extended::CancelRequested,
                Some(false) => Extended::Held,
            });
        }
        Ok(answers)
    }
}

fn completed(
    settlement: &Settlement,
    token: i64,
    now: i64,
    drop: &mut CachedStatement<'_>,
    keep: &mut CachedStatement<'_>,
) -> rusqlite::Result<bool> {
    let id = settlement.job.as_bytes();
    let changed = match settlement.end {
        Settle::Complete { keep: false, .. } => drop.execute(params![id, token])?,
        Settle::Complete { keep: true, .. } => keep.execute(params![id, token, now])?,
        _ => 0,
    };
    Ok(changed > 0)
}

fn at(error: &AttemptError, now: i64) -> AttemptError {
    AttemptError { at: Timestamp::from_millis(now), ..error.clone() }
}
