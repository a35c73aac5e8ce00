//! What an author of a backend gives the suite.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::job::JobId;
use crate::queue::{Memory, QueueBackend};
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

type Step<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

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
