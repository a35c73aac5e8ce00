//! What an operator sees.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::row::{blob, errors, meta, name, progress, text};
use super::{claim_of, code, state, timestamp};
use crate::backend::rules::Routes;
use crate::job::{HandlerKey, JobId, JobRecord, JobState, Payload, QueueName, UniqueKey, WorkerId};
use crate::queue::{JobFilter, QueueStats, WorkerInfo};
use crate::time::Timestamp;

const RECORD: &str = "SELECT j.id, j.lane, j.state, j.priority, j.run_at, j.attempt, j.max_attempts, j.owes, j.lost_count, j.token, j.enqueued_at, j.scheduled_at, j.available_at, j.running_at, j.retryable_at, j.completed_at, j.dead_at, j.cancelled_at, j.quarantined_at, j.unique_key, j.reason, j.progress, j.errors, j.meta, j.payload, j.result FROM extensions_jobs j";

/// The columns of `RECORD` that hold when the job entered a state.
const ENTERED: [(JobState, usize); 8] = [
    (JobState::Scheduled, 11),
    (JobState::Available, 12),
    (JobState::Running, 13),
    (JobState::Retryable, 14),
    (JobState::Completed, 15),
    (JobState::Dead, 16),
    (JobState::Cancelled, 17),
    (JobState::Quarantined, 18),
];

/// The queues that changed after the change `seen`, with the number of their last change.
pub(crate) fn changes_since(conn: &Connection, seen: u64) -> rusqlite::Result<Vec<(QueueName, u64)>> {
    let mut select = conn.prepare_cached("SELECT name, changed FROM extensions_queues WHERE changed > ?1")?;
    let changes =
        select.query_map([seen], |row| Ok((QueueName::from(name(row.get_ref(0)?)), row.get(1)?)))?;
    changes.collect()
}

/// The workers that beat in time.
pub(crate) fn live_workers(conn: &Connection, boot: i64, boot_now: i64) -> rusqlite::Result<Vec<WorkerInfo>> {
    let sql =
        "SELECT info, last_beat FROM extensions_workers WHERE boot = ?1 AND live_till > ?2 ORDER BY worker";
    let mut select = conn.prepare_cached(sql)?;
    let mut rows = select.query([boot, boot_now])?;
    let mut workers = Vec::new();
    while let Some(row) = rows.next()? {
        let info = serde_json::from_slice::<WorkerInfo>(blob(row.get_ref(0)?));
        let last_beat = timestamp(row.get(1)?);
        workers.extend(info.map(|info| WorkerInfo { last_beat, ..info }));
    }
    Ok(workers)
}

pub(crate) fn unroutable_lanes(
    conn: &Connection,
    boot: i64,
    boot_now: i64,
) -> rusqlite::Result<HashSet<i64>> {
    let view = View::new(conn, boot, boot_now)?;
    Ok(view.lanes.iter().filter(|(_, lane)| lane.unroutable).map(|(number, _)| *number).collect())
}

struct Lane {
    queue: QueueName,
    handler: HandlerKey,
    version: u32,
    since: Option<i64>,
    until: Option<i64>,
    unroutable: bool,
}

/// Lanes and workers at one moment.
pub(crate) struct View<'a> {
    conn: &'a Connection,
    lanes: HashMap<i64, Lane>,
    workers: Vec<WorkerInfo>,
}

impl<'a> View<'a> {
    pub(crate) fn new(conn: &'a Connection, boot: i64, boot_now: i64) -> rusqlite::Result<Self> {
        let workers = live_workers(conn, boot, boot_now)?;
        let routes = Routes::of(&workers);
        let sql = "SELECT l.lane, q.name, l.handler, l.version, l.unroutable_since, l.unroutable_until FROM extensions_lanes l JOIN extensions_queues q USING (queue)";
        let mut select = conn.prepare_cached(sql)?;
        let lanes = select.query_map([], |row| {
            let (queue, handler) = (name(row.get_ref(1)?), name(row.get_ref(2)?));
            let (queue, handler) = (QueueName::from(queue), HandlerKey::from(handler));
            let version = row.get(3)?;
            let unroutable = routes.lack(&queue, &handler, version);
            Ok((
                row.get(0)?,
                Lane { queue, handler, version, since: row.get(4)?, until: row.get(5)?, unroutable },
            ))
        })?;
        let lanes = lanes.collect::<Result<_, _>>()?;
        Ok(Self { conn, lanes, workers })
    }

