//! The store's upkeep: every worker takes a turn about once a second.

use std::sync::Arc;
use std::time::Duration;

use crate::queue::{QueueBackend, Retention};

/// The longest time between two rounds: what a dead process held is taken back within a second (product 8.2).
const EVERY: Duration = Duration::from_millis(900);

/// Runs until it is dropped.
pub(super) async fn run(queue: Arc<dyn QueueBackend>, retention: Retention) {
    let mut failing = false;
    loop {
        match queue.maintain(retention).await {
            Ok(done) => {
                if failing {
                    tracing::info!("the queue's upkeep works again");
                }
                failing = false;
                if done.rescued > 0 {
                    tracing::warn!(jobs = done.rescued, "took back jobs of workers that are gone");
                }
                if done.quarantined > 0 {
                    tracing::error!(
                        jobs = done.quarantined,
                        "jobs were quarantined: their workers died over them"
                    );
                }
            }
            Err(error) => {
                if !failing {
                    tracing::warn!(%error, "the queue's upkeep failed; trying again every second");
                }
                failing = true;
            }
        }
        tokio::time::sleep(EVERY.mul_f64(0.7 + 0.3 * fastrand::f64())).await;
    }
}
