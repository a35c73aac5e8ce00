//! `on_failure` and `on_retry` as one object-safe shape.

use super::{OnFailure, OnRetry};
use crate::BoxFuture;
use crate::point::QueuedPoint;
use crate::worker::{Job, JobError};

/// A callback on the point `P`.
pub(crate) trait DynCallback<P>: Send + Sync {
    fn call<'a>(&'a self, point: &'a P, error: &'a JobError, job: &'a Job) -> BoxFuture<'a, ()>;
}

pub(crate) struct FailureCallback<C>(pub(crate) C);
pub(crate) struct RetryCallback<C>(pub(crate) C);

impl<P: QueuedPoint, C: OnFailure<P>> DynCallback<P> for FailureCallback<C> {
    fn call<'a>(&'a self, point: &'a P, error: &'a JobError, job: &'a Job) -> BoxFuture<'a, ()> {
        Box::pin(self.0.on_failure(point, error, job))
    }
}

impl<P: QueuedPoint, C: OnRetry<P>> DynCallback<P> for RetryCallback<C> {
    fn call<'a>(&'a self, point: &'a P, error: &'a JobError, job: &'a Job) -> BoxFuture<'a, ()> {
        Box::pin(self.0.on_retry(point, error, job))
    }
}
