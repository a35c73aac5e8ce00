//! Claiming jobs (Q12–Q18).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::heads;
use super::row::{blob, last_error, meta, text};
use super::shelf::READY;
use super::{Tx, available_shelf, common_line, shelf, token};
use crate::job::{ClaimedJob, JobId, LeaseToken, Payload, Purpose};
use crate::queue::{ClaimRequest, Claimed, TakeLost, WaitCursor};
use crate::time::millis;

/// How many due jobs one claim makes available at most.
pub(super) const PROMOTE: i64 = 2000;

/// How many waiting jobs are looked at for the next of the asked queues.
const DUE_LOOK: i64 = 64;

/// Up to how many queues are asked one by one; of more, the first job of each line is remembered.
const FEW_QUEUES: usize = 16;

/// How many jobs of other workers one claim sets apart at most.
const PATIENCE: usize = 5000;

const NEXT_IN_LINE: &str = "SELECT priority, run_at, seq, lane FROM extensions_jobs WHERE shelf = ?1 AND coalesce(line, lane) = ?2 AND (priority, run_at, seq) > (?3, ?4, ?5) ORDER BY priority, run_at, seq LIMIT ?6";
const SET_APART: &str = "UPDATE extensions_jobs SET line = NULL WHERE seq = ?1";
/// Of jobs that stand side by side, and whose tokens follow one another as their numbers do. `OR FAIL`, as whoever fails here rolls all back:
/// so SQLite keeps no copy of each page for undoing the statement alone.
const TAKE: &str = "UPDATE OR FAIL extensions_jobs SET state = 2, shelf = NULL, attempt = attempt + 1, started = suspect, token = seq + ?3, lease_until = ?4, running_at = ?5, progress = NULL WHERE seq BETWEEN ?1 AND ?2";
const TAKE_CALLBACKS: &str = "UPDATE OR FAIL extensions_jobs SET shelf = NULL, token = seq + ?3, lease_until = ?4 WHERE seq BETWEEN ?1 AND ?2";
const READ: &str = "SELECT id, lane, priority, attempt, max_attempts, on_failure, lost_count, enqueued_at, unique_key, unique_start, meta, payload, errors FROM extensions_jobs WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq";

/// A job's place among those of its line.
pub(super) type Rank = (i64, i64, i64);

/// A job that is to be claimed.
#[derive(Debug, Clone, Copy)]
struct Pick {
    seq: i64,
    purpose: Purpose,
}

/// What is to be claimed.
#[derive(Debug, Default)]
struct Picks {
    picks: Vec<Pick>,
    /// That some were not looked at.
    cut: bool,
}

/// What of a queue may be claimed: the common line's jobs of these lanes, and the lanes' own lines.
struct Open {
    common: i64,
    lanes: Arc<[i64]>,
}

/// The jobs of one shelf and line, in order.
struct Source {
    shelf: i64,
    line: i64,
    read: VecDeque<Rank>,
    /// Jobs of other lanes than those asked for that stand in the line, with their lanes.
    passed: Vec<(i64, i64)>,
    last: Rank,
    chunk: usize,
    more: bool,
}

impl Source {
    fn new(shelf: i64, line: i64, chunk: usize) -> Self {
        const FIRST: Rank = (i64::MIN, i64::MIN, i64::MIN);
        Self { shelf, line, read: VecDeque::new(), passed: Vec::new(), last: FIRST, chunk, more: true }
    }

    /// One whose first job is known.
    fn after(shelf: i64, line: i64, head: Rank) -> Self {
        Self { read: VecDeque::from([head]), last: head, ..Self::new(shelf, line, 4) }
    }

    fn pop(&mut self, conn: &Connection, lanes: &[i64], wanted: usize) -> rusqlite::Result<Option<Rank>> {
        while self.read.is_empty() && self.more && self.passed.len() < PATIENCE {
            let most = wanted.max(self.passed.len()).max(1);
            self.fill(conn, lanes, self.chunk.clamp(1, most))?;
            self.chunk = self.chunk.saturating_mul(4);
        }
        Ok(self.read.pop_front())
    }

