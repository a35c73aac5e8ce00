//! The first ready job of each lane, remembered between claims: with hundreds of lanes, looking at each anew would cost
//! more than the claim itself.
//!
//! What is remembered holds as long as no other connection has committed; own changes of a lane forget its head.

use std::collections::HashMap;

use rusqlite::Connection;

use super::claim::Rank;

#[derive(Debug, Default)]
pub(super) struct Heads {
    heads: HashMap<i64, Option<Rank>>,
    data_version: i64,
}

const NEXT_LANE: &str = "SELECT lane, priority, run_at, seq FROM extensions_jobs WHERE shelf = ?1 AND lane >= ?2 ORDER BY lane, priority, run_at, seq LIMIT 1";

impl Heads {
    pub(super) fn forget(&mut self, lane: i64) {
        self.heads.remove(&lane);
    }

    /// The lanes, out of these in ascending order, in which something is ready, each with its first job.
    pub(super) fn of(
        &mut self,
        conn: &Connection,
        ready: i64,
        lanes: &[i64],
    ) -> rusqlite::Result<Vec<(Rank, i64)>> {
        let data_version = conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if data_version != self.data_version {
            self.heads.clear();
            self.data_version = data_version;
        }
        let unknown: Vec<_> = lanes.iter().copied().filter(|lane| !self.heads.contains_key(lane)).collect();
        self.heads.extend(unknown.iter().map(|lane| (*lane, None)));
        for (rank, lane) in scan(conn, ready, &unknown)? {
            self.heads.insert(lane, Some(rank));
        }
        Ok(lanes.iter().filter_map(|lane| Some(((*self.heads.get(lane)?)?, *lane))).collect())
    }
}

/// Walks the index from lane to lane, and so passes empty ones without a look.
pub(super) fn scan(conn: &Connection, shelf: i64, lanes: &[i64]) -> rusqlite::Result<Vec<(Rank, i64)>> {
    let mut select = conn.prepare_cached(NEXT_LANE)?;
    let mut found = Vec::new();
    let mut wanted = lanes;
    while let [from, ..] = wanted {
        let mut rows = select.query([shelf, *from])?;
        let Some(row) = rows.next()? else { break };
        let lane: i64 = row.get(0)?;
        wanted = &wanted[wanted.partition_point(|wanted| *wanted < lane)..];
        if wanted.first() == Some(&lane) {
            found.push(((row.get(1)?, row.get(2)?, row.get(3)?), lane));
            wanted = &wanted[1..];
        }
    }
    Ok(found)
}
