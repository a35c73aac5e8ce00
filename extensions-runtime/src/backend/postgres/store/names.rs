//! Queues and lanes by name and number, kept in memory: they are few, and never deleted.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::Store;
use crate::job::{HandlerKey, NewJob, QueueName};
use crate::queue::KnownHandler;

/// Who the store is, as a row that is written once: in another store, and in one that was restored, it is another.
pub(super) const WHO: &str = "SELECT id, xmin::text FROM {p}store";

pub(super) const LANES: &str = "SELECT l.lane, l.queue, q.name, l.handler, l.version FROM {p}lanes l JOIN {p}queues q ON q.queue = l.queue WHERE l.lane > $1 ORDER BY l.lane";

#[derive(Debug, Clone)]
pub(super) struct Lane {
    pub(super) queue: i32,
    pub(super) queue_name: QueueName,
    pub(super) handler: HandlerKey,
    pub(super) version: u32,
}

type Key = (QueueName, HandlerKey, u32);

#[derive(Debug, Default)]
pub(in super::super) struct Names {
    queues: HashMap<QueueName, i32>,
    by_number: HashMap<i32, QueueName>,
    lanes: HashMap<i32, Lane>,
    numbers: HashMap<Key, i32>,
    newest: i32,
    routes: Vec<Routes>,
    of: Who,
}

/// The store whose names these are: numbers of one mean something else in another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Who {
    pub(in super::super) id: Uuid,
    pub(super) xmin: String,
}

/// The lanes of a queue that a set of handlers can run.
#[derive(Debug)]
struct Routes {
    queue: i32,
    handlers: Arc<[KnownHandler]>,
    newest: i32,
    lanes: Arc<[i32]>,
}

/// How many sets of handlers are remembered.
const ROUTES: usize = 64;

/// The lanes that jobs need, each once.
pub(in super::super) fn lane_keys<'a>(jobs: impl Iterator<Item = &'a NewJob>) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    for job in jobs {
        let same = |key: &Key| key.0 == job.queue && key.1 == job.handler && key.2 == job.point_version;
        if !keys.iter().any(same) {
            keys.push((job.queue.clone(), job.handler.clone(), job.point_version));
        }
    }
    keys
}

pub(super) fn share_lane(one: &NewJob, other: &NewJob) -> bool {
    one.queue == other.queue && one.handler == other.handler && one.point_version == other.point_version
}

impl Names {
    pub(in super::super) const fn of(&self) -> &Who {
        &self.of
    }

    pub(super) fn queue_name(&self, queue: i32) -> Option<QueueName> {
        self.by_number.get(&queue).cloned()
    }

    pub(super) fn queue(&self, name: &QueueName) -> Option<i32> {
        self.queues.get(name).copied()
    }

    pub(super) const fn newest(&self) -> i32 {
        self.newest
    }

    pub(super) fn lane(&self, lane: i32) -> Option<&Lane> {
        self.lanes.get(&lane)
    }

    /// The lane of a job with its queue.
    pub(super) fn lane_of(&self, job: &NewJob) -> Option<(i32, i32)> {
        let key = (job.queue.clone(), job.handler.clone(), job.point_version);
        let lane = *self.numbers.get(&key)?;
        Some((lane, self.lanes.get(&lane)?.queue))
    }

    /// Those of the lanes that are not known.
    pub(in super::super) fn unknown(&self, keys: &[Key]) -> Vec<Key> {
        keys.iter().filter(|key| !self.numbers.contains_key(key)).cloned().collect()
    }

    fn add(&mut self, number: i32, lane: Lane) {
        let key = (lane.queue_name.clone(), lane.handler.clone(), lane.version);
        self.numbers.insert(key, number);
        self.lanes.insert(number, lane);
        self.newest = self.newest.max(number);
    }

    /// The lanes of a queue that these handlers can run, in ascending order.
    pub(super) fn routes(&mut self, queue: i32, handlers: &Arc<[KnownHandler]>) -> Arc<[i32]> {
        let known = self.routes.iter().find(|routes| {
            routes.queue == queue && routes.newest == self.newest && Arc::ptr_eq(&routes.handlers, handlers)
        });
        if let Some(routes) = known {
            return Arc::clone(&routes.lanes);
        }
        let lanes = self.find_routes(queue, handlers);
        self.routes.retain(|routes| routes.newest == self.newest);
        if self.routes.len() >= ROUTES {
            self.routes.remove(0);
        }
        let handlers = Arc::clone(handlers);
        self.routes.push(Routes { queue, handlers, newest: self.newest, lanes: Arc::clone(&lanes) });
        lanes
    }

    fn find_routes(&self, queue: i32, handlers: &[KnownHandler]) -> Arc<[i32]> {
        let mut versions: HashMap<&HandlerKey, u32> = HashMap::with_capacity(handlers.len());
        for known in handlers {
            let version = versions.entry(&known.handler).or_default();
            *version = known.max_version.max(*version);
        }
        let runs = |lane: &Lane| versions.get(&lane.handler).is_some_and(|newest| lane.version <= *newest);
        let lanes = self.lanes.iter().filter(|(_, lane)| lane.queue == queue && runs(lane));
        let mut lanes: Vec<_> = lanes.map(|(number, _)| *number).collect();
        lanes.sort_unstable();
        lanes.into()
    }
}

impl Store {
    /// Makes lanes, or finds that others have.
    pub(in super::super) async fn make_lanes(
        &self,
        conn: &mut PgConnection,
        keys: Vec<Key>,
    ) -> sqlx::Result<()> {
        let mut columns: (Vec<String>, Vec<String>, Vec<i64>) = Default::default();
        for (queue, handler, version) in keys {
            columns.0.push(queue.to_string());
            columns.1.push(handler.to_string());
            columns.2.push(version.into());
        }
        let make = self.query(&self.sql.make_lanes).bind(columns.0).bind(columns.1).bind(columns.2);
        make.execute(conn).await.map(drop)
    }

    /// Reads the lanes that were made since; all of them where the store is another one than before.
    pub(in super::super) async fn refresh(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        let who = self.query(&self.sql.who).fetch_one(&mut *conn).await?;
        let who = Who { id: who.try_get(0)?, xmin: who.try_get(1)? };
        let newest = {
            let mut names = self.names();
            if names.of != who {
                *names = Names { of: who.clone(), ..Names::default() };
            }
            names.newest
        };
        let rows = self.query(&self.sql.lanes).bind(newest).fetch_all(conn).await?;
        let mut names = self.names();
        if names.of != who {
            return Ok(());
        }
        for row in rows {
            let (number, queue): (i32, i32) = (row.try_get(0)?, row.try_get(1)?);
            let queue_name = QueueName::from(row.try_get::<String, _>(2)?);
            names.queues.insert(queue_name.clone(), queue);
            names.by_number.insert(queue, queue_name.clone());
            let version = u32::try_from(row.try_get::<i64, _>(4)?).unwrap_or(u32::MAX);
            let handler = HandlerKey::from(row.try_get::<String, _>(3)?);
            names.add(number, Lane { queue, queue_name, handler, version });
        }
        Ok(())
    }
}
