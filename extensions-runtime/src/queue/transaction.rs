//! Transactions of the caller's, in which jobs are stored and claims are ended.

use std::future::Future;
use std::sync::Arc;

use super::{Pushed, QueueBackend, QueueError, QueueErrorKind, Settled, Settlement};
use crate::job::NewJob;

/// A transaction, or a connection in one, in the database that is also the queue's store.
///
/// What is done here takes effect when the caller commits, together with the caller's own rows, or never; workers are woken by
/// the commit.
///
/// # Errors
///
/// `Unsupported` where the instance's queue is another kind of store; `InvalidConfig` where it is another database;
/// otherwise as the same calls of [`QueueBackend`]. After an error the transaction can only be rolled back.
pub trait Transaction {
    /// Stores jobs, as [`QueueBackend::push`] does.
    fn push(
        &mut self,
        queue: &dyn QueueBackend,
        jobs: Arc<[NewJob]>,
    ) -> impl Future<Output = Result<Vec<Pushed>, QueueError>>;

    /// Ends claims, as [`QueueBackend::settle`] does.
    fn settle(
        &mut self,
        queue: &dyn QueueBackend,
        settlements: Vec<Settlement>,
    ) -> impl Future<Output = Result<Vec<Settled>, QueueError>>;
}

/// The queue, if jobs can be stored in it, and claims ended, in transactions of the caller's.
pub(crate) fn transactional<'a>(
    queue: Option<&'a dyn QueueBackend>,
    operation: &'static str,
) -> Result<&'a dyn QueueBackend, QueueError> {
    const WHICH: &str = "transactions need a queue in the caller's own database: `Postgres` (sqlx) or `Sqlite` (sqlx, rusqlite)";
    let hint = match queue {
        Some(queue) if queue.capabilities().transactions => return Ok(queue),
        Some(queue) => format!("the queue ({}) cannot take part in a transaction; {WHICH}", queue.describe()),
        None => format!("there is no queue that could take part in a transaction; {WHICH}"),
    };
    Err(QueueError::new(QueueErrorKind::Unsupported, operation, hint))
}
