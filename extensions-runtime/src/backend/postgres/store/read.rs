//! What an operator sees.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use uuid::Uuid;

use super::names::Lane;
use super::row::{error, meta, text, unsigned};
use super::{Store, code, job_id, state, uuid};
use crate::backend::rules::Routes;
use crate::job::{JobId, JobRecord, JobState, Payload, QueueName, UniqueKey, WorkerId};
use crate::queue::{JobFilter, QueueStats, WorkerInfo};
use crate::time::Timestamp;

pub(super) const WORKERS: &str =
    "SELECT info, last_beat FROM {p}workers WHERE live_till > {now} ORDER BY worker";
pub(super) const UNROUTABLE: &str = "SELECT lane, unroutable_since, unroutable_until FROM {p}lanes";
macro_rules! record {
    ($where:literal) => {
        concat!(
            "SELECT j.id, j.lane, j.state, j.priority, j.run_at, j.attempt, j.max_attempts, j.owes, j.lost_count, c.worker, j.enqueued_at, j.scheduled_at, j.available_at, j.running_at, j.retryable_at, j.completed_at, j.dead_at, j.cancelled_at, j.quarantined_at, j.unique_key, j.reason, j.progress, j.errors, j.meta, j.payload, j.result FROM {p}jobs j LEFT JOIN {p}claims c ON c.claim = j.token / 4096",
            $where
        )
    };
}

const RECORD: &str = record!("");
pub(super) const GET: &str = record!(" WHERE j.id = ANY ($1)");
/// One statement, so that a job that moves meanwhile counts once. `OFFSET 0` keeps the planner, which does not know that few jobs run,
/// from reading the whole table for them.
pub(super) const COUNT: &str = "SELECT lane, 1::smallint, sum(jobs)::bigint, {now} - min(first) FROM (SELECT lane, count(*) AS jobs, min(run_at) AS first FROM {p}jobs WHERE shelf = 1 GROUP BY lane UNION ALL SELECT lane, count(*), min(run_at) FROM {p}jobs WHERE shelf > 1 AND shelf < 4 GROUP BY lane) c GROUP BY lane UNION ALL SELECT lane, state, count(*), NULL FROM {p}jobs WHERE state IN (0, 3) GROUP BY lane, state UNION ALL SELECT lane, state, count(*), NULL FROM {p}jobs WHERE ended_at IS NOT NULL GROUP BY lane, state UNION ALL SELECT r.lane, r.state, count(*), NULL FROM {p}claims c CROSS JOIN LATERAL unnest(c.ids) WITH ORDINALITY w (id, ord) CROSS JOIN LATERAL (SELECT j.lane, j.state FROM {p}jobs j WHERE j.id = w.id AND j.token = c.claim * 4096 + w.ord - 1 AND j.state = 2 OFFSET 0) r GROUP BY r.lane, r.state";

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

/// A lane as an operator sees it.
#[derive(Debug)]
struct Seen {
    lane: Lane,
    since: Option<i64>,
    until: Option<i64>,
    unroutable: bool,
}

/// Lanes and workers at one moment.
#[derive(Debug)]
pub(super) struct View {
    lanes: HashMap<i32, Seen>,
    workers: Vec<WorkerInfo>,
}

impl View {
    pub(super) fn is_unroutable(&self, lane: i32) -> bool {
        self.lanes.get(&lane).is_some_and(|seen| seen.unroutable)
    }

    fn shown(&self, lane: i32, stored: JobState) -> JobState {
        if stored == JobState::Available && self.is_unroutable(lane) { JobState::Unroutable } else { stored }
    }

    fn numbers(&self, fits: impl Fn(&Seen) -> bool) -> Vec<i32> {
        self.lanes.iter().filter(|(_, seen)| fits(seen)).map(|(number, _)| *number).collect()
    }

