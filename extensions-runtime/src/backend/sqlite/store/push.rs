//! Storing jobs (Q6–Q11, Q41).

use std::sync::{Arc, LazyLock};

use rusqlite::{OptionalExtension, params_from_iter};

use super::value::Value;
use super::{Tx, code, shelf};
use crate::job::{JobId, JobState, NewJob, UniqueUntil};
use crate::queue::Pushed;
use crate::time::millis;

pub(crate) const INSERT: &str = "INSERT INTO extensions_jobs (id, lane, state, shelf, priority, run_at, max_attempts, on_failure, enqueued_at, scheduled_at, available_at, unique_key, unique_ttl, unique_start, meta, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) ON CONFLICT (id) DO NOTHING";

/// How many usual jobs are stored with one statement, where there are so many.
const ROWS: usize = 16;

/// [`INSERT`] of usual jobs: ready now, and without a key. What they share is given first, then each one's [`usual_row`].
static INSERT_USUAL: LazyLock<String> = LazyLock::new(|| insert_usual(1));
static INSERT_ROWS: LazyLock<String> = LazyLock::new(|| insert_usual(ROWS));

fn insert_usual(rows: usize) -> String {
    let row = |row: usize| {
        let [id, lane, line, priority, max, on_failure, meta, payload] =
            std::array::from_fn(|column| 2 + USUAL * row + column);
        format!(
            "(?{id}, ?{lane}, ?{line}, 1, 1, ?{priority}, ?1, ?{max}, ?{on_failure}, ?1, ?1, ?{meta}, ?{payload})"
        )
    };
    let rows: Vec<_> = (0..rows).map(row).collect();
    format!(
        "INSERT INTO extensions_jobs (id, lane, line, state, shelf, priority, run_at, max_attempts, on_failure, enqueued_at, available_at, meta, payload) VALUES {} ON CONFLICT (id) DO NOTHING",
        rows.join(", ")
    )
}

/// Whether any id stays taken.
pub(crate) const ANY_TAKEN: &str = "SELECT 1 FROM extensions_taken LIMIT 1";
/// Whether this id is taken, by a record or without one.
pub(crate) const IS_TAKEN: &str = "SELECT 1 FROM extensions_jobs WHERE id = ?1 UNION ALL SELECT 1 FROM extensions_taken WHERE id = ?1 AND until > ?2 LIMIT 1";
pub(crate) const TAKE_ID: &str = "INSERT OR REPLACE INTO extensions_taken (id, until) VALUES (?1, ?2)";

/// Makes the key the job's, unless another job holds it.
pub(crate) const LOCK: &str = "INSERT INTO extensions_locks (key, job, expires_at) VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE SET job = excluded.job, expires_at = excluded.expires_at WHERE job = excluded.job OR expires_at <= ?4";
pub(crate) const HOLDER: &str = "SELECT job FROM extensions_locks WHERE key = ?1";

/// Jobs with their metadata as text, written in the caller's thread.
#[derive(Debug)]
pub(crate) struct Batch {
    jobs: Arc<[NewJob]>,
    /// One after the other.
    metas: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Batch {
    pub(crate) fn new(jobs: Arc<[NewJob]>) -> Self {
        let (mut metas, mut ends) = (Vec::with_capacity(64 * jobs.len()), Vec::with_capacity(jobs.len()));
        for job in jobs.iter() {
            // Memory takes everything, and a meta has nothing that JSON has not.
            let _ = serde_json::to_writer(&mut metas, &job.meta);
            ends.push(metas.len());
        }
        Self { jobs, metas: String::from_utf8(metas).unwrap_or_default(), ends }
    }

    pub(crate) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&NewJob, &str)> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let metas = starts.zip(&self.ends).map(|(start, end)| &self.metas[start..*end]);
        self.jobs.iter().zip(metas)
    }
}

/// What [`INSERT`] is given.
pub(crate) fn row<'a>(job: &'a NewJob, meta: &'a str, lane: i64, now: i64) -> [Value<'a>; 16] {
    let waits = !job.delay.is_zero();
    let state = if waits { JobState::Scheduled } else { JobState::Available };
    let unique = job.unique.as_ref();
    [
        job.id.as_bytes().into(),
        lane.into(),
        code(state).into(),
        (!waits).then_some(shelf::READY).into(),
        i64::from(job.priority).into(),
        now.saturating_add(millis(job.delay)).into(),
        job.max_attempts.into(),
        job.on_failure.into(),
        now.into(),
        waits.then_some(now).into(),
        (!waits).then_some(now).into(),
        unique.map(|unique| unique.key.as_str()).into(),
        unique.and_then(|unique| unique.ttl.map(millis)).into(),
        unique.map(|unique| unique.until == UniqueUntil::Start).into(),
        meta.into(),
        job.payload.as_bytes().into(),
    ]
}

const USUAL: usize = 8;

