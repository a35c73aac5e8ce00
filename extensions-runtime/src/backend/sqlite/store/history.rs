//! What workers did, by the minute (Q43).

use std::time::Duration;

use rusqlite::{Connection, ToSql};

use super::row::name;
use super::{Tx, timestamp};
use crate::backend::history::{self, KEPT, first_minute, minute};
use crate::queue::{HistoryEntry, Tally};
use crate::time::Timestamp;

const ADD: &str = "INSERT INTO extensions_history (minute, queue, handler, started, completed, failed, retried, dead, cancelled, run_time, longest, wait) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (minute, queue, handler) DO UPDATE SET started = started + excluded.started, completed = completed + excluded.completed, failed = failed + excluded.failed, retried = retried + excluded.retried, dead = dead + excluded.dead, cancelled = cancelled + excluded.cancelled, run_time = run_time + excluded.run_time, longest = max(longest, excluded.longest), wait = wait + excluded.wait";

const SINCE: &str = "SELECT minute, queue, handler, started, completed, failed, retried, dead, cancelled, run_time, longest, wait FROM extensions_history WHERE minute >= ?1 ORDER BY minute, queue, handler";

impl Tx<'_> {
    /// Adds what was done, and forgets what is old.
    pub(super) fn add_history(&self, done: &[Tally], now: Timestamp) -> rusqlite::Result<()> {
        if done.is_empty() {
            return Ok(());
        }
        let oldest = first_minute(now, KEPT).as_millis();
        self.statement("DELETE FROM extensions_history WHERE minute < ?1")?.execute([oldest])?;
        let now = minute(now).as_millis();
        let mut add = self.statement(ADD)?;
        for tally in done {
            let figures = history::figures(tally);
            let (queue, handler) = (tally.queue.as_str(), tally.handler.as_str());
            let mut row: Vec<&dyn ToSql> = vec![&now, &queue, &handler];
            row.extend(figures.iter().map(|figure| figure as &dyn ToSql));
            add.execute(&*row)?;
        }
        Ok(())
    }
}

pub(crate) fn since(
    conn: &Connection,
    since: Duration,
    now: Timestamp,
) -> rusqlite::Result<Vec<HistoryEntry>> {
    let mut select = conn.prepare_cached(SINCE)?;
    let entries = select.query_map([first_minute(now, since).as_millis()], |row| {
        let mut figures = [0; 9];
        for (place, figure) in figures.iter_mut().enumerate() {
            *figure = row.get(3 + place)?;
        }
        let (queue, handler) = (name(row.get_ref(1)?), name(row.get_ref(2)?));
        Ok(HistoryEntry {
            minute: timestamp(row.get(0)?),
            tally: history::tally(queue.into(), handler.into(), figures),
        })
    })?;
    entries.collect()
}
