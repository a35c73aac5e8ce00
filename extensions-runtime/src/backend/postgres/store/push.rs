//! Storing jobs (Q6–Q11, Q41).

use sqlx::postgres::PgBindIterExt;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::names::share_lane;
use super::{Names, Query, Store, Who, job_id, lease_token, span, uuid};
use crate::backend::handover;
use crate::job::{LeaseToken, NewJob, UniqueUntil};
use crate::queue::{ClaimRequest, Pushed};
use crate::time::Timestamp;

macro_rules! push_new {
    ($ids:literal, $jobs:literal) => {
        concat!("INSERT INTO {p}jobs (id, seq, lane, state, shelf, priority, run_at, max_attempts, on_failure, enqueued_at, scheduled_at, available_at, meta, payload) SELECT w.id, n.base + w.place, w.lane, CASE WHEN w.delay > 0 THEN 0 ELSE 1 END, CASE WHEN w.delay > 0 THEN NULL ELSE 1 END, w.priority, n.now + w.delay, w.max_attempts, w.on_failure, n.now, CASE WHEN w.delay > 0 THEN n.now END, CASE WHEN w.delay > 0 THEN NULL ELSE n.now END, w.meta, w.payload FROM (SELECT {now} AS now, nextval('{p}pushes') << 20 AS base, pg_notify('{c}', $3) FROM {p}store s WHERE s.id = $1 AND s.xmin::text = $2 AND NOT EXISTS (SELECT 1 FROM {p}taken t WHERE t.id = ", $ids, " AND t.until > {now}) OFFSET 0) n CROSS JOIN ", $jobs)
    };
}

/// Stores jobs of which none is stored and no id is taken; fails, or stores nothing, where one is. The function that looks at each costs
/// the server twice as much.
pub(super) const PUSH_NEW: &str = push_new!(
    "ANY ($4)",
    "unnest($4::uuid[], $5::integer[], $6::smallint[], $7::bigint[], $8::bigint[], $9::boolean[], $10::bytea[], $11::bytea[]) WITH ORDINALITY AS w (id, lane, priority, delay, max_attempts, on_failure, meta, payload, place)"
);

/// The same with one job, which spares the server the arrays.
pub(super) const PUSH_NEW_ONE: &str = push_new!(
    "$4",
    "(SELECT $4::uuid AS id, $5::integer AS lane, $6::smallint AS priority, $7::bigint AS delay, $8::bigint AS max_attempts, $9::boolean AS on_failure, $10::bytea AS meta, $11::bytea AS payload, 1 AS place) w"
);

/// Stores jobs as that does and claims them, where a claim of those lanes would bring them first.
pub(super) const HAND_OVER: &str = "WITH n AS MATERIALIZED (SELECT {now} AS now, nextval('{p}pushes') << 20 AS base, {now} * 256 + nextval('{p}claim_numbers') % 256 AS number FROM {p}store s WHERE s.id = $1 AND s.xmin::text = $2 AND NOT EXISTS (SELECT 1 FROM {p}taken t WHERE t.id = ANY ($4) AND t.until > {now}) AND NOT EXISTS (SELECT 1 FROM {p}queues q WHERE q.queue = $3 AND q.paused) AND NOT EXISTS (SELECT 1 FROM {p}jobs j WHERE j.shelf = 1 AND j.lane = ANY ($12)) AND NOT EXISTS (SELECT 1 FROM {p}jobs j WHERE j.shelf > 1) AND coalesce((SELECT j.run_at FROM {p}jobs j WHERE j.state IN (0, 3) ORDER BY j.run_at LIMIT 1) > {now}, true) AND NOT EXISTS (SELECT 1 FROM {p}lanes l WHERE l.lane > $16)), c AS (INSERT INTO {p}claims (claim, call, worker, lease_until, remaining, ids) SELECT n.number, $13, $14, n.now + $15, cardinality($4), $4 FROM n) INSERT INTO {p}jobs (id, seq, lane, state, priority, run_at, max_attempts, on_failure, enqueued_at, available_at, running_at, attempt, token, meta, payload) SELECT w.id, n.base + w.place, w.lane, 2, w.priority, n.now + w.delay, w.max_attempts, w.on_failure, n.now, n.now, n.now, 1, n.number * 4096 + w.place - 1, w.meta, w.payload FROM n CROSS JOIN unnest($4::uuid[], $5::integer[], $6::smallint[], $7::bigint[], $8::bigint[], $9::boolean[], $10::bytea[], $11::bytea[]) WITH ORDINALITY AS w (id, lane, priority, delay, max_attempts, on_failure, meta, payload, place) RETURNING token, enqueued_at";

