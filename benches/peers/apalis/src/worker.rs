//! Working, the same on every storage.

use std::time::Duration;

use common::{BoxError, Order, handle};

/// The queue's name.
pub(crate) const QUEUE: &str = "orders";

/// How often a worker looks for jobs while a backlog is drained: its last acknowledgements are not left for its next heartbeat, 30 s later.
pub(crate) const DRAIN_POLL: Duration = Duration::from_millis(50);

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