    pub(crate) fn get(&self, ids: &[JobId]) -> rusqlite::Result<Vec<Option<JobRecord>>> {
        let mut select = self.conn.prepare_cached(&format!("{RECORD} WHERE j.id = ?1"))?;
        let mut record = |id: &JobId| {
            let found = select.query_row([id.as_bytes()], |row| self.record(row)).optional()?;
            Ok(found.flatten())
        };
        ids.iter().map(&mut record).collect()
    }

    pub(crate) fn list(&self, filter: &JobFilter) -> rusqlite::Result<Vec<JobRecord>> {
        let (beyond, way, start) =
            if filter.newest { ("<", " DESC", [0xff; 16]) } else { (">", "", [0; 16]) };
        let after = filter.after.map_or(start, |after| *after.as_bytes());
        let lanes = json(&self.lanes_of(filter));
        let unroutable =
            json(&self.lanes.iter().filter(|(_, l)| l.unroutable).map(|(n, _)| *n).collect::<Vec<_>>());
        let states: Vec<i64> = filter.states.iter().map(|state| code(*state)).collect();
        let states_json = json(&states);
        let all_lanes = filter.queue.is_none() && filter.handler.is_none();
        let plan = Plan::of(&filter.states);
        let running = if plan == Plan::Running { json(&self.claimed_seqs()?) } else { String::new() };
        let sql = format!(
            "{RECORD} {} WHERE j.id {beyond} ?1 AND (?2 OR j.lane IN (SELECT value FROM json_each(?3))) AND (?4 OR CASE WHEN j.state = 1 AND j.lane IN (SELECT value FROM json_each(?5)) THEN 7 ELSE j.state END IN (SELECT value FROM json_each(?6))) AND {} ORDER BY {}{way} LIMIT ?7",
            plan.index(),
            plan.condition(),
            plan.order(),
        );
        let limit = i64::try_from(filter.page()).unwrap_or(i64::MAX);
        let any_state = filter.states.is_empty();
        let args: &[&dyn ToSql] =
            &[&&after[..], &all_lanes, &lanes, &any_state, &unroutable, &states_json, &limit, &running];
        let args = if plan == Plan::Running { args } else { &args[..7] };
        let mut select = self.conn.prepare_cached(&sql)?;
        let records = select.query_map(args, |row| self.record(row))?;
        records.filter_map(Result::transpose).collect()
    }

    fn lanes_of(&self, filter: &JobFilter) -> Vec<i64> {
        let fits = |lane: &Lane| {
            filter.queue.as_ref().is_none_or(|queue| lane.queue == *queue)
                && filter.handler.as_ref().is_none_or(|handler| lane.handler == *handler)
        };
        self.lanes.iter().filter(|(_, lane)| fits(lane)).map(|(number, _)| *number).collect()
    }

    /// A record; nothing for a row that names no job.
    fn record(&self, row: &Row<'_>) -> rusqlite::Result<Option<JobRecord>> {
        let lane = self.lanes.get(&row.get(1)?);
        let stored = state(row.get(2)?);
        let id = <[u8; 16]>::try_from(blob(row.get_ref(0)?)).ok();
        let (Some(lane), Some(stored), Some(id)) = (lane, stored, id) else { return Ok(None) };
        let state =
            if stored == JobState::Available && lane.unroutable { JobState::Unroutable } else { stored };
        let mut entered = BTreeMap::new();
        for (state, column) in ENTERED {
            entered.extend(row.get::<_, Option<i64>>(column)?.map(|at| (state, timestamp(at))));
        }
        entered.extend(lane.unroutable_at(&entered, state).map(|at| (JobState::Unroutable, at)));
        Ok(Some(JobRecord {
            id: JobId::from_bytes(id),
            state,
            handler: lane.handler.clone(),
            point_version: lane.version,
            payload: Payload::from(blob(row.get_ref(24)?)),
            queue: lane.queue.clone(),
            priority: row.get(3)?,
            attempt: row.get(5)?,
            max_attempts: row.get(6)?,
            lost_count: row.get(8)?,
            run_at: timestamp(row.get(4)?),
            enqueued_at: timestamp(row.get(10)?),
            entered,
            errors: errors(row.get_ref(22)?).unwrap_or_default(),
            reason: text(row.get_ref(20)?),
            unique: text(row.get_ref(19)?).map(|key| UniqueKey::from(&*key)),
            worker: self.worker(row.get_ref(9)?)?,
            progress: progress(row.get_ref(21)?),
            result: result(row.get_ref(25)?),
            owes_on_failure: row.get(7)?,
            meta: meta(row.get_ref(23)?),
        }))
    }

