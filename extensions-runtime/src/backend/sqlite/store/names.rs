//! Queues and lanes by name and number, kept in memory: they are few, and never deleted.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::heads::Heads;
use super::row::name;
use crate::job::{HandlerKey, NewJob, QueueName};
use crate::queue::KnownHandler;

#[derive(Debug, Clone)]
pub(super) struct Lane {
    pub(super) queue: i64,
    pub(super) queue_name: QueueName,
    pub(super) handler: HandlerKey,
    pub(super) version: u32,
}

#[derive(Debug, Default)]
pub(super) struct Names {
    queues: HashMap<QueueName, i64>,
    in_queue: HashMap<i64, (QueueName, Vec<i64>)>,
    lanes: HashMap<i64, Lane>,
    numbers: HashMap<(QueueName, HandlerKey, u32), (i64, i64)>,
    newest: i64,
    routes: Vec<Routes>,
    pub(super) heads: Heads,
}

/// The lanes that a set of handlers can run, by queue, as far as they were asked for.
#[derive(Debug)]
struct Routes {
    handlers: Arc<[KnownHandler]>,
    versions: HashMap<HandlerKey, u32>,
    newest: i64,
    lanes: HashMap<i64, Arc<[i64]>>,
}

impl Routes {
    fn new(handlers: &Arc<[KnownHandler]>, newest: i64) -> Self {
        let mut versions: HashMap<HandlerKey, u32> = HashMap::with_capacity(handlers.len());
        for known in handlers.iter() {
            let version = versions.entry(known.handler.clone()).or_default();
            *version = known.max_version.max(*version);
        }
        Self { handlers: Arc::clone(handlers), versions, newest, lanes: HashMap::new() }
    }

    fn run(&self, lane: &Lane) -> bool {
        self.versions.get(&lane.handler).is_some_and(|newest| lane.version <= *newest)
    }
}

pub(crate) const FIND_QUEUE: &str = "SELECT queue FROM extensions_queues WHERE name = ?1";
pub(crate) const MAKE_QUEUE: &str = "INSERT INTO extensions_queues (name) VALUES (?1)";
pub(crate) const FIND_LANE: &str = "SELECT l.lane, l.queue FROM extensions_queues q JOIN extensions_lanes l USING (queue) WHERE q.name = ?1 AND l.handler = ?2 AND l.version = ?3";
/// The queue that a lane is in.
#[cfg(feature = "sqlx-sqlite")]
pub(crate) const QUEUE_OF: &str = "SELECT queue FROM extensions_lanes WHERE lane = ?1";
pub(crate) const MAKE_LANE: &str =
    "INSERT INTO extensions_lanes (queue, handler, version) VALUES (?1, ?2, ?3)";

macro_rules! lane {
    ($where:literal) => {
        concat!("SELECT l.queue, q.name, l.handler, l.version, l.lane FROM extensions_lanes l JOIN extensions_queues q USING (queue) WHERE l.lane ", $where)
    };
}
const LANE: &str = lane!("= ?1");
const LANES: &str = lane!("> ?1");

fn read(row: &Row<'_>) -> rusqlite::Result<Lane> {
    Ok(Lane {
        queue: row.get(0)?,
        queue_name: QueueName::from(name(row.get_ref(1)?)),
        handler: HandlerKey::from(name(row.get_ref(2)?)),
        version: row.get(3)?,
    })
}

/// How many sets of handlers are remembered.
const ROUTES: usize = 16;

