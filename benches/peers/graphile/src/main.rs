//! graphile_worker on PostgreSQL.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use common::{BoxError, Case, Command, Figures, Order, Peer, Producer, answer_with, handle, run};
use graphile_worker::{
    Database, IntoTaskHandlerResult, JobSpec, LocalQueueConfig, TaskHandler, WorkerContext, WorkerOptions,
    WorkerUtils,
};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

const SCHEMA: &str = "graphile_worker";

// What graphile_worker's own benchmark sets to drain a backlog.
const CONCURRENCY: usize = 500;
const LOCAL_QUEUE: usize = 5_000;
const POLL: Duration = Duration::from_millis(5);
const COMPLETION: Duration = Duration::from_millis(5);

/// How many jobs may run at once where a notification wakes the worker for each.
const IDLE_CONCURRENCY: usize = 8;

fn main() -> ExitCode {
    answer_with(measure)
}

async fn measure(command: Command) -> Result<Figures, BoxError> {
    command.only_drops("graphile_worker")?;
    if !command.url.starts_with("postgres") {
        return Err(command.no_such_store("graphile_worker"));
    }
    run(Graphile::open(&command).await?, &command).await
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
struct Count(Order);

impl TaskHandler for Count {
    const IDENTIFIER: &'static str = "count";

    async fn run(self, _: WorkerContext) -> impl IntoTaskHandlerResult {
        handle(self.0.order_id);
        Ok::<(), String>(())
    }
}

struct Pushes(WorkerUtils);

impl Producer for Pushes {
    /// From so many on it has the planner's statistics made anew.
    const FILL: Option<u64> = Some(10_000);

    async fn push(&mut self, order: Order) -> Result<(), BoxError> {
        self.0.add_job(Count(order), JobSpec::default()).await?;
        Ok(())
    }

    async fn push_many(&mut self, orders: Vec<Order>) -> Result<(), BoxError> {
        let spec = JobSpec::default();
        let jobs: Vec<_> = orders.into_iter().map(|order| (Count(order), &spec)).collect();
        self.0.add_jobs::<Count>(&jobs).await?;
        Ok(())
    }
}

/// How a worker is set.
#[derive(Clone, Copy)]
enum Settings {
    Default,
    Tuned,
    Notified,
}

struct Graphile {
    pool: PgPool,
    utils: WorkerUtils,
    settings: Settings,
}

impl Graphile {
    async fn open(command: &Command) -> Result<Self, BoxError> {
        let pool = PgPoolOptions::new().max_connections(connections(command.case));
        let pool = pool.connect(&command.url).await?;
        let utils = WorkerUtils::new(pool.clone(), SCHEMA);
        utils.migrate().await?;
        let settings = match command.case {
            _ if command.defaults => Settings::Default,
            Case::Latency => Settings::Notified,
            _ => Settings::Tuned,
        };
        Ok(Self { pool, utils, settings })
    }

    fn options(&self) -> WorkerOptions {
        let options = WorkerOptions::default()
            .database(Database::from(self.pool.clone()))
            .schema(SCHEMA)
            .listen_os_shutdown_signals(false)
            .define_job::<Count>();
        match self.settings {
            Settings::Default => options,
            Settings::Notified => options.concurrency(IDLE_CONCURRENCY),
            Settings::Tuned => options
                .concurrency(CONCURRENCY)
                .poll_interval(POLL)
                .complete_job_batch_delay(COMPLETION)
                .local_queue(LocalQueueConfig::default().with_size(LOCAL_QUEUE)),
        }
    }
}

fn connections(case: Case) -> u32 {
    match case {
        Case::Fire64 => 32,
        Case::Drain | Case::Latency => 20,
        Case::Fire1 | Case::Bulk | Case::Fill => 1,
    }
}

impl Peer for Graphile {
    type Producer = Pushes;

    fn producer(&self) -> Pushes {
        Pushes(self.utils.clone())
    }

    async fn unsettled(&self) -> Result<u64, BoxError> {
        let left = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM graphile_worker._private_jobs");
        Ok(left.fetch_one(&self.pool).await?.try_into()?)
    }

    async fn work(self: Arc<Self>) -> Result<(), BoxError> {
        Ok(self.options().init().await?.run().await?)
    }
}
