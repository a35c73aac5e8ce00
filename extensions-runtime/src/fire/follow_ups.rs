//! Fires of a job's handler whose jobs are queued with the job's completion.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
#[derive(Clone, Copy)]
pub struct AfterJob<'j> {
    job: &'j ClaimedJob,
    follow_ups: &'j FollowUps,
}

impl fmt::Debug for AfterJob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AfterJob").field(&self.job.id).finish()
    }
}

/// What a job's handler fired so far, to be queued with the job's completion. None once the job's end is settled.
#[derive(Debug)]
pub(crate) struct FollowUps(Mutex<Option<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    jobs: Vec<NewJob>,
    ids: Option<Arc<DerivedIds>>,
}

impl FollowUps {
    pub(crate) fn of(job: &ClaimedJob) -> Self {
        Self(Mutex::new((job.purpose == Purpose::Attempt).then(Kept::default)))
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what is kept: the handler begins anew.
    pub(crate) fn restart(&self) {
        if let Some(kept) = &mut *self.kept() {
            *kept = Kept::default();
        }
    }

    /// What is kept so far.
    pub(crate) fn jobs(&self) -> Vec<NewJob> {
        self.kept().as_ref().map(|kept| kept.jobs.clone()).unwrap_or_default()
    }

    /// Takes what is kept. More is refused from now on.
    pub(crate) fn end(&self) -> Vec<NewJob> {
        self.kept().take().map(|kept| kept.jobs).unwrap_or_default()
    }
}

impl AfterJob<'_> {
    /// What a fire's context has to know of the job.
    pub(super) fn parent(self) -> Parent {
        Parent { job: self.job.id, meta: self.job.meta.clone() }
    }

    /// Where the ids of the follow-ups come from.
    pub(super) fn ids(self) -> Arc<DerivedIds> {
        let new = || Arc::new(DerivedIds::of_job(self.job.id));
        match &mut *self.follow_ups.kept() {
            Some(kept) => Arc::clone(kept.ids.get_or_insert_with(new)),
            None => new(),
        }
    }

    /// Keeps jobs for the completion.
    pub(super) fn keep(self, jobs: &[NewJob]) -> Result<Vec<Pushed>, QueueError> {
        match &mut *self.follow_ups.kept() {
            Some(kept) => kept.jobs.extend_from_slice(jobs),
            None => return Err(ended("push", self.job.id)),
        }
        Ok(vec![Pushed::Queued; jobs.len()])
    }

    /// The error where jobs run in place, so that a chain of follow-ups without end would keep the first fire waiting for ever.
    fn too_deep<P: ExtensionPoint>(self, extensions: &Extensions) -> Option<FireError> {
        let limit = extensions.max_depth();
        let is_in_place = extensions.settings().sync.is_some();
        (is_in_place && self.job.meta.depth >= limit).then(|| {
            let chain = vec!["…", P::info().name];
            FireError::new(FireErrorKind::TooDeep { limit, chain }, P::info().name)
        })
    }
}

/// That a job's end was settled, so that nothing can go with its completion any more.
pub(crate) fn ended(operation: &'static str, job: JobId) -> QueueError {
    let hint = format!(
        "the end of job {job} is settled, and nothing can go with it any more; fire through `job.extensions()` instead"
    );
    QueueError::new(QueueErrorKind::Other, operation, hint)
}

impl<'a, P: ExtensionPoint> Fire<'a, P, AfterJob<'a>> {
    pub(crate) fn after(
        job: &'a ClaimedJob,
        follow_ups: &'a FollowUps,
        extensions: &'a Extensions,
        point: P,
    ) -> Self {
        let to = AfterJob { job, follow_ups };
        Self { extensions, point, mode: extensions.default_mode().fresh(), to }
    }

    /// Fires.
    ///
    /// # Errors
    ///
    /// As [`Job::fire`](crate::worker::Job::fire).
    pub async fn fire(self) -> Result<Fired<P>, FireError> {
        let Self { extensions, point, mode, to } = self;
        if let Some(error) = to.too_deep::<P>(extensions) {
            return Err(error.with_point(point));
        }
        let fire = Box::pin(extensions.fire_with(point, &mode, None, Destination::Job(to)));
        if Frame::of(extensions.id()).is_some() {
            return fire.await;
        }
        // A task that the handler spawned has left the job's scopes.
        extensions.within_scopes_of(&to.job.meta, fire).await
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
