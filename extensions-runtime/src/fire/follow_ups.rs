//! Fires of a job's handler whose jobs are queued with the job's completion.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::destination::Destination;
use super::{Fire, FireError, FireErrorKind, Fired};
use crate::handler::Parent;
use crate::instance::Extensions;
use crate::job::{ClaimedJob, DerivedIds, JobId, NewJob, Purpose};
use crate::point::ExtensionPoint;
use crate::queue::{Pushed, QueueError, QueueErrorKind};
use crate::scope::Frame;
use crate::task;

/// That a fire's jobs are queued with the completion of a job ([`Job::point`](crate::worker::Job::point)).
pub struct AfterJob<'j>(&'j FollowUps);

impl fmt::Debug for AfterJob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AfterJob").field(&self.0.parent.job).finish()
    }
}

/// What a job fired so far, to be queued with its completion.
#[derive(Debug)]
pub(crate) struct FollowUps {
    parent: Arc<Parent>,
    ids: Arc<DerivedIds>,
    /// None once the job has been ended.
    jobs: Mutex<Option<Vec<NewJob>>>,
}

impl FollowUps {
    pub(crate) fn of(job: &ClaimedJob) -> Self {
        let parent = Arc::new(Parent { job: job.id, meta: job.meta.clone() });
        let ids = Arc::new(DerivedIds::of_job(job.id));
        let jobs = (job.purpose == Purpose::Attempt).then(Vec::new);
        Self { parent, ids, jobs: Mutex::new(jobs) }
    }

    pub(super) const fn parent(&self) -> &Arc<Parent> {
        &self.parent
    }

    pub(super) const fn ids(&self) -> &Arc<DerivedIds> {
        &self.ids
    }

    /// Keeps jobs for the completion.
    pub(super) fn keep(&self, jobs: &[NewJob]) -> Result<Vec<Pushed>, QueueError> {
        match &mut *self.jobs.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(kept) => kept.extend_from_slice(jobs),
            None => return Err(ended("push", self.parent.job)),
        }
        Ok(vec![Pushed::Queued; jobs.len()])
    }

    /// What is kept so far.
    pub(crate) fn kept(&self) -> Vec<NewJob> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }

    /// Takes what is kept. More is refused from now on.
    pub(crate) fn end(&self) -> Vec<NewJob> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }
}

/// That a job's end was settled, so that nothing can go with its completion any more.
pub(crate) fn ended(operation: &'static str, job: JobId) -> QueueError {
    let hint = format!(
        "the end of job {job} is settled, and nothing can go with it any more; fire through `job.extensions()` instead"
    );
    QueueError::new(QueueErrorKind::Conflict, operation, hint)
}

impl<P: ExtensionPoint> Fire<'_, P, AfterJob<'_>> {
    /// Fires.
    ///
    /// # Errors
    ///
    /// As [`Job::fire`](crate::worker::Job::fire).
    pub async fn fire(self) -> Result<Fired<P>, FireError> {
        let Self { extensions, point, mode, to: AfterJob(follow_ups) } = self;
        if let Some(error) = follow_ups.too_deep::<P>(extensions) {
            return Err(error.with_point(point));
        }
        let fire = extensions.fire_with(point, &mode, None, Destination::Job(follow_ups));
        let fire = Box::pin(fire);
        if Frame::of(extensions.id()).is_some() {
            return fire.await;
        }
        // A task that the handler spawned has left the job's scopes.
        extensions.within_scopes_of(&follow_ups.parent.meta, fire).await
    }

    /// Fires without a runtime.
    ///
    /// # Errors
    ///
    /// As [`Job::fire_sync`](crate::worker::Job::fire_sync).
    pub fn fire_sync(mut self) -> Result<Fired<P>, FireError> {
        self.mode.sync = true;
        task::block_on(self.fire())
    }
}

impl FollowUps {
    /// Ready for a fire of the handler's.
    pub(crate) fn point<'a, P: ExtensionPoint>(
        &'a self,
        extensions: &'a Extensions,
        point: P,
    ) -> Fire<'a, P, AfterJob<'a>> {
        Fire { extensions, point, mode: extensions.default_mode().fresh(), to: AfterJob(self) }
    }

    /// The error where jobs run in place, so that a chain of follow-ups without end would keep the first fire waiting for ever.
    fn too_deep<P: ExtensionPoint>(&self, extensions: &Extensions) -> Option<FireError> {
        let limit = extensions.max_depth();
        let is_in_place = extensions.settings().sync.is_some();
        (is_in_place && self.parent.meta.depth >= limit).then(|| {
            let chain = vec!["…", P::info().name];
            FireError::new(FireErrorKind::TooDeep { limit, chain }, P::info().name)
        })
    }
}