pub(super) const PUSH: &str = "SELECT {p}push($4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $3) FROM {p}store s WHERE s.id = $1 AND s.xmin::text = $2";

/// How many jobs one statement stores.
const CHUNK: usize = 10_000;

/// What one statement stores.
struct Batch<'a> {
    jobs: &'a [&'a NewJob],
    lanes: Vec<i32>,
    /// The queues of the lanes.
    queues: Vec<i32>,
    /// Whose lanes these are.
    of: Who,
}

impl<'a> Batch<'a> {
    /// Nothing if one of the lanes is not known.
    fn new(jobs: &'a [&'a NewJob], names: &Names) -> Option<Self> {
        let (mut lanes, mut queues) = (Vec::with_capacity(jobs.len()), Vec::new());
        let mut last = None;
        for job in jobs {
            let (lane, queue) = match last {
                Some((last, known)) if share_lane(last, job) => known,
                _ => names.lane_of(job)?,
            };
            last = Some((job, (lane, queue)));
            lanes.push(lane);
            if !queues.contains(&queue) {
                queues.push(queue);
            }
        }
        Some(Self { jobs, lanes, queues, of: names.of().clone() })
    }

    fn column<T>(&self, value: impl Fn(&'a NewJob) -> T) -> impl Iterator<Item = T> {
        self.jobs.iter().map(move |job| value(job))
    }

    fn bind(&self, query: Query) -> Query {
        query
            .bind(self.column(|job| uuid(job.id)).bind_iter())
            .bind(&self.lanes)
            .bind(self.column(|job| i16::from(job.priority)).bind_iter())
            .bind(self.column(|job| span(job.delay)).bind_iter())
            .bind(self.column(|job| i64::from(job.max_attempts)).bind_iter())
            .bind(self.column(|job| job.on_failure).bind_iter())
            .bind(self.column(|job| serde_json::to_vec(&job.meta).unwrap_or_default()).bind_iter())
            .bind(self.column(|job| job.payload.as_bytes()).bind_iter())
    }

    /// The first job alone.
    fn bind_first(&self, query: Query) -> Query {
        let job = self.jobs[0];
        query
            .bind(uuid(job.id))
            .bind(self.lanes[0])
            .bind(i16::from(job.priority))
            .bind(span(job.delay))
            .bind(i64::from(job.max_attempts))
            .bind(job.on_failure)
            .bind(serde_json::to_vec(&job.meta).unwrap_or_default())
            .bind(job.payload.as_bytes())
    }

    /// The text that tells of the push: one queue's number is understood, all else stands for every queue.
    fn news(&self) -> String {
        match *self.queues {
            [queue] => queue.to_string(),
            _ => "*".to_owned(),
        }
    }
}

/// Whether a job takes a key or an id, for which another push may have to be waited for.
pub(in super::super) const fn takes(job: &NewJob) -> bool {
    job.unique.is_some() || job.once.is_some()
}

impl Store {
    /// Whether a push is made in one statement.
    pub(in super::super) const fn is_one_statement(jobs: usize) -> bool {
        jobs <= CHUNK
    }

