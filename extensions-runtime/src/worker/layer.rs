//! Layers for attempts: what an application wraps around every run of a job's handler, with `tower`'s traits.

use std::fmt;
use std::task::{Context, Poll};

pub use tower_layer::Layer;
pub use tower_service::Service;

use super::job::Job;
use crate::BoxFuture;
use crate::handler::{HandlerError, HandlerResult};

/// Runs the attempts of jobs: the handler itself, or a layer around it. What a layer for attempts is given, and what it gives back
/// in other words: any [`Service`] of [`Job`] that is [`Clone`] and answers `Result<(), HandlerError>`.
///
/// The layers lie inside of the attempt's span, scopes, circuit breaker, time-out, cancellation and settlement, and outside of the
/// decoding of the point. So a layer sees how the handler ended, and whatever the layers answer is how the attempt ended:
///
/// - An error of a layer is that of the handler: an ordinary one is a failed attempt, and [`HandlerError::snooze`], `cancel`,
///   `permanent` and `retry_after` mean what they mean in a handler. A panic in a layer is a panic in the handler.
/// - A layer that answers `Ok` without running the rest completes the job.
/// - An attempt that is out of time, cancelled or given back at shut-down is dropped with its layers, wherever they are.
/// - The time-out starts when the handler does. Time that a layer waits before that, for a permit say, is not limited by it; time after
///   it is.
///
/// The service is cloned for each attempt; one that shares something among attempts shares it among its clones. The callbacks `on_retry`
/// and `on_failure` run outside of the layers.
pub struct AttemptService(Box<dyn CloneService>);

impl AttemptService {
    /// What all layers are around.
    pub(crate) fn handlers() -> Self {
        Self(Box::new(Handlers))
    }
}

impl Clone for AttemptService {
    fn clone(&self) -> Self {
        Self(self.0.clone_boxed())
    }
}

impl Service<Job> for AttemptService {
    type Response = ();
    type Error = HandlerError;
    type Future = BoxFuture<'static, HandlerResult>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<HandlerResult> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, job: Job) -> Self::Future {
        self.0.call(job)
    }
}

impl fmt::Debug for AttemptService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AttemptService")
    }
}

trait CloneService: Send + Sync {
    fn clone_boxed(&self) -> Box<dyn CloneService>;
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<HandlerResult>;
    fn call(&mut self, job: Job) -> BoxFuture<'static, HandlerResult>;
}

impl<S> CloneService for S
where
    S: Service<Job, Response = (), Error = HandlerError, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static,
{
    fn clone_boxed(&self) -> Box<dyn CloneService> {
        Box::new(self.clone())
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<HandlerResult> {
        Service::poll_ready(self, cx)
    }

    fn call(&mut self, job: Job) -> BoxFuture<'static, HandlerResult> {
        Box::pin(Service::call(self, job))
    }
}

/// Runs each job's own handler.
#[derive(Clone)]
struct Handlers;

impl Service<Job> for Handlers {
    type Response = ();
    type Error = HandlerError;
    type Future = BoxFuture<'static, HandlerResult>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<HandlerResult> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, job: Job) -> Self::Future {
        Box::pin(async move {
            match job.runner() {
                Some(runner) => runner.run(&job).await,
                None => Err("a layer ran a job that is not being attempted".into()),
            }
        })
    }
}

/// The layers that a builder was given, first the outermost.
#[derive(Default)]
pub(crate) struct AttemptLayers(Vec<Wrap>);

type Wrap = Box<dyn FnOnce(AttemptService) -> AttemptService + Send + Sync>;

impl AttemptLayers {
    pub(crate) fn push<L>(&mut self, layer: L)
    where
        L: Layer<AttemptService> + Send + Sync + 'static,
        L::Service: Service<Job, Response = (), Error = HandlerError, Future: Send + 'static>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        self.0.push(Box::new(move |inner| AttemptService(Box::new(layer.layer(inner)))));
    }

    /// All of them around the handlers; none if there are none.
    pub(crate) fn wrapped(self) -> Option<AttemptService> {
        let wrap = |inner, wrap: Wrap| wrap(inner);
        (!self.0.is_empty()).then(|| self.0.into_iter().rev().fold(AttemptService::handlers(), wrap))
    }
}
