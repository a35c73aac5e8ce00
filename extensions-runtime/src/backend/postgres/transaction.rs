//! Jobs in transactions of the caller's.

use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection};

use super::backend::check_names;
use super::store::{follow_ups, lane_keys};
use super::{Core, Postgres, error};
use crate::backend::rules;
use crate::job::{HandlerKey, NewJob, QueueName};
use crate::queue::{Pushed, QueueBackend, QueueError, QueueErrorKind, Settled, Settlement, Transaction};

/// A connection on which sqlx began a transaction of the caller's.
///
/// # Errors
///
/// Besides those of [`Transaction`]: `InvalidConfig` where no transaction was begun, or in another database than the queue's.
impl Transaction for PgConnection {
    async fn push(
        &mut self,
        queue: &dyn QueueBackend,
        jobs: Arc<[NewJob]>,
    ) -> Result<Vec<Pushed>, QueueError> {
        let core = core_of(queue, "push")?;
        check_names(&jobs)?;
        prepare(core, "push", self, lane_keys(jobs.iter())).await?;
        let jobs: Vec<_> = jobs.iter().collect();
        let pushed = core.store.push(self, &jobs).await.map_err(|error| error::map(&error, "push"))?;
        pushed.ok_or_else(|| error::replaced("push"))
    }

    async fn settle(
        &mut self,
        queue: &dyn QueueBackend,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<Settled>, QueueError> {
        let core = core_of(queue, "settle")?;
        for job in follow_ups(&settlements) {
            check_names(std::slice::from_ref(job))?;
        }
        prepare(core, "settle", self, lane_keys(follow_ups(&settlements))).await?;
        let settled = core.store.settle(self, &settlements, None, false).await;
        settled.map_err(|error| error::map(&error, "settle"))
    }
}

impl Transaction for sqlx::Transaction<'_, sqlx::Postgres> {
    async fn push(
        &mut self,
        queue: &dyn QueueBackend,
        jobs: Arc<[NewJob]>,
    ) -> Result<Vec<Pushed>, QueueError> {
        Transaction::push(&mut **self, queue, jobs).await
    }

    async fn settle(
        &mut self,
        queue: &dyn QueueBackend,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<Settled>, QueueError> {
        Transaction::settle(&mut **self, queue, settlements).await
    }
}

impl Transaction for PoolConnection<sqlx::Postgres> {
    async fn push(
        &mut self,
        queue: &dyn QueueBackend,
        jobs: Arc<[NewJob]>,
    ) -> Result<Vec<Pushed>, QueueError> {
        Transaction::push(&mut **self, queue, jobs).await
    }

    async fn settle(
        &mut self,
        queue: &dyn QueueBackend,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<Settled>, QueueError> {
        Transaction::settle(&mut **self, queue, settlements).await
    }
}

fn core_of<'a>(queue: &'a dyn QueueBackend, operation: &'static str) -> Result<&'a Arc<Core>, QueueError> {
    let postgres = queue.store().and_then(|store| store.downcast_ref::<Postgres>());
    postgres.map(|postgres| &postgres.inner.core).ok_or_else(|| {
        let why = format!("a transaction of PostgreSQL cannot store jobs in `{}`: give the instance a queue in the same database", queue.describe());
        QueueError::new(QueueErrorKind::Unsupported, operation, why)
    })
}

/// Sees that the connection is in a transaction, and in the queue's database, and that the lanes are there.
async fn prepare(
    core: &Arc<Core>,
    operation: &'static str,
    conn: &mut PgConnection,
    lanes: Vec<(QueueName, HandlerKey, u32)>,
) -> Result<(), QueueError> {
    if !conn.is_in_transaction() {
        return Err(rules::no_transaction(operation));
    }
    let found = core.store.try_id(conn).await.map_err(|error| error::map(&error, operation))?;
    let is_ours = || found == Some(core.store.names().of().id);
    if !is_ours() {
        let task = Arc::clone(core);
        super::driver::answer::<()>(
            operation,
            core.start(async move { task.refresh(operation).await }).await,
        )
        .await?;
    }
    if !is_ours() {
        let why = format!(
            "the transaction is not in the database of the queue ({}): begin it there, or give the instance a queue in its database",
            core.store.place()
        );
        return Err(error::invalid(operation, why));
    }
    let task = Arc::clone(core);
    let known = core.start(async move { task.know_lanes(operation, &lanes).await }).await;
    super::driver::answer::<()>(operation, known).await
}
