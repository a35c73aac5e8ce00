//! Runs a handler until it ends, or must.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::time::Duration;

use super::job::{Job, Stop};
use crate::BoxFuture;
use crate::breaker::Pass;
use crate::handler::{HandlerKind, HandlerResult, panic_text};
use crate::registry::JobRunner;
use crate::task;

/// How long a handler that was told to stop may go on.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(5);

/// How a run ended.
pub(super) enum Ended {
    Returned(HandlerResult),
    Panicked(String),
    TimedOut(Duration),
    Stopped(Stop),
}

impl Ended {
    /// Tells the handler's breaker, unless the end says nothing of whether the handler works.
    pub(super) fn tell(&self, pass: Option<Pass>) {
        let Some(pass) = pass else { return };
        match self {
            Self::Returned(Ok(())) => pass.settle(true),
            Self::Panicked(_) | Self::TimedOut(_) => pass.settle(false),
            Self::Returned(Err(error)) if error.is_of_the_handler() => pass.settle(false),
            Self::Returned(Err(_)) | Self::Stopped(_) => {}
        }
    }
}

/// Runs the handler until it returns, panics, is out of time, or must stop. Also what still runs then: a blocking handler that was told
/// to stop and does not, unless the worker ends.
pub(super) async fn run<'a>(runner: &'a JobRunner, job: &'a Job) -> (Ended, Option<BoxFuture<'a, ()>>) {
    let mut running = Box::pin(task::catching(handle(runner, job)));
    let is_blocking = runner.info().kind == HandlerKind::Blocking;
    let ended = until_its_end(runner, job, running.as_mut(), is_blocking).await;
    if is_blocking && matches!(ended, Ended::Stopped(Stop::Cancelled | Stop::LeaseLost)) {
        return (ended, Some(Box::pin(async move { drop(running.await) })));
    }
    // What the handler held is dropped here, which may panic too.
    match catch_unwind(AssertUnwindSafe(|| drop(running))) {
        Ok(()) => (ended, None),
        Err(panic) => (Ended::Panicked(panic_text(panic)), None),
    }
}

async fn until_its_end(
    runner: &JobRunner,
    job: &Job,
    mut running: Pin<&mut impl Future<Output = Result<HandlerResult, Box<dyn Any + Send>>>>,
    is_blocking: bool,
) -> Ended {
    let timeout = async {
        match runner.options().timeout {
            Some(timeout) => {
                job.begun().await;
                tokio::time::sleep(timeout).await;
                timeout
            }
            None => std::future::pending().await,
        }
    };
    let after = tokio::select! {
        biased;
        returned = &mut running => return match returned {
            Ok(result) => Ended::Returned(result),
            Err(panic) => Ended::Panicked(panic_text(panic)),
        },
        why = must_stop(job) => return Ended::Stopped(why),
        after = timeout => after,
    };
    // A thread cannot be dropped: it is told, and the slot is its own until it returns.
    if is_blocking {
        job.stop(Stop::TimedOut);
        tokio::select! {
            _ = running => {}
            _ = must_stop(job) => {}
        }
    }
    Ended::TimedOut(after)
}

/// Ends when a handler that was told to stop has had its last words. That it is out of time is for others to see.
async fn must_stop(job: &Job) -> Stop {
    let mut why = job.stopped_beyond(Some(Stop::TimedOut)).await;
    while why != Stop::LeaseLost {
        tokio::select! {
            graver = job.stopped_beyond(Some(why)) => why = graver,
            () = tokio::time::sleep(LAST_WORDS) => break,
        }
    }
    why
}

/// Runs the handler, inside of the layers where there are any.
async fn handle(runner: &JobRunner, job: &Job) -> HandlerResult {
    #[cfg(feature = "tower")]
    if let Some(mut layered) = job.extensions().settings().attempts.clone() {
        use super::layer::Service;
        std::future::poll_fn(|cx| layered.poll_ready(cx)).await?;
        return layered.call(job.clone()).await;
    }
    runner.run(job).await
}
