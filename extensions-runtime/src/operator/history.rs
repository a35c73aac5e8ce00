//! What workers did in a period, by queue and handler.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::job::{HandlerKey, QueueName};
use crate::queue::{QueueAdmin, QueueError, Tally};

/// What became of the jobs of one handler in one queue; durations are seconds.
#[derive(Debug, Serialize)]
pub(crate) struct Period {
    pub(crate) queue: QueueName,
    pub(crate) handler: HandlerKey,
    /// Jobs whose first attempt was made.
    pub(crate) started: u64,
    pub(crate) completed: u64,
    /// Attempts that failed.
    pub(crate) failed: u64,
    pub(crate) retried: u64,
    pub(crate) dead: u64,
    pub(crate) cancelled: u64,
    pub(crate) mean_run_time: Option<f64>,
    pub(crate) longest: f64,
    /// From the push to the first attempt.
    pub(crate) mean_wait: Option<f64>,
}

/// Everything that was done in the last `since`, by queue and handler.
///
/// # Errors
///
/// Those of the queue.
pub(crate) async fn period(queue: &dyn QueueAdmin, since: Duration) -> Result<Vec<Period>, QueueError> {
    let mut sums: BTreeMap<(QueueName, HandlerKey), Tally> = BTreeMap::new();
    for entry in queue.history(since).await? {
        let (queue, handler) = (entry.tally.queue.clone(), entry.tally.handler.clone());
        let sum = sums.entry((queue.clone(), handler.clone())).or_insert_with(|| Tally::new(queue, handler));
        sum.add(&entry.tally);
    }
    Ok(sums.into_values().map(Into::into).collect())
}

impl From<Tally> for Period {
    fn from(tally: Tally) -> Self {
        let seconds = |duration: Duration| duration.as_secs_f64();
        Self {
            mean_run_time: tally.mean_run_time().map(seconds),
            mean_wait: tally.mean_wait().map(seconds),
            longest: seconds(tally.longest),
            queue: tally.queue,
            handler: tally.handler,
            started: tally.started,
            completed: tally.completed,
            failed: tally.failed,
            retried: tally.retried,
            dead: tally.dead,
            cancelled: tally.cancelled,
        }
    }
}