    fn fill(&mut self, conn: &Connection, lanes: &[i64], chunk: usize) -> rusqlite::Result<()> {
        let mut select = conn.prepare_cached(NEXT_IN_LINE)?;
        let (priority, run_at, seq) = self.last;
        let limit = i64::try_from(chunk).unwrap_or(i64::MAX);
        let mut rows = select.query(params![self.shelf, self.line, priority, run_at, seq, limit])?;
        let mut read = 0;
        while let Some(row) = rows.next()? {
            self.last = (row.get(0)?, row.get(1)?, row.get(2)?);
            let lane = row.get(3)?;
            if lanes.binary_search(&lane).is_ok() {
                self.read.push_back(self.last);
            } else {
                self.passed.push((self.last.2, lane));
            }
            read += 1;
        }
        self.more = read == chunk;
        Ok(())
    }

    /// That it was left although there may be more.
    fn is_cut(&self) -> bool {
        self.read.is_empty() && self.more && self.passed.len() >= PATIENCE
    }
}

impl Tx<'_> {
    /// Claims jobs; with the claim's number, 0 for none.
    pub(crate) fn reserve(&mut self, request: &ClaimRequest) -> rusqlite::Result<(Claimed, i64)> {
        let now = super::now();
        self.promote(now)?;
        self.names.refresh(self.conn)?;
        let (open, cursor) = self.open(request)?;
        let Picks { picks, cut } = self.pick(&open, request)?;
        let (jobs, claim) = if picks.is_empty() { (Vec::new(), 0) } else { self.take(&picks, request, now)? };
        let next_due = if cut { Some(Duration::ZERO) } else { self.next_due(request, now)? };
        Ok((Claimed { jobs, cursor, next_due }, claim))
    }

    /// Makes due jobs available, at most [`PROMOTE`]; how many.
    pub(super) fn promote(&mut self, now: i64) -> rusqlite::Result<u64> {
        let conn = self.conn;
        let due = "SELECT seq, lane FROM extensions_jobs WHERE state IN (0, 3) AND run_at <= ?1 ORDER BY run_at LIMIT ?2";
        let mut due = conn.prepare_cached(due)?;
        let due = due.query_map([now, PROMOTE], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let due: Vec<(i64, i64)> = due.collect::<Result<_, _>>()?;
        if due.is_empty() {
            return Ok(0);
        }
        let sql = concat!(
            "UPDATE extensions_jobs SET state = 1, shelf = ",
            available_shelf!(),
            ", available_at = ?2 WHERE seq = ?1"
        );
        let mut update = conn.prepare_cached(sql)?;
        for (seq, lane) in &due {
            update.execute([seq, &now])?;
            self.touch_lane(*lane)?;
        }
        Ok(due.len() as u64)
    }

    fn next_due(&mut self, request: &ClaimRequest, now: i64) -> rusqlite::Result<Option<Duration>> {
        let conn = self.conn;
        let sql = "SELECT run_at, lane FROM extensions_jobs WHERE state IN (0, 3) ORDER BY run_at LIMIT ?1";
        let mut select = conn.prepare_cached(sql)?;
        let mut rows = select.query([DUE_LOOK])?;
        let until = |at: i64| Duration::from_millis(u64::try_from(at.saturating_sub(now)).unwrap_or(0));
        let (mut looked, mut last) = (0, None);
        while let Some(row) = rows.next()? {
            let (run_at, lane): (i64, i64) = (row.get(0)?, row.get(1)?);
            let lane = self.names.lane(conn, lane)?;
            if lane.is_some_and(|lane| request.queues.contains(&lane.queue_name)) {
                return Ok(Some(until(run_at)));
            }
            looked += 1;
            last = Some(until(run_at));
        }
        Ok(last.filter(|_| looked == DUE_LOOK))
    }

    fn pick(&mut self, open: &[Open], request: &ClaimRequest) -> rusqlite::Result<Picks> {
        let mut picks = Picks::default();
        if request.max == 0 {
            return Ok(picks);
        }
        let special = self.statement("SELECT 1 FROM extensions_jobs WHERE shelf > 1 LIMIT 1")?.exists([])?;
        if special {
            for queue in open {
                if !self.pick_from(queue, &[shelf::OWED], Purpose::OnFailure, request, &mut picks)? {
                    return Ok(picks);
                }
            }
        }
        let shelves: &[i64] = match (special, request.lost) {
            (false, _) | (true, TakeLost::None) => &[shelf::READY],
            (true, TakeLost::Uncounted) => &[shelf::READY, shelf::ALONE],
            (true, TakeLost::All) => &[shelf::READY, shelf::ALONE, shelf::LOST],
        };
        for queue in open {
            if !self.pick_from(queue, shelves, Purpose::Attempt, request, &mut picks)? {
                break;
            }
        }
        Ok(picks)
    }

    /// The asked queues that exist and are not paused, with the lanes that the asked handlers can run; and the number
    /// of their last change. The next one may be waited for.
    fn open(&mut self, request: &ClaimRequest) -> rusqlite::Result<(Vec<Open>, WaitCursor)> {
        let conn = self.conn;
        let mut select =
            conn.prepare_cached("SELECT paused, changed, awaited FROM extensions_queues WHERE queue = ?1")?;
        let mut wait = conn.prepare_cached("UPDATE extensions_queues SET awaited = 1 WHERE queue = ?1")?;
        let mut open = Vec::with_capacity(request.queues.len());
        let mut cursor = 0;
        let mut seen = HashSet::with_capacity(request.queues.len());
        for name in request.queues.iter().filter(|name| seen.insert(*name)) {
            let Some(queue) = self.names.queue(conn, name)? else { continue };
            let (paused, changed, awaited): (bool, u64, bool) =
                select.query_row([queue], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            if !awaited {
                wait.execute([queue])?;
            }
            cursor = changed.max(cursor);
            if !paused {
                open.push(Open {
                    common: common_line(queue),
                    lanes: self.names.routes(queue, &request.handlers),
                });
            }
        }
        Ok((open, WaitCursor(cursor)))
    }

    /// Picks the first of a queue's jobs; false when nothing more may be picked.
    fn pick_from(
        &mut self,
        queue: &Open,
        shelves: &[i64],
        purpose: Purpose,
        request: &ClaimRequest,
        picks: &mut Picks,
    ) -> rusqlite::Result<bool> {
        if queue.lanes.is_empty() {
            return Ok(true);
        }
        let max = request.max.min(usize::try_from(super::CLAIM_SIZE).unwrap_or(usize::MAX));
        let mut sources = Vec::new();
        for shelf in shelves {
            self.sources(*shelf, queue, max, request.queues.len() > FEW_QUEUES, &mut sources)?;
        }
        let go_on = self.merge(&mut sources, &queue.lanes, purpose, max, request.lost, &mut picks.picks)?;
        for source in &sources {
            picks.cut |= source.is_cut();
            self.set_apart(source)?;
        }
        Ok(go_on)
    }

    fn merge(
        &self,
        sources: &mut [Source],
        lanes: &[i64],
        purpose: Purpose,
        max: usize,
        lost: TakeLost,
        picks: &mut Vec<Pick>,
    ) -> rusqlite::Result<bool> {
        let mut heads = BinaryHeap::with_capacity(sources.len());
        for (at, source) in sources.iter_mut().enumerate() {
            heads.extend(source.pop(self.conn, lanes, max)?.map(|rank| Reverse((rank, at))));
        }
        while picks.len() < max {
            let Some(Reverse(((_, _, seq), at))) = heads.pop() else { return Ok(true) };
            let pick = Pick { seq, purpose };
            let alone = self.is_alone(sources[at].shelf, seq)?;
            if alone && lost > TakeLost::None {
                if picks.is_empty() {
                    picks.push(pick);
                }
                return Ok(false);
            }
            if !alone {
                picks.push(pick);
            }
            let next = sources[at].pop(self.conn, lanes, max - picks.len())?;
            heads.extend(next.map(|rank| Reverse((rank, at))));
        }
        Ok(false)
    }

    /// Moves what was passed to the lines of its lanes, so that it is passed only once.
    fn set_apart(&mut self, source: &Source) -> rusqlite::Result<()> {
        for (seq, lane) in &source.passed {
            self.statement(SET_APART)?.execute([seq])?;
            self.forget_heads(*lane)?;
        }
        Ok(())
    }

    fn is_alone(&self, on: i64, seq: i64) -> rusqlite::Result<bool> {
        match on {
            shelf::READY => Ok(false),
            shelf::OWED => self
                .statement("SELECT suspect FROM extensions_jobs WHERE seq = ?1")?
                .query_row([seq], |row| row.get(0)),
            _ => Ok(true),
        }
    }

    /// The lines of a queue that hold something on the shelf.
    fn sources(
        &mut self,
        shelf: i64,
        queue: &Open,
        max: usize,
        many_queues: bool,
        out: &mut Vec<Source>,
    ) -> rusqlite::Result<()> {
        if !many_queues {
            out.push(Source::new(shelf, queue.common, max));
            let apart = heads::scan(self.conn, shelf, &queue.lanes)?;
            out.extend(apart.into_iter().map(|(head, lane)| Source::after(shelf, lane, head)));
            return Ok(());
        }
        let lines: Vec<_> = std::iter::once(queue.common).chain(queue.lanes.iter().copied()).collect();
        let mut heads = if shelf == READY {
            self.names.heads.of(self.conn, shelf, &lines)?
        } else {
            heads::scan(self.conn, shelf, &lines)?
        };
        if heads.len() > max {
            heads.select_nth_unstable(max);
            heads.truncate(max);
        }
        // The first job of the common line may be another worker's.
        out.extend(heads.into_iter().map(|(head, line)| match line == queue.common {
            true => Source::new(shelf, line, max),
            false => Source::after(shelf, line, head),
        }));
        Ok(())
    }

    fn take(
        &mut self,
        picks: &[Pick],
        request: &ClaimRequest,
        now: i64,
    ) -> rusqlite::Result<(Vec<ClaimedJob>, i64)> {
        let until = self.boot.clock.now().saturating_add(millis(request.lease));
        let claim = self.record_claim(picks, request, until)?;
        let mut jobs = Vec::with_capacity(picks.len());
        for run in picks.chunk_by(|a, b| a.purpose == b.purpose && a.seq.checked_add(1) == Some(b.seq)) {
            self.take_run(run, claim, until, now, &mut jobs)?;
        }
        Ok((jobs, claim))
    }

    /// Takes jobs that stand side by side, the next of a claim.
    fn take_run(
        &mut self,
        run: &[Pick],
        claim: i64,
        until: i64,
        now: i64,
        jobs: &mut Vec<ClaimedJob>,
    ) -> rusqlite::Result<()> {
        let ([first, ..], [.., last]) = (run, run) else { return Ok(()) };
        let (from, to) = (first.seq, last.seq);
        let offset = super::stored(token(claim, jobs.len())).wrapping_sub(from);
        match first.purpose {
            Purpose::Attempt => self.statement(TAKE)?.execute(params![from, to, offset, until, now])?,
            Purpose::OnFailure => {
                self.statement(TAKE_CALLBACKS)?.execute(params![from, to, offset, until])?
            }
        };
        let conn = self.conn;
        let mut read = conn.prepare_cached(READ)?;
        let mut rows = read.query([from, to])?;
        let mut lane = None;
        for pick in run {
            let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            let number = row.get(1)?;
            if lane.replace(number) != Some(number) {
                self.forget_heads(number)?;
            }
            jobs.push(self.claimed(row, number, pick.purpose, token(claim, jobs.len()), now)?);
        }
        Ok(())
    }

    fn record_claim(&self, picks: &[Pick], request: &ClaimRequest, until: i64) -> rusqlite::Result<i64> {
        let sql = "INSERT INTO extensions_claims (worker, boot, lease_until, remaining, seqs) VALUES (?1, ?2, ?3, ?4, ?5)";
        let seqs: Vec<u8> = picks.iter().flat_map(|pick| pick.seq.to_le_bytes()).collect();
        self.statement(sql)?.execute(params![
            request.worker.as_bytes(),
            self.boot.number,
            until,
            picks.len(),
            seqs
        ])?;
        Ok(self.conn.last_insert_rowid())
    }

    fn claimed(
        &self,
        row: &Row<'_>,
        lane: i64,
        purpose: Purpose,
        token: LeaseToken,
        now: i64,
    ) -> rusqlite::Result<ClaimedJob> {
        let id: [u8; 16] = row.get(0)?;
        if row.get::<_, Option<bool>>(9)? == Some(true) {
            self.unlock(text(row.get_ref(8)?).as_deref(), &id)?;
        }
        let lane = self.names.known_lane(lane).ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        let enqueued_at = super::timestamp(row.get(7)?);
        Ok(ClaimedJob {
            id: JobId::from_bytes(id),
            token,
            purpose,
            handler: lane.handler.clone(),
            point_version: lane.version,
            payload: Payload::from(blob(row.get_ref(11)?)),
            queue: lane.queue_name.clone(),
            priority: row.get(2)?,
            attempt: row.get(3)?,
            max_attempts: row.get(4)?,
            lost_count: row.get(6)?,
            enqueued_at,
            age: super::timestamp(now).since(enqueued_at),
            on_failure: row.get(5)?,
            last_error: match purpose {
                Purpose::Attempt => None,
                Purpose::OnFailure => last_error(row.get_ref(12)?),
            },
            meta: meta(row.get_ref(10)?),
        })
    }
}
