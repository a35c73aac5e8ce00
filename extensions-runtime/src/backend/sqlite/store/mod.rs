//! The only place that knows the SQL of the queue's calls.

mod claim;
mod complete;
pub(super) mod ends;
mod heads;
pub(super) mod history;
pub(super) mod names;
mod operate;
pub(super) mod push;
pub(super) mod read;
mod row;
mod settle;
pub(super) mod upkeep;
pub(super) mod value;

use std::collections::BTreeSet;

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use self::names::Names;
use super::lease_clock::LeaseClock;
use super::presence::{Dead, Presence};
use crate::job::{JobState, LeaseToken, QueueName};
use crate::telemetry::names::event;
use crate::time::{Clock, SystemClock, Timestamp};

/// How many jobs one claim can hold: a token is the claim's number and the job's place in it.
const CLAIM_SIZE: i64 = 4096;

/// Where a claim finds a job.
mod shelf {
    pub(super) const READY: i64 = 1;
    pub(super) const ALONE: i64 = 2;
    pub(super) const LOST: i64 = 3;
    pub(super) const OWED: i64 = 4;
}

/// The line that is common to the lanes of a queue.
const fn common_line(queue: i64) -> i64 {
    -queue
}

/// The shelf of an available job, as an expression.
macro_rules! available_shelf {
    () => {
        "CASE WHEN lost_count > 0 THEN 3 WHEN suspect = 1 THEN 2 ELSE 1 END"
    };
}
use available_shelf;

/// A connection and what is known beside it.
#[derive(Debug)]
pub(super) struct Store {
    conn: Connection,
    names: Names,
    presence: Presence,
    boot: Boot,
}

#[derive(Debug, Clone, Copy)]
struct Boot {
    number: i64,
    clock: LeaseClock,
}

/// The transaction of a group of calls.
#[derive(Debug)]
pub(super) struct Tx<'a> {
    conn: &'a Connection,
    names: &'a mut Names,
    presence: &'a mut Presence,
    boot: Boot,
    touched: BTreeSet<i64>,
    buried: Vec<Dead>,
    gone: Vec<crate::job::WorkerId>,
}

impl Store {
    pub(super) fn new(conn: Connection, presence: Presence, boot_id: &str) -> rusqlite::Result<Self> {
        conn.set_prepared_statement_cache_capacity(128);
        conn.execute("INSERT INTO extensions_boots (id) VALUES (?1) ON CONFLICT (id) DO NOTHING", [boot_id])?;
        let number =
            conn.query_row("SELECT boot FROM extensions_boots WHERE id = ?1", [boot_id], |row| row.get(0))?;
        let boot = Boot { number, clock: LeaseClock::new(boot_id) };
        Ok(Self { conn, names: Names::default(), presence, boot })
    }

    pub(super) const fn conn(&self) -> &Connection {
        &self.conn
    }

    /// The number of this machine's present boot.
    pub(super) const fn boot_number(&self) -> i64 {
        self.boot.number
    }

    pub(super) fn begin(&mut self) -> rusqlite::Result<Tx<'_>> {
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(Tx::new(&self.conn, &mut self.names, &mut self.presence, self.boot))
    }
}

/// Takes the right to write at once, where a transaction of the caller's has it not yet: to read first, and then want it, fails if
/// others have written in between.
pub(super) const WANT_TO_WRITE: &str = "UPDATE extensions_queues SET changed = changed WHERE FALSE";
/// Numbers a queue's change, if somebody may wait for it.
pub(super) const NUMBER_CHANGE: &str = "UPDATE extensions_queues SET changed = (SELECT max(changed) + 1 FROM extensions_queues), awaited = 0 WHERE queue = ?1 AND awaited = 1 RETURNING changed";

