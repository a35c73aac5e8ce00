//! What a queued handler is given: the job it runs for.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::instance::Extensions;
use crate::job::{
    AttemptError, ClaimedJob, ErrorKind, HandlerKey, JobId, JobMeta, LeaseToken, NewJob, Payload, Progress,
    QueueName,
};
use crate::time::Timestamp;

/// The job that a queued handler runs for. Cheap to clone.
#[derive(Clone)]
pub struct Job(Arc<Inner>);

struct Inner {
    claimed: ClaimedJob,
    extensions: Extensions,
    stop: AtomicU8,
    stopped: Notify,
    claimed_at: Instant,
    begun: OnceLock<Instant>,
    beginning: Notify,
    progress: Mutex<Option<Progress>>,
    next_attempt_at: OnceLock<Timestamp>,
    /// What runs it, for the layers of its attempt.
    #[cfg(feature = "tower")]
    runner: OnceLock<Arc<dyn crate::registry::JobRunner>>,
}

/// Why a running handler should end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stop {
    /// It ran longer than its time-out.
    TimedOut = 1,
    /// The worker shuts down and its grace is over.
    Shutdown = 2,
    /// Someone asked for the job to be cancelled.
    Cancelled = 3,
    /// The lease is gone: whatever the handler does, it will not count.
    LeaseLost = 4,
}

impl Job {
    pub(crate) fn new(claimed: ClaimedJob, extensions: Extensions) -> Self {
        Self(Arc::new(Inner {
            claimed,
            extensions,
            stop: AtomicU8::new(0),
            stopped: Notify::new(),
            claimed_at: Instant::now(),
            begun: OnceLock::new(),
            beginning: Notify::new(),
            progress: Mutex::default(),
            next_attempt_at: OnceLock::new(),
            #[cfg(feature = "tower")]
            runner: OnceLock::new(),
        }))
    }

    pub(crate) fn claimed(&self) -> &ClaimedJob {
        &self.0.claimed
    }

    pub(crate) fn token(&self) -> LeaseToken {
        self.0.claimed.token
    }

    pub(crate) fn payload(&self) -> &[u8] {
        self.0.claimed.payload.as_bytes()
    }

    pub(crate) fn point_version(&self) -> u32 {
        self.0.claimed.point_version
    }

    /// Asks the handler to end. The graver reason stays.
    pub(crate) fn stop(&self, why: Stop) {
        self.0.stop.fetch_max(why as u8, Ordering::AcqRel);
        self.0.stopped.notify_waiters();
    }

    pub(crate) fn stopping(&self) -> Option<Stop> {
        match self.0.stop.load(Ordering::Acquire) {
            1 => Some(Stop::TimedOut),
            2 => Some(Stop::Shutdown),
            3 => Some(Stop::Cancelled),
            4 => Some(Stop::LeaseLost),
            _ => None,
        }
    }

    /// Waits for a reason to stop that is graver than `than`.
    pub(crate) async fn stopped_beyond(&self, than: Option<Stop>) -> Stop {
        loop {
            let notified = self.0.stopped.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            match self.stopping() {
                Some(why) if Some(why) > than => return why,
                _ => notified.await,
            }
        }
    }

    /// Says that the handler itself runs now, which is later than its claim where it waits for a thread.
    pub(crate) fn begin(&self) {
        let _ = self.0.begun.set(Instant::now());
        self.0.beginning.notify_waiters();
    }

    /// Since when the handler itself runs, once it does.
    pub(crate) fn begun_at(&self) -> Option<Instant> {
        self.0.begun.get().copied()
    }

    /// How long ago it was pushed: by the store's clock up to its claim, by elapsed time since.
    pub(crate) fn age(&self) -> Duration {
        self.0.claimed.age.saturating_add(self.0.claimed_at.elapsed())
    }

    /// Waits until the handler itself runs.
    pub(crate) async fn begun(&self) {
        loop {
            let notified = self.0.beginning.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.0.begun.get().is_some() {
                return;
            }
            notified.await;
        }
    }

