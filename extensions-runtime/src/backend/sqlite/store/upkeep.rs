//! Ended leases, dead workers, unroutable lanes, old jobs (Q33–Q35).

use rusqlite::{OptionalExtension, params};

use super::{Tx, read};
use crate::backend::rules;
use crate::job::WorkerId;
use crate::queue::{Maintained, Retention, Tally, WorkerInfo};
use crate::time::{Timestamp, millis};

/// How many jobs one round takes back at most, give or take the last claim.
const RESCUE: u64 = 4096;

/// How many records one step of pruning deletes.
pub(crate) const PRUNE_STEP: u64 = 2000;

/// What one step of pruning did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pruned {
    pub(crate) jobs: u64,
    /// Whether nothing more is old enough.
    pub(crate) all: bool,
}

impl Tx<'_> {
    pub(crate) fn maintain(&mut self, now: Timestamp) -> rusqlite::Result<Maintained> {
        let now = now.as_millis();
        let mut done = Maintained { promoted: self.promote(now)?, ..Maintained::default() };
        self.bury_workers(now, &mut done)?;
        self.rescue(now, &mut done)?;
        self.forget_silent_workers()?;
        self.note_unroutable(now)?;
        Ok(done)
    }

    /// Takes back what dead processes held.
    fn bury_workers(&mut self, now: i64, done: &mut Maintained) -> rusqlite::Result<()> {
        for dead in self.presence.dead() {
            let id = dead.worker.as_bytes();
            let known =
                self.statement("DELETE FROM extensions_workers WHERE worker = ?1")?.execute([id])? > 0;
            if known || dead.orphaned {
                let claims = "SELECT claim, worker, seqs FROM extensions_claims WHERE worker = ?1";
                self.lose_claims(claims, &[&id], i64::MAX, now, done)?;
                self.buried.push(dead);
            }
        }
        Ok(())
    }

    /// Takes back ended leases.
    fn rescue(&mut self, now: i64, done: &mut Maintained) -> rusqlite::Result<()> {
        let (boot, boot_now) = (self.boot.number, self.boot.clock.now());
        let ended = "SELECT claim, worker, seqs FROM extensions_claims WHERE boot = ?1 AND lease_until <= ?2";
        self.lose_claims(ended, &[&boot, &boot_now], boot_now, now, done)?;
        let other_boot = "SELECT claim, worker, seqs FROM extensions_claims WHERE boot <> ?1";
        self.lose_claims(other_boot, &[&boot], i64::MAX, now, done)
    }

    /// Loses the jobs of these claims whose own leases have ended at `boot_now`.
    fn lose_claims(
        &mut self,
        sql: &str,
        of: &[&dyn rusqlite::ToSql],
        boot_now: i64,
        now: i64,
        done: &mut Maintained,
    ) -> rusqlite::Result<()> {
        let conn = self.conn;
        let mut select = conn.prepare_cached(sql)?;
        let claims = select.query_map(of, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let claims: Vec<(i64, Vec<u8>, Vec<u8>)> = claims.collect::<Result<_, _>>()?;
        for (claim, worker, seqs) in claims {
            let worker = worker.try_into().ok().map(WorkerId::from_bytes);
            let (mut remaining, mut first) = (0, i64::MAX);
            for held in self.held(claim, &seqs)? {
                let until = self.lease_until(held.seq)?;
                if until > boot_now {
                    remaining += 1;
                    first = until.min(first);
                } else if self.lose(&held, worker, now)? {
                    done.quarantined += 1;
                } else {
                    done.rescued += 1;
                }
            }
            self.keep_claim(claim, remaining, first)?;
            if done.rescued + done.quarantined >= RESCUE {
                break;
            }
        }
        Ok(())
    }

    fn lease_until(&self, seq: i64) -> rusqlite::Result<i64> {
        let sql = "SELECT coalesce(lease_until, 0) FROM extensions_jobs WHERE seq = ?1";
        self.statement(sql)?.query_row([seq], |row| row.get(0))
    }

    fn keep_claim(&self, claim: i64, remaining: i64, lease_until: i64) -> rusqlite::Result<()> {
        if remaining == 0 {
            self.statement("DELETE FROM extensions_claims WHERE claim = ?1")?.execute([claim])?;
        } else {
            let sql = "UPDATE extensions_claims SET remaining = ?2, lease_until = ?3 WHERE claim = ?1";
            self.statement(sql)?.execute([claim, remaining, lease_until])?;
        }
        Ok(())
    }

    /// Forgets workers that have been silent for an hour or since before the machine's boot.
    fn forget_silent_workers(&self) -> rusqlite::Result<()> {
        let sql = "DELETE FROM extensions_workers WHERE boot <> ?1 OR live_till < ?2";
        let hour_ago = self.boot.clock.now().saturating_sub(3_600_000);
        self.statement(sql)?.execute([self.boot.number, hour_ago])?;
        Ok(())
    }

    /// Writes down since when, and until when, the jobs of a lane could not be run by any live worker.
    fn note_unroutable(&mut self, now: i64) -> rusqlite::Result<()> {
        let conn = self.conn;
        let workers = read::live_workers(conn, self.boot.number, self.boot.clock.now())?;
        let routes = rules::Routes::of(&workers);
        let mut select = conn.prepare_cached(
            "SELECT lane, unroutable_since IS NOT NULL AND unroutable_until IS NULL FROM extensions_lanes",
        )?;
        let lanes = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let lanes: Vec<(i64, bool)> = lanes.collect::<Result<_, _>>()?;
        for (number, noted) in lanes {
            let Some(lane) = self.names.lane(conn, number)? else { continue };
            let unroutable = routes.lack(&lane.queue_name, &lane.handler, lane.version);
            let sql = match (noted, unroutable) {
                (false, true) => {
                    "UPDATE extensions_lanes SET unroutable_since = ?2, unroutable_until = NULL WHERE lane = ?1"
                }
                (true, false) => "UPDATE extensions_lanes SET unroutable_until = ?2 WHERE lane = ?1",
                _ => continue,
            };
            self.statement(sql)?.execute([number, now])?;
        }
        Ok(())
    }

    /// Deletes finished jobs that are old enough, and ids that are no longer taken.
    pub(crate) fn prune(&mut self, retention: &Retention, limit: u64) -> rusqlite::Result<Pruned> {
        let now = Timestamp::from_millis(super::now());
        let kept =
            [(4, retention.completed), (6, retention.cancelled), (5, retention.dead), (8, retention.dead)];
        let sql = "DELETE FROM extensions_jobs WHERE seq IN (SELECT seq FROM extensions_jobs WHERE ended_at IS NOT NULL AND state = ?1 AND ended_at <= ?2 AND owes = 0 LIMIT ?3)";
        let mut delete = self.statement(sql)?;
        let mut left = i64::try_from(limit).unwrap_or(i64::MAX);
        for (state, kept_for) in kept {
            let before = now.saturating_sub(kept_for).as_millis();
            left -= i64::try_from(delete.execute([state, before, left])?).unwrap_or(0);
        }
        let jobs = limit - u64::try_from(left).unwrap_or(0);
        let free = "DELETE FROM extensions_taken WHERE id IN (SELECT id FROM extensions_taken WHERE until <= ?1 LIMIT ?2)";
        let ids = self.statement(free)?.execute(params![now.as_millis(), limit])? as u64;
        Ok(Pruned { jobs, all: jobs < limit && ids < limit })
    }

    pub(crate) fn beat(&mut self, worker: &WorkerInfo, done: &[Tally]) -> rusqlite::Result<()> {
        let now = super::now();
        self.add_history(done, Timestamp::from_millis(now))?;
        let is_new = self.presence.enter(worker.id);
        let info = serde_json::to_string(worker).unwrap_or_default();
        let sql = "INSERT OR REPLACE INTO extensions_workers (worker, info, last_beat, boot, live_till) VALUES (?1, ?2, ?3, ?4, ?5)";
        let live_till = self.boot.clock.now().saturating_add(millis(worker.live_for));
        self.statement(sql)?.execute(params![
            worker.id.as_bytes(),
            info,
            now,
            self.boot.number,
            live_till
        ])?;
        if is_new {
            self.bury_workers(now, &mut Maintained::default())?;
        }
        Ok(())
    }

    pub(crate) fn leave(&mut self, worker: WorkerId) -> rusqlite::Result<()> {
        let id = worker.as_bytes();
        self.statement("DELETE FROM extensions_workers WHERE worker = ?1")?.execute([id])?;
        let conn = self.conn;
        let mut select = conn.prepare_cached("SELECT claim FROM extensions_claims WHERE worker = ?1")?;
        let claims: Vec<i64> = select.query_map([id], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for claim in claims {
            self.release_claim(claim)?;
        }
        self.gone.push(worker);
        Ok(())
    }

    /// The numbers of a claim's jobs as they are stored; none where there is no such claim.
    pub(super) fn seqs_of(&self, claim: i64) -> rusqlite::Result<Vec<u8>> {
        let sql = "SELECT seqs FROM extensions_claims WHERE claim = ?1";
        let seqs = self.statement(sql)?.query_row([claim], |row| row.get(0)).optional()?;
        Ok(seqs.unwrap_or_default())
    }
}

/// The numbers of a claim's jobs.
pub(super) fn seqs(bytes: &[u8]) -> impl Iterator<Item = i64> + '_ {
    bytes.chunks_exact(8).map(seq)
}

/// The number of the job at a place of its claim.
pub(super) fn seq_at(bytes: &[u8], place: usize) -> Option<i64> {
    bytes.chunks_exact(8).nth(place).map(seq)
}

fn seq(bytes: &[u8]) -> i64 {
    i64::from_le_bytes(bytes.try_into().unwrap_or_default())
}
