//! What an author of a backend gives the suite.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::job::{JobId, NewJob};
#[cfg(doc)]
use crate::queue::Transaction;
use crate::queue::{Memory, Pushed, QueueBackend, QueueError, Settled, Settlement};
use crate::time::ManualClock;

/// A part of a stored job that can be spoiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its payload.
    Payload,
    /// Its metadata.
    Meta,
    /// Its errors.
    Errors,
}

/// What a fixture's calls return.
pub type Step<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What is done in a transaction of the caller's, in this order.
#[allow(missing_debug_implementations)]
pub struct Work<'a> {
    /// Jobs to push.
    pub push: Arc<[NewJob]>,
    /// Claims to end.
    pub settle: Vec<Settlement>,
    /// What happens elsewhere before the transaction ends.
    pub meanwhile: Step<'a, ()>,
    /// Whether it is committed; else it is rolled back.
    pub commit: bool,
}

/// What the calls in a transaction answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkDone {
    /// What became of each job.
    pub pushed: Vec<Pushed>,
    /// What became of each settlement.
    pub settled: Vec<Settled>,
}

/// A fresh store for one case, and what the case may do to it from outside. Dropping it removes the store.
pub trait Fixture: Send + Sync + 'static {
    /// A handle to the store.
    fn backend(&self) -> Arc<dyn QueueBackend>;

    /// A second handle to the same store, as another process would have it. The default is the first handle again.
    fn reopen(&self) -> Step<'_, Arc<dyn QueueBackend>> {
        Box::pin(async { self.backend() })
    }

    /// Lets time pass for the backend's clock. The default waits for the real one.
    fn advance(&self, by: Duration) -> Step<'_, ()> {
        Box::pin(tokio::time::sleep(by + Duration::from_millis(2)))
    }

    /// Whether [`transact`](Self::transact) works.
    fn can_transact(&self) -> bool {
        false
    }

    /// Opens a transaction as a caller would, does the work in it by [`Transaction`], and commits or rolls back.
    ///
    /// # Errors
    ///
    /// What the transaction's calls answer; then it is rolled back.
    fn transact<'a>(&'a self, work: Work<'a>) -> Step<'a, Result<WorkDone, QueueError>> {
        let _ = work;
        Box::pin(async { unreachable!("asked only where `can_transact` says so") })
    }

    /// Whether [`spoil`](Self::spoil) works.
    fn can_spoil(&self) -> bool {
        false
    }

    /// Overwrites a part of a stored job with garbage, behind the backend's back.
    fn spoil(&self, job: JobId, part: Part, garbage: Vec<u8>) -> Step<'_, ()> {
        let _ = (job, part, garbage);
        Box::pin(async {})
    }

    /// Whether [`obstruct`](Self::obstruct) works.
    fn can_obstruct(&self) -> bool {
        false
    }

    /// Makes the store refuse every write until the guard is dropped; the backend's time-out should be short.
    fn obstruct(&self) -> Box<dyn Any + Send> {
        Box::new(())
    }
}

/// The memory backend on a clock that the suite moves.
#[derive(Debug)]
pub struct MemoryFixture {
    backend: Memory,
    clock: Arc<ManualClock>,
}

impl MemoryFixture {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        let clock = Arc::new(ManualClock::default());
        Self { backend: Memory::with_clock(Arc::clone(&clock) as _), clock }
    }

    /// The queue itself.
    #[must_use]
    pub fn memory(&self) -> Memory {
        self.backend.clone()
    }
}

impl Default for MemoryFixture {
    fn default() -> Self {
        Self::new()
    }
}

impl Fixture for MemoryFixture {
    fn backend(&self) -> Arc<dyn QueueBackend> {
        Arc::new(self.backend.clone())
    }

    fn advance(&self, by: Duration) -> Step<'_, ()> {
        self.clock.advance(by);
        Box::pin(async {})
    }
}
