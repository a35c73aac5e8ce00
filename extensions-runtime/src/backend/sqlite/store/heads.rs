//! The first ready job of each line, remembered between claims: with hundreds of queues, looking at each anew would cost
//! more than the claim itself.
//!
//! What is remembered holds as long as no other connection has committed; own changes of a line forget its head.

use std::collections::HashMap;

use rusqlite::Connection;

use super::claim::Rank;

#[derive(Debug, Default)]
pub(super) struct Heads {
    heads: HashMap<i64, Option<Rank>>,
    data_version: i64,
}

const NEXT_LINE: &str = "SELECT coalesce(line, lane), priority, run_at, seq FROM extensions_jobs WHERE shelf = ?1 AND coalesce(line, lane) >= ?2 ORDER BY coalesce(line, lane), priority, run_at, seq LIMIT 1";

impl Heads {
    pub(super) fn forget(&mut self, line: i64) {
        self.heads.remove(&line);
    }

    /// The lines, out of these in ascending order, in which something is ready, each with its first job.
    pub(super) fn of(
        &mut self,
        conn: &Connection,
        ready: i64,
        lines: &[i64],
    ) -> rusqlite::Result<Vec<(Rank, i64)>> {
        let data_version = conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if data_version != self.data_version {
            self.heads.clear();
            self.data_version = data_version;
        }
        let unknown: Vec<_> = lines.iter().copied().filter(|line| !self.heads.contains_key(line)).collect();
        self.heads.extend(unknown.iter().map(|line| (*line, None)));
        for (rank, line) in scan(conn, ready, &unknown)? {
            self.heads.insert(line, Some(rank));
        }
        Ok(lines.iter().filter_map(|line| Some(((*self.heads.get(line)?)?, *line))).collect())
    }
}

/// Walks the index from line to line, and so passes empty ones without a look.
pub(super) fn scan(conn: &Connection, shelf: i64, lines: &[i64]) -> rusqlite::Result<Vec<(Rank, i64)>> {
    let mut select = conn.prepare_cached(NEXT_LINE)?;
    let mut found = Vec::new();
    let mut wanted = lines;
    while let [from, ..] = wanted {
        let mut rows = select.query([shelf, *from])?;
        let Some(row) = rows.next()? else { break };
        let line: i64 = row.get(0)?;
        wanted = &wanted[wanted.partition_point(|wanted| *wanted < line)..];
        if wanted.first() == Some(&line) {
            found.push(((row.get(1)?, row.get(2)?, row.get(3)?), line));
            wanted = &wanted[1..];
        }
    }
    Ok(found)
}
