//! What workers did, by the minute (Q43).

use std::time::Duration;

use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{Store, span};
use crate::backend::history::{self, KEPT, first_minute};
use crate::queue::{HistoryEntry, Tally, WorkerInfo};
use crate::time::Timestamp;

/// A beat with what was done. The rows are touched in their order, so that beats that cross wait and never deadlock.
pub(super) const BEAT_DONE: &str = "WITH beat AS (INSERT INTO {p}workers (worker, info, last_beat, live_till) VALUES ($1, $2, {now}, {now} + $3) ON CONFLICT (worker) DO UPDATE SET info = excluded.info, last_beat = excluded.last_beat, live_till = excluded.live_till), old AS (DELETE FROM {p}history WHERE minute < {now} - $4) INSERT INTO {p}history AS h (minute, queue, handler, started, completed, failed, retried, dead, cancelled, run_time, longest, wait) SELECT {now} / 60000 * 60000, d.queue, d.handler, sum(d.started)::bigint, sum(d.completed)::bigint, sum(d.failed)::bigint, sum(d.retried)::bigint, sum(d.dead)::bigint, sum(d.cancelled)::bigint, sum(d.run_time)::bigint, max(d.longest), sum(d.wait)::bigint FROM unnest($5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[]) d (queue, handler, started, completed, failed, retried, dead, cancelled, run_time, longest, wait) GROUP BY d.queue, d.handler ORDER BY d.queue, d.handler ON CONFLICT (minute, queue, handler) DO UPDATE SET started = h.started + excluded.started, completed = h.completed + excluded.completed, failed = h.failed + excluded.failed, retried = h.retried + excluded.retried, dead = h.dead + excluded.dead, cancelled = h.cancelled + excluded.cancelled, run_time = h.run_time + excluded.run_time, longest = greatest(h.longest, excluded.longest), wait = h.wait + excluded.wait";

pub(super) const SINCE: &str = "SELECT minute, queue, handler, started, completed, failed, retried, dead, cancelled, run_time, longest, wait FROM {p}history WHERE minute >= $1 ORDER BY minute, queue COLLATE \"C\", handler COLLATE \"C\"";

impl Store {
    /// A beat, and what was done since the last.
    pub(in super::super) async fn beat(
        &self,
        conn: &mut PgConnection,
        worker: &WorkerInfo,
        done: &[Tally],
    ) -> sqlx::Result<()> {
        let info = serde_json::to_string(worker).unwrap_or_default();
        let sql = if done.is_empty() { &self.sql.beat } else { &self.sql.beat_done };
        let id = Uuid::from_bytes(*worker.id.as_bytes());
        let mut beat = self.query(sql).bind(id).bind(info).bind(span(worker.live_for));
        if !done.is_empty() {
            let names =
                |name: fn(&Tally) -> &str| done.iter().map(|t| name(t).to_owned()).collect::<Vec<_>>();
            let figures: Vec<_> = done.iter().map(history::figures).collect();
            beat =
                beat.bind(span(KEPT)).bind(names(|t| t.queue.as_str())).bind(names(|t| t.handler.as_str()));
            for place in 0..9 {
                beat = beat.bind(figures.iter().map(|figures| figures[place]).collect::<Vec<_>>());
            }
        }
        beat.execute(conn).await.map(drop)
    }

    pub(in super::super) async fn history(
        &self,
        conn: &mut PgConnection,
        since: Duration,
    ) -> sqlx::Result<Vec<HistoryEntry>> {
        let first = first_minute(self.now(conn).await?, since).as_millis();
        let mut entries = Vec::new();
        for row in self.query(&self.sql.history).bind(first).fetch_all(conn).await? {
            let mut figures = [0; 9];
            for (place, figure) in figures.iter_mut().enumerate() {
                *figure = row.try_get(3 + place)?;
            }
            let (queue, handler): (&str, &str) = (row.try_get(1)?, row.try_get(2)?);
            entries.push(HistoryEntry {
                minute: Timestamp::from_millis(row.try_get(0)?),
                tally: history::tally(queue.into(), handler.into(), figures),
            });
        }
        Ok(entries)
    }
}
