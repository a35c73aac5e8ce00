//! A call of the store, on its way to whoever makes it, and its answer on the way back.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::sync::oneshot;

use super::error;
use super::store::Tx;
use crate::queue::QueueError;

/// What a call is, as far as it decides who makes it, and when it is done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) operation: &'static str,
    /// How many jobs it is about, if it is a matter of a few microseconds for each.
    pub(super) jobs: Option<usize>,
    /// Whether what it did is to survive even a loss of power, where the store promises that.
    pub(super) is_synced: bool,
}

impl Kind {
    /// A call that is about so many jobs, and nothing else.
    pub(super) const fn of_jobs(operation: &'static str, jobs: usize) -> Self {
        Self { operation, jobs: Some(jobs), is_synced: true }
    }

    /// The same where a loss of power may undo it.
    pub(super) const fn unsynced(self) -> Self {
        Self { is_synced: false, ..self }
    }
}

impl From<&'static str> for Kind {
    fn from(operation: &'static str) -> Self {
        Self { operation, jobs: None, is_synced: true }
    }
}

/// A call that is to be made; it may be made again if its group's transaction fails.
pub(super) trait Call: Send {
    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, done: Result<(), &rusqlite::Error>);
    fn since(&self) -> Instant;
    fn is_synced(&self) -> bool;
}

struct Pending<T, F> {
    kind: Kind,
    since: Instant,
    step: F,
    value: Option<T>,
    reply: oneshot::Sender<Result<T, QueueError>>,
}

/// A call and where its answer comes.
pub(super) fn pending<T: Send + 'static>(
    kind: Kind,
    step: impl FnMut(&mut Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
) -> (Box<dyn Call>, Answer<T>) {
    let (reply, receiver) = oneshot::channel();
    let call = Pending { kind, since: Instant::now(), step, value: None, reply };
    (Box::new(call), Answer { operation: kind.operation, receiver })
}

impl<T, F> Call for Pending<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        self.value = Some((self.step)(tx)?);
        Ok(())
    }

    fn answer(mut self: Box<Self>, done: Result<(), &rusqlite::Error>) {
        let value = match done {
            Ok(()) => self.value.take().ok_or_else(|| error::gone(self.kind.operation)),
            Err(error) => Err(error::map(error, self.kind.operation)),
        };
        let _ = self.reply.send(value);
    }

    fn since(&self) -> Instant {
        self.since
    }

    fn is_synced(&self) -> bool {
        self.kind.is_synced
    }
}

/// The answer to a call.
#[derive(Debug)]
pub(super) struct Answer<T> {
    operation: &'static str,
    receiver: oneshot::Receiver<Result<T, QueueError>>,
}

impl<T> Future for Answer<T> {
    type Output = Result<T, QueueError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let operation = self.operation;
        let answer = Pin::new(&mut self.receiver).poll(context);
        answer.map(|answer| answer.unwrap_or_else(|_| Err(error::gone(operation))))
    }
}
