//! Runs one job and settles it.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tracing::Instrument;

use super::heartbeat::Leases;
use super::job::{Job, JobError, Stop};
use super::report::{Counts, add};
use super::settler::Settler;
use crate::breaker::{Breaker, Pass};
use crate::handler::{Failure, HandlerError, HandlerKind, HandlerResult, panic_text};
use crate::instance::Extensions;
use crate::job::{AttemptError, ErrorKind, HandlerKey, JobState, NewJob, Purpose, WorkerId};
use crate::policy::{AfterFailure, after_failure};
use crate::queue::{Pushed, Retention, Settle, Settled, Settlement};
use crate::registry::JobRunner;
use crate::task;
use crate::time::Clock;

/// How long a handler that was told to stop may go on.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long a callback of a handler without a time-out may run.
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a job is put off that this worker cannot run, on a queue that cannot filter by handler.
const PUT_OFF: Duration = Duration::from_secs(10);
/// How long at least and at most a job is put off whose handler's circuit is open.
const HELD_BACK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The longest error text that is kept with a job, in bytes.
const LONGEST_MESSAGE: usize = 4096;

/// What every job's run needs.
#[derive(Debug)]
pub(super) struct Executor {
    pub(super) extensions: Extensions,
    pub(super) worker: WorkerId,
    pub(super) settler: Settler,
    pub(super) leases: Arc<Leases>,
    pub(super) counts: Arc<Counts>,
    pub(super) retention: Retention,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) heeds_breakers: bool,
    /// The handlers that were warned about as slow.
    pub(super) slow: Mutex<Vec<HandlerKey>>,
}

/// How a run ended.
enum Ended {
    Returned(HandlerResult),
    Panicked(String),
    TimedOut(Duration),
    Stopped(Stop),
}

impl Ended {
    /// Tells the handler's breaker, unless the end says nothing of whether the handler works.
    fn tell(&self, pass: Option<Pass>) {
        let Some(pass) = pass else { return };
        match self {
            Self::Returned(Ok(())) => pass.settle(true),
            Self::Panicked(_) | Self::TimedOut(_) => pass.settle(false),
            Self::Returned(Err(error)) if error.is_of_the_handler() => pass.settle(false),
            Self::Returned(Err(_)) | Self::Stopped(_) => {}
        }
    }
}

impl Executor {
    pub(super) async fn execute(self: Arc<Self>, job: Job) {
        let _left_to_its_lease = LeaveOnPanic { leases: &self.leases, job: &job };
        if job.is_cancelled() || !self.leases.is_sure(&job) {
            return self.give_back(&job).await;
        }
        let runner = self.extensions.registry().runner(job.handler()).cloned();
        match runner.filter(|runner| runner.max_version() >= job.point_version()) {
            None => self.put_off(&job).await,
            Some(runner) => {
                #[cfg(feature = "tower")]
                job.set_runner(&runner);
                let running = async {
                    match job.claimed().purpose {
                        Purpose::OnFailure => self.owed_callback(&*runner, &job).await,
                        _ => self.attempt(&*runner, &job).await,
                    }
                };
                self.extensions.within_scopes_of(&job.claimed().meta, running).await;
            }
        }
    }

    /// Gives a job back without an attempt.
    pub(super) async fn give_back(&self, job: &Job) {
        if self.settle(job, Settle::Release, false).await == Settled::Done {
            add(&self.counts.released);
        }
    }

    async fn put_off(&self, job: &Job) {
        tracing::warn!(job = %job.id(), handler = %job.handler(), "claimed a job of a handler or version that is not known here; put off");
        self.settle(job, Settle::Snooze { delay: PUT_OFF }, false).await;
    }

    /// Puts off a job whose handler's circuit opened after it was claimed.
    async fn hold_back(&self, job: &Job, retry_in: Duration) {
        let (least, most) = HELD_BACK;
        let delay = retry_in.clamp(least, most);
        tracing::debug!(?delay, "the circuit of the job's handler is open; put off");
        if self.settle(job, Settle::Snooze { delay }, false).await == Settled::Done {
            add(&self.counts.snoozed);
        }
    }

