//! Ending and extending claims (Q19–Q31, Q40).

use std::collections::HashMap;
use std::time::Duration;

use rusqlite::{OptionalExtension, Row, params, params_from_iter};

use super::ends::{self, End, Held};
use super::push::Batch;
use super::value::Value;
use super::{Tx, claim_of, stored};
use crate::job::WorkerId;
use crate::queue::{Extend, Extended, Settled, Settlement};
use crate::time::millis;

const EXTEND: &str = "UPDATE extensions_jobs SET lease_until = ?3, progress = coalesce(?4, progress) WHERE id = ?1 AND token = ?2 RETURNING cancel IS NOT NULL";

fn read(row: &Row<'_>) -> rusqlite::Result<Held> {
    let mut values = [const { Value::Null }; ends::HELD_COLUMNS];
    for (at, value) in values.iter_mut().enumerate() {
        *value = row.get_ref(at)?.into();
    }
    Ok(values.into())
}

impl Tx<'_> {
    pub(crate) fn settle(&mut self, settlements: &[Settlement]) -> rusqlite::Result<Vec<Settled>> {
        let now = super::now();
        let is_completed = self.complete_runs(settlements, now)?;
        let mut completing = self.completing()?;
        let mut left: HashMap<i64, i64> = HashMap::new();
        let mut answers = Vec::with_capacity(settlements.len());
        for (settlement, is_completed) in settlements.iter().zip(is_completed) {
            let ended = if is_completed || completing.one(settlement, now)? {
                Some(End::default())
            } else {
                self.settle_one(settlement, now)?
            };
            let Some(end) = ended else {
                answers.push(Settled::LeaseLost);
                continue;
            };
            if !end.stays {
                *left.entry(ends::claim(settlement)).or_default() += 1;
            }
            if let Some(follow_ups) = ends::follow_ups(settlement) {
                self.push(&Batch::new(follow_ups))?;
            }
            answers.push(Settled::Done);
        }
        self.leave_claims(&left)?;
        Ok(answers)
    }

    fn settle_one(&mut self, settlement: &Settlement, now: i64) -> rusqlite::Result<Option<End>> {
        let found = self.statement(ends::HELD)?.query_row(ends::found_by(settlement), read).optional()?;
        let end = found.and_then(|held| ends::settled(&held, &settlement.end, now));
        if let Some(end) = &end {
            self.carry_out(end)?;
        }
        Ok(end)
    }

    fn carry_out(&mut self, end: &End) -> rusqlite::Result<()> {
        for step in &end.steps {
            self.statement(step.sql)?.execute(params_from_iter(&step.arguments))?;
        }
        end.lane.map_or(Ok(()), |lane| self.touch_lane(lane))
    }

    /// Counts the jobs that left their claims; a claim without jobs goes.
    fn leave_claims(&self, left: &HashMap<i64, i64>) -> rusqlite::Result<()> {
        let (mut count, mut end) = (self.statement(ends::COUNT_LEFT)?, self.statement(ends::END_CLAIM)?);
        for (claim, jobs) in left {
            if count.execute([claim, jobs])? == 0 {
                end.execute([claim])?;
            }
        }
        Ok(())
    }

    /// Gives back every job of a claim whose worker cannot use it.
    pub(crate) fn release_claim(&mut self, claim: i64) -> rusqlite::Result<()> {
        let now = super::now();
        for held in self.held(claim, &self.seqs_of(claim)?)? {
            self.carry_out(&ends::released(&held, now))?;
        }
        self.statement(ends::END_CLAIM)?.execute([claim])?;
        Ok(())
    }

    /// The jobs that are still under a claim.
    pub(super) fn held(&self, claim: i64, seqs: &[u8]) -> rusqlite::Result<Vec<Held>> {
        let mut select = self.statement(ends::HELD_AT)?;
        let mut held = Vec::new();
        for (place, seq) in super::upkeep::seqs(seqs).enumerate() {
            let token = stored(super::token(claim, place));
            held.extend(select.query_row([seq, token], read).optional()?);
        }
        Ok(held)
    }

    /// Ends the claim of a job whose worker is gone; whether that quarantined it.
    pub(super) fn lose(&mut self, held: &Held, worker: Option<WorkerId>, now: i64) -> rusqlite::Result<bool> {
        let (end, quarantined) = ends::lost(held, worker, now);
        self.carry_out(&end)?;
        Ok(quarantined)
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
