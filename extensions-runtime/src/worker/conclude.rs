//! What becomes of a job after its attempt: the one place for every road out.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::Instrument;

use super::executor::Executor;
use super::job::{Job, JobError, Stop};
use super::leases::{Returned, What};
use super::report::add;
use super::running::Ended;
use super::settler::Ending;
use crate::handler::{Failure, HandlerError, panic_text};
use crate::job::{AttemptError, ErrorKind, JobState, NewJob};
use crate::policy::{AfterFailure, after_failure};
use crate::queue::{Pushed, QueueError, Settle, Settled};
use crate::registry::JobRunner;
use crate::task;
use crate::telemetry::names::{self, event};

/// How long a callback of a handler without a time-out may run.
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest error text that is kept with a job, in bytes.
const LONGEST_MESSAGE: usize = 4096;

/// What became of a job that its handler completed in a transaction.
enum Within {
    Committed,
    /// It is still this attempt's.
    Open,
    /// Somebody else ended it, or has it.
    Lost,
}

impl Executor {
    pub(super) async fn conclude(&self, runner: &Arc<JobRunner>, job: &Job, ended: Ended) {
        if job.is_completed_within() {
            match self.look_within(job).await {
                Within::Committed => return self.note_committed(job),
                Within::Lost => return self.note_lost(job),
                Within::Open if matches!(ended, Ended::Returned(Ok(()))) => {
                    let message = "the handler completed the job in a transaction that was not committed";
                    return self.failed(runner, job, ErrorKind::Failed, message.to_owned()).await;
                }
                Within::Open => {}
            }
        }
        let cancelled = job.stopping() == Some(Stop::Cancelled);
        match ended {
            Ended::Stopped(Stop::LeaseLost) => self.counts.note_lost(job),
            Ended::Stopped(Stop::Shutdown | Stop::TimedOut) => self.give_back(job).await,
            Ended::Returned(Ok(())) => self.complete(runner, job).await,
            Ended::Stopped(Stop::Cancelled) => self.cancel(job, "cancelled while it ran".to_owned()).await,
            Ended::Returned(Err(_)) | Ended::Panicked(_) | Ended::TimedOut(_) if cancelled => {
                self.cancel(job, "cancelled while it ran".to_owned()).await;
            }
            Ended::Panicked(text) => self.failed(runner, job, ErrorKind::Panicked, text).await,
            Ended::TimedOut(after) => {
                let message = format!("ran longer than its time-out of {after:?}");
                self.failed(runner, job, ErrorKind::TimedOut, message).await;
            }
            Ended::Returned(Err(error)) => self.handler_failed(runner, job, error).await,
        }
    }

    /// Completes the job, with what its handler left to be stored with the completion.
    async fn complete(&self, runner: &Arc<JobRunner>, job: &Job) {
        let result = job.take_result();
        let keep = result.is_some() || !self.retention.completed.is_zero();
        let mut follow_ups: Arc<[NewJob]> = job.take_follow_ups().into();
        if !follow_ups.is_empty() && !self.queue.capabilities().follow_ups {
            match self.push_before(job, &follow_ups).await {
                Ok(()) => follow_ups = Arc::default(),
                Err(error) => {
                    let message = format!("its follow-ups could not be stored: {error}");
                    return self.failed(runner, job, ErrorKind::Failed, message).await;
                }
            }
        }
        let end = Settle::Complete { keep, result, follow_ups: Arc::clone(&follow_ups) };
        if follow_ups.is_empty() && !job.keeps_slot() {
            self.settler.hand_over(ending(job, end)).await;
        } else if self.end(job, end).await == Settled::Done {
            self.extensions.note_pushed(&follow_ups, &vec![Pushed::Queued; follow_ups.len()]);
        }
    }

    /// Stores follow-ups ahead of the completion, where the queue cannot do both at once: at worst they are stored and the job runs again.
    async fn push_before(&self, job: &Job, follow_ups: &Arc<[NewJob]>) -> Result<(), QueueError> {
        loop {
            match self.queue.push(Arc::clone(follow_ups)).await {
                Err(error) if error.is_retryable() && job.stopping() != Some(Stop::LeaseLost) => {
                    self.outage.wait("push", &error).await;
                }
                answer => {
                    self.outage.works("push");
                    let pushed = answer?;
                    self.extensions.note_pushed(follow_ups, &pushed);
                    return Ok(());
                }
            }
        }
    }