    /// A record; nothing for a row that names no job.
    fn record(&self, row: &PgRow) -> sqlx::Result<Option<JobRecord>> {
        let number: i32 = row.try_get(1)?;
        let (Some(seen), Some(stored)) = (self.lanes.get(&number), state(row.try_get(2)?)) else {
            return Ok(None);
        };
        let state = self.shown(number, stored);
        let mut entered = BTreeMap::new();
        for (state, column) in ENTERED {
            entered
                .extend(row.try_get::<Option<i64>, _>(column)?.map(|at| (state, Timestamp::from_millis(at))));
        }
        entered.extend(seen.unroutable_at(&entered, state).map(|at| (JobState::Unroutable, at)));
        let errors: Option<Vec<Option<Vec<u8>>>> = row.try_get(22)?;
        let progress: Option<&[u8]> = row.try_get(21)?;
        Ok(Some(JobRecord {
            id: job_id(row.try_get(0)?),
            state,
            handler: seen.lane.handler.clone(),
            point_version: seen.lane.version,
            payload: Payload::from(row.try_get::<&[u8], _>(24)?),
            queue: seen.lane.queue_name.clone(),
            priority: u8::try_from(row.try_get::<i16, _>(3)?).unwrap_or(u8::MAX),
            attempt: unsigned(row.try_get(5)?),
            max_attempts: unsigned(row.try_get(6)?),
            lost_count: unsigned(row.try_get::<i32, _>(8)?.into()),
            run_at: Timestamp::from_millis(row.try_get(4)?),
            enqueued_at: Timestamp::from_millis(row.try_get(10)?),
            entered,
            errors: errors.unwrap_or_default().iter().flatten().filter_map(|bytes| error(bytes)).collect(),
            reason: row.try_get::<Option<&[u8]>, _>(20)?.map(text),
            unique: row.try_get::<Option<&str>, _>(19)?.map(UniqueKey::from),
            worker: row.try_get::<Option<Uuid>, _>(9)?.map(|worker| WorkerId::from_bytes(*worker.as_bytes())),
            progress: progress.and_then(|bytes| serde_json::from_slice(bytes).ok()),
            result: row.try_get::<Option<&[u8]>, _>(25)?.map(Payload::from),
            owes_on_failure: row.try_get(7)?,
            meta: meta(row.try_get(23)?),
        }))
    }
}

impl Seen {
    /// When a job of this lane last became unroutable: while it was available, the lane was, too.
    fn unroutable_at(&self, entered: &BTreeMap<JobState, Timestamp>, shown: JobState) -> Option<Timestamp> {
        let available = *entered.get(&JobState::Available)?;
        if shown == JobState::Unroutable {
            return Some(self.since.map_or(available, Timestamp::from_millis).max(available));
        }
        let left = entered.get(&JobState::Running).copied().filter(|running| *running >= available)?;
        let (since, until) = (Timestamp::from_millis(self.since?), self.until.map(Timestamp::from_millis));
        let met = since <= left && until.is_none_or(|until| until >= available);
        met.then(|| since.max(available))
    }
}