/// What differs from one usual job to the next; nothing for another job.
fn usual_row<'a>(job: &'a NewJob, meta: &'a str, lane: i64, queue: i64) -> Option<[Value<'a>; USUAL]> {
    (job.delay.is_zero() && job.unique.is_none() && job.once.is_none()).then(|| {
        [
            job.id.as_bytes().into(),
            lane.into(),
            super::common_line(queue).into(),
            i64::from(job.priority).into(),
            job.max_attempts.into(),
            job.on_failure.into(),
            meta.into(),
            job.payload.as_bytes().into(),
        ]
    })
}

/// What [`LOCK`] is given.
pub(crate) fn lock<'a>(key: &'a str, id: &'a [u8; 16], ttl: Option<i64>, now: i64) -> [Value<'a>; 4] {
    [key.into(), id.into(), ttl.map(|ttl| now.saturating_add(ttl)).into(), now.into()]
}

/// What [`TAKE_ID`] is given, for a job whose id stays taken.
pub(crate) fn take_id(job: &NewJob, now: i64) -> Option<[Value<'_>; 2]> {
    Some([job.id.as_bytes().into(), now.saturating_add(millis(job.once?)).into()])
}

/// The job that has a key.
pub(crate) fn holder(id: &[u8]) -> Option<JobId> {
    id.try_into().ok().map(JobId::from_bytes)
}

impl Tx<'_> {
    pub(crate) fn push(&mut self, batch: &Batch) -> rusqlite::Result<Vec<Pushed>> {
        let now = super::now();
        let conn = self.conn;
        let mut insert = conn.prepare_cached(INSERT)?;
        let mut last: Option<(&NewJob, (i64, i64))> = None;
        let mut usual = Vec::with_capacity(ROWS.min(batch.len()));
        let mut any_taken = self.statement(ANY_TAKEN)?.exists([])?;
        let mut answers = Vec::with_capacity(batch.len());
        for (job, meta) in batch.iter() {
            if (any_taken || job.unique.is_some())
                && let Some(answer) = self.refuse(job, now)?
            {
                answers.push(answer);
                continue;
            }
            answers.push(Pushed::Queued);
            let place = match last {
                Some((before, place)) if same_lane(before, job) => place,
                _ => {
                    let place = self.names.make_lane(conn, job)?;
                    self.touch_lane(place.0)?;
                    place
                }
            };
            last = Some((job, place));
            let (lane, queue) = place;
            if let Some(row) = usual_row(job, meta, lane, queue) {
                usual.push(row);
                if usual.len() == ROWS {
                    self.store_usual(&mut usual, now)?;
                }
                continue;
            }
            self.store_usual(&mut usual, now)?;
            let stored = insert.execute(row(job, meta, lane, now))? > 0;
            if let Some(taken) = take_id(job, now).filter(|_| stored) {
                self.statement(TAKE_ID)?.execute(taken)?;
                any_taken = true;
            }
        }
        self.store_usual(&mut usual, now)?;
        Ok(answers)
    }

    fn store_usual(&self, rows: &mut Vec<[Value<'_>; USUAL]>, now: i64) -> rusqlite::Result<()> {
        let (sql, size) = if rows.len() == ROWS { (&*INSERT_ROWS, ROWS) } else { (&*INSERT_USUAL, 1) };
        let now = Value::from(now);
        for rows in rows.chunks_exact(size) {
            let values = std::iter::once(&now).chain(rows.iter().flatten());
            self.statement(sql)?.execute(params_from_iter(values))?;
        }
        rows.clear();
        Ok(())
    }

    /// The answer, if the job is not to be stored; else its key is its own now.
    fn refuse(&self, job: &NewJob, now: i64) -> rusqlite::Result<Option<Pushed>> {
        let id = job.id.as_bytes();
        if self.statement(IS_TAKEN)?.exists((id, now))? {
            return Ok(Some(Pushed::Queued));
        }
        let Some(unique) = &job.unique else { return Ok(None) };
        let of = self.lock(unique.key.as_str(), id, unique.ttl.map(millis), now)?;
        Ok(of.map(|of| Pushed::Duplicate { of }))
    }

    /// The holder of a unique key, if another job than `id` holds it; else the key is the job's now.
    pub(super) fn lock(
        &self,
        key: &str,
        id: &[u8; 16],
        ttl: Option<i64>,
        now: i64,
    ) -> rusqlite::Result<Option<JobId>> {
        if self.statement(LOCK)?.execute(lock(key, id, ttl, now))? > 0 {
            return Ok(None);
        }
        let of: Option<Vec<u8>> = self.statement(HOLDER)?.query_row([key], |row| row.get(0)).optional()?;
        Ok(of.as_deref().and_then(holder))
    }
}

fn same_lane(a: &NewJob, b: &NewJob) -> bool {
    a.handler == b.handler && a.queue == b.queue && a.point_version == b.point_version
}
