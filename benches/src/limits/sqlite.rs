//! SQLite: one table, one index, one connection.

use std::hint::black_box;
use std::time::Instant;

use extensions::BoxError;
use rusqlite::{Connection, TransactionBehavior};

use super::{BULK, CLAIM, unknown};
use crate::payload::OrderPlaced;
use crate::subject::{Answer, Arguments};

const INSERT: &str = "INSERT INTO jobs (queue, payload) VALUES (1, ?1)";

const CLAIMED: &str = "\
    UPDATE jobs SET state = 1, locked_at = ?1, attempts = attempts + 1 WHERE id IN (
        SELECT id FROM jobs WHERE queue = 1 AND state = 0 AND run_at <= ?1 ORDER BY run_at, id LIMIT ?2
    ) RETURNING id, payload";

pub(super) fn subject(arguments: &Arguments) -> Result<Answer, BoxError> {
    let mut conn = open(arguments)?;
    match &*arguments.step {
        "fire-1" => {
            let start = Instant::now();
            for n in 0..arguments.jobs {
                conn.prepare_cached(INSERT)?.execute([OrderPlaced::json(n)])?;
            }
            Ok(Answer::rate(arguments.jobs, start))
        }
        "bulk" => {
            let start = Instant::now();
            fill(&mut conn, arguments.jobs)?;
            Ok(Answer::rate(arguments.jobs, start))
        }
        "drain" => {
            fill(&mut conn, arguments.jobs)?;
            conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            drain(&mut conn, arguments.keep)
        }
        _ => unknown(arguments),
    }
}

fn open(arguments: &Arguments) -> Result<Connection, BoxError> {
    let file = arguments.url.trim_start_matches("sqlite://").split('?').next().unwrap_or_default();
    let conn = Connection::open(file)?;
    let synchronous = if arguments.full { "FULL" } else { "NORMAL" };
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -65536;
         CREATE TABLE jobs (
             id INTEGER PRIMARY KEY, queue INTEGER NOT NULL, state INTEGER NOT NULL DEFAULT 0,
             run_at INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, locked_at INTEGER, payload TEXT NOT NULL
         );
         CREATE INDEX jobs_ready ON jobs (queue, state, run_at, id);"
    ))?;
    Ok(conn)
}

fn fill(conn: &mut Connection, jobs: u64) -> Result<(), BoxError> {
    let mut next = 0;
    while next < jobs {
        let until = jobs.min(next + BULK);
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut insert = tx.prepare_cached(INSERT)?;
        for n in next..until {
            insert.execute([OrderPlaced::json(n)])?;
        }
        drop(insert);
        tx.commit()?;
        next = until;
    }
    Ok(())
}

fn drain(conn: &mut Connection, keep: bool) -> Result<Answer, BoxError> {
    let end = if keep { "UPDATE jobs SET state = 2 WHERE id = ?1" } else { "DELETE FROM jobs WHERE id = ?1" };
    let start = Instant::now();
    let mut done = 0;
    loop {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut claim = tx.prepare_cached(CLAIMED)?;
        let rows = claim.query_map((1_000, CLAIM), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let claimed: Vec<(i64, String)> = rows.collect::<rusqlite::Result<_>>()?;
        drop(claim);
        tx.commit()?;
        if claimed.is_empty() {
            return Ok(Answer::rate(done, start));
        }
        for (_, payload) in &claimed {
            black_box(serde_json::from_str::<OrderPlaced>(payload)?);
        }
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut settle = tx.prepare_cached(end)?;
        for (id, _) in &claimed {
            settle.execute([id])?;
        }
        drop(settle);
        tx.commit()?;
        done += claimed.len() as u64;
    }
}