    fn worker(&self, token: ValueRef<'_>) -> rusqlite::Result<Option<WorkerId>> {
        let ValueRef::Integer(token) = token else { return Ok(None) };
        let mut select = self.conn.prepare_cached("SELECT worker FROM extensions_claims WHERE claim = ?1")?;
        select.query_row([claim_of(token)], |row| row.get(0).map(WorkerId::from_bytes)).optional()
    }

    fn claims(&self) -> rusqlite::Result<Vec<(i64, Vec<u8>)>> {
        let mut select = self.conn.prepare_cached("SELECT claim, seqs FROM extensions_claims")?;
        select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    }

    fn claimed_seqs(&self) -> rusqlite::Result<Vec<i64>> {
        Ok(self.claims()?.iter().flat_map(|(_, seqs)| super::upkeep::seqs(seqs)).collect())
    }

    pub(crate) fn stats(&self, now: Timestamp) -> rusqlite::Result<Vec<QueueStats>> {
        let mut stats = Counts { view: self, queues: BTreeMap::new() };
        self.count_available(&mut stats, now)?;
        self.count(
            &mut stats,
            "SELECT lane, state, count(*) FROM extensions_jobs WHERE state IN (0, 3) GROUP BY lane, state",
        )?;
        self.count(&mut stats, "SELECT lane, state, count(*) FROM extensions_jobs WHERE ended_at IS NOT NULL GROUP BY state, lane")?;
        self.count_running(&mut stats)?;
        let mut paused = self.conn.prepare_cached("SELECT name FROM extensions_queues WHERE paused = 1")?;
        let mut rows = paused.query([])?;
        while let Some(row) = rows.next()? {
            stats.queue(&QueueName::from(name(row.get_ref(0)?))).paused = true;
        }
        for queue in self.workers.iter().flat_map(|worker| &worker.queues) {
            stats.queue(queue).workers += 1;
        }
        Ok(stats.queues.into_values().collect())
    }

    /// Jobs of all lanes stand in a queue's common line in turns, so they are counted here and not by groups.
    fn count_available(&self, stats: &mut Counts<'_>, now: Timestamp) -> rusqlite::Result<()> {
        let sql =
            "SELECT lane, run_at FROM extensions_jobs WHERE shelf IS NOT NULL AND shelf BETWEEN 1 AND 3";
        let mut select = self.conn.prepare_cached(sql)?;
        let mut rows = select.query([])?;
        let mut lanes = HashMap::<i64, (u64, i64)>::new();
        while let Some(row) = rows.next()? {
            let run_at = row.get(1)?;
            let (jobs, first) = lanes.entry(row.get(0)?).or_insert((0, run_at));
            *jobs += 1;
            *first = run_at.min(*first);
        }
        for (lane, (jobs, first)) in lanes {
            let Some(queue) = stats.add(lane, JobState::Available, jobs) else { continue };
            let waited = now.since(timestamp(first));
            queue.oldest_wait = Some(queue.oldest_wait.unwrap_or(Duration::ZERO).max(waited));
        }
        Ok(())
    }

    fn count(&self, stats: &mut Counts<'_>, sql: &str) -> rusqlite::Result<()> {
        let mut select = self.conn.prepare_cached(sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            if let Some(state) = state(row.get(1)?) {
                stats.add(row.get(0)?, state, row.get(2)?);
            }
        }
        Ok(())
    }

