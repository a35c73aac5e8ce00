//! apalis-redis.

use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::BackendExt;
use apalis_redis::{Config, ConnectionManager, RedisStorage};
use common::{BoxError, Case, Command, Order, Peer};
use redis::AsyncCommands;

use crate::producer::Pushes;
use crate::worker::{DRAIN_POLL, QUEUE, looks, work};

/// How many jobs a worker claims at once.
const BATCH: usize = 500;
/// How often a worker at rest looks: what is pushed for now goes among the scheduled jobs, of which no message tells.
const IDLE_POLL: Duration = Duration::from_millis(2);
/// With how many scheduled jobs a worker still comes up: its script hands all that are due to one call, and Lua's stack has an end.
const PROMOTABLE: u64 = 7_500;

/// Does what the worker's script does with scheduled jobs, a part at a time.
const PROMOTE: &str = "
    local due = redis.call('zpopmin', KEYS[1], 5000)
    for at = 1, #due, 2 do
        redis.call('rpush', KEYS[2], due[at])
    end
    return #due
";

/// A database of apalis-redis'.
pub(crate) struct Redis {
    connection: ConnectionManager,
    config: Config,
    storage: RedisStorage<Order>,
    wake: Wake,
}

/// What makes a worker look for jobs.
#[derive(Clone, Copy)]
enum Wake {
    Default,
    Poll(Duration),
}

impl Redis {
    pub(crate) async fn open(command: &Command) -> Result<Self, BoxError> {
        let connection = apalis_redis::connect(command.url.as_str()).await?;
        let config = match command.defaults {
            true => Config::default().queue(QUEUE),
            false => Config::default().queue(QUEUE).batch_size(BATCH).lock_tasks(false).emit_events(false),
        };
        let wake = match command.case {
            Case::Latency => Wake::Poll(IDLE_POLL),
            _ if command.defaults => Wake::Default,
            _ => Wake::Poll(DRAIN_POLL),
        };
        let storage = RedisStorage::new(connection.clone()).with_config(config.clone());
        Ok(Self { connection, config, storage, wake })
    }
}

impl Peer for Redis {
    type Producer = Pushes<RedisStorage<Order>>;

    fn producer(&self) -> Self::Producer {
        Pushes(self.storage.clone())
    }

    async fn unsettled(&self) -> Result<u64, BoxError> {
        let mut connection = self.connection.clone();
        let all: u64 = connection.hlen(self.config.job_data_hash()).await?;
        let done: u64 = connection.scard(self.config.done_jobs_set()).await?;
        Ok(all.saturating_sub(done))
    }

    async fn work(self: Arc<Self>) -> Result<(), BoxError> {
        let storage = self.storage.clone();
        match self.wake {
            Wake::Default => work!(storage),
            Wake::Poll(interval) => work!(storage.poll_with_strategy(looks(interval))),
        }
    }

    /// A backlog that no worker would survive becomes available here.
    async fn after_fill(&self) -> Result<(), BoxError> {
        let mut connection = self.connection.clone();
        let scheduled = self.config.scheduled_jobs_set();
        if connection.zcard::<_, u64>(&scheduled).await? <= PROMOTABLE {
            return Ok(());
        }
        let script = redis::Script::new(PROMOTE);
        let mut promote = script.key(scheduled);
        let promote = promote.key(self.config.active_jobs_list());
        while promote.invoke_async::<u64>(&mut connection).await? > 0 {}
        Ok(())
    }
}
