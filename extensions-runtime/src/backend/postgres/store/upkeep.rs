//! Ended leases, workers, unroutable lanes, old jobs (Q33–Q35).

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::row::{error_tail, unsigned};
use super::{Store, span};
use crate::backend::rules::{self, AfterLoss, Routes};
use crate::job::WorkerId;
use crate::queue::{Maintained, Retention};
use crate::time::Timestamp;

pub(super) const ENDED_CLAIMS: &str =
    "SELECT claim FROM {p}claims WHERE lease_until <= {now} ORDER BY claim LIMIT 64 FOR UPDATE SKIP LOCKED";
pub(super) const LOST: &str = "SELECT id, worker, attempt, owes, started, lost_count, callback_lost, asked, on_failure FROM {p}lost($1)";
pub(super) const BEAT: &str = "INSERT INTO {p}workers (worker, info, last_beat, live_till) VALUES ($1, $2, {now}, {now} + $3) ON CONFLICT (worker) DO UPDATE SET info = excluded.info, last_beat = excluded.last_beat, live_till = excluded.live_till";
pub(super) const NOTE_UNROUTABLE: &str = "UPDATE {p}lanes SET unroutable_since = CASE WHEN $2 THEN {now} ELSE unroutable_since END, unroutable_until = CASE WHEN $2 THEN NULL ELSE {now} END WHERE lane = $1 AND (unroutable_since IS NOT NULL AND unroutable_until IS NULL) <> $2";

/// How many records one step of pruning deletes.
const PRUNE_STEP: u64 = 2000;

/// How many steps of pruning one round of upkeep makes.
const PRUNE_STEPS: u64 = 5;

/// What becomes of lost jobs, as columns.
#[derive(Default)]
struct Losses {
    ids: Vec<Uuid>,
    fates: Vec<i16>,
    counts: Vec<i32>,
    errors: Vec<Option<Vec<u8>>>,
    quarantined: u64,
}

impl Losses {
    fn add(&mut self, row: &PgRow) -> sqlx::Result<()> {
        let worker = Some(WorkerId::from_bytes(*row.try_get::<Uuid, _>(1)?.as_bytes()));
        let attempt = unsigned(row.try_get(2)?);
        let number = |column: usize| Ok::<_, sqlx::Error>(unsigned(row.try_get::<i32, _>(column)?.into()));
        let at = Timestamp::default();
        let (fate, count, error) = if row.try_get(3)? {
            match number(6)? + 1 {
                losses if losses >= rules::CALLBACK_LOSSES => {
                    (4, losses, Some(rules::callback_dropped_error(attempt, at, worker)))
                }
                losses => (3, losses, None),
            }
        } else {
            match rules::after_loss(row.try_get(4)?, number(5)?, row.try_get(7)?) {
                AfterLoss::Again { lost_count } => (0, lost_count, None),
                AfterLoss::Cancelled { lost_count } => (1, lost_count, None),
                AfterLoss::Quarantined { lost_count } => {
                    self.quarantined += 1;
                    (2, lost_count, Some(rules::quarantine_error(attempt, at, worker)))
                }
            }
        };
        self.ids.push(row.try_get(0)?);
        self.fates.push(fate);
        self.counts.push(i32::try_from(count).unwrap_or(i32::MAX));
        self.errors.push(error.as_ref().map(error_tail));
        Ok(())
    }
}

impl Store {
    /// Promotes and tidies; and whether leases have ended.
    pub(in super::super) async fn maintain(
        &self,
        conn: &mut PgConnection,
    ) -> sqlx::Result<(Maintained, bool)> {
        let row = self.query(&self.sql.maintain).fetch_one(conn).await?;
        let promoted = u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or(0);
        Ok((Maintained { promoted, ..Maintained::default() }, row.try_get(1)?))
    }

    /// Takes back ended leases: how many jobs came back, and how many were lost too often. In a transaction.
    pub(in super::super) async fn rescue(&self, conn: &mut PgConnection) -> sqlx::Result<(u64, u64)> {
        let claims = self.query(&self.sql.ended_claims).fetch_all(&mut *conn).await?;
        let claims = claims.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<Vec<i64>>>()?;
        if claims.is_empty() {
            return Ok((0, 0));
        }
        let mut losses = Losses::default();
        for row in self.query(&self.sql.lost).bind(claims.clone()).fetch_all(&mut *conn).await? {
            losses.add(&row)?;
        }
        let lost = losses.ids.len() as u64;
        let quarantined = losses.quarantined;
        if lost > 0 {
            let lose = self.query(&self.sql.lose).bind(losses.ids).bind(losses.fates).bind(losses.counts);
            lose.bind(losses.errors).execute(&mut *conn).await?;
        }
        self.query(&self.sql.recount).bind(claims).execute(conn).await?;
        Ok((lost - quarantined, quarantined))
    }

    /// Writes down since when, and until when, the jobs of a lane could not be run by any live worker.
    pub(in super::super) async fn note_unroutable(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        let workers = self.workers(conn).await?;
        let routes = Routes::of(&workers);
        for row in self.query(&self.sql.unroutable).fetch_all(&mut *conn).await? {
            let lane: i32 = row.try_get(0)?;
            let noted =
                row.try_get::<Option<i64>, _>(1)?.is_some() && row.try_get::<Option<i64>, _>(2)?.is_none();
            let lacks = self
                .names()
                .lane(lane)
                .map(|lane| routes.lack(&lane.queue_name, &lane.handler, lane.version));
            if let Some(lacks) = lacks.filter(|lacks| *lacks != noted) {
                self.query(&self.sql.note_unroutable).bind(lane).bind(lacks).execute(&mut *conn).await?;
            }
        }
        Ok(())
    }

    /// Deletes a step of finished jobs that are old enough: how many, and whether there may be more.
    pub(in super::super) async fn prune(
        &self,
        conn: &mut PgConnection,
        retention: &Retention,
        limit: u64,
    ) -> sqlx::Result<(u64, bool)> {
        let step = limit.min(PRUNE_STEP);
        let prune = self
            .query(&self.sql.prune)
            .bind(span(retention.completed))
            .bind(span(retention.cancelled))
            .bind(span(retention.dead))
            .bind(i64::try_from(step).unwrap_or(i64::MAX));
        let pruned: i64 = prune.fetch_one(conn).await?.try_get(0)?;
        let pruned = u64::try_from(pruned).unwrap_or(0);
        Ok((pruned, pruned == step && step < limit))
    }

    /// How many finished jobs one round of upkeep deletes at most.
    pub(in super::super) const fn prune_round() -> u64 {
        PRUNE_STEP * PRUNE_STEPS
    }

    pub(in super::super) async fn leave(
        &self,
        conn: &mut PgConnection,
        worker: WorkerId,
    ) -> sqlx::Result<()> {
        self.query(&self.sql.leave).bind(Uuid::from_bytes(*worker.as_bytes())).execute(conn).await.map(drop)
    }
}