    async fn attempt(&self, runner: &dyn JobRunner, job: &Job) {
        let claimed = job.claimed();
        let span = tracing::info_span!(
            "attempt",
            job = %job.id(),
            handler = %job.handler(),
            queue = %job.queue(),
            attempt = job.attempt(),
            root = %claimed.meta.root,
            traceparent = claimed.meta.traceparent.as_deref(),
        );
        async {
            let breaker = runner.breaker().filter(|_| self.heeds_breakers);
            let pass = match breaker.map(Breaker::admit).transpose() {
                Ok(pass) => pass,
                Err(retry_in) => return self.hold_back(job, retry_in).await,
            };
            let started = Instant::now();
            let ended = run(runner, job, handle(runner, job)).await;
            ended.tell(pass);
            self.warn_if_slow(job, started.elapsed());
            self.conclude(runner, job, ended).await;
        }
        .instrument(span)
        .await;
    }

    async fn conclude(&self, runner: &dyn JobRunner, job: &Job, ended: Ended) {
        if job.is_completed_within() && !self.is_still_open(job).await {
            self.leases.remove([(job.id(), job.token())]);
            return add(&self.counts.completed);
        }
        let cancelled = job.stopping() == Some(Stop::Cancelled);
        match ended {
            Ended::Stopped(Stop::LeaseLost) => add(&self.counts.lost),
            Ended::Stopped(Stop::Shutdown) => self.give_back(job).await,
            Ended::Returned(Ok(())) if job.is_completed_within() => {
                let message =
                    "the handler completed the job in a transaction that was not committed".to_owned();
                self.failed(runner, job, ErrorKind::Failed, message, None).await;
            }
            Ended::Returned(Ok(())) => self.complete(job).await,
            Ended::Stopped(Stop::Cancelled) => self.cancel(job, "cancelled while it ran".to_owned()).await,
            Ended::Returned(Err(_)) | Ended::Panicked(_) | Ended::TimedOut(_) if cancelled => {
                self.cancel(job, "cancelled while it ran".to_owned()).await;
            }
            Ended::Panicked(text) => self.failed(runner, job, ErrorKind::Panicked, text, None).await,
            Ended::TimedOut(after) => {
                let stuck = if runner.info().kind == HandlerKind::Blocking {
                    "; its thread goes on and may be stuck"
                } else {
                    ""
                };
                let message = format!("ran longer than its time-out of {after:?}{stuck}");
                self.failed(runner, job, ErrorKind::TimedOut, message, None).await;
            }
            Ended::Returned(Err(error)) => self.handler_failed(runner, job, error).await,
        }
    }

    async fn handler_failed(&self, runner: &dyn JobRunner, job: &Job, error: HandlerError) {
        let message = error.to_string();
        match error.into_failure() {
            // Told to stop, it has stopped half way: that is the shut-down's doing, not a failed attempt.
            Failure::Failed(_) if job.stopping() == Some(Stop::Shutdown) => self.give_back(job).await,
            Failure::Failed(_) => self.failed(runner, job, ErrorKind::Failed, message, None).await,
            Failure::Panicked(text) => self.failed(runner, job, ErrorKind::Panicked, text, None).await,
            Failure::RetryAfter(delay, _) => {
                self.failed(runner, job, ErrorKind::Failed, message, Some(delay)).await
            }
            Failure::Permanent(_) => {
                let error = self.error(job, ErrorKind::Permanent, message);
                self.bury(runner, job, error, runner.options().on_failure).await;
            }
            Failure::Missing(_) if runner.options().discard_missing => self.cancel(job, message).await,
            Failure::Missing(_) => {
                let error = self.error(job, ErrorKind::Missing, message);
                self.bury(runner, job, error, runner.options().on_failure).await;
            }
            Failure::Snooze(delay) => {
                if self.settle(job, Settle::Snooze { delay }, false).await == Settled::Done {
                    add(&self.counts.snoozed);
                }
            }
            Failure::Cancel(reason) => self.cancel(job, reason).await,
            Failure::Undecodable(message) => {
                let error = self.error(job, ErrorKind::Undecodable, message);
                self.bury(runner, job, error, false).await;
            }
        }
    }

