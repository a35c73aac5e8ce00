//! The usual end of a job, a completion without a lock: in one statement for one job, or for many that stand side by side.

use rusqlite::{CachedStatement, params};

use super::{Tx, claim_of, stored};
use crate::job::Payload;
use crate::queue::{Settle, Settlement};

/// Ends the job of a settlement.
const DROP: &str =
    "DELETE FROM extensions_jobs WHERE id = ?1 AND token = ?2 AND state = 2 AND unique_key IS NULL";
const KEEP: &str = "UPDATE extensions_jobs SET state = 4, token = NULL, lease_until = NULL, completed_at = ?3, ended_at = ?3, result = ?4 WHERE id = ?1 AND token = ?2 AND state = 2 AND unique_key IS NULL";

/// How many jobs that stand side by side are worth to be looked for.
const RUN: usize = 4;

/// Such jobs of one claim: their tokens follow one another as their numbers do.
const IDS: &str = "SELECT id FROM extensions_jobs WHERE seq BETWEEN ?1 AND ?2 AND token = seq + ?3 AND state = 2 AND unique_key IS NULL ORDER BY seq";
const DROP_RUN: &str = "DELETE FROM extensions_jobs WHERE seq BETWEEN ?1 AND ?2";
/// `OR FAIL`, as no row can be refused: so SQLite keeps no copy of each page for undoing the statement alone.
const KEEP_RUN: &str = "UPDATE OR FAIL extensions_jobs SET state = 4, token = NULL, lease_until = NULL, completed_at = ?3, ended_at = ?3, result = NULL WHERE seq BETWEEN ?1 AND ?2";

/// A settlement that says no more than that its job is completed.
#[derive(Debug, Clone, Copy)]
struct Plain {
    /// Which of the settlements it is.
    at: usize,
    token: i64,
    seq: i64,
    keep: bool,
}

/// Ends jobs one by one.
pub(super) struct Completing<'a> {
    drop: CachedStatement<'a>,
    keep: CachedStatement<'a>,
}

impl Completing<'_> {
    /// Whether the settlement was one of these.
    pub(super) fn one(&mut self, settlement: &Settlement, now: i64) -> rusqlite::Result<bool> {
        let (id, token) = (settlement.job.as_bytes(), stored(settlement.token));
        let changed = match &settlement.end {
            Settle::Complete { keep: false, .. } => self.drop.execute(params![id, token])?,
            Settle::Complete { keep: true, result, .. } => {
                self.keep.execute(params![id, token, now, result.as_ref().map(Payload::as_bytes)])?
            }
            _ => 0,
        };
        Ok(changed > 0)
    }
}

impl<'a> Tx<'a> {
    pub(super) fn completing(&self) -> rusqlite::Result<Completing<'a>> {
        let conn = self.conn;
        Ok(Completing { drop: conn.prepare_cached(DROP)?, keep: conn.prepare_cached(KEEP)? })
    }

    /// Ends the jobs that stand side by side; of each settlement, whether its job was one of them.
    pub(super) fn complete_runs(&self, settlements: &[Settlement], now: i64) -> rusqlite::Result<Vec<bool>> {
        let mut done = vec![false; settlements.len()];
        if settlements.len() < RUN {
            return Ok(done);
        }
        let plain = self.plain(settlements)?;
        let follows = |a: &Plain, b: &Plain| {
            a.seq.checked_add(1) == Some(b.seq) && a.token.checked_add(1) == Some(b.token) && a.keep == b.keep
        };
        for run in plain.chunk_by(follows).filter(|run| run.len() >= RUN) {
            if self.complete_run(run, settlements, now)? {
                run.iter().for_each(|plain| done[plain.at] = true);
            }
        }
        Ok(done)
    }

    /// The plain ones, each the first of its token, in the order of their tokens.
    fn plain(&self, settlements: &[Settlement]) -> rusqlite::Result<Vec<Plain>> {
        let mut tokens: Vec<_> =
            settlements.iter().enumerate().map(|(at, settlement)| (stored(settlement.token), at)).collect();
        tokens.sort_unstable();
        tokens.dedup_by_key(|(token, _)| *token);
        let mut plain = Vec::with_capacity(tokens.len());
        for tokens in tokens.chunk_by(|a, b| claim_of(a.0) == claim_of(b.0)) {
            if tokens.len() < RUN {
                continue;
            }
            let seqs = self.seqs_of(claim_of(tokens[0].0))?;
            plain.extend(tokens.iter().filter_map(|(token, at)| {
                let keep = match &settlements[*at].end {
                    Settle::Complete { keep, result: None, .. } => *keep,
                    _ => return None,
                };
                let seq = super::upkeep::seq_at(&seqs, super::place_of(*token))?;
                Some(Plain { at: *at, token: *token, seq, keep })
            }));
        }
        Ok(plain)
    }

    /// Ends these jobs, if all of them are what their settlements say.
    fn complete_run(&self, run: &[Plain], settlements: &[Settlement], now: i64) -> rusqlite::Result<bool> {
        let ([first, ..], [.., last]) = (run, run) else { return Ok(false) };
        let mut ids = self.statement(IDS)?;
        let mut ids = ids.query(params![first.seq, last.seq, first.token.wrapping_sub(first.seq)])?;
        for plain in run {
            let Some(row) = ids.next()? else { return Ok(false) };
            let id: [u8; 16] = row.get(0)?;
            if id != *settlements[plain.at].job.as_bytes() {
                return Ok(false);
            }
        }
        match first.keep {
            false => self.statement(DROP_RUN)?.execute([first.seq, last.seq])?,
            true => self.statement(KEEP_RUN)?.execute([first.seq, last.seq, now])?,
        };
        Ok(true)
    }
}
