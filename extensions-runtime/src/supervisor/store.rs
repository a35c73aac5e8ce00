//! The store as the supervisor needs it: to see how many jobs wait. It is opened when it is needed first, and its absence stops nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::job::{JobState, QueueName};
use crate::queue::{QueueBackend, QueueError, QueueErrorKind, connect_existing};
use crate::telemetry::QueueGauges;

/// How long the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The store of the processes' jobs.
#[derive(Debug, Default)]
pub(super) struct Store {
    url: Option<String>,
    queue: OnceCell<Arc<dyn QueueBackend>>,
    gauges: OnceCell<QueueGauges>,
}

impl Store {
    pub(super) fn at(url: Option<String>) -> Self {
        Self { url, ..Self::default() }
    }

    pub(super) fn of(queue: Arc<dyn QueueBackend>) -> Self {
        Self { queue: OnceCell::new_with(Some(queue)), ..Self::default() }
    }

    pub(super) fn is_known(&self) -> bool {
        self.url.is_some() || self.queue.initialized()
    }

    pub(super) fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    async fn queue(&self) -> Result<&Arc<dyn QueueBackend>, QueueError> {
        let open = || async {
            let hint = "no queue is configured";
            let missing = || QueueError::new(QueueErrorKind::InvalidConfig, "supervise", hint);
            connect_existing(self.url.as_deref().ok_or_else(missing)?).await
        };
        self.queue.get_or_try_init(open).await
    }

    /// The gauges of its queues, if it can be reached now.
    pub(super) async fn gauges(&self) -> Option<&QueueGauges> {
        let queue = tokio::time::timeout(PATIENCE, self.queue()).await.ok()?.ok()?;
        Some(self.gauges.get_or_init(|| async { QueueGauges::new(Arc::clone(queue)) }).await)
    }

    /// How many jobs are available on each queue that is not paused.
    pub(super) async fn waiting(&self) -> Result<BTreeMap<QueueName, u64>, QueueError> {
        let late = |_| QueueError::new(QueueErrorKind::Timeout, "supervise", "the store does not answer");
        let stats = async { self.queue().await?.stats().await };
        let stats = tokio::time::timeout(PATIENCE, stats).await.map_err(late)??;
        let counted = stats.into_iter().filter(|stats| !stats.paused);
        Ok(counted.map(|stats| (stats.queue.clone(), stats.count(JobState::Available))).collect())
    }
}
