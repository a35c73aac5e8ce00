//! A memory queue behind the kit's queue that can fail.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use extensions_runtime::conformance::{Fixture, MemoryFixture};
use extensions_runtime::queue::QueueBackend;
use extensions_runtime::testing::FaultyQueue;

use crate::Step;

/// A queue that could fail and is told to only where a case asks for it.
struct FaultyFixture {
    memory: MemoryFixture,
    queue: FaultyQueue,
}

impl FaultyFixture {
    fn new() -> Self {
        let memory = MemoryFixture::new();
        let queue = FaultyQueue::new(memory.memory());
        Self { memory, queue }
    }
}

impl Fixture for FaultyFixture {
    fn backend(&self) -> Arc<dyn QueueBackend> {
        Arc::new(self.queue.clone())
    }

    fn advance(&self, by: Duration) -> Step<'_, ()> {
        self.memory.advance(by)
    }

    fn can_obstruct(&self) -> bool {
        true
    }

    fn obstruct(&self) -> Box<dyn Any + Send> {
        self.queue.disconnect();
        Box::new(Disconnected(self.queue.clone()))
    }
}

/// Keeps the queue disconnected until it is dropped.
struct Disconnected(FaultyQueue);

impl Drop for Disconnected {
    fn drop(&mut self) {
        self.0.reconnect();
    }
}

pub(crate) async fn faulty() -> Box<dyn Fixture> {
    Box::new(FaultyFixture::new())
}
