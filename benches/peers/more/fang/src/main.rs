//! fang on PostgreSQL.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use common::{BoxError, Case, Command, Figures, Order, Peer, Producer, answer_with, handle, run};
use fang::asynk::async_queue::{AsyncQueue, AsyncQueueable};
use fang::asynk::async_runnable::AsyncRunnable;
use fang::asynk::async_worker_pool::AsyncWorkerPool;
use fang::{FangError, RetentionMode, SleepParams};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

/// fang's migration, whose own way in needs a second driver.
const MIGRATION: &str = include_str!("migration.sql");
/// How many tasks work off a backlog.
const WORKERS: u32 = 20;
/// How many wait for jobs: of several, two may take the same job, and one of them ends.
const WAITING: u32 = 1;
/// How long a worker sleeps that finds nothing.
const SLEEP: Duration = Duration::from_millis(5);

fn main() -> ExitCode {
    answer_with(measure)
}

async fn measure(command: Command) -> Result<Figures, BoxError> {
    if !command.url.starts_with("postgres") {
        return Err(command.no_such_store("fang"));
    }
    run(Fang::open(&command).await?, &command).await
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Count(Order);

#[typetag::serde]
#[async_trait::async_trait]
impl AsyncRunnable for Count {
    async fn run(&self, _: &dyn AsyncQueueable) -> Result<(), FangError> {
        handle(self.0.order_id);
        Ok(())
    }
}

struct Pushes(Arc<AsyncQueue>);

impl Producer for Pushes {
    const FILL: Option<u64> = None;

    async fn push(&mut self, order: Order) -> Result<(), BoxError> {
        self.0.insert_task(&Count(order)).await?;
        Ok(())
    }

    async fn push_many(&mut self, _: Vec<Order>) -> Result<(), BoxError> {
        Err("unsupported: fang has no call that pushes many jobs".into())
    }
}

struct Fang {
    pool: PgPool,
    queue: Arc<AsyncQueue>,
    workers: u32,
    retention: RetentionMode,
    sleep: SleepParams,
}

impl Fang {
    async fn open(command: &Command) -> Result<Self, BoxError> {
        let pool = PgPoolOptions::new().max_connections(1).connect(&command.url).await?;
        let there = sqlx::query_scalar::<_, bool>("SELECT to_regclass('fang_tasks') IS NOT NULL");
        if !there.fetch_one(&pool).await? {
            sqlx::raw_sql(MIGRATION).execute(&pool).await?;
        }
        let connections: u32 = match command.case {
            Case::Fire1 => 1,
            Case::Fire64 | Case::Bulk | Case::Fill => 32,
            Case::Drain | Case::Latency => 20,
        };
        let mut queue = AsyncQueue::builder().uri(command.url.clone()).max_pool_size(connections).build();
        queue.connect().await?;
        let workers = if command.case == Case::Latency { WAITING } else { WORKERS };
        let retention = match command.keep {
            Some(true) => RetentionMode::KeepAll,
            Some(false) | None => RetentionMode::default(),
        };
        Ok(Self { pool, queue: Arc::new(queue), workers, retention, sleep: sleep(command.defaults) })
    }
}

fn sleep(defaults: bool) -> SleepParams {
    match defaults {
        true => SleepParams::default(),
        false => SleepParams {
            sleep_period: SLEEP,
            max_sleep_period: SLEEP,
            min_sleep_period: SLEEP,
            sleep_step: Duration::ZERO,
        },
    }
}

impl Peer for Fang {
    type Producer = Pushes;

    fn producer(&self) -> Pushes {
        Pushes(Arc::clone(&self.queue))
    }

    async fn unsettled(&self) -> Result<u64, BoxError> {
        let left = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM fang_tasks WHERE state <> 'finished'");
        Ok(left.fetch_one(&self.pool).await?.try_into()?)
    }

    async fn work(self: Arc<Self>) -> Result<(), BoxError> {
        let mut workers: AsyncWorkerPool<AsyncQueue> = AsyncWorkerPool::builder()
            .number_of_workers(self.workers)
            .queue((*self.queue).clone())
            .sleep_params(self.sleep.clone())
            .retention_mode(self.retention.clone())
            .build();
        // It starts tasks that nobody can wait for.
        workers.start().await;
        std::future::pending().await
    }
}
