//! How one handler or stage is called, in a fire and in a pipeline alike.

use std::future::Future;
use std::time::{Duration, Instant};

use tracing::{Instrument, Span};

use crate::breaker::Pass;
use crate::handler::{HandlerError, HandlerResult};
use crate::task;

/// What a call gave, and how long it took where it was timed.
pub(super) struct Called<T> {
    pub(super) result: HandlerResult<T>,
    pub(super) took: Option<Duration>,
}

/// Makes a call in its span. A panic is an error of the call.
pub(super) async fn call<T>(
    span: Span,
    timed: bool,
    call: impl Future<Output = HandlerResult<T>>,
) -> Called<T> {
    let started = timed.then(Instant::now);
    let ended = task::catching(call).instrument(span).await;
    let took = started.map(|at| at.elapsed());
    Called { result: ended.unwrap_or_else(|panic| Err(HandlerError::panicked(panic))), took }
}

/// Tells the breaker that let a call through how it ended.
pub(super) fn settle<T>(pass: Option<Pass>, result: &HandlerResult<T>) {
    let Some(pass) = pass else { return };
    match result {
        Ok(_) => pass.settle(true),
        Err(error) if error.is_of_the_handler() => pass.settle(false),
        Err(_) => {}
    }
}

pub(super) fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
