//! Storing jobs (Q6–Q11).

use std::sync::Arc;

use rusqlite::params;

use super::{Tx, code, shelf};
use crate::job::{JobId, JobState, NewJob, UniqueUntil};
use crate::queue::Pushed;
use crate::time::millis;

const INSERT: &str = "INSERT INTO extensions_jobs (id, lane, state, shelf, priority, run_at, max_attempts, on_failure, enqueued_at, scheduled_at, available_at, unique_key, unique_ttl, unique_start, meta, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) ON CONFLICT (id) DO NOTHING";

/// Jobs with their metadata as text, written in the caller's thread.
#[derive(Debug)]
pub(crate) struct Batch {
    jobs: Arc<[NewJob]>,
    metas: Vec<String>,
}

impl Batch {
    pub(crate) fn new(jobs: Arc<[NewJob]>) -> Self {
        let text = |job: &NewJob| serde_json::to_string(&job.meta).unwrap_or_default();
        let metas = jobs.iter().map(text).collect();
        Self { jobs, metas }
    }
}

impl Tx<'_> {
    pub(crate) fn push(&mut self, batch: &Batch) -> rusqlite::Result<Vec<Pushed>> {
        let now = super::now();
        let conn = self.conn;
        let mut insert = conn.prepare_cached(INSERT)?;
        let mut last: Option<(&NewJob, i64)> = None;
        let mut touched = None;
        let mut answers = Vec::with_capacity(batch.jobs.len());
        for (job, meta) in batch.jobs.iter().zip(&batch.metas) {
            if let Some(answer) = self.lock_for(job, now)? {
                answers.push(answer);
                continue;
            }
            let lane = match last {
                Some((before, lane)) if same_lane(before, job) => lane,
                _ => self.names.make_lane(conn, job)?,
            };
            let waits = !job.delay.is_zero();
            let state = if waits { JobState::Scheduled } else { JobState::Available };
            let unique = job.unique.as_ref();
            let stored = insert.execute(params![
                job.id.as_bytes(),
                lane,
                code(state),
                (!waits).then_some(shelf::READY),
                job.priority,
                now.saturating_add(millis(job.delay)),
                job.max_attempts,
                job.on_failure,
                now,
                waits.then_some(now),
                (!waits).then_some(now),
                unique.map(|unique| unique.key.as_str()),
                unique.and_then(|unique| unique.ttl.map(millis)),
                unique.map(|unique| unique.until == UniqueUntil::Start),
                meta,
                job.payload.as_bytes(),
            ])?;
            if stored > 0 && touched != Some(lane) {
                self.touch_lane(lane)?;
                touched = Some(lane);
            }
            last = Some((job, lane));
            answers.push(Pushed::Queued);
        }
        Ok(answers)
    }

    /// Takes the job's lock; the answer, if the job is not to be stored.
    fn lock_for(&self, job: &NewJob, now: i64) -> rusqlite::Result<Option<Pushed>> {
        let Some(unique) = &job.unique else { return Ok(None) };
        let id = job.id.as_bytes();
        if self.statement("SELECT 1 FROM extensions_jobs WHERE id = ?1")?.exists([id])? {
            return Ok(Some(Pushed::Queued));
        }
        let expires = unique.ttl.map(|ttl| now.saturating_add(millis(ttl)));
        let holder = self.lock(unique.key.as_str(), id, expires, now)?;
        let of = holder.and_then(|of| <[u8; 16]>::try_from(of).ok()).map(JobId::from_bytes);
        Ok(of.map(|of| Pushed::Duplicate { of }))
    }
}

fn same_lane(a: &NewJob, b: &NewJob) -> bool {
    a.handler == b.handler && a.queue == b.queue && a.point_version == b.point_version
}
