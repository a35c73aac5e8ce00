//! underway on PostgreSQL.

use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

use common::{BoxError, Case, Command, Figures, Order, Peer, Producer, answer_with, handle, run};
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgPool, Postgres, Transaction};
use tokio::runtime::Handle;
use tokio::task::{JoinSet, spawn_blocking};
use underway::{Queue, Task, Worker};

/// How many workers drain a backlog: one takes a job at a time off it.
const WORKERS: usize = 16;

fn main() -> ExitCode {
    answer_with(measure)
}

async fn measure(command: Command) -> Result<Figures, BoxError> {
    command.only_keeps("underway")?;
    if !command.url.starts_with("postgres") {
        return Err(command.no_such_store("underway"));
    }
    run(Underway::open(&command).await?, &command).await
}

struct Count;

impl Task for Count {
    type Input = Order;
    type Output = ();

    async fn execute(&self, _: Transaction<'_, Postgres>, order: Order) -> underway::task::Result<()> {
        handle(order.order_id);
        Ok(())
    }
}

/// A future that borrows nothing: the compiler does not see of sqlx' `Acquire` that it holds for every lifetime.
fn owned<T>(
    future: impl Future<Output = Result<T, BoxError>> + Send + 'static,
) -> Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>> {
    Box::pin(future)
}

struct Pushes {
    queue: Arc<Queue<Count>>,
    pool: PgPool,
}

impl Producer for Pushes {
    async fn push(&mut self, order: Order) -> Result<(), BoxError> {
        self.queue.enqueue(&self.pool, &Count, &order).await?;
        Ok(())
    }

    async fn push_many(&mut self, orders: Vec<Order>) -> Result<(), BoxError> {
        let (queue, pool) = (Arc::clone(&self.queue), self.pool.clone());
        owned(async move {
            queue.enqueue_multi(&pool, &Count, &orders).await?;
            Ok(())
        })
        .await
    }
}

struct Underway {
    pool: PgPool,
    queue: Arc<Queue<Count>>,
    workers: usize,
}

impl Underway {
    async fn open(command: &Command) -> Result<Self, BoxError> {
        let connections = match command.case {
            Case::Fire64 => 32,
            Case::Drain | Case::Latency => 50,
            Case::Fire1 | Case::Bulk | Case::Fill => 1,
        };
        let pool = PgPoolOptions::new().max_connections(connections).connect(&command.url).await?;
        migrate(pool.clone()).await?;
        let queue = Queue::builder().name("orders").pool(pool.clone()).build().await?;
        let workers = if command.case == Case::Drain && !command.defaults { WORKERS } else { 1 };
        Ok(Self { pool, queue: Arc::new(queue), workers })
    }
}

/// On a thread of its own: the compiler does not see that the future may move to another one.
async fn migrate(pool: PgPool) -> Result<(), BoxError> {
    let here = Handle::current();
    let migrated = spawn_blocking(move || here.block_on(underway::run_migrations(&pool)));
    Ok(migrated.await??)
}

impl Peer for Underway {
    type Producer = Pushes;

    fn producer(&self) -> Pushes {
        Pushes { queue: Arc::clone(&self.queue), pool: self.pool.clone() }
    }

    async fn unsettled(&self) -> Result<u64, BoxError> {
        let left = sqlx::query_scalar::<_, i64>(
            "SELECT count(*) FROM underway.task WHERE state::text <> 'succeeded'",
        );
        Ok(left.fetch_one(&self.pool).await?.try_into()?)
    }

    async fn work(self: Arc<Self>) -> Result<(), BoxError> {
        let worker = Worker::new(Arc::clone(&self.queue), Count);
        let mut workers = JoinSet::new();
        for _ in 0..self.workers {
            let worker = worker.clone();
            workers.spawn(async move { worker.run().await.map_err(|error| error.to_string()) });
        }
        while let Some(ended) = workers.join_next().await {
            ended??;
        }
        Ok(())
    }
}
