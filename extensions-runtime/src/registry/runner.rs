//! A queued handler, as a worker runs it: the payload is decoded as the point's own type.

use std::fmt;
use std::sync::Arc;

use crate::breaker::Breaker;
use crate::handler::{
    AsyncHandler, BlockingHandler, Callbacks, Failure, HandlerError, HandlerInfo, HandlerResult, JobOptions,
};
use crate::instance::Around;
use crate::point::QueuedType;
use crate::worker::{Job, JobError};
use crate::{BoxError, BoxFuture};

/// Runs the jobs of one handler.
pub(crate) trait JobRunner: Send + Sync {
    fn info(&self) -> &Arc<HandlerInfo>;
    fn options(&self) -> &JobOptions;
    fn breaker(&self) -> Option<&Arc<Breaker>>;
    /// The newest payload version that can be decoded.
    fn max_version(&self) -> u32;
    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, HandlerResult>;
    /// Calls `on_failure`; an error says why the point could not be decoded.
    fn on_failure<'a>(&'a self, job: &'a Job, error: &'a JobError) -> BoxFuture<'a, Result<(), String>>;
    /// Calls `on_retry`; an error says why the point could not be decoded.
    fn on_retry<'a>(&'a self, job: &'a Job, error: &'a JobError) -> BoxFuture<'a, Result<(), String>>;
}

impl fmt::Debug for dyn JobRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JobRunner").field(&self.info().key()).finish()
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

/// What every runner has.
pub(crate) struct Common<P> {
    pub(crate) info: Arc<HandlerInfo>,
    pub(crate) options: JobOptions,
    pub(crate) callbacks: Callbacks<P>,
    pub(crate) breaker: Option<Arc<Breaker>>,
}

pub(crate) struct AsyncRunner<P, H> {
    pub(crate) handler: Arc<H>,
    pub(crate) common: Common<P>,
}

pub(crate) struct BlockingRunner<P, H> {
    pub(crate) handler: Arc<H>,
    pub(crate) common: Common<P>,
}

impl<P: QueuedType> Common<P> {
    fn decode(&self, job: &Job) -> HandlerResult<P> {
        decode(job.payload(), job.point_version()).map_err(|why| Failure::Undecodable(why).into())
    }

    async fn on_failure(&self, job: &Job, error: &JobError) -> Result<(), String> {
        let Some(callback) = &self.callbacks.on_failure else { return Ok(()) };
        let point = decode::<P>(job.payload(), job.point_version())?;
        callback.call(&point, error, job).await;
        Ok(())
    }

    async fn on_retry(&self, job: &Job, error: &JobError) -> Result<(), String> {
        let Some(callback) = &self.callbacks.on_retry else { return Ok(()) };
        let point = decode::<P>(job.payload(), job.point_version())?;
        callback.call(&point, error, job).await;
        Ok(())
    }
}

macro_rules! common {
    () => {
        fn info(&self) -> &Arc<HandlerInfo> {
            &self.common.info
        }
        fn options(&self) -> &JobOptions {
            &self.common.options
        }
        fn breaker(&self) -> Option<&Arc<Breaker>> {
            self.common.breaker.as_ref()
        }
        fn max_version(&self) -> u32 {
            P::info().version
        }
        fn on_failure<'a>(&'a self, job: &'a Job, error: &'a JobError) -> BoxFuture<'a, Result<(), String>> {
            Box::pin(self.common.on_failure(job, error))
        }
        fn on_retry<'a>(&'a self, job: &'a Job, error: &'a JobError) -> BoxFuture<'a, Result<(), String>> {
            Box::pin(self.common.on_retry(job, error))
        }
    };
}

impl<P: QueuedType, H: AsyncHandler<P>> JobRunner for AsyncRunner<P, H> {
    common!();

    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            let point = self.common.decode(job)?;
            job.begin();
            self.handler.handle(&point, job).await
        })
    }
}

impl<P: QueuedType, H: BlockingHandler<P>> JobRunner for BlockingRunner<P, H> {
    common!();

    fn run<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            let point = self.common.decode(job)?;
            let (handler, job) = (Arc::clone(&self.handler), job.clone());
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
