//! Where the jobs of a fire go.

use std::sync::Arc;

use super::FireErrorKind;
use super::follow_ups::AfterJob;
use super::within::Exchange;
use crate::instance::Extensions;
use crate::job::NewJob;
use crate::queue::{Pushed, QueueError};

/// Where the innermost layer of a push brings the jobs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Destination<'a> {
    /// Into the queue.
    Queue,
    /// Into the queue, in a transaction of the caller's.
    Transaction(&'a Exchange),
    /// To a job, until that is completed.
    Job(AfterJob<'a>),
}

impl<'a> Destination<'a> {
    pub(super) async fn store(
        self,
        extensions: &Extensions,
        jobs: Arc<[NewJob]>,
    ) -> Result<Vec<Pushed>, QueueError> {
        match self {
            Self::Queue => extensions.push_unlayered(jobs).await,
            Self::Transaction(exchange) => {
                let pushed = exchange.push(Arc::clone(&jobs)).await?;
                extensions.note_pushed(&jobs, &pushed);
                Ok(pushed)
            }
            Self::Job(job) => job.keep(&jobs),
        }
    }

    /// What kind of error it is that the jobs did not get there.
    pub(super) const fn refused(self, error: QueueError) -> FireErrorKind {
        match self {
            Self::Transaction(_) => FireErrorKind::PushFailedWithin(error),
            Self::Queue | Self::Job(_) => FireErrorKind::PushFailed(error),
        }
    }

    pub(super) const fn job(self) -> Option<AfterJob<'a>> {
        match self {
            Self::Job(job) => Some(job),
            Self::Queue | Self::Transaction(_) => None,
        }
    }
}
