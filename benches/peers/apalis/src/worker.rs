//! Working, the same on every storage.

use std::task::{Context, Poll};
use std::time::Duration;

use apalis::prelude::{IntervalStrategy, PollSnapshot, PollStrategy};
use common::{BoxError, Order, handle};

/// The queue's name.
pub(crate) const QUEUE: &str = "orders";

/// How often a worker looks for jobs while a backlog is drained: its last acknowledgements are not left for its next heartbeat, 30 s later.
pub(crate) const DRAIN_POLL: Duration = Duration::from_millis(50);

/// A strategy of apalis' own that is asked until it waits. Asked once, an interval that is due sets its next timer and does not wait for it, and
/// where the look at the store ends before it is asked again the worker sleeps until its next heartbeat.
#[derive(Debug, Clone)]
pub(crate) struct Armed<S>(pub(crate) S);

impl<S: PollStrategy> PollStrategy for Armed<S> {
    fn poll_drive(&mut self, cx: &mut Context<'_>, snapshot: &PollSnapshot) -> Poll<Option<()>> {
        let mut due = Poll::Pending;
        loop {
            match self.0.poll_drive(cx, snapshot) {
                Poll::Ready(Some(())) => due = Poll::Ready(Some(())),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return due,
            }
        }
    }

    fn on_poll(&mut self, snapshot: &PollSnapshot) {
        self.0.on_poll(snapshot);
    }
}

/// Looks at an interval.
pub(crate) fn looks(interval: Duration) -> Armed<IntervalStrategy> {
    Armed(IntervalStrategy::new(interval))
}

/// The handler.
pub(crate) async fn count(order: Order) -> Result<(), BoxError> {
    handle(order.order_id);
    Ok(())
}

/// Runs a worker on a storage; a macro, because the bounds of a function would be longer than all the rest.
macro_rules! work {
    ($storage:expr) => {{
        let name = format!("worker-{}", std::process::id());
        let worker = apalis::prelude::WorkerBuilder::new(name).backend($storage).build($crate::worker::count);
        Ok(worker.run().await?)
    }};
}

pub(crate) use work;