impl Names {
    /// Forgets everything, since what was read in a transaction that was rolled back may never have been.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(super) fn queue_name(&self, queue: i64) -> QueueName {
        self.in_queue.get(&queue).map_or_else(|| QueueName::from(""), |(name, _)| name.clone())
    }

    /// The number of a queue, if there is one of that name.
    pub(super) fn queue(&mut self, conn: &Connection, name: &QueueName) -> rusqlite::Result<Option<i64>> {
        if let Some(number) = self.queues.get(name) {
            return Ok(Some(*number));
        }
        let mut select = conn.prepare_cached(FIND_QUEUE)?;
        let number: Option<i64> = select.query([name.as_str()])?.next()?.map(|row| row.get(0)).transpose()?;
        if let Some(number) = number {
            self.learn_queue(number, name);
        }
        Ok(number)
    }

    /// The number of a queue, which is made if need be.
    pub(super) fn make_queue(&mut self, conn: &Connection, name: &QueueName) -> rusqlite::Result<i64> {
        if let Some(number) = self.queue(conn, name)? {
            return Ok(number);
        }
        conn.prepare_cached(MAKE_QUEUE)?.execute([name.as_str()])?;
        let number = conn.last_insert_rowid();
        self.learn_queue(number, name);
        Ok(number)
    }

    /// Takes note of a queue; its lanes.
    fn learn_queue(&mut self, number: i64, name: &QueueName) -> &mut Vec<i64> {
        self.queues.insert(name.clone(), number);
        &mut self.in_queue.entry(number).or_insert_with(|| (name.clone(), Vec::new())).1
    }

    /// The lane of a job, which is made if need be, and its queue.
    pub(super) fn make_lane(&mut self, conn: &Connection, job: &NewJob) -> rusqlite::Result<(i64, i64)> {
        let key = (job.queue.clone(), job.handler.clone(), job.point_version);
        if let Some(place) = self.numbers.get(&key) {
            return Ok(*place);
        }
        let found: Option<(i64, i64)> = conn
            .prepare_cached(FIND_LANE)?
            .query_row(params![key.0.as_str(), key.1.as_str(), key.2], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (number, queue) = match found {
            Some(found) => found,
            None => {
                let queue = self.make_queue(conn, &job.queue)?;
                conn.prepare_cached(MAKE_LANE)?.execute(params![queue, key.1.as_str(), key.2])?;
                (conn.last_insert_rowid(), queue)
            }
        };
        self.learn(number, Lane { queue, queue_name: key.0, handler: key.1, version: key.2 });
        Ok((number, queue))
    }

    /// Takes note of a lane. Those that were made before it may still be unknown.
    fn learn(&mut self, number: i64, lane: Lane) {
        let key = (lane.queue_name.clone(), lane.handler.clone(), lane.version);
        let known = self.learn_queue(lane.queue, &lane.queue_name);
        if let Err(place) = known.binary_search(&number) {
            known.insert(place, number);
        }
        self.numbers.insert(key, (number, lane.queue));
        self.lanes.insert(number, lane);
    }

    pub(super) fn lane(&mut self, conn: &Connection, number: i64) -> rusqlite::Result<Option<&Lane>> {
        if !self.lanes.contains_key(&number) {
            let mut select = conn.prepare_cached(LANE)?;
            if let Some(lane) = select.query_row([number], read).optional()? {
                self.learn(number, lane);
            }
        }
        Ok(self.lanes.get(&number))
    }

    pub(super) fn known_lane(&self, lane: i64) -> Option<&Lane> {
        self.lanes.get(&lane)
    }

    /// Reads the lanes that were made since.
    pub(super) fn refresh(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let newest = "SELECT max(lane) FROM extensions_lanes";
        let newest: Option<i64> = conn.prepare_cached(newest)?.query_row([], |row| row.get(0))?;
        if newest.unwrap_or(0) == self.newest {
            return Ok(());
        }
        let mut select = conn.prepare_cached(LANES)?;
        let mut rows = select.query([self.newest])?;
        while let Some(row) = rows.next()? {
            let number: i64 = row.get(4)?;
            self.learn(number, read(row)?);
            self.newest = self.newest.max(number);
        }
        Ok(())
    }

    /// The lanes of a queue that these handlers can run, in ascending order. Call `refresh` before.
    pub(super) fn routes(&mut self, queue: i64, handlers: &Arc<[KnownHandler]>) -> Arc<[i64]> {
        let newest = self.newest;
        let known = |routes: &Routes| routes.newest == newest && Arc::ptr_eq(&routes.handlers, handlers);
        let at = self.routes.iter().position(known).unwrap_or_else(|| {
            self.routes.retain(|routes| routes.newest == newest);
            if self.routes.len() >= ROUTES {
                self.routes.remove(0);
            }
            self.routes.push(Routes::new(handlers, newest));
            self.routes.len() - 1
        });
        if let Some(lanes) = self.routes[at].lanes.get(&queue) {
            return Arc::clone(lanes);
        }
        let routes = &self.routes[at];
        let lanes = self.in_queue.get(&queue).map_or(&[][..], |(_, lanes)| lanes);
        let lanes: Arc<[i64]> = lanes.iter().copied().filter(|lane| routes.run(&self.lanes[lane])).collect();
        self.routes[at].lanes.insert(queue, Arc::clone(&lanes));
        lanes
    }
}
