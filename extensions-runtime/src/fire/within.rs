//! Fires in a transaction of the caller's.
//!
//! A fire with its layers is a future that can be sent between threads; a transaction need not be. So the two meet only through
//! messages: where the fire would push, it asks, and whoever drives it pushes with the transaction and answers.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::destination::Destination;
use super::{Fire, FireError, Fired, ToQueue};
use crate::instance::Extensions;
use crate::job::NewJob;
use crate::point::ExtensionPoint;
use crate::queue::{Pushed, QueueBackend, QueueError, Transaction, transactional};
use crate::task;

/// That a fire's jobs are stored in a transaction of the caller's ([`Fire::within`]).
pub struct Within<'t, T>(&'t mut T);

impl<T> fmt::Debug for Within<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Within").finish_non_exhaustive()
    }
}

struct Ask {
    jobs: Arc<[NewJob]>,
    answer: oneshot::Sender<Result<Vec<Pushed>, QueueError>>,
}

/// A fire's end of the talk with its transaction.
#[derive(Debug)]
pub(crate) struct Exchange(mpsc::UnboundedSender<Ask>);

impl Exchange {
    pub(super) async fn push(&self, jobs: Arc<[NewJob]>) -> Result<Vec<Pushed>, QueueError> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Ask { jobs, answer }).expect("the driver outlives its fire");
        answered.await.expect("the driver answers, or is dropped with its fire")
    }
}

/// Drives a fire whose jobs go into a transaction.
pub(super) async fn drive<'a, T: Transaction, F: Future>(
    extensions: &Extensions,
    transaction: &mut T,
    exchange: &'a mut Option<Exchange>,
    fire: impl FnOnce(Destination<'a>) -> F,
) -> F::Output {
    if extensions.leaves_transactions_alone() {
        return fire(Destination::Queue).await;
    }
    let (asks, mut asked) = mpsc::unbounded_channel();
    let mut fire = pin!(fire(Destination::Transaction(exchange.insert(Exchange(asks)))));
    loop {
        let Ask { jobs, answer } = tokio::select! {
            biased;
            fired = &mut fire => return fired,
            Some(ask) = asked.recv() => ask,
        };
        let pushing = pin!(async {
            match extensions.transactional_queue("push") {
                Ok(queue) => transaction.push(queue, jobs).await,
                Err(error) => Err(error),
            }
        });
        let pushed = tokio::select! {
            biased;
            fired = &mut fire => return fired,
            pushed = pushing => pushed,
        };
        // A layer that no longer waits for the answer hears of it in no other way either.
        let _ = answer.send(pushed);
    }
}

impl Extensions {
    /// The queue, if it takes jobs in transactions of the caller's.
    pub(crate) fn transactional_queue(
        &self,
        operation: &'static str,
    ) -> Result<&dyn QueueBackend, QueueError> {
        let queue = self.queue().filter(|_| self.settings().sync.is_none());
        transactional(queue.map(|queue| &**queue), operation)
    }

    /// Whether this is a fake whose queue takes no part in transactions, so that all takes effect at once.
    pub(crate) fn leaves_transactions_alone(&self) -> bool {
        let can = |queue: &Arc<dyn QueueBackend>| queue.capabilities().transactions;
        self.settings().fake.is_some() && !self.queue().is_some_and(can)
    }

    /// Fires many points, and stores the jobs of all in a transaction of the caller's: [`fire_many`](Self::fire_many) and
    /// [`Fire::within`] in one. Where the push fails, every point with jobs gets an error that says to roll back.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves a transaction that can only be rolled back.
    pub async fn fire_many_within<P: ExtensionPoint, T: Transaction>(
        &self,
        transaction: &mut T,
        points: impl IntoIterator<Item = P> + Send,
    ) -> Vec<Result<Fired<P>, FireError>> {
        let points: Vec<P> = points.into_iter().collect();
        let mut exchange = None;
        drive(self, transaction, &mut exchange, |to| self.fire_many_to(points, to)).await
    }
}

impl<'a, P: ExtensionPoint> Fire<'a, P, ToQueue> {
    /// Stores the jobs of this fire in a transaction of the caller's: they are there once the caller commits, together with the
    /// caller's own rows, or never.
    ///
    /// The inline handlers run now, and those of nested fires too; all their jobs go into the one push. Observers are told when it is
    /// done, before the commit. Layers of fires and of pushes are around it as ever. A fire without jobs does not touch the transaction.
    ///
    /// The queue must be in the same database as the transaction, with the capability `transactions`. A fake
    /// ([`Extensions::fake`]) in memory queues and records the jobs at once instead, and leaves the transaction alone.
    pub fn within<T: Transaction>(self, transaction: &mut T) -> Fire<'a, P, Within<'_, T>> {
        let Self { extensions, point, mode, to: ToQueue } = self;
        Fire { extensions, point, mode, to: Within(transaction) }
    }
}

impl<P: ExtensionPoint, T: Transaction> Fire<'_, P, Within<'_, T>> {
    /// Fires. The future can be sent between threads if the transaction's can.
    ///
    /// # Errors
    ///
    /// As [`Extensions::fire`]. [`FireErrorKind::PushFailedWithin`](super::FireErrorKind::PushFailedWithin) where the jobs could not be
    /// stored: the transaction can only be rolled back. After any other error it is as it was.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its push began, it leaves the transaction as it was; after that, one that can only be rolled back.
    pub async fn fire(self) -> Result<Fired<P>, FireError> {
        let Self { extensions, point, mode, to: Within(transaction) } = self;
        let mut exchange = None;
        drive(extensions, transaction, &mut exchange, |to| extensions.fire_with(point, &mode, None, to)).await
    }

    /// Fires without a runtime, in a transaction whose calls need none: `rusqlite`'s.
    ///
    /// # Errors
    ///
    /// As [`fire`](Self::fire) and [`Extensions::fire_sync`].
    pub fn fire_sync(mut self) -> Result<Fired<P>, FireError> {
        self.mode.sync = true;
        task::block_on(self.fire())
    }
}
