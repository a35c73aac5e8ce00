//! apalis-postgres.

use std::sync::Arc;

use apalis::prelude::{BackendExt, StreamStrategy};
use apalis_postgres::{Config, PostgresStorage, Pubsub};
use common::{BoxError, Case, Command, Order, Peer};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::producer::Pushes;
use crate::worker::{Armed, DRAIN_POLL, QUEUE, looks, work};

/// How many jobs a worker claims at once.
const BATCH: usize = 1_000;

/// A database of apalis-postgres'.
pub(crate) struct Postgres {
    pool: PgPool,
    storage: PostgresStorage<Order>,
    wake: Wake,
}

/// What makes a worker look for jobs.
enum Wake {
    Default,
    Poll,
    Notification,
}

impl Postgres {
    pub(crate) async fn open(command: &Command) -> Result<Self, BoxError> {
        let pool = PgPoolOptions::new().max_connections(connections(command)).connect(&command.url).await?;
        PostgresStorage::setup(&pool).await?;
        let config = match command.defaults {
            true => Config::default().queue(QUEUE),
            false => Config::default().queue(QUEUE).batch_size(BATCH).lock_tasks(false),
        };
        let wake = match command.case {
            Case::Latency => Wake::Notification,
            _ if command.defaults => Wake::Default,
            _ => Wake::Poll,
        };
        let storage = PostgresStorage::new(&pool).with_config(config);
        Ok(Self { pool, storage, wake })
    }
}

fn connections(command: &Command) -> u32 {
    match command.case {
        Case::Fire64 => 32,
        Case::Drain | Case::Latency => 10,
        Case::Fire1 | Case::Bulk | Case::Fill => 1,
    }
}

impl Peer for Postgres {
    type Producer = Pushes<PostgresStorage<Order>>;

    fn producer(&self) -> Self::Producer {
        Pushes(self.storage.clone())
    }

    async fn unsettled(&self) -> Result<u64, BoxError> {
        let left = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM apalis.jobs WHERE status <> 'Done'");
        Ok(left.fetch_one(&self.pool).await?.try_into()?)
    }

    async fn work(self: Arc<Self>) -> Result<(), BoxError> {
        let storage = self.storage.clone();
        match self.wake {
            Wake::Default => work!(storage),
            Wake::Poll => work!(storage.poll_with_strategy(looks(DRAIN_POLL))),
            Wake::Notification => {
                let inserts = Pubsub::new(self.pool.clone(), QUEUE.to_owned());
                work!(storage.poll_with_strategy(Armed(StreamStrategy::new(inserts))))
            }
        }
    }
}
