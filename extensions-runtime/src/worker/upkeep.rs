//! The store's upkeep: every worker takes a turn about once a second.

use std::sync::Arc;
use std::time::Duration;

use super::outage::Outage;
use super::unserved::Unserved;
use crate::queue::{Maintained, QueueBackend, Retention};
use crate::telemetry::names::event;
use crate::telemetry::record;

/// The longest time between two rounds: what a dead process held is taken back within a second (product 8.2).
const EVERY: Duration = Duration::from_millis(900);

/// How many rounds are left out after an outage, so that what has ended meanwhile is settled before its lease is taken back.
const MOST_SKIPPED: u32 = 8;

/// Runs until it is dropped.
pub(super) async fn run(
    queue: Arc<dyn QueueBackend>,
    retention: Retention,
    outage: Arc<Outage>,
    mut unserved: Option<Unserved>,
) {
    let mut skipped = 0;
    loop {
        if skipped < MOST_SKIPPED && outage.keeps_leases_waiting() {
            skipped += 1;
            tokio::time::sleep(EVERY).await;
            continue;
        }
        skipped = 0;
        let wait = match queue.maintain(retention).await {
            Ok(done) => {
                outage.works("maintain");
                tell(done);
                if let Some(unserved) = &mut unserved {
                    unserved.look_if_due().await;
                }
                Duration::ZERO
            }
            Err(error) => outage.failed("maintain", &error),
        };
        tokio::time::sleep(EVERY.mul_f64(0.7 + 0.3 * fastrand::f64()).max(wait)).await;
    }
}

fn tell(done: Maintained) {
    record::maintained(done.rescued, done.quarantined);
    if done.rescued > 0 {
        tracing::warn!(name: event::JOBS_TAKEN_BACK, jobs = done.rescued, "took back jobs of workers that are gone");
    }
    if done.quarantined > 0 {
        tracing::error!(name: event::JOBS_IN_QUARANTINE, jobs = done.quarantined, "jobs were quarantined: their workers died over them");
    }
}
