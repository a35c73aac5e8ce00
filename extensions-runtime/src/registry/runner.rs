//! A queued handler, as a worker runs it: the payload is decoded as the point's own type.

use std::fmt;
use std::sync::Arc;

use crate::breaker::Breaker;
use crate::handler::{
    AsyncHandler, BlockingHandler, Callbacks, DynCallback, Failure, HandlerError, HandlerInfo, HandlerResult,
    JobOptions,
};
use crate::instance::Around;
use crate::point::QueuedType;
use crate::worker::{Job, JobError};
use crate::{BoxError, BoxFuture};

/// Runs the jobs of one handler.
pub(crate) struct JobRunner {
    info: Arc<HandlerInfo>,
    options: JobOptions,
    breaker: Option<Arc<Breaker>>,
    max_version: u32,
    calls: Box<dyn Calls>,
}

impl JobRunner {
    pub(super) fn new<P: QueuedType>(
        info: Arc<HandlerInfo>,
        options: JobOptions,
        breaker: Option<Arc<Breaker>>,
        work: Box<dyn Work<P>>,
        callbacks: Callbacks<P>,
    ) -> Self {
        let calls = Box::new(OfPoint { work, callbacks });
        Self { info, options, breaker, max_version: P::info().version, calls }
    }

    pub(crate) fn info(&self) -> &Arc<HandlerInfo> {
        &self.info
    }

    pub(crate) fn options(&self) -> &JobOptions {
        &self.options
    }

    pub(crate) fn breaker(&self) -> Option<&Arc<Breaker>> {
        self.breaker.as_ref()
    }

    /// The newest payload version that can be decoded.
    pub(crate) fn max_version(&self) -> u32 {
        self.max_version
    }

    pub(crate) fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, HandlerResult> {
        self.calls.run(job)
    }

    /// Calls `on_failure`; an error says why the point could not be decoded.
    pub(crate) fn on_failure<'a>(
        &'a self,
        job: &'a Job,
        error: &'a JobError,
    ) -> BoxFuture<'a, Result<(), String>> {
        self.calls.on_failure(job, error)
    }

    /// Calls `on_retry`; an error says why the point could not be decoded.
    pub(crate) fn on_retry<'a>(
        &'a self,
        job: &'a Job,
        error: &'a JobError,
    ) -> BoxFuture<'a, Result<(), String>> {
        self.calls.on_retry(job, error)
    }
}

impl fmt::Debug for JobRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JobRunner").field(&self.info.key()).finish()
    }
}

/// Reads a point of any version up to today's.
pub(crate) fn decode<P: QueuedType>(payload: &[u8], version: u32) -> Result<P, String> {
    let info = P::info();
    if version == info.version {
        return P::__from_slice(payload).map_err(|error| error.to_string());
    }
    if version > info.version {
        return Err(format!("the payload has version {version}, newer than this program's {}", info.version));
    }
    let value = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
    let Some(upcast) = info.upcast else {
        return Err(format!(
            "the payload has version {version} and the point has no `upcast` to version {}",
            info.version
        ));
    };
    let value = upcast(version, value)
        .map_err(|error: BoxError| format!("`upcast` from version {version}: {error}"))?;
    P::__from_value(value).map_err(|error| format!("after `upcast` from version {version}: {error}"))
}

/// What needs the point's type.
trait Calls: Send + Sync {
    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, HandlerResult>;
    fn on_failure<'a>(&'a self, job: &'a Job, error: &'a JobError) -> BoxFuture<'a, Result<(), String>>;
    fn on_retry<'a>(&'a self, job: &'a Job, error: &'a JobError) -> BoxFuture<'a, Result<(), String>>;
}

struct OfPoint<P> {
    work: Box<dyn Work<P>>,
    callbacks: Callbacks<P>,
}

impl<P: QueuedType> Calls for OfPoint<P> {
    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, HandlerResult> {
        self.work.run(job)
    }

    fn on_failure<'a>(&'a self, job: &'a Job, error: &'a JobError) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(call_back(self.callbacks.on_failure.as_deref(), job, error))
    }

    fn on_retry<'a>(&'a self, job: &'a Job, error: &'a JobError) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(call_back(self.callbacks.on_retry.as_deref(), job, error))
    }
}

async fn call_back<P: QueuedType>(
    callback: Option<&dyn DynCallback<P>>,
    job: &Job,
    error: &JobError,
) -> Result<(), String> {
    let Some(callback) = callback else { return Ok(()) };
    let point = decode::<P>(job.payload(), job.point_version())?;
    callback.call(&point, error, job).await;
    Ok(())
}

/// What needs the handler's type: a binary holds it once for each, so it is as little as can be.
pub(super) trait Work<P>: Send + Sync {
    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, HandlerResult>;
}

pub(super) struct AsyncWork<H>(pub(super) Arc<H>);

pub(super) struct BlockingWork<H>(pub(super) Arc<H>);

fn point_of<P: QueuedType>(job: &Job) -> HandlerResult<P> {
    decode(job.payload(), job.point_version()).map_err(|why| Failure::Undecodable(why).into())
}

impl<P: QueuedType, H: AsyncHandler<P>> Work<P> for AsyncWork<H> {
    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            let point = point_of(job)?;
            job.begin();
            self.0.handle(&point, job).await
        })
    }
}

impl<P: QueuedType, H: BlockingHandler<P>> Work<P> for BlockingWork<H> {
    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            let point = point_of(job)?;
            let (handler, job) = (Arc::clone(&self.0), job.clone());
            let span = tracing::Span::current();
            let around = Around::current();
            let extensions = job.extensions().clone();
            let mut thread = NotLater(tokio::task::spawn_blocking(extensions.carry(move || {
                job.begin();
                Around::carry_sync(around, || span.in_scope(|| handler.handle(&point, &job)))
            })));
            (&mut thread.0).await.unwrap_or_else(|failed| Err(joined(failed)))
        })
    }
}

/// Keeps a handler that still waits for a thread from running once nobody waits for it any more.
struct NotLater(tokio::task::JoinHandle<HandlerResult>);

impl Drop for NotLater {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn joined(failed: tokio::task::JoinError) -> HandlerError {
    match failed.try_into_panic() {
        Ok(payload) => HandlerError::panicked(payload),
        Err(failed) => failed.into(),
    }
}
