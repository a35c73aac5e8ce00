//! What a queued handler is given: the job it runs for.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Notify;

use crate::fire::{AfterJob, Fire, FireError, Fired, FollowUps, ended};
use crate::handler::{HandlerError, HandlerResult};
use crate::instance::Extensions;
use crate::job::{
    AttemptError, ClaimedJob, ErrorKind, HandlerKey, JobId, JobMeta, LeaseToken, NewJob, Payload, Progress,
    QueueName,
};
use crate::point::ExtensionPoint;
use crate::queue::{Pushed, QueueError, QueueErrorKind, Settle, Settled, Settlement, Transaction};
use crate::telemetry::record::Work;
use crate::time::Timestamp;

/// The largest result that is kept with a job, in bytes.
const MAX_RESULT: usize = 1024 * 1024;

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
    ended: OnceLock<Instant>,
    beginning: Notify,
    progress: Mutex<Option<Progress>>,
    next_attempt_at: OnceLock<Timestamp>,
    follow_ups: FollowUps,
    result: Mutex<Option<Payload>>,
    completed_within: AtomicBool,
    keeps_slot: bool,
    /// What runs it, for the layers of its attempt.
    #[cfg(feature = "tower")]
    runner: OnceLock<Arc<crate::registry::JobRunner>>,
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
    pub(crate) fn new(claimed: ClaimedJob, extensions: Extensions, keeps_slot: bool) -> Self {
        let follow_ups = FollowUps::of(&claimed);
        Self(Arc::new(Inner {
            claimed,
            extensions,
            stop: AtomicU8::new(0),
            stopped: Notify::new(),
            claimed_at: Instant::now(),
            begun: OnceLock::new(),
            ended: OnceLock::new(),
            beginning: Notify::new(),
            progress: Mutex::default(),
            next_attempt_at: OnceLock::new(),
            follow_ups,
            result: Mutex::default(),
            completed_within: AtomicBool::new(false),
            keeps_slot,
            #[cfg(feature = "tower")]
            runner: OnceLock::new(),
        }))
    }

    pub(crate) fn claimed(&self) -> &ClaimedJob {
        &self.0.claimed
    }

    /// Whether its slot is taken until its end is stored, and not only until its handler has ended.
    pub(super) fn keeps_slot(&self) -> bool {
        self.0.keeps_slot
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

    /// Asks the handler to end. The graver reason stays. That the lease is gone is no reason after the handler has ended it itself.
    pub(crate) fn stop(&self, why: Stop) {
        if why == Stop::LeaseLost && self.is_completed_within() {
            return;
        }
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

    /// Says that the handler itself runs now, which is later than its claim where it waits for a thread. A layer that runs it once more
    /// lets it begin anew.
    pub(crate) fn begin(&self) {
        if self.0.begun.set(Instant::now()).is_err() {
            self.0.follow_ups.restart();
            self.take_result();
        }
        self.0.beginning.notify_waiters();
    }

    /// Since when the handler itself runs, once it does.
    pub(crate) fn begun_at(&self) -> Option<Instant> {
        self.0.begun.get().copied()
    }

    /// Says that the handler has returned, or was stopped.
    pub(crate) fn note_ended(&self) {
        let _ = self.0.ended.set(Instant::now());
    }

    /// How long the job was there before its handler ran, and how long that ran, or has run so far; nothing if it did not.
    pub(crate) fn times(&self) -> Option<(Duration, Duration)> {
        let begun = self.begun_at()?;
        let ran = self.0.ended.get().map_or_else(|| begun.elapsed(), |ended| ended.duration_since(begun));
        let waited = self.0.claimed.age.saturating_add(begun.duration_since(self.0.claimed_at));
        Some((waited, ran))
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

    /// What metrics say of it.
    pub(super) fn work(&self) -> Work<'_> {
        Work { handler: self.handler(), queue: self.queue() }
    }

    pub(crate) fn take_progress(&self) -> Option<Progress> {
        self.0.progress.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn set_next_attempt_at(&self, at: Timestamp) {
        let _ = self.0.next_attempt_at.set(at);
    }

    /// Takes the jobs that are to be queued with the completion. Follow-ups are refused from now on.
    pub(crate) fn take_follow_ups(&self) -> Vec<NewJob> {
        self.0.follow_ups.end()
    }

    /// Takes what the handler asked to be kept.
    pub(crate) fn take_result(&self) -> Option<Payload> {
        self.0.result.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    #[cfg(feature = "tower")]
    pub(super) fn set_runner(&self, runner: &Arc<crate::registry::JobRunner>) {
        let _ = self.0.runner.set(Arc::clone(runner));
    }

    #[cfg(feature = "tower")]
    pub(super) fn runner(&self) -> Option<&crate::registry::JobRunner> {
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

    /// Fires a point as a follow-up: its inline handlers run now, its jobs are queued when this job is completed, in the same atomic
    /// step where the queue has the capability `follow_ups` (elsewhere just before). An attempt that ends in any other way queues
    /// none of them, so a handler that is tried again fires them again, and no attempt leaves half of its follow-ups behind.
    ///
    /// The jobs are part of this job's history: [`JobMeta::parent`] is this job, root and scopes are its own, the depth is one more.
    /// The report lists them as queued; a unique key that another job holds is seen only when they are stored, and then keeps them out
    /// silently. Layers of pushes are around the keeping. A chain of follow-ups may be as long as it likes; only where jobs run in place
    /// (`sync:`) does [`max_depth`](crate::ExtensionsBuilder::max_depth) end it.
    ///
    /// Not for `on_failure` and `on_retry`, whose job is not completed: fire through [`extensions`](Self::extensions) there.
    ///
    /// # Errors
    ///
    /// As [`Extensions::fire`]; [`FireErrorKind::PushFailed`](crate::fire::FireErrorKind::PushFailed) where the job's end is settled.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has kept all jobs or none.
    pub async fn fire<P: ExtensionPoint>(&self, point: P) -> Result<Fired<P>, FireError> {
        self.point(point).fire().await
    }

    /// Fires a point as a follow-up, from a blocking handler; otherwise as [`fire`](Self::fire).
    ///
    /// # Errors
    ///
    /// As [`fire`](Self::fire) and [`Extensions::fire_sync`].
    pub fn fire_sync<P: ExtensionPoint>(&self, point: P) -> Result<Fired<P>, FireError> {
        self.point(point).fire_sync()
    }

    /// A follow-up with options: `job.point(next).delay(secs(60)).fire().await?`. Delays count from the completion.
    pub fn point<P: ExtensionPoint>(&self, point: P) -> Fire<'_, P, AfterJob<'_>> {
        Fire::after(&self.0.claimed, &self.0.follow_ups, &self.0.extensions, point)
    }

    /// Keeps a value with the completed job, as JSON: [`JobHandle::result`](crate::JobHandle::result) has it as long as the record is
    /// there ([`Retention::completed`](crate::queue::Retention::completed), 1 h). The last call counts; an attempt that ends in any other
    /// way than by completion keeps nothing.
    ///
    /// # Errors
    ///
    /// A [permanent](HandlerError::permanent) one where the value has more than 1 MiB, cannot be written as JSON, or comes after the
    /// job's end. What was recorded before stays.
    pub fn record<T: Serialize + ?Sized>(&self, value: &T) -> HandlerResult {
        let json = serde_json::to_vec(value).map_err(|error| {
            HandlerError::permanent(format!("the result cannot be written as JSON: {error}"))
        })?;
        if json.len() > MAX_RESULT {
            return Err(HandlerError::permanent(format!(
                "the result has {} bytes, more than the {MAX_RESULT} that a job keeps; store it elsewhere and record where",
                json.len()
            )));
        }
        if self.is_completed_within() {
            return Err(HandlerError::permanent(ended("record", self.id())));
        }
        *self.0.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(json.into());
        Ok(())
    }

    /// Completes the job in a transaction of the caller's, with its follow-ups and its result: the handler's rows and the end of the job
    /// are stored together, or neither is.
    ///
    /// Commit, then return `Ok(())`, and do nothing in between: once the commit is done the job has ended, whatever the handler returns.
    /// Where it is not committed the job has not ended, and the attempt counts as failed even if the handler returns `Ok(())`. A worker
    /// that dies before the commit leaves neither rows nor an end; one that dies after it has lost nothing. So what is done in the
    /// transaction is done exactly once.
    ///
    /// The queue must be in the same database as the transaction, with the capability `transactions`. In a fake
    /// ([`Extensions::fake`]) in memory the job is completed at once instead, and the transaction is left alone.
    ///
    /// # Errors
    ///
    /// `NotFound` where the lease is lost, so that another worker may have the job by now; `Other` where the job's end is settled already;
    /// `Unsupported` where the queue cannot take part in a transaction; else those of the store. After an error the transaction
    /// can only be rolled back: return it with `?` and drop the transaction.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves a transaction that can only be rolled back.
    pub async fn complete_within<T: Transaction>(&self, transaction: &mut T) -> Result<(), QueueError> {
        const OPERATION: &str = "settle";
        if self.is_completed_within() {
            return Err(ended(OPERATION, self.id()));
        }
        let settlement = vec![self.completion()];
        let settled = match self.0.extensions.queue() {
            Some(queue) if self.0.extensions.leaves_transactions_alone() => queue.settle(settlement).await?,
            _ => transaction.settle(self.0.extensions.transactional_queue(OPERATION)?, settlement).await?,
        };
        if settled != [Settled::Done] {
            let hint = format!(
                "the lease of job {} is lost: another worker may have it by now; roll the transaction back",
                self.id()
            );
            return Err(QueueError::new(QueueErrorKind::NotFound, OPERATION, hint));
        }
        self.0.completed_within.store(true, Ordering::Release);
        let follow_ups = self.take_follow_ups();
        self.0.extensions.note_pushed(&follow_ups, &vec![Pushed::Queued; follow_ups.len()]);
        Ok(())
    }

    /// Whether the handler has completed the job in a transaction of its own, committed or not
    /// ([`complete_within`](Self::complete_within)).
    #[must_use]
    pub fn is_completed_within(&self) -> bool {
        self.0.completed_within.load(Ordering::Acquire)
    }

    fn completion(&self) -> Settlement {
        let result = self.0.result.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let keep = result.is_some() || !self.0.extensions.settings().retention.completed.is_zero();
        let follow_ups = self.0.follow_ups.jobs().into();
        Settlement { job: self.id(), token: self.token(), end: Settle::Complete { keep, result, follow_ups } }
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use super::{Job, Stop};
    use crate::instance::Extensions;
    use crate::job::{ClaimedJob, FireId, HandlerKey, JobId, JobMeta, LeaseToken, Payload, Purpose};
    use crate::task::block_on;
    use crate::time::Timestamp;

    fn job() -> Job {
        let claimed = ClaimedJob {
            id: JobId::new(),
            token: LeaseToken(1),
            purpose: Purpose::Attempt,
            handler: HandlerKey::new("P", "h"),
            point_version: 1,
            payload: Payload::from(b"null".as_slice()),
            queue: "default".into(),
            priority: 5,
            attempt: 1,
            max_attempts: 3,
            lost_count: 0,
            enqueued_at: Timestamp::default(),
            age: Duration::ZERO,
            on_failure: false,
            last_error: None,
            meta: JobMeta::new(FireId::new()),
        };
        Job::new(claimed, block_on(Extensions::builder().build()).unwrap(), false)
    }

    #[test]
    fn that_the_lease_ended_with_the_handlers_own_completion_does_not_stop_the_handler() {
        let job = job();
        job.0.completed_within.store(true, Ordering::Release);
        job.stop(Stop::LeaseLost);
        assert_eq!(job.stopping(), None);
        job.stop(Stop::Shutdown);
        assert_eq!(job.stopping(), Some(Stop::Shutdown), "other reasons count");
    }
}