    pub(crate) fn take_progress(&self) -> Option<Progress> {
        self.0.progress.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn set_next_attempt_at(&self, at: Timestamp) {
        let _ = self.0.next_attempt_at.set(at);
    }

    /// The jobs that go with its completion.
    #[allow(clippy::unused_self)]
    pub(crate) fn take_follow_ups(&self) -> Vec<NewJob> {
        Vec::new()
    }

    /// What is kept with its record.
    #[allow(clippy::unused_self)]
    pub(crate) fn take_result(&self) -> Option<Payload> {
        None
    }

    /// Whether its handler completed it in a transaction, committed or not.
    #[allow(clippy::unused_self)]
    pub(crate) fn is_completed_within(&self) -> bool {
        false
    }

    #[cfg(feature = "tower")]
    pub(super) fn set_runner(&self, runner: &Arc<dyn crate::registry::JobRunner>) {
        let _ = self.0.runner.set(Arc::clone(runner));
    }

    #[cfg(feature = "tower")]
    pub(super) fn runner(&self) -> Option<&dyn crate::registry::JobRunner> {
        self.0.runner.get().map(|runner| &**runner)
    }

    /// The job's id.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.0.claimed.id
    }

    /// The number of this attempt, from 1. In `on_retry` and `on_failure`: of the attempt that failed.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.0.claimed.attempt
    }

    /// The largest number of attempts, the first included.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        self.0.claimed.max_attempts
    }

    /// The queue it came from.
    #[must_use]
    pub fn queue(&self) -> &QueueName {
        &self.0.claimed.queue
    }

    /// The handler it is for: point and name.
    #[must_use]
    pub fn handler(&self) -> &HandlerKey {
        &self.0.claimed.handler
    }

    /// When it was queued, by the queue's clock.
    #[must_use]
    pub fn enqueued_at(&self) -> Timestamp {
        self.0.claimed.enqueued_at
    }

    /// When the next attempt may start, by this machine's clock; set in `on_retry`.
    #[must_use]
    pub fn next_attempt_at(&self) -> Option<Timestamp> {
        self.0.next_attempt_at.get().copied()
    }

    /// Its lineage, trace context, tenant and tags.
    #[must_use]
    pub fn meta(&self) -> &JobMeta {
        &self.0.claimed.meta
    }

    /// Its tags.
    #[must_use]
    pub fn tags(&self) -> &[String] {
        &self.0.claimed.meta.tags
    }

    /// The tenant in whose scope it was fired.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.0.claimed.meta.tenant.as_deref()
    }

    /// The user in whose scope it was fired.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.0.claimed.meta.user.as_deref()
    }

    /// The request in whose scope it was fired.
    #[must_use]
    pub fn request(&self) -> Option<&str> {
        self.0.claimed.meta.request.as_deref()
    }

    /// The inmost other scope in which it was fired.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.0.claimed.meta.scopes.last().map(String::as_str)
    }

    /// Ends when the handler should stop: the job is cancelled, its lease is lost, the worker's grace is over, or, for a blocking
    /// handler, its time-out is. An async handler that does not heed it is dropped a few seconds later. One that then returns an ordinary error does not count as a failed attempt.
    pub async fn cancelled(&self) {
        self.stopped_beyond(None).await;
    }

    /// Whether the handler should stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.stopping().is_some()
    }

    /// Says how far the handler is, from 0.0 to 1.0, and what it is doing. Operators see it after the next heartbeat.
    pub fn progress(&self, fraction: f64, note: impl Into<String>) {
        let progress = Progress { fraction: fraction.clamp(0.0, 1.0), note: note.into() };
        *self.0.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
    }

    /// The instance whose worker runs it.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }

    /// A resource of the instance.
    #[must_use]
    pub fn resource<T: ?Sized + Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.extensions.resource::<T>()
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("id", &self.id())
            .field("handler", self.handler())
            .field("attempt", &self.attempt())
            .field("max_attempts", &self.max_attempts())
            .finish_non_exhaustive()
    }
}

/// Why an attempt, or a job, failed; given to `on_retry` and `on_failure`.
#[derive(Debug)]
pub struct JobError {
    kind: ErrorKind,
    message: String,
}

impl JobError {
    pub(crate) fn new(error: &AttemptError) -> Self {
        Self { kind: error.kind, message: error.message.clone() }
    }

    /// What kind of failure it was.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The error with its sources, as it is kept with the job.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl std::error::Error for JobError {}
