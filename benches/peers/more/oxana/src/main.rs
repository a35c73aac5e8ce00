//! oxana on Redis.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use common::{BoxError, Command, Figures, Order, Peer, Producer, answer_with, handle, run};
use oxana::{FromContext, Job, JobContext, Queue, QueueConfig, RuntimeBuilder, Storage, Worker};
use serde::{Deserialize, Serialize};

/// How many jobs of the queue may run at once, as in its documentation: they are taken off the queue one by one, and more of them are no faster.
const CONCURRENCY: usize = 2;
/// How long a worker sleeps that finds nothing.
const IDLE: Duration = Duration::from_millis(1);

fn main() -> ExitCode {
    answer_with(measure)
}

async fn measure(command: Command) -> Result<Figures, BoxError> {
    command.only_drops("oxana")?;
    if !command.url.starts_with("redis") {
        return Err(command.no_such_store("oxana"));
    }
    run(Oxana::open(&command)?, &command).await
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Count(Order);

impl Job for Count {}

struct Counter;

impl FromContext<()> for Counter {
    fn from_context((): &()) -> Self {
        Self
    }
}

#[async_trait::async_trait]
impl Worker<Count> for Counter {
    type Error = std::convert::Infallible;

    async fn process(&self, job: Count, _: &JobContext) -> Result<(), Self::Error> {
        handle(job.0.order_id);
        Ok(())
    }
}

struct Orders;

impl Queue for Orders {
    fn to_config() -> QueueConfig {
        QueueConfig::as_static("orders")
    }
}

struct Pushes(Storage);

impl Producer for Pushes {
    async fn push(&mut self, order: Order) -> Result<(), BoxError> {
        self.0.enqueue(Orders, Count(order)).await?;
        Ok(())
    }

    async fn push_many(&mut self, orders: Vec<Order>) -> Result<(), BoxError> {
        self.0.enqueue_list(Orders, orders.into_iter().map(Count)).await?;
        Ok(())
    }
}

struct Oxana {
    storage: Storage,
    defaults: bool,
}

impl Oxana {
    fn open(command: &Command) -> Result<Self, BoxError> {
        let storage = Storage::builder().max_pool_size(64).build_from_redis_url(&command.url)?;
        Ok(Self { storage, defaults: command.defaults })
    }

    fn runtime(&self) -> RuntimeBuilder<()> {
        let runtime = self.storage.runtime(()).worker::<Counter, Count>();
        let runtime = runtime.queue_with_concurrency::<Orders>(CONCURRENCY);
        if self.defaults { runtime } else { runtime.dequeue_timeout(IDLE) }
    }
}

impl Peer for Oxana {
    type Producer = Pushes;

    fn producer(&self) -> Pushes {
        Pushes(self.storage.clone())
    }

    /// A job is there until it has succeeded.
    async fn unsettled(&self) -> Result<u64, BoxError> {
        Ok(self.storage.jobs_count().await?.try_into()?)
    }

    async fn work(self: Arc<Self>) -> Result<(), BoxError> {
        self.runtime().run().await?;
        Ok(())
    }
}
