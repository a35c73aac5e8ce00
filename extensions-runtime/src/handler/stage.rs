//! Stages of pipelines: what goes around the rest.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::{Context, HandlerResult};
use crate::BoxFuture;
use crate::fire::StageReport;

/// A stage of a pipeline: it gets the value and the rest of the pipeline, and decides whether and when the rest runs.
///
/// ```text
/// async fn handle(&self, order: &mut Order, next: Next<'_, Order>) -> HandlerResult {
///     order.check()?;                 // before the rest
///     next.run(order).await?;         // the rest; without this line the pipeline stops here, early
///     order.log();                    // after the rest
///     Ok(())
/// }
/// ```
///
/// On a point it is registered with `#[extension_handler(ProcessOrder, stage)]`, and run by
/// [`as_pipeline`](crate::fire::Fire::as_pipeline).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no stage of a pipeline of `{T}`",
    label = "`impl Stage<{T}>` is missing",
    note = "write `impl Stage<{T}> for {Self} {{ async fn handle(&self, value: &mut {T}, next: Next<'_, {T}>) -> HandlerResult {{ next.run(value).await }} }}`",
    note = "for a closure write `.through_fn(|value, next| Box::pin(async move {{ next.run(value).await }}))`"
)]
pub trait Stage<T: Send + Sync + 'static>: Send + Sync + 'static {
    /// Handles the value, which it may change. Written as `async fn`.
    ///
    /// # Errors
    ///
    /// An error ends the pipeline, or is passed over where it continues on failure. An error of the rest that is handed on with `?`
    /// stays that of the stage that it came from.
    fn handle(&self, value: &mut T, next: Next<'_, T>) -> impl Future<Output = HandlerResult> + Send;
}

/// The rest of a pipeline, behind a stage. It can be run once.
#[must_use = "the pipeline stops here unless `next.run(value).await` runs the rest"]
pub struct Next<'a, T> {
    rest: &'a dyn Rest<T>,
    stage: usize,
}

impl<'a, T: Send + Sync + 'static> Next<'a, T> {
    pub(crate) const fn new(rest: &'a dyn Rest<T>, stage: usize) -> Self {
        Self { rest, stage }
    }

    /// Runs the stages behind this one.
    ///
    /// # Errors
    ///
    /// The error of a stage further in.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves the stage that was running unfinished; no stage is run again.
    pub async fn run(self, value: &mut T) -> HandlerResult {
        self.rest.behind(self.stage, value).await
    }

    pub(crate) fn context(&self) -> &'a Context {
        self.rest.context()
    }

    /// Notes what the stages of a pipeline did that is a stage itself.
    pub(crate) fn note_nested(&self, stages: Vec<StageReport>) {
        self.rest.note_nested(self.stage, stages);
    }
}

impl<T> fmt::Debug for Next<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").field("stage", &self.stage).finish_non_exhaustive()
    }
}

/// A pipeline while it runs, as its stages see it.
pub(crate) trait Rest<T>: Send + Sync {
    /// Runs the stages behind one.
    fn behind<'a>(&'a self, stage: usize, value: &'a mut T) -> BoxFuture<'a, HandlerResult>;
    fn context(&self) -> &Context;
    fn note_nested(&self, stage: usize, stages: Vec<StageReport>);
}

/// A stage, ready to be called.
pub(crate) trait DynStage<T>: Send + Sync {
    fn call<'a>(&'a self, value: &'a mut T, next: Next<'a, T>) -> BoxFuture<'a, HandlerResult>;
}

pub(crate) struct StageShim<S>(pub(crate) Arc<S>);

impl<T: Send + Sync + 'static, S: Stage<T>> DynStage<T> for StageShim<S> {
    fn call<'a>(&'a self, value: &'a mut T, next: Next<'a, T>) -> BoxFuture<'a, HandlerResult> {
        Box::pin(self.0.handle(value, next))
    }
}
