//! The operator's changes (Q37, Q38).

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{Store, job_id, state, uuid};
use crate::job::{JobId, JobState, QueueName};
use crate::queue::AdminOutcome;

/// A change to jobs.
#[derive(Debug, Clone)]
pub(in super::super) enum Change {
    Retry,
    Cancel(String),
    Forget,
}

impl Store {
    pub(in super::super) async fn change(
        &self,
        conn: &mut PgConnection,
        ids: &[JobId],
        change: &Change,
    ) -> sqlx::Result<Vec<AdminOutcome>> {
        let ids: Vec<Uuid> = ids.iter().copied().map(uuid).collect();
        let query = match change {
            Change::Retry => self.query(&self.sql.retry).bind(ids),
            Change::Cancel(reason) => self.query(&self.sql.cancel).bind(ids).bind(reason.as_bytes()),
            Change::Forget => self.query(&self.sql.forget).bind(ids),
        };
        let rows = query.fetch_all(&mut *conn).await?;
        let mut outcomes = Vec::with_capacity(rows.len());
        for row in rows {
            outcomes.push(self.outcome(conn, &row).await?);
        }
        Ok(outcomes)
    }

    async fn outcome(&self, conn: &mut PgConnection, row: &PgRow) -> sqlx::Result<AdminOutcome> {
        Ok(match row.try_get::<i32, _>(0)? {
            0 => AdminOutcome::Done,
            1 => AdminOutcome::Requested,
            2 => AdminOutcome::NotFound,
            4 => AdminOutcome::Duplicate(job_id(row.try_get(3)?)),
            _ => AdminOutcome::WrongState(self.shown(conn, row).await?),
        })
    }

    /// The state that the operator sees.
    async fn shown(&self, conn: &mut PgConnection, row: &PgRow) -> sqlx::Result<JobState> {
        let stored = state(row.try_get(1)?).unwrap_or(JobState::Dead);
        if stored == JobState::Available && self.view(conn).await?.is_unroutable(row.try_get(2)?) {
            return Ok(JobState::Unroutable);
        }
        Ok(stored)
    }

    /// Stops or starts a queue.
    pub(in super::super) async fn pause(
        &self,
        conn: &mut PgConnection,
        queue: &QueueName,
        stop: bool,
    ) -> sqlx::Result<()> {
        self.query(&self.sql.pause).bind(queue.to_string()).bind(stop).execute(conn).await.map(drop)
    }
}