    /// Running jobs are in no index; their claims name them.
    fn count_running(&self, stats: &mut Counts<'_>) -> rusqlite::Result<()> {
        let sql = "SELECT lane FROM extensions_jobs WHERE seq = ?1 AND token = ?2 AND state = 2";
        let mut select = self.conn.prepare_cached(sql)?;
        for (claim, seqs) in self.claims()? {
            for (place, seq) in super::upkeep::seqs(&seqs).enumerate() {
                let token = super::stored(super::token(claim, place));
                if let Some(lane) = select.query_row(params![seq, token], |row| row.get(0)).optional()? {
                    stats.add(lane, JobState::Running, 1);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn into_workers(self) -> Vec<WorkerInfo> {
        self.workers
    }
}

impl Lane {
    /// When a job of this lane last became unroutable: while it was available, the lane was, too.
    fn unroutable_at(&self, entered: &BTreeMap<JobState, Timestamp>, shown: JobState) -> Option<Timestamp> {
        let available = *entered.get(&JobState::Available)?;
        if shown == JobState::Unroutable {
            return Some(self.since.map_or(available, timestamp).max(available));
        }
        let left = entered.get(&JobState::Running).copied().filter(|running| *running >= available)?;
        let (since, until) = (timestamp(self.since?), self.until.map(timestamp));
        let met = since <= left && until.is_none_or(|until| until >= available);
        met.then(|| since.max(available))
    }
}

struct Counts<'a> {
    view: &'a View<'a>,
    queues: BTreeMap<QueueName, QueueStats>,
}

impl Counts<'_> {
    fn queue(&mut self, name: &QueueName) -> &mut QueueStats {
        self.queues.entry(name.clone()).or_insert_with(|| QueueStats::empty(name.clone()))
    }

    fn add(&mut self, lane: i64, state: JobState, jobs: u64) -> Option<&mut QueueStats> {
        let lane = self.view.lanes.get(&lane)?;
        let state =
            if state == JobState::Available && lane.unroutable { JobState::Unroutable } else { state };
        let queue = self.queue(&lane.queue);
        *queue.counts.entry(state).or_default() += jobs;
        Some(queue)
    }
}

/// How a list is found: by a small index where the states allow it, else in the order of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    ById,
    Claimable,
    Due,
    Running,
    Ended,
}

impl Plan {
    fn of(states: &[JobState]) -> Self {
        use JobState::{Available, Cancelled, Dead, Quarantined, Retryable, Running, Scheduled, Unroutable};
        let only = |of: &[JobState]| !states.is_empty() && states.iter().all(|state| of.contains(state));
        if only(&[Available, Unroutable]) {
            Self::Claimable
        } else if only(&[Scheduled, Retryable]) {
            Self::Due
        } else if only(&[Running]) {
            Self::Running
        } else if only(&[Dead, Cancelled, Quarantined]) {
            Self::Ended
        } else {
            Self::ById
        }
    }

    const fn index(self) -> &'static str {
        match self {
            Self::Claimable => "INDEXED BY extensions_jobs_shelf",
            Self::Due => "INDEXED BY extensions_jobs_due",
            Self::Ended => "INDEXED BY extensions_jobs_ended",
            Self::ById | Self::Running => "",
        }
    }

    const fn condition(self) -> &'static str {
        match self {
            Self::Claimable => "j.shelf IS NOT NULL AND j.shelf BETWEEN 1 AND 3",
            Self::Due => "j.state IN (0, 3)",
            Self::Ended => "j.ended_at IS NOT NULL AND j.state IN (5, 6, 8)",
            Self::Running => "j.seq IN (SELECT value FROM json_each(?8)) AND j.state = 2",
            Self::ById => "TRUE",
        }
    }

    const fn order(self) -> &'static str {
        if matches!(self, Self::ById) { "j.id" } else { "+j.id" }
    }
}

fn result(value: ValueRef<'_>) -> Option<Payload> {
    (value != ValueRef::Null).then(|| Payload::from(blob(value)))
}

fn json(numbers: &[i64]) -> String {
    serde_json::to_string(numbers).unwrap_or_default()
}
