//! Pushes and settlements in a transaction of the caller's, on the caller's connection.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use super::presence::Presence;
use super::store::push::Batch;
use super::store::{self, Tx};
use super::{Sqlite, error};
use crate::backend::rules;
use crate::job::NewJob;
use crate::queue::{Pushed, QueueBackend, QueueError, QueueErrorKind, Settled, Settlement, Transaction};

/// A connection of `rusqlite` 0.39 on which a transaction was begun.
///
/// # Errors
///
/// Besides those of [`Transaction`]: `InvalidConfig` where no transaction was begun. `Unavailable` where the connection's own
/// `busy_timeout` is over, and at once where the transaction has read before others wrote: begin it with
/// [`TransactionBehavior::Immediate`](rusqlite::TransactionBehavior::Immediate) if it reads before it fires.
impl Transaction for Connection {
    async fn push(
        &mut self,
        queue: &dyn QueueBackend,
        jobs: Arc<[NewJob]>,
    ) -> Result<Vec<Pushed>, QueueError> {
        push(self, queue, jobs)
    }

    async fn settle(
        &mut self,
        queue: &dyn QueueBackend,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<Settled>, QueueError> {
        settle(self, queue, &settlements)
    }
}

/// A transaction of `rusqlite` 0.39; the errors are those of a [`Connection`].
impl Transaction for rusqlite::Transaction<'_> {
    async fn push(
        &mut self,
        queue: &dyn QueueBackend,
        jobs: Arc<[NewJob]>,
    ) -> Result<Vec<Pushed>, QueueError> {
        push(self, queue, jobs)
    }

    async fn settle(
        &mut self,
        queue: &dyn QueueBackend,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<Settled>, QueueError> {
        settle(self, queue, &settlements)
    }
}

fn push(conn: &Connection, queue: &dyn QueueBackend, jobs: Arc<[NewJob]>) -> Result<Vec<Pushed>, QueueError> {
    let batch = Batch::new(jobs);
    within(conn, queue, "push", |tx| tx.push(&batch))
}

fn settle(
    conn: &Connection,
    queue: &dyn QueueBackend,
    settlements: &[Settlement],
) -> Result<Vec<Settled>, QueueError> {
    within(conn, queue, "settle", |tx| tx.settle(settlements))
}

fn within<T>(
    conn: &Connection,
    queue: &dyn QueueBackend,
    operation: &'static str,
    step: impl FnOnce(&mut Tx<'_>) -> rusqlite::Result<T>,
) -> Result<T, QueueError> {
    let inner = &sqlite(queue, operation)?.inner;
    same_file(&inner.file, conn.path().unwrap_or_default(), operation)?;
    if conn.is_autocommit() {
        return Err(rules::no_transaction(operation));
    }
    store::within(conn, Presence::beside(&inner.path), inner.boot, inner.clock, step)
        .map_err(|error| error::map(&error, operation))
}

/// The queue, if it is of this kind.
pub(super) fn sqlite<'a>(
    queue: &'a dyn QueueBackend,
    operation: &'static str,
) -> Result<&'a Sqlite, QueueError> {
    queue.store().and_then(|store| store.downcast_ref()).ok_or_else(|| {
        let what = format!(
            "the transaction is one of SQLite, the queue is `{}`: fire without the transaction, or keep the queue in the transaction's database",
            queue.describe()
        );
        QueueError::new(QueueErrorKind::Unsupported, operation, what)
    })
}

/// Refuses a connection whose main database, which SQLite names, is not the queue's.
pub(super) fn same_file(own: &Path, main: &str, operation: &'static str) -> Result<(), QueueError> {
    if !main.is_empty()
        && (own == Path::new(main) || Path::new(main).canonicalize().is_ok_and(|main| main == own))
    {
        return Ok(());
    }
    let main = if main.is_empty() { "in memory" } else { main };
    let what = format!(
        "the transaction's main database is {main}, the queue is {}: open the queue in the same file",
        own.display()
    );
    Err(QueueError::new(QueueErrorKind::InvalidConfig, operation, what))
}
