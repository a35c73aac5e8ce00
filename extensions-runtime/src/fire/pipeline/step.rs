//! A stage with all that decides whether it runs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use crate::BoxError;
use crate::BoxFuture;
use crate::breaker::Breaker;
use crate::fire::gate::Gate;
use crate::handler::{DynStage, HandlerError, HandlerInfo, HandlerResult, Next, Stage};
use crate::registry::Resources;

/// One stage of a pipeline.
pub(in crate::fire) struct Step<T> {
    pub(in crate::fire) info: Arc<HandlerInfo>,
    pub(in crate::fire) call: Arc<dyn DynStage<T>>,
    pub(in crate::fire) check: Option<Arc<dyn StepCheck<T>>>,
    pub(in crate::fire) breaker: StepBreaker,
    /// Whether it stops the pipeline where it cannot be asked.
    pub(in crate::fire) denies: bool,
}

/// The circuit breaker of a stage.
pub(in crate::fire) enum StepBreaker {
    None,
    /// That of all stages of this key in the instance.
    Keyed(String),
    Own(Arc<Breaker>),
}

/// A condition of a stage.
pub(in crate::fire) trait StepCheck<T>: Send + Sync {
    fn holds(&self, gate: &Gate<'_>, value: &T) -> Result<bool, HandlerError>;
}

/// A predicate on the value.
pub(super) struct When<F>(pub(super) F);

impl<T, F: Fn(&T) -> bool + Send + Sync> StepCheck<T> for When<F> {
    fn holds(&self, _: &Gate<'_>, value: &T) -> Result<bool, HandlerError> {
        let asked = catch_unwind(AssertUnwindSafe(|| (self.0)(value)));
        asked.map_err(HandlerError::panicked)
    }
}

/// A stage that is a closure.
pub(super) struct FnStage<F>(pub(super) F);

impl<T, F> DynStage<T> for FnStage<F>
where
    F: for<'a> Fn(&'a mut T, Next<'a, T>) -> BoxFuture<'a, HandlerResult> + Send + Sync,
{
    fn call<'a>(&'a self, value: &'a mut T, next: Next<'a, T>) -> BoxFuture<'a, HandlerResult> {
        (self.0)(value, next)
    }
}

/// A stage that is made from the instance's resources when it is first reached.
pub(super) struct MadeStage<S, F> {
    pub(super) make: F,
    pub(super) made: OnceLock<S>,
}

impl<T, S, F> DynStage<T> for MadeStage<S, F>
where
    T: Send + Sync + 'static,
    S: Stage<T>,
    F: Fn(&Resources) -> Result<S, BoxError> + Send + Sync,
{
    fn call<'a>(&'a self, value: &'a mut T, next: Next<'a, T>) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            let stage = match self.made.get() {
                Some(stage) => stage,
                None => {
                    let made = (self.make)(&next.context().extensions().premises().resources)?;
                    self.made.get_or_init(|| made)
                }
            };
            stage.handle(value, next).await
        })
    }
}
