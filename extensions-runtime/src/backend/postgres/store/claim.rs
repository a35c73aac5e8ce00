//! Claiming jobs (Q12–Q18).

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::row::{error, meta, unsigned};
use super::{CLAIM_SIZE, Store, job_id, lease_token, span};
use crate::job::{ClaimedJob, Payload, Purpose};
use crate::queue::{ClaimRequest, Claimed, TakeLost, WaitCursor};
use crate::time::Timestamp;

/// The function takes a value of the store's row, so that it is never called where there is no such row.
pub(super) const CLAIM: &str = "SELECT c.id, c.token, c.lane, c.owes, c.priority, c.attempt, c.max_attempts, c.lost_count, c.enqueued_at, c.age, c.on_failure, c.error, c.meta, c.payload FROM {p}store s CROSS JOIN LATERAL {p}claim($1, $2, $3, $4, $5, $6, $7, $8, CASE WHEN s.one THEN $9 END) c WHERE s.id = $10 AND s.xmin::text = $11";

impl Store {
    /// Claims jobs under the number `call`; nothing if there are lanes that are not known here, or the store is another.
    pub(in super::super) async fn reserve(
        &self,
        conn: &mut PgConnection,
        request: &ClaimRequest,
        call: i64,
        cursor: WaitCursor,
    ) -> sqlx::Result<Option<Claimed>> {
        let (mut queues, mut lanes, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        let (newest, of) = {
            let mut names = self.names();
            for name in &request.queues {
                let Some(queue) = names.queue(name).filter(|queue| !queues.contains(queue)) else { continue };
                queues.push(queue);
                lanes.extend_from_slice(&names.routes(queue, &request.handlers));
                ends.push(i32::try_from(lanes.len()).unwrap_or(i32::MAX));
            }
            (names.newest(), names.of().clone())
        };
        let lost = match request.lost {
            TakeLost::None => 0,
            TakeLost::Uncounted => 1,
            TakeLost::All => 2,
        };
        let most = i64::try_from(request.max).unwrap_or(CLAIM_SIZE).min(CLAIM_SIZE);
        let claim = self
            .query(&self.sql.claim)
            .bind(Uuid::from_bytes(*request.worker.as_bytes()))
            .bind(call)
            .bind(queues)
            .bind(lanes)
            .bind(ends)
            .bind(i32::try_from(most).unwrap_or(0))
            .bind(span(request.lease))
            .bind(lost)
            .bind(newest)
            .bind(of.id)
            .bind(of.xmin);
        let rows = claim.fetch_all(conn).await?;
        let Some((head, rows)) = rows.split_first() else { return Ok(None) };
        if head.try_get::<i32, _>(2)? == 1 {
            return Ok(None);
        }
        let next_due = head.try_get::<Option<i64>, _>(1)?;
        let next_due = next_due.map(|due| Duration::from_millis(u64::try_from(due).unwrap_or(0)));
        let mut jobs = rows.iter().map(|row| self.claimed(row)).collect::<sqlx::Result<Vec<_>>>()?;
        jobs.sort_unstable_by_key(|job| job.token);
        Ok(Some(Claimed { jobs, cursor, next_due }))
    }

    fn claimed(&self, row: &PgRow) -> sqlx::Result<ClaimedJob> {
        let names = self.names();
        let lane = names.lane(row.try_get(2)?).ok_or(sqlx::Error::RowNotFound)?;
        let owes: bool = row.try_get(3)?;
        let last_error: Option<&[u8]> = row.try_get(11)?;
        Ok(ClaimedJob {
            id: job_id(row.try_get(0)?),
            token: lease_token(row.try_get(1)?),
            purpose: if owes { Purpose::OnFailure } else { Purpose::Attempt },
            handler: lane.handler.clone(),
            point_version: lane.version,
            payload: Payload::from(row.try_get::<&[u8], _>(13)?),
            queue: lane.queue_name.clone(),
            priority: u8::try_from(row.try_get::<i16, _>(4)?).unwrap_or(u8::MAX),
            attempt: unsigned(row.try_get(5)?),
            max_attempts: unsigned(row.try_get(6)?),
            lost_count: unsigned(row.try_get::<i32, _>(7)?.into()),
            enqueued_at: Timestamp::from_millis(row.try_get(8)?),
            age: Duration::from_millis(u64::try_from(row.try_get::<i64, _>(9)?).unwrap_or(0)),
            on_failure: row.try_get(10)?,
            last_error: last_error.and_then(error),
            meta: meta(row.try_get(12)?),
        })
    }

    /// Gives back a claim whose answer did not arrive.
    pub(in super::super) async fn release_call(
        &self,
        conn: &mut PgConnection,
        call: i64,
    ) -> sqlx::Result<()> {
        self.query(&self.sql.release_call).bind(call).execute(conn).await.map(drop)
    }
}