    /// Stores jobs that take nothing, in one statement; whether that was done, which it is not if one of them may be there.
    pub(in super::super) async fn push_new(
        &self,
        conn: &mut PgConnection,
        jobs: &[&NewJob],
    ) -> sqlx::Result<bool> {
        let Some(batch) = Batch::new(jobs, &self.names()) else { return Ok(false) };
        let is_one = jobs.len() == 1;
        let push = self.query(if is_one { &self.sql.push_new_one } else { &self.sql.push_new });
        let push = push.bind(batch.of.id).bind(&batch.of.xmin).bind(batch.news());
        let push = if is_one { batch.bind_first(push) } else { batch.bind(push) };
        match push.execute(conn).await {
            Ok(done) => Ok(done.rows_affected() > 0),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Stores jobs of one queue that take nothing and claims them for the request, in one statement: the token of the first, and when. Does
    /// nothing if one of them may be there, or others come before them.
    pub(in super::super) async fn hand_over(
        &self,
        conn: &mut PgConnection,
        jobs: &[&NewJob],
        request: &ClaimRequest,
        call: i64,
    ) -> sqlx::Result<Option<(LeaseToken, Timestamp)>> {
        let (batch, queue, lanes, newest) = {
            let mut names = self.names();
            let Some(batch) = Batch::new(jobs, &names) else { return Ok(None) };
            let [queue] = *batch.queues else { return Ok(None) };
            let mut lanes = names.routes(queue, &request.handlers).to_vec();
            for before in handover::before(request, &jobs[0].queue) {
                if let Some(before) = names.queue(before) {
                    lanes.extend_from_slice(&names.routes(before, &request.handlers));
                }
            }
            (batch, queue, lanes, names.newest())
        };
        let push = self.query(&self.sql.hand_over).bind(batch.of.id).bind(&batch.of.xmin).bind(queue);
        let push = batch
            .bind(push)
            .bind(lanes)
            .bind(call)
            .bind(Uuid::from_bytes(*request.worker.as_bytes()))
            .bind(span(request.lease))
            .bind(newest);
        let rows = match push.fetch_all(conn).await {
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => return Ok(None),
            rows => rows?,
        };
        let tokens = rows.iter().map(|row| row.try_get::<i64, _>(0)).collect::<sqlx::Result<Vec<_>>>()?;
        let Some(first) = tokens.into_iter().min() else { return Ok(None) };
        Ok(Some((lease_token(first), Timestamp::from_millis(rows[0].try_get(1)?))))
    }

    /// Stores jobs; nothing is done, and nothing answered, where one of their lanes is not known or the store is another.
    pub(in super::super) async fn push(
        &self,
        conn: &mut PgConnection,
        jobs: &[&NewJob],
    ) -> sqlx::Result<Option<Vec<Pushed>>> {
        let mut answers = Vec::with_capacity(jobs.len());
        for jobs in jobs.chunks(CHUNK) {
            let Some(batch) = Batch::new(jobs, &self.names()) else { return Ok(None) };
            let Some(pushed) = self.push_batch(conn, &batch).await? else { return Ok(None) };
            answers.extend(pushed);
        }
        Ok(Some(answers))
    }

    async fn push_batch(
        &self,
        conn: &mut PgConnection,
        batch: &Batch<'_>,
    ) -> sqlx::Result<Option<Vec<Pushed>>> {
        let push = self.query(&self.sql.push).bind(batch.of.id).bind(&batch.of.xmin).bind(&batch.queues);
        let push = batch
            .bind(push)
            .bind(batch.jobs.iter().any(|job| takes(job)))
            .bind(batch.column(|job| job.unique.as_ref().map(|unique| unique.key.as_str())).bind_iter())
            .bind(batch.column(|job| job.unique.as_ref().and_then(|unique| unique.ttl.map(span))).bind_iter())
            .bind(
                batch
                    .column(|job| job.unique.as_ref().map(|unique| unique.until == UniqueUntil::Start))
                    .bind_iter(),
            )
            .bind(batch.column(|job| job.once.map(span)).bind_iter());
        let Some(row) = push.fetch_optional(conn).await? else { return Ok(None) };
        let holders: Option<Vec<Option<Uuid>>> = row.try_get(0)?;
        let pushed =
            |holder: Option<Uuid>| holder.map_or(Pushed::Queued, |of| Pushed::Duplicate { of: job_id(of) });
        Ok(Some(match holders {
            None => vec![Pushed::Queued; batch.jobs.len()],
            Some(holders) => holders.into_iter().map(pushed).collect(),
        }))
    }
}