/// Makes a step in the transaction that the caller's connection is in.
pub(super) fn within<T>(
    conn: &Connection,
    mut presence: Presence,
    boot_number: i64,
    clock: LeaseClock,
    step: impl FnOnce(&mut Tx<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    conn.prepare_cached(WANT_TO_WRITE)?.execute([])?;
    let mut names = Names::default();
    let boot = Boot { number: boot_number, clock };
    let mut tx = Tx::new(conn, &mut names, &mut presence, boot);
    let done = step(&mut tx)?;
    tx.signal()?;
    Ok(done)
}

impl<'a> Tx<'a> {
    fn new(conn: &'a Connection, names: &'a mut Names, presence: &'a mut Presence, boot: Boot) -> Self {
        Self { conn, names, presence, boot, touched: BTreeSet::new(), buried: Vec::new(), gone: Vec::new() }
    }
}

impl Tx<'_> {
    /// Commits; the changes of queues that somebody may wait for.
    pub(super) fn commit(mut self) -> rusqlite::Result<Vec<(QueueName, u64)>> {
        let done = self.signal().and_then(|changes| {
            self.statement("COMMIT")?.execute([])?;
            Ok(changes)
        });
        if done.is_err() {
            self.roll_back();
            return done;
        }
        self.buried.drain(..).for_each(Dead::remove);
        self.gone.drain(..).for_each(|worker| self.presence.leave(worker));
        done
    }

    pub(super) fn roll_back(self) {
        self.names.forget();
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(name: event::NOT_ROLLED_BACK, %error, "a transaction could not be rolled back");
        }
    }

    /// Fails as a broken statement would.
    #[cfg(test)]
    pub(super) fn fail(&self) -> rusqlite::Result<()> {
        self.statement("SELECT * FROM no_such_table").map(drop)
    }

    /// Numbers the change of every queue in which something became claimable and which somebody may wait for.
    fn signal(&self) -> rusqlite::Result<Vec<(QueueName, u64)>> {
        let mut number = self.statement(NUMBER_CHANGE)?;
        let mut changes = Vec::new();
        for queue in &self.touched {
            let changed = number.query_row([queue], |row| row.get(0)).optional()?;
            changes.extend(changed.map(|changed| (self.names.queue_name(*queue), changed)));
        }
        Ok(changes)
    }

    fn touch(&mut self, queue: i64) {
        self.touched.insert(queue);
    }

    /// Takes note that something in the lane became claimable.
    fn touch_lane(&mut self, lane: i64) -> rusqlite::Result<()> {
        if let Some(queue) = self.forget_heads(lane)? {
            self.touch(queue);
        }
        Ok(())
    }

    /// Forgets the first jobs of the lines in which a lane's jobs stand; the lane's queue.
    fn forget_heads(&mut self, lane: i64) -> rusqlite::Result<Option<i64>> {
        let queue = self.names.lane(self.conn, lane)?.map(|lane| lane.queue);
        self.names.heads.forget(lane);
        if let Some(queue) = queue {
            self.names.heads.forget(common_line(queue));
        }
        Ok(queue)
    }

    fn statement(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.conn.prepare_cached(sql)
    }

    /// Ends the lock of a job that has it.
    fn unlock(&self, key: Option<&str>, id: &[u8]) -> rusqlite::Result<()> {
        if let Some(key) = key {
            self.statement(ends::UNLOCK)?.execute(params![key, id])?;
        }
        Ok(())
    }
}

pub(super) fn now() -> i64 {
    SystemClock.now().as_millis()
}

fn token(claim: i64, place: usize) -> LeaseToken {
    let place = i64::try_from(place).unwrap_or(0);
    LeaseToken(u64::try_from(claim * CLAIM_SIZE + place).unwrap_or(0))
}

/// A token as stored; one that no store can hold matches nothing.
fn stored(token: LeaseToken) -> i64 {
    i64::try_from(token.0).unwrap_or(-1)
}

const fn claim_of(token: i64) -> i64 {
    token / CLAIM_SIZE
}

/// The job's place in its claim.
fn place_of(token: i64) -> usize {
    usize::try_from(token % CLAIM_SIZE).unwrap_or(usize::MAX)
}

const fn code(state: JobState) -> i64 {
    match state {
        JobState::Scheduled => 0,
        JobState::Available => 1,
        JobState::Running => 2,
        JobState::Retryable => 3,
        JobState::Completed => 4,
        JobState::Dead => 5,
        JobState::Cancelled => 6,
        JobState::Unroutable => 7,
        JobState::Quarantined => 8,
    }
}

fn state(code: i64) -> Option<JobState> {
    JobState::ALL.into_iter().find(|state| self::code(*state) == code)
}

fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}