impl Store {
    /// The workers that beat in time.
    pub(in super::super) async fn workers(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<WorkerInfo>> {
        let mut workers = Vec::new();
        for row in self.query(&self.sql.workers).fetch_all(conn).await? {
            let info = serde_json::from_str::<WorkerInfo>(row.try_get(0)?);
            let last_beat = Timestamp::from_millis(row.try_get(1)?);
            workers.extend(info.map(|info| WorkerInfo { last_beat, ..info }));
        }
        Ok(workers)
    }

    pub(super) async fn view(&self, conn: &mut PgConnection) -> sqlx::Result<View> {
        self.refresh(conn).await?;
        let workers = self.workers(conn).await?;
        let routes = Routes::of(&workers);
        let mut lanes = HashMap::new();
        for row in self.query(&self.sql.unroutable).fetch_all(conn).await? {
            let number: i32 = row.try_get(0)?;
            let Some(lane) = self.names().lane(number).cloned() else { continue };
            let unroutable = routes.lack(&lane.queue_name, &lane.handler, lane.version);
            lanes.insert(number, Seen { lane, since: row.try_get(1)?, until: row.try_get(2)?, unroutable });
        }
        Ok(View { lanes, workers })
    }

    pub(in super::super) async fn get(
        &self,
        conn: &mut PgConnection,
        ids: &[JobId],
    ) -> sqlx::Result<Vec<Option<JobRecord>>> {
        let view = self.view(conn).await?;
        let asked: Vec<Uuid> = ids.iter().copied().map(uuid).collect();
        let mut found = HashMap::new();
        for row in self.query(&self.sql.get).bind(asked).fetch_all(conn).await? {
            found.extend(view.record(&row)?.map(|record| (record.id, record)));
        }
        Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
    }

    pub(in super::super) async fn list(
        &self,
        conn: &mut PgConnection,
        filter: &JobFilter,
    ) -> sqlx::Result<Vec<JobRecord>> {
        let view = self.view(conn).await?;
        let lanes = view.numbers(|seen| {
            filter.queue.as_ref().is_none_or(|queue| seen.lane.queue_name == *queue)
                && filter.handler.as_ref().is_none_or(|handler| seen.lane.handler == *handler)
        });
        let (beyond, way, start) =
            if filter.newest { ("<", "DESC", Uuid::max()) } else { (">", "ASC", Uuid::nil()) };
        let sql = format!(
            "{RECORD} WHERE j.id {beyond} $1 AND ($2 OR j.lane = ANY ($3)) AND ($4 OR CASE WHEN j.state = 1 AND j.lane = ANY ($5) THEN 7 ELSE j.state END = ANY ($6)) AND {} ORDER BY j.id {way} LIMIT {}",
            condition(&filter.states),
            i64::try_from(filter.page()).unwrap_or(i64::MAX)
        );
        let list = sqlx::query(AssertSqlSafe(self.place.fill(&sql)))
            .persistent(self.prepared)
            .bind(filter.after.map_or(start, uuid))
            .bind(filter.queue.is_none() && filter.handler.is_none())
            .bind(lanes)
            .bind(filter.states.is_empty())
            .bind(view.numbers(|seen| seen.unroutable))
            .bind(filter.states.iter().copied().map(code).collect::<Vec<_>>());
        list.fetch_all(conn).await?.iter().filter_map(|row| view.record(row).transpose()).collect()
    }

    pub(in super::super) async fn stats(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<QueueStats>> {
        let view = self.view(conn).await?;
        let mut counts = Counts { view: &view, queues: BTreeMap::new() };
        for row in self.query(&self.sql.count).fetch_all(&mut *conn).await? {
            counts.add(&row)?;
        }
        for row in self.query(&self.sql.paused).fetch_all(conn).await? {
            counts.queue(&QueueName::from(row.try_get::<String, _>(0)?)).paused = true;
        }
        for queue in view.workers.iter().flat_map(|worker| &worker.queues) {
            counts.queue(queue).workers += 1;
        }
        Ok(counts.queues.into_values().collect())
    }
}

struct Counts<'a> {
    view: &'a View,
    queues: BTreeMap<QueueName, QueueStats>,
}

impl Counts<'_> {
    fn queue(&mut self, name: &QueueName) -> &mut QueueStats {
        self.queues.entry(name.clone()).or_insert_with(|| QueueStats::empty(name.clone()))
    }

    fn add(&mut self, row: &PgRow) -> sqlx::Result<()> {
        let lane: i32 = row.try_get(0)?;
        let (Some(seen), Some(stored)) = (self.view.lanes.get(&lane), state(row.try_get(1)?)) else {
            return Ok(());
        };
        let shown = self.view.shown(lane, stored);
        let jobs = u64::try_from(row.try_get::<i64, _>(2)?).unwrap_or(0);
        let waited = row.try_get::<Option<i64>, _>(3)?;
        let waited = waited.map(|millis| Duration::from_millis(u64::try_from(millis).unwrap_or(0)));
        let name = seen.lane.queue_name.clone();
        let queue = self.queue(&name);
        *queue.counts.entry(shown).or_default() += jobs;
        queue.oldest_wait = queue.oldest_wait.max(waited);
        Ok(())
    }
}

/// What lets a small index find jobs in these states.
fn condition(states: &[JobState]) -> &'static str {
    use JobState::{Available, Cancelled, Dead, Quarantined, Retryable, Running, Scheduled, Unroutable};
    let only = |of: &[JobState]| !states.is_empty() && states.iter().all(|state| of.contains(state));
    if only(&[Available, Unroutable]) {
        "j.shelf IS NOT NULL AND (j.shelf = 1 OR j.shelf > 1)"
    } else if only(&[Scheduled, Retryable]) {
        "j.state IN (0, 3)"
    } else if only(&[Running]) {
        "j.state = 2 AND j.id = ANY (ARRAY(SELECT unnest(k.ids) FROM {p}claims k))"
    } else if only(&[Dead, Cancelled, Quarantined]) {
        "j.ended_at IS NOT NULL AND j.state IN (5, 6, 8)"
    } else {
        "TRUE"
    }
}
