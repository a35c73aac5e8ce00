//! One queued job, from outside.

use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::{Extensions, no_queue};
use crate::job::{JobId, JobRecord, JobState};
use crate::queue::{AdminOutcome, QueueBackend, QueueError, QueueErrorKind};

/// How long a waiting handle waits between two looks: at first, and at most.
const LOOKS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// A handle to a queued job: its state, its end, its result. Cheap to clone; made by [`Extensions::job`].
///
/// A job is *gone* when its record is: it was never queued, it was completed and completed jobs are not kept
/// ([`Retention::completed`](crate::queue::Retention::completed), 1 h), it was pruned or forgotten. A handle cannot tell these apart.
///
/// Every call asks the queue. An instance without a queue, and a queue without the capability `list`, answer with an error of kind
/// [`Unsupported`](QueueErrorKind::Unsupported). With `sync:` every job is gone: it was over before `fire` returned.
#[derive(Debug, Clone)]
pub struct JobHandle {
    extensions: Extensions,
    id: JobId,
}

impl Extensions {
    /// A handle to a job, such as one that a fire queued: `ext.job(fired.queued()[0].id())`. It asks nothing yet.
    #[must_use]
    pub fn job(&self, id: JobId) -> JobHandle {
        JobHandle { extensions: self.clone(), id }
    }
}

impl JobHandle {
    /// The job's id.
    #[must_use]
    pub const fn id(&self) -> JobId {
        self.id
    }

    fn queue(&self, operation: &'static str) -> Result<&dyn QueueBackend, QueueError> {
        self.extensions.queue().map(|queue| &**queue).ok_or_else(|| no_queue(operation))
    }

    /// All that the queue knows of the job; `None` if it is gone.
    ///
    /// # Errors
    ///
    /// Those of the queue.
    pub async fn record(&self) -> Result<Option<JobRecord>, QueueError> {
        Ok(self.queue("get")?.get(vec![self.id]).await?.pop().flatten())
    }

    /// The job's state; `None` if it is gone.
    ///
    /// # Errors
    ///
    /// Those of the queue.
    pub async fn status(&self) -> Result<Option<JobState>, QueueError> {
        Ok(self.record().await?.map(|record| record.state))
    }

    /// Cancels the job: one that waits at once, one that runs through its worker's next heartbeat, for which
    /// [`AdminOutcome::Requested`] is the answer. No callback is called.
    ///
    /// # Errors
    ///
    /// Those of the queue. That the job is gone, or has ended, is no error but an answer.
    pub async fn cancel(&self, reason: impl Into<String>) -> Result<AdminOutcome, QueueError> {
        let outcomes = self.queue("cancel")?.cancel(vec![self.id], reason.into()).await?;
        Ok(outcomes.first().copied().unwrap_or(AdminOutcome::NotFound))
    }

    /// Waits until the job has ended, however it ended, and answers with its record; with `None` where it is gone.
    ///
    /// It looks at once, then after 10 ms, then less and less often, at least every 500 ms, and a last time when the time is over. A
    /// look that fails in a way that may pass ([`QueueError::is_retryable`]) is repeated. To be awaited in Tokio.
    ///
    /// # Errors
    ///
    /// [`Timeout`](QueueErrorKind::Timeout) where the job has not ended in time; else those of the queue.
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub async fn wait(&self, timeout: Duration) -> Result<Option<JobRecord>, QueueError> {
        let started = Instant::now();
        let (mut pause, most) = LOOKS;
        loop {
            let left = timeout.saturating_sub(started.elapsed());
            let last = match self.record().await {
                Ok(None) => return Ok(None),
                Ok(Some(record)) if record.state.is_final() => return Ok(Some(record)),
                Ok(Some(record)) => self.not_in_time(timeout, record.state),
                Err(error) if error.is_retryable() => error,
                Err(error) => return Err(error),
            };
            if left.is_zero() {
                return Err(last);
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 3 / 2).min(most);
        }
    }

    fn not_in_time(&self, timeout: Duration, state: JobState) -> QueueError {
        let hint = format!("job {} has not ended within {timeout:?}: it is {state}", self.id);
        QueueError::new(QueueErrorKind::Timeout, "wait", hint)
    }

    /// What the handler recorded with [`Job::record`](crate::worker::Job::record); `None` where it recorded nothing, where the job is
    /// not completed, and where it is gone.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](QueueErrorKind::Corrupt) where the result is no `T`; else those of the queue.
    pub async fn result<T: DeserializeOwned>(&self) -> Result<Option<T>, QueueError> {
        let Some(result) = self.record().await?.and_then(|record| record.result) else { return Ok(None) };
        serde_json::from_slice(result.as_bytes()).map(Some).map_err(|error| {
            let hint =
                format!("the result of job {} is no `{}`: {error}", self.id, std::any::type_name::<T>());
            QueueError::new(QueueErrorKind::Corrupt, "result", hint)
        })
    }
}
