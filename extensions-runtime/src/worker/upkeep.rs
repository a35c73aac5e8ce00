//! The store's upkeep: every worker takes a turn about once a second.

use std::sync::Arc;
use std::time::Duration;

use super::outage::Outage;
use crate::queue::{Maintained, QueueBackend, Retention};

/// The longest time between two rounds: what a dead process held is taken back within a second (product 8.2).
const EVERY: Duration = Duration::from_millis(900);

/// Runs until it is dropped.
pub(super) async fn run(queue: Arc<dyn QueueBackend>, retention: Retention, outage: Arc<Outage>) {
    loop {
        let wait = match queue.maintain(retention).await {
            Ok(done) => {
                outage.works("maintain");
                tell(done);
                Duration::ZERO
            }
            Err(error) => outage.failed("maintain", &error),
        };
        tokio::time::sleep(EVERY.mul_f64(0.7 + 0.3 * fastrand::f64()).max(wait)).await;
    }
}

fn tell(done: Maintained) {
    if done.rescued > 0 {
        tracing::warn!(jobs = done.rescued, "took back jobs of workers that are gone");
    }
    if done.quarantined > 0 {
        tracing::error!(jobs = done.quarantined, "jobs were quarantined: their workers died over them");
    }
}