    /// Whether what the handler did in its transaction took effect. The caller may have committed, rolled back or forgotten it.
    async fn look_within(&self, job: &Job) -> Within {
        let records = loop {
            match self.queue.get(vec![job.id()]).await {
                Err(error) if error.is_retryable() => self.outage.wait("get", &error).await,
                answer => {
                    self.outage.works("get");
                    break answer;
                }
            }
        };
        let Ok(mut records) = records else { return Within::Lost };
        match records.pop().flatten() {
            None => Within::Committed,
            Some(record) if record.state == JobState::Completed => Within::Committed,
            Some(record)
                if record.state == JobState::Running
                    && (record.attempt, record.worker) == (job.attempt(), Some(self.worker)) =>
            {
                Within::Open
            }
            Some(_) => Within::Lost,
        }
    }

    fn note_committed(&self, job: &Job) {
        self.leases.remove([(job.id(), job.token())]);
        self.counts.note_completed(job);
    }

    fn note_lost(&self, job: &Job) {
        self.leases.remove([(job.id(), job.token())]);
        self.counts.note_lost(job);
    }

    async fn handler_failed(&self, runner: &Arc<JobRunner>, job: &Job, error: HandlerError) {
        let message = error.to_string();
        let end = match error.into_failure() {
            // Told to stop, it has stopped half way: that is the shut-down's doing, not a failed attempt.
            Failure::Failed(_) if job.stopping() == Some(Stop::Shutdown) => Settle::Release,
            Failure::Failed(_) if job.stopping() == Some(Stop::TimedOut) => {
                let message = format!("told to stop at its time-out: {message}");
                self.verdict(runner, job, ErrorKind::TimedOut, message, None)
            }
            Failure::Failed(_) => self.verdict(runner, job, ErrorKind::Failed, message, None),
            Failure::Panicked(text) => self.verdict(runner, job, ErrorKind::Panicked, text, None),
            Failure::RetryAfter(delay, _) => {
                self.verdict(runner, job, ErrorKind::Failed, message, Some(delay))
            }
            Failure::Permanent(_) => self.burial(runner, job, ErrorKind::Permanent, message),
            Failure::Missing(_) if runner.options().discard_missing => self.cancellation(message),
            Failure::Missing(_) => self.burial(runner, job, ErrorKind::Missing, message),
            Failure::Snooze(delay) => Settle::Snooze { delay },
            Failure::Cancel(reason) => self.cancellation(reason),
            Failure::Undecodable(message) => self.burial(runner, job, ErrorKind::Undecodable, message),
        };
        self.carry_out(runner, job, end).await;
    }

    pub(super) fn cancellation(&self, reason: String) -> Settle {
        Settle::Cancel { reason, keep: !self.retention.cancelled.is_zero() }
    }

    async fn cancel(&self, job: &Job, reason: String) {
        self.end(job, self.cancellation(reason)).await;
    }

    async fn failed(&self, runner: &Arc<JobRunner>, job: &Job, kind: ErrorKind, message: String) {
        self.carry_out(runner, job, self.verdict(runner, job, kind, message, None)).await;
    }

    /// What a failed attempt leads to.
    pub(super) fn verdict(
        &self,
        runner: &JobRunner,
        job: &Job,
        kind: ErrorKind,
        message: String,
        chosen: Option<Duration>,
    ) -> Settle {
        let options = runner.options();
        let until = [options.retry_until, options.expires_in].into_iter().flatten().min();
        let (attempt, max) = (job.attempt(), job.max_attempts());
        match after_failure(attempt, max, &options.backoff, chosen, until, job.age(), fastrand::f64()) {
            AfterFailure::Bury => self.burial(runner, job, kind, message),
            AfterFailure::Retry(delay) => {
                let error = self.error(job, kind, message);
                tracing::warn!(name: event::JOB_RETRIED, job = %job.id(), kind = %error.kind, error = error.message, ?delay, "attempt {attempt} of {max} failed; trying again");
                job.set_next_attempt_at(self.clock.now().saturating_add(delay));
                Settle::Retry { delay, error }
            }
        }
    }