    async fn complete(&self, job: &Job) {
        let (result, follow_ups) = (job.take_result(), job.take_follow_ups());
        let keep = result.is_some() || !self.retention.completed.is_zero();
        let follow_ups: Arc<[NewJob]> = follow_ups.into();
        let end = Settle::Complete { keep, result, follow_ups: Arc::clone(&follow_ups) };
        if self.settle(job, end, false).await == Settled::Done {
            add(&self.counts.completed);
            self.extensions.note_pushed(&follow_ups, &vec![Pushed::Queued; follow_ups.len()]);
        }
    }

    /// Whether the job is under this claim still, although its handler completed it: in a transaction that was not committed.
    async fn is_still_open(&self, job: &Job) -> bool {
        let record = self.extensions.job(job.id()).record().await.ok().flatten();
        record.is_some_and(|record| {
            record.state == JobState::Running
                && (record.attempt, record.worker) == (job.attempt(), Some(self.worker))
        })
    }

    async fn cancel(&self, job: &Job, reason: String) {
        let keep = !self.retention.cancelled.is_zero();
        if self.settle(job, Settle::Cancel { reason, keep }, false).await == Settled::Done {
            add(&self.counts.cancelled);
        }
    }

    async fn failed(
        &self,
        runner: &dyn JobRunner,
        job: &Job,
        kind: ErrorKind,
        message: String,
        chosen: Option<Duration>,
    ) {
        let options = runner.options();
        let now = self.clock.now();
        let next = after_failure(
            job.attempt(),
            job.max_attempts(),
            &options.backoff,
            chosen,
            options.retry_until,
            now.since(job.enqueued_at()),
            fastrand::f64(),
        );
        let error = self.error(job, kind, message);
        match next {
            AfterFailure::Bury => self.bury(runner, job, error, options.on_failure).await,
            AfterFailure::Retry(delay) => {
                job.set_next_attempt_at(now.saturating_add(delay));
                self.retry(runner, job, error, delay).await;
            }
        }
    }

    async fn retry(&self, runner: &dyn JobRunner, job: &Job, error: AttemptError, delay: Duration) {
        tracing::warn!(kind = %error.kind, error = error.message, ?delay, "attempt {} of {} failed; trying again", job.attempt(), job.max_attempts());
        let told = JobError::new(&error);
        if self.settle(job, Settle::Retry { delay, error }, false).await == Settled::LeaseLost {
            return;
        }
        add(&self.counts.failed);
        add(&self.counts.retried);
        if runner.options().on_retry {
            self.call_back("on_retry", runner, job, runner.on_retry(job, &told)).await;
        }
    }

    /// The one road to `dead`.
    async fn bury(&self, runner: &dyn JobRunner, job: &Job, error: AttemptError, owe_on_failure: bool) {
        tracing::error!(kind = %error.kind, error = error.message, "attempt {} of {} failed; the job is dead", job.attempt(), job.max_attempts());
        let told = JobError::new(&error);
        let settle = Settle::Bury { error, owe_on_failure };
        if self.settle(job, settle, owe_on_failure).await == Settled::LeaseLost {
            return;
        }
        add(&self.counts.failed);
        add(&self.counts.dead);
        if owe_on_failure {
            self.pay_callback(runner, job, &told).await;
        }
    }

    async fn owed_callback(&self, runner: &dyn JobRunner, job: &Job) {
        let lost = || self.error(job, ErrorKind::Lost, "no error was kept".to_owned());
        let error = job.claimed().last_error.clone().unwrap_or_else(lost);
        add(&self.counts.owed_callbacks);
        self.pay_callback(runner, job, &JobError::new(&error)).await;
    }

    async fn pay_callback(&self, runner: &dyn JobRunner, job: &Job, told: &JobError) {
        self.call_back("on_failure", runner, job, runner.on_failure(job, told)).await;
        self.settle(job, Settle::CallbackDone, false).await;
    }

