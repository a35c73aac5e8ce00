//! What a program says of its peer.

use std::future::Future;
use std::sync::Arc;

use crate::{BoxError, Order};

/// One who pushes; each of several at once has its own.
pub trait Producer: Send + 'static {
    /// How many jobs one call of [`push_many`](Self::push_many) takes in the case `fill`; nothing if the peer has no such call.
    const FILL: Option<u64> = Some(1_000);

    /// Pushes a job and waits until the store has it.
    fn push(&mut self, order: Order) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Pushes jobs in one call, and waits until the store has them all.
    fn push_many(&mut self, orders: Vec<Order>) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// A store of a peer's, set up, and what the peer does with it.
pub trait Peer: Send + Sync + 'static {
    /// Who pushes.
    type Producer: Producer;

    /// One more who pushes.
    fn producer(&self) -> Self::Producer;

    /// How many jobs the store holds that are not settled: waiting, running, to be repeated.
    fn unsettled(&self) -> impl Future<Output = Result<u64, BoxError>> + Send;

    /// Runs a worker, which does not end by itself.
    fn work(self: Arc<Self>) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// What a backlog needs after `fill` so that the peer can drain it.
    fn after_fill(&self) -> impl Future<Output = Result<(), BoxError>> + Send {
        async { Ok(()) }
    }
}