    /// The one road to `dead`.
    pub(super) fn burial(&self, runner: &JobRunner, job: &Job, kind: ErrorKind, message: String) -> Settle {
        let error = self.error(job, kind, message);
        tracing::error!(name: event::JOB_DEAD, job = %job.id(), kind = %error.kind, error = error.message, "attempt {} of {} failed; the job is dead", job.attempt(), job.max_attempts());
        // There is no point to call it with where the payload is none.
        let owe_on_failure = runner.options().on_failure && kind != ErrorKind::Undecodable;
        Settle::Bury { error, owe_on_failure }
    }

    /// Stores the end of an attempt, and makes the callback that belongs to it.
    pub(super) async fn carry_out(&self, runner: &Arc<JobRunner>, job: &Job, end: Settle) {
        let keeps_lease = matches!(end, Settle::Bury { owe_on_failure: true, .. });
        if self.settler.settle(Ending { keeps_lease, ..ending(job, end.clone()) }).await == Settled::LeaseLost
        {
            return;
        }
        match end {
            Settle::Retry { error, .. } if runner.options().on_retry => {
                self.tell_of_retry(runner, job, &error).await;
            }
            Settle::Bury { error, owe_on_failure: true } => {
                self.pay_callback(runner, job, &JobError::new(&error)).await;
            }
            _ => {}
        }
    }

    /// Stores the end of a claim after which nothing is called.
    pub(super) async fn end(&self, job: &Job, end: Settle) -> Settled {
        self.settler.settle(ending(job, end)).await
    }

    pub(super) async fn tell_of_retry(&self, runner: &JobRunner, job: &Job, error: &AttemptError) {
        let told = JobError::new(error);
        self.call_back("on_retry", callback_limit(runner), job, runner.on_retry(job, &told)).await;
    }

    pub(super) async fn owed_callback(&self, runner: &Arc<JobRunner>, job: &Job) {
        let lost = || self.error(job, ErrorKind::Lost, "no error was kept".to_owned());
        let error = job.claimed().last_error.clone().unwrap_or_else(lost);
        add(&self.counts.owed_callbacks);
        self.pay_callback(runner, job, &JobError::new(&error)).await;
    }

    async fn pay_callback(&self, runner: &Arc<JobRunner>, job: &Job, told: &JobError) {
        let limit = callback_limit(runner);
        self.leases.begin(job, runner, What::Callback(Instant::now()), Some(limit), None);
        self.call_back("on_failure", limit, job, runner.on_failure(job, told)).await;
        match self.leases.end(job) {
            Returned::InTime(_) => {
                self.end(job, Settle::CallbackDone).await;
            }
            Returned::GivenUp => {
                tracing::info!(name: event::CALLBACK_RETURNED, job = %job.id(), "a stuck callback has returned; it is called again")
            }
        }
    }

    /// Runs a callback; whatever it does changes nothing.
    async fn call_back(
        &self,
        which: &'static str,
        limit: Duration,
        job: &Job,
        callback: impl Future<Output = Result<(), String>> + Send,
    ) {
        // They go with a completion, and there is none.
        job.take_follow_ups();
        let span = tracing::info_span!(
            names::SPAN_CALLBACK, which, job = %job.id(), handler = %job.handler(), queue = %job.queue()
        );
        // One that another claim or thread owes is outside of its attempt.
        if tracing::Span::current().is_none() {
            self.extensions.adopt_traceparent(&span, job.meta());
        }
        let wrong = match tokio::time::timeout(limit, task::catching(callback)).instrument(span).await {
            Ok(Ok(Ok(()))) => return,
            Ok(Ok(Err(undecodable))) => format!("its point cannot be decoded: {undecodable}"),
            Ok(Err(panic)) => format!("panicked: {}", panic_text(panic)),
            Err(_) => format!("ran longer than {limit:?}"),
        };
        tracing::error!(name: event::CALLBACK_FAILED, job = %job.id(), handler = %job.handler(), "`{which}` {wrong}");
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
            took: job.begun_at().map(|begun| begun.elapsed()),
        }
    }
}

/// The usual end of a claim.
pub(super) fn ending(job: &Job, end: Settle) -> Ending {
    Ending { job: job.clone(), end, keeps_lease: false, is_counted: true }
}

/// How long a callback may run.
fn callback_limit(runner: &JobRunner) -> Duration {
    runner.options().timeout.unwrap_or(CALLBACK_TIMEOUT)
}