    /// Runs a callback; whatever it does changes nothing.
    async fn call_back(
        &self,
        which: &'static str,
        runner: &dyn JobRunner,
        job: &Job,
        callback: impl Future<Output = Result<(), String>> + Send,
    ) {
        job.take_follow_ups();
        let limit = runner.options().timeout.unwrap_or(CALLBACK_TIMEOUT);
        let wrong = match tokio::time::timeout(limit, task::catching(callback)).await {
            Ok(Ok(Ok(()))) => return,
            Ok(Ok(Err(undecodable))) => format!("its point cannot be decoded: {undecodable}"),
            Ok(Err(panic)) => format!("panicked: {}", panic_text(panic)),
            Err(_) => format!("ran longer than {limit:?}"),
        };
        tracing::error!(job = %job.id(), handler = %job.handler(), "`{which}` {wrong}");
    }

    async fn settle(&self, job: &Job, end: Settle, keeps_lease: bool) -> Settled {
        let settlement = Settlement { job: job.id(), token: job.token(), end };
        let settled = self.settler.settle(settlement, keeps_lease).await;
        if settled == Settled::LeaseLost {
            add(&self.counts.lost);
            tracing::warn!(job = %job.id(), handler = %job.handler(), "a settlement came too late: the lease was gone");
        }
        settled
    }

    fn error(&self, job: &Job, kind: ErrorKind, mut message: String) -> AttemptError {
        if message.len() > LONGEST_MESSAGE {
            message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
            message.push('…');
        }
        AttemptError {
            attempt: job.attempt(),
            at: self.clock.now(),
            kind,
            message,
            worker: Some(self.worker),
            took: None,
        }
    }

    /// Warns once for each handler.
    fn warn_if_slow(&self, job: &Job, took: Duration) {
        if took < self.extensions.slow_threshold() {
            return;
        }
        let mut slow = self.slow.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !slow.contains(job.handler()) {
            slow.push(job.handler().clone());
            tracing::warn!(handler = %job.handler(), ?took, "slow handler; said once for each handler");
        }
    }
}

/// Stops the extending of a job's lease where its executor itself panics, so that the job is taken up again.
struct LeaveOnPanic<'a> {
    leases: &'a Leases,
    job: &'a Job,
}

impl Drop for LeaveOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.leases.remove([(self.job.id(), self.job.token())]);
        }
    }
}

/// Runs the handler, inside of the layers where there are any.
async fn handle(runner: &dyn JobRunner, job: &Job) -> HandlerResult {
    #[cfg(feature = "tower")]
    if let Some(mut layered) = job.extensions().settings().attempts.clone() {
        use super::layer::Service;
        std::future::poll_fn(|cx| layered.poll_ready(cx)).await?;
        return layered.call(job.clone()).await;
    }
    runner.run(job).await
}

/// Runs the handler until it returns, panics, is out of time, or must stop.
async fn run(runner: &dyn JobRunner, job: &Job, handling: impl Future<Output = HandlerResult>) -> Ended {
    let mut running = Box::pin(task::catching(handling));
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
    let ended = tokio::select! {
        biased;
        returned = &mut running => match returned {
            Ok(result) => Ended::Returned(result),
            Err(panic) => Ended::Panicked(panic_text(panic)),
        },
        why = must_stop(job) => Ended::Stopped(why),
        after = timeout => Ended::TimedOut(after),
    };
    // What the handler held is dropped here, which may panic too.
    match catch_unwind(AssertUnwindSafe(|| drop(running))) {
        Ok(()) => ended,
        Err(panic) => Ended::Panicked(panic_text(panic)),
    }
}

/// Ends when a handler that was told to stop has had its last words.
async fn must_stop(job: &Job) -> Stop {
    let mut why = job.stopped_beyond(None).await;
    while why != Stop::LeaseLost {
        tokio::select! {
            graver = job.stopped_beyond(Some(why)) => why = graver,
            () = tokio::time::sleep(LAST_WORDS) => break,
        }
    }
    why
}
