//! The handler traits.

use std::future::Future;

use super::{Context, HandlerResult};
use crate::point::{AnyPoint, ExtensionPoint, QueuedPoint};
use crate::worker::{Job, JobError};

/// An inline handler: a plain call that runs before `fire` returns.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no inline handler of `{P}`",
    label = "`impl Handler<{P}>` is missing",
    note = "write `impl Handler<{P}> for {Self} {{ fn handle(&self, point: &mut {P}, cx: &Context) -> HandlerResult<…> {{ … }} }}`",
    note = "for an `async fn handle` add `awaited` and implement `AwaitedHandler`; for background work add `#[async_handler]` and implement `AsyncHandler`"
)]
pub trait Handler<P: ExtensionPoint>: Send + Sync + 'static {
    /// Handles the point, which it may change.
    ///
    /// # Errors
    ///
    /// An error ends the fire, or is collected in graceful mode.
    fn handle(&self, point: &mut P, cx: &Context) -> HandlerResult<P::Output>;
}

/// An inline handler that `fire` awaits.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no awaited handler of `{P}`",
    label = "`impl AwaitedHandler<{P}>` is missing",
    note = "write `impl AwaitedHandler<{P}> for {Self} {{ async fn handle(&self, point: &mut {P}, cx: &Context) -> HandlerResult<…> {{ … }} }}`"
)]
pub trait AwaitedHandler<P: ExtensionPoint>: Send + Sync + 'static {
    /// Handles the point, which it may change. Written as `async fn`.
    fn handle(&self, point: &mut P, cx: &Context) -> impl Future<Output = HandlerResult<P::Output>> + Send;
}

/// A handler of every point that matches a pattern: a plain call that runs before `fire` returns.
///
/// A closure `Fn(&AnyPoint<'_>, &Context) -> HandlerResult` is one too. It has no output, and so is never a guard.
pub trait AnyHandler: Send + Sync + 'static {
    /// Told of a point that is being fired.
    ///
    /// # Errors
    ///
    /// An error ends the fire, or is collected in graceful mode.
    fn handle(&self, point: &AnyPoint<'_>, cx: &Context) -> HandlerResult;
}

impl<F: Fn(&AnyPoint<'_>, &Context) -> HandlerResult + Send + Sync + 'static> AnyHandler for F {
    fn handle(&self, point: &AnyPoint<'_>, cx: &Context) -> HandlerResult {
        self(point, cx)
    }
}

/// A background handler: queued by `fire`, run by a worker.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no async handler of `{P}`",
    label = "`impl AsyncHandler<{P}>` is missing",
    note = "write `impl AsyncHandler<{P}> for {Self} {{ async fn handle(&self, point: &{P}, job: &Job) -> HandlerResult {{ … }} }}`",
    note = "for a plain `fn handle` add `blocking` to `#[async_handler(…)]` and implement `BlockingHandler`"
)]
pub trait AsyncHandler<P>: Send + Sync + 'static {
    /// Handles the point. Written as `async fn`. It may run more than once for one job.
    fn handle(&self, point: &P, job: &Job) -> impl Future<Output = HandlerResult> + Send;
}

/// A background handler that blocks its thread; runs on the blocking pool.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no blocking handler of `{P}`",
    label = "`impl BlockingHandler<{P}>` is missing",
    note = "write `impl BlockingHandler<{P}> for {Self} {{ fn handle(&self, point: &{P}, job: &Job) -> HandlerResult {{ … }} }}`"
)]
pub trait BlockingHandler<P>: Send + Sync + 'static {
    /// Handles the point. It may run more than once for one job.
    ///
    /// # Errors
    ///
    /// An error is a failed attempt.
    fn handle(&self, point: &P, job: &Job) -> HandlerResult;
}

/// Called at least once when a job has ended without success.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no `on_failure` callback of `{P}`",
    label = "`impl OnFailure<{P}>` is missing",
    note = "write `impl OnFailure<{P}> for {Self} {{ async fn on_failure(&self, point: &{P}, error: &JobError, job: &Job) {{ … }} }}`"
)]
pub trait OnFailure<P: QueuedPoint>: Send + Sync + 'static {
    /// Told of the point, the last error and the job. A panic is logged and changes nothing.
    fn on_failure(&self, point: &P, error: &JobError, job: &Job) -> impl Future<Output = ()> + Send;
}

/// Called after a failed attempt that will be tried again.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no `on_retry` callback of `{P}`",
    label = "`impl OnRetry<{P}>` is missing",
    note = "write `impl OnRetry<{P}> for {Self} {{ async fn on_retry(&self, point: &{P}, error: &JobError, job: &Job) {{ … }} }}`"
)]
pub trait OnRetry<P: QueuedPoint>: Send + Sync + 'static {
    /// Told of the point, the error, and the job whose `attempt()` failed. A panic is logged and changes nothing.
    fn on_retry(&self, point: &P, error: &JobError, job: &Job) -> impl Future<Output = ()> + Send;
}
