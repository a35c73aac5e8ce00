//! Runs one job and settles it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tracing::Instrument;

use super::conclude::ending;
use super::job::{Job, Stop};
use super::leases::{Leases, Returned, What};
use super::outage::Outage;
use super::report::{Counts, add};
use super::running::run;
use super::settler::{Ending, Settler};
use crate::BoxFuture;
use crate::breaker::Breaker;
use crate::instance::Extensions;
use crate::job::{ErrorKind, HandlerKey, Purpose, WorkerId};
use crate::queue::{QueueBackend, Retention, Settle};
use crate::registry::JobRunner;
use crate::telemetry::names::{self, event};
use crate::telemetry::record::Share;
use crate::time::Clock;

/// How long a job is put off that this worker cannot run, on a queue that cannot filter by handler.
const PUT_OFF: Duration = Duration::from_secs(10);
/// How long at least and at most a job is put off whose handler's circuit is open.
const HELD_BACK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What every job's run needs.
#[derive(Debug)]
pub(super) struct Executor {
    pub(super) extensions: Extensions,
    pub(super) worker: WorkerId,
    pub(super) queue: Arc<dyn QueueBackend>,
    pub(super) settler: Settler,
    pub(super) leases: Arc<Leases>,
    pub(super) counts: Arc<Counts>,
    pub(super) outage: Arc<Outage>,
    pub(super) retention: Retention,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) heeds_breakers: bool,
    /// The handlers that were warned about as slow.
    pub(super) slow: Mutex<Vec<HandlerKey>>,
}

impl Executor {
    pub(super) async fn execute(&self, job: Job) {
        let _busy = Share::of_busy();
        let _left_to_its_lease = LeaveOnPanic { leases: &self.leases, job: &job };
        if job.stopping() == Some(Stop::LeaseLost) {
            return;
        }
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
                        Purpose::OnFailure => self.owed_callback(&runner, &job).await,
                        _ => self.attempt(&runner, &job).await,
                    }
                };
                self.extensions.within_scopes_of(&job.claimed().meta, running).await;
            }
        }
    }

    /// Gives a job back without an attempt.
    pub(super) async fn give_back(&self, job: &Job) {
        self.end(job, Settle::Release).await;
    }

    async fn put_off(&self, job: &Job) {
        tracing::warn!(name: event::JOB_UNKNOWN, job = %job.id(), handler = %job.handler(), "claimed a job of a handler or version that is not known here; put off");
        let put_off = ending(job, Settle::Snooze { delay: PUT_OFF });
        self.settler.settle(Ending { is_counted: false, ..put_off }).await;
    }

    /// Puts off a job whose handler's circuit opened after it was claimed.
    async fn hold_back(&self, job: &Job, retry_in: Duration) {
        let (least, most) = HELD_BACK;
        let delay = retry_in.clamp(least, most);
        tracing::debug!(?delay, "the circuit of the job's handler is open; put off");
        self.end(job, Settle::Snooze { delay }).await;
    }

    async fn attempt(&self, runner: &Arc<JobRunner>, job: &Job) {
        let claimed = job.claimed();
        let span = tracing::info_span!(
            names::SPAN_ATTEMPT,
            job = %job.id(),
            handler = %job.handler(),
            queue = %job.queue(),
            attempt = job.attempt(),
            root = %claimed.meta.root,
            traceparent = claimed.meta.traceparent.as_deref(),
        );
        self.extensions.adopt_traceparent(&span, &claimed.meta);
        async {
            if let Some(limit) = runner.options().expires_in.filter(|limit| job.age() > *limit) {
                let message = format!("not started within its {limit:?}");
                return self.carry_out(runner, job, self.burial(runner, job, ErrorKind::Expired, message)).await;
            }
            let breaker = runner.breaker().filter(|_| self.heeds_breakers);
            let pass = match breaker.map(Breaker::admit).transpose() {
                Ok(pass) => pass,
                Err(retry_in) => return self.hold_back(job, retry_in).await,
            };
            self.leases.begin(job, runner, What::Attempt, runner.options().timeout, pass);
            if job.attempt() == 1 {
                job.work().waited(job.age());
            }
            let started = Instant::now();
            let (ended, goes_on) = run(runner, job).await;
            let took = started.elapsed();
            job.note_ended();
            job.work().ran(took);
            self.warn_if_slow(job, took);
            match self.leases.end(job) {
                Returned::InTime(pass) => {
                    ended.tell(pass);
                    self.conclude(runner, job, ended).await;
                }
                Returned::GivenUp => {
                    tracing::info!(name: event::STUCK_RETURNED, ran = ?started.elapsed(), "a stuck handler has returned; its job went on without it");
                }
            }
            if let Some(running) = goes_on {
                self.outlive(job, running).await;
            }
        }
        .instrument(span)
        .await;
    }

    /// Keeps the slot while a blocking handler goes on that was told to stop.
    async fn outlive(&self, job: &Job, running: BoxFuture<'_, ()>) {
        add(&self.counts.stuck);
        job.work().stuck();
        tracing::warn!(name: event::HANDLER_HEEDLESS, "a blocking handler does not heed that it is to stop; its slot stays taken");
        self.leases.outlive(job);
        running.await;
        self.leases.end(job);
    }

    /// Warns once for each handler.
    fn warn_if_slow(&self, job: &Job, took: Duration) {
        if took < self.extensions.slow_threshold() {
            return;
        }
        let mut slow = self.slow.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !slow.contains(job.handler()) {
            slow.push(job.handler().clone());
            tracing::warn!(name: event::SLOW_JOB, handler = %job.handler(), ?took, "slow handler; said once for each handler");
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
