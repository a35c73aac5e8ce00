//! Pushing, the same on every storage.

use apalis::prelude::TaskSink;
use apalis_core::backend::finalize::Durable;
use common::{BoxError, Order, Producer};

/// One who pushes to a storage.
pub(crate) struct Pushes<S>(pub(crate) S);

impl<S> Producer for Pushes<S>
where
    S: TaskSink<Order, Durable> + Send + 'static,
    S::Error: std::error::Error + Send + Sync + 'static,
{
    async fn push(&mut self, order: Order) -> Result<(), BoxError> {
        Ok(self.0.push(order).await?)
    }

    async fn push_many(&mut self, orders: Vec<Order>) -> Result<(), BoxError> {
        Ok(self.0.push_bulk(orders).await?)
    }
}
