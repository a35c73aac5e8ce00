//! rusty-sidekiq on Redis.

use std::process::ExitCode;
use std::sync::Arc;

use common::{BoxError, Command, Figures, Order, Peer, Producer, answer_with, handle, run};
use sidekiq::{Processor, ProcessorConfig, RedisConnectionManager, RedisPool, Worker};

/// How many workers wait for jobs.
const WORKERS: usize = 64;
/// Each worker holds a connection while it waits; those who push need some besides.
const CONNECTIONS: u32 = 100;

fn main() -> ExitCode {
    answer_with(measure)
}

async fn measure(command: Command) -> Result<Figures, BoxError> {
    command.only_drops("rusty-sidekiq")?;
    if !command.url.starts_with("redis") {
        return Err(command.no_such_store("rusty-sidekiq"));
    }
    run(Sidekiq::open(&command).await?, &command).await
}

struct Count;

#[async_trait::async_trait]
impl Worker<Order> for Count {
    async fn perform(&self, order: Order) -> sidekiq::Result<()> {
        handle(order.order_id);
        Ok(())
    }
}

struct Pushes(RedisPool);

impl Producer for Pushes {
    const FILL: Option<u64> = None;

    async fn push(&mut self, order: Order) -> Result<(), BoxError> {
        Ok(Count::perform_async(&self.0, order).await?)
    }

    async fn push_many(&mut self, _: Vec<Order>) -> Result<(), BoxError> {
        Err("unsupported: rusty-sidekiq has no call that pushes many jobs".into())
    }
}

struct Sidekiq {
    pool: RedisPool,
    waiting: redis::aio::MultiplexedConnection,
    config: ProcessorConfig,
}

impl Sidekiq {
    async fn open(command: &Command) -> Result<Self, BoxError> {
        let manager = RedisConnectionManager::new(command.url.as_str())?;
        let pool = bb8::Pool::builder().max_size(CONNECTIONS).build(manager).await?;
        let client = redis::Client::open(command.url.as_str())?;
        let waiting = client.get_multiplexed_async_connection().await?;
        let config = match command.defaults {
            true => ProcessorConfig::default(),
            false => ProcessorConfig::default().num_workers(WORKERS),
        };
        Ok(Self { pool, waiting, config })
    }
}

impl Peer for Sidekiq {
    type Producer = Pushes;

    fn producer(&self) -> Pushes {
        Pushes(self.pool.clone())
    }

    /// What waits: a job that a worker has taken is not in the store any more.
    async fn unsettled(&self) -> Result<u64, BoxError> {
        let mut waiting = self.waiting.clone();
        Ok(redis::cmd("LLEN").arg("queue:default").query_async(&mut waiting).await?)
    }

    async fn work(self: Arc<Self>) -> Result<(), BoxError> {
        let mut processor =
            Processor::new(self.pool.clone(), vec!["default".to_owned()]).with_config(self.config.clone());
        processor.register(Count);
        processor.run().await;
        Ok(())
    }
}
