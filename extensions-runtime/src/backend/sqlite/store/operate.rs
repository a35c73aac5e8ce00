//! The operator's changes (Q37, Q38).

use rusqlite::{OptionalExtension, Row, params};

use super::row::text;
use super::{Tx, code, read, shelf, state};
use crate::job::{JobId, JobState, QueueName};
use crate::queue::AdminOutcome;

const FIND: &str =
    "SELECT seq, lane, state, token IS NOT NULL, unique_key, unique_ttl FROM extensions_jobs WHERE id = ?1";
const AT_ONCE: &str = "UPDATE extensions_jobs SET state = 1, run_at = ?2, available_at = ?2, shelf = CASE WHEN lost_count > 0 THEN 3 WHEN suspect = 1 THEN 2 ELSE 1 END WHERE seq = ?1";
const START_OVER: &str = "UPDATE extensions_jobs SET state = 1, shelf = 1, run_at = ?2, available_at = ?2, attempt = 0, lost_count = 0, callback_lost = 0, suspect = 0, started = 0, owes = 0, ended_at = NULL, cancel = NULL, reason = NULL, progress = NULL, result = NULL WHERE seq = ?1";
const CANCEL: &str = "UPDATE extensions_jobs SET state = 6, shelf = NULL, cancelled_at = ?2, ended_at = ?2, reason = ?3 WHERE seq = ?1";

struct Found {
    seq: i64,
    lane: i64,
    state: i64,
    leased: bool,
    key: Option<String>,
    ttl: Option<i64>,
}

impl Found {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            lane: row.get(1)?,
            state: row.get(2)?,
            leased: row.get(3)?,
            key: text(row.get_ref(4)?),
            ttl: row.get(5)?,
        })
    }

    fn is(&self, state: JobState) -> bool {
        self.state == code(state)
    }
}

impl Tx<'_> {
    pub(crate) fn retry(&mut self, ids: &[JobId]) -> rusqlite::Result<Vec<AdminOutcome>> {
        let now = super::now();
        ids.iter().map(|id| self.retry_one(*id, now)).collect()
    }

    fn retry_one(&mut self, id: JobId, now: i64) -> rusqlite::Result<AdminOutcome> {
        let Some(job) = self.find(id)? else { return Ok(AdminOutcome::NotFound) };
        match state(job.state) {
            Some(JobState::Scheduled | JobState::Retryable) => {
                self.statement(AT_ONCE)?.execute([job.seq, now])?;
            }
            Some(JobState::Dead | JobState::Cancelled | JobState::Quarantined) if !job.leased => {
                if let Some(key) = &job.key
                    && let Some(of) = self.lock(key, id.as_bytes(), job.ttl, now)?
                {
                    return Ok(AdminOutcome::Duplicate(of));
                }
                self.statement(START_OVER)?.execute([job.seq, now])?;
            }
            _ => return self.wrong_state(&job),
        }
        self.touch_lane(job.lane)?;
        Ok(AdminOutcome::Done)
    }

    pub(crate) fn cancel(&mut self, ids: &[JobId], reason: &str) -> rusqlite::Result<Vec<AdminOutcome>> {
        let now = super::now();
        ids.iter().map(|id| self.cancel_one(*id, reason, now)).collect()
    }

    fn cancel_one(&mut self, id: JobId, reason: &str, now: i64) -> rusqlite::Result<AdminOutcome> {
        let Some(job) = self.find(id)? else { return Ok(AdminOutcome::NotFound) };
        if job.is(JobState::Running) {
            let ask = "UPDATE extensions_jobs SET cancel = ?2 WHERE seq = ?1";
            self.statement(ask)?.execute(params![job.seq, reason])?;
            return Ok(AdminOutcome::Requested);
        }
        if state(job.state).is_none_or(JobState::is_final) {
            return self.wrong_state(&job);
        }
        self.statement(CANCEL)?.execute(params![job.seq, now, reason])?;
        self.forget_heads(job.lane)?;
        self.unlock(job.key.as_deref(), id.as_bytes())?;
        Ok(AdminOutcome::Done)
    }

    pub(crate) fn forget(&mut self, ids: &[JobId]) -> rusqlite::Result<Vec<AdminOutcome>> {
        ids.iter().map(|id| self.forget_one(*id)).collect()
    }

    fn forget_one(&mut self, id: JobId) -> rusqlite::Result<AdminOutcome> {
        let Some(job) = self.find(id)? else { return Ok(AdminOutcome::NotFound) };
        if job.leased || !state(job.state).is_some_and(JobState::is_final) {
            return self.wrong_state(&job);
        }
        self.statement("DELETE FROM extensions_jobs WHERE seq = ?1")?.execute([job.seq])?;
        Ok(AdminOutcome::Done)
    }

    fn find(&self, id: JobId) -> rusqlite::Result<Option<Found>> {
        self.statement(FIND)?.query_row([id.as_bytes()], Found::read).optional()
    }

    /// Answers with the state that the operator sees.
    fn wrong_state(&self, job: &Found) -> rusqlite::Result<AdminOutcome> {
        let shown = state(job.state).unwrap_or(JobState::Dead);
        if shown == JobState::Available {
            let unroutable = read::unroutable_lanes(self.conn, self.boot.number, self.boot.clock.now())?;
            if unroutable.contains(&job.lane) {
                return Ok(AdminOutcome::WrongState(JobState::Unroutable));
            }
        }
        Ok(AdminOutcome::WrongState(shown))
    }

    pub(crate) fn pause(&mut self, queue: &QueueName) -> rusqlite::Result<()> {
        let queue = self.names.make_queue(self.conn, queue)?;
        self.statement("UPDATE extensions_queues SET paused = 1 WHERE queue = ?1")?.execute([queue])?;
        Ok(())
    }

    pub(crate) fn resume(&mut self, queue: &QueueName) -> rusqlite::Result<()> {
        let queue = self.names.make_queue(self.conn, queue)?;
        self.statement("UPDATE extensions_queues SET paused = 0 WHERE queue = ?1")?.execute([queue])?;
        self.touch(queue);
        Ok(())
    }
}

const _: () = assert!(shelf::READY == 1 && shelf::ALONE == 2 && shelf::LOST == 3 && shelf::OWED == 4);
