//! Why a job does not run.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::{JobFilter, QueueBackend, QueueError, QueueErrorKind, QueueStats, WorkerInfo};
use crate::job::{JobId, JobRecord, JobState, WorkerId};
use crate::time::Timestamp;

/// Up to how many waiting jobs it is worth while to count those that go first.
const COUNTED: u64 = 5_000;
/// How many records one step of counting looks at.
const PAGE: usize = 1_000;

/// Why a job does not run, as far as its store knows; as text by `Display`.
///
/// What only a worker's process knows is not in it: an open circuit, or a limit of its own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The job.
    pub job: JobRecord,
    /// All that is in its way, or why it is over; never empty.
    pub reasons: Vec<Reason>,
}

/// One of the reasons why a job does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// It is over.
    Ended {
        /// Since when, by the store's clock.
        at: Option<Timestamp>,
        /// What it ended with: its last error, or why it was cancelled.
        why: Option<String>,
    },
    /// It is over, but its `on_failure` was not called yet.
    OwesCallback,
    /// It runs.
    Running {
        /// Who has it.
        worker: Option<WorkerId>,
        /// The machine and the process of that worker, if it is live.
        place: Option<(String, u32)>,
        /// For how long, by the store's clock.
        lasts: Duration,
    },
    /// Its time has not come.
    NotDue {
        /// How long until then, by the store's clock.
        due_in: Duration,
    },
    /// Its queue is paused.
    Paused,
    /// No live worker serves its queue.
    Unserved {
        /// How many workers serve others.
        workers: u64,
    },
    /// No live worker that serves its queue knows its handler.
    UnknownHandler {
        /// How many serve the queue.
        workers: u64,
    },
    /// The live workers that know its handler can read only older payloads.
    OldWorkers {
        /// The newest version that any of them can read.
        newest: u32,
    },
    /// Other jobs go first.
    Behind {
        /// How many.
        jobs: u64,
        /// Whether they were counted; else at most so many.
        exact: bool,
    },
    /// Each live worker that could run it has all its slots taken.
    Busy {
        /// How many slots that is.
        slots: u64,
    },
    /// Workers died over it: it is claimed alone, and only by a worker that runs no other such job.
    LostBefore {
        /// How often.
        lost_count: u32,
    },
    /// Nothing the store knows of: the next claim may take it.
    Next,
}

/// Why the job with this id does not run.
///
/// # Errors
///
/// `NotFound` where there is no such job, and those of the queue's calls; `Unsupported` without the capability `list`.
pub async fn explain(queue: &dyn QueueBackend, id: JobId) -> Result<Explanation, QueueError> {
    let Some(job) = queue.get(vec![id]).await?.pop().flatten() else {
        let hint = format!("there is no job {id}: it was not queued here, or is over and its record deleted");
        return Err(QueueError::new(QueueErrorKind::NotFound, "explain", hint));
    };
    let (now, workers) = (queue.now().await?, queue.workers().await?);
    let reasons = match job.state {
        state if state.is_final() => ended(&job),
        JobState::Running => vec![running(&job, &workers, now)],
        _ => waiting(queue, &job, &workers, now).await?,
    };
    Ok(Explanation { job, reasons })
}

fn ended(job: &JobRecord) -> Vec<Reason> {
    let last = || job.errors.last().map(|error| error.message.clone());
    let why = if job.state == JobState::Completed { None } else { job.reason.clone().or_else(last) };
    let mut reasons = vec![Reason::Ended { at: job.entered.get(&job.state).copied(), why }];
    if job.owes_on_failure {
        reasons.push(Reason::OwesCallback);
    }
    reasons
}

fn running(job: &JobRecord, workers: &[WorkerInfo], now: Timestamp) -> Reason {
    let info = workers.iter().find(|info| Some(info.id) == job.worker);
    Reason::Running {
        worker: job.worker,
        place: info.map(|info| (info.host.clone(), info.pid)),
        lasts: job.entered.get(&JobState::Running).map_or(Duration::ZERO, |since| now.since(*since)),
    }
}

async fn waiting(
    queue: &dyn QueueBackend,
    job: &JobRecord,
    workers: &[WorkerInfo],
    now: Timestamp,
) -> Result<Vec<Reason>, QueueError> {
    let stats = queue.stats().await?.into_iter().find(|stats| stats.queue == job.queue);
    let stats = stats.unwrap_or_else(|| QueueStats::empty(job.queue.clone()));
    let mut reasons = Vec::new();
    let is_due = matches!(job.state, JobState::Available | JobState::Unroutable);
    if !is_due {
        reasons.push(Reason::NotDue { due_in: job.run_at.since(now) });
    }
    if stats.paused {
        reasons.push(Reason::Paused);
    }
    let able = match able(job, workers) {
        Ok(able) => able,
        Err(reason) => {
            reasons.push(reason);
            return Ok(reasons);
        }
    };
    if !reasons.is_empty() {
        return Ok(reasons);
    }
    if job.lost_count > 0 {
        reasons.push(Reason::LostBefore { lost_count: job.lost_count });
    }
    let (jobs, exact) = ahead(queue, job, stats.count(JobState::Available)).await?;
    if jobs > 0 {
        reasons.push(Reason::Behind { jobs, exact });
    }
    if able.iter().all(|worker| worker.busy >= worker.slots) {
        reasons.push(Reason::Busy { slots: able.iter().map(|worker| u64::from(worker.slots)).sum() });
    }
    if reasons.is_empty() {
        reasons.push(Reason::Next);
    }
    Ok(reasons)
}

/// The workers that can run the job, or why there is none.
fn able<'a>(job: &JobRecord, workers: &'a [WorkerInfo]) -> Result<Vec<&'a WorkerInfo>, Reason> {
    let newest = |worker: &WorkerInfo| {
        let known = worker.handlers.iter().filter(|known| known.handler == job.handler);
        known.map(|known| known.max_version).max()
    };
    let serving: Vec<_> = workers.iter().filter(|worker| worker.queues.contains(&job.queue)).collect();
    if serving.is_empty() {
        return Err(Reason::Unserved { workers: workers.len() as u64 });
    }
    let Some(best) = serving.iter().filter_map(|worker| newest(worker)).max() else {
        return Err(Reason::UnknownHandler { workers: serving.len() as u64 });
    };
    if best < job.point_version {
        return Err(Reason::OldWorkers { newest: best });
    }
    Ok(serving.into_iter().filter(|worker| newest(worker) >= Some(job.point_version)).collect())
}

/// How many available jobs of the queue go before this one, and whether they were counted.
async fn ahead(queue: &dyn QueueBackend, job: &JobRecord, waiting: u64) -> Result<(u64, bool), QueueError> {
    if waiting > COUNTED {
        return Ok((waiting - 1, false));
    }
    let rank = |job: &JobRecord| (job.priority, job.run_at, job.id);
    let (own, mut jobs) = (rank(job), 0);
    let mut filter = JobFilter {
        states: vec![JobState::Available],
        queue: Some(job.queue.clone()),
        limit: PAGE,
        ..JobFilter::default()
    };
    for _ in 0..=COUNTED / PAGE as u64 {
        let page = queue.list(filter.clone()).await?;
        jobs += page.iter().filter(|other| rank(other) < own).count() as u64;
        filter.after = page.last().map(|last| last.id);
        if page.len() < PAGE {
            break;
        }
    }
    Ok((jobs, true))
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let job = &self.job;
        write!(
            f,
            "job {} of {} in the queue `{}` is {}, after {} of {} attempts",
            job.id, job.handler, job.queue, job.state, job.attempt, job.max_attempts
        )?;
        for reason in &self.reasons {
            f.write_str("\n- ")?;
            reason.write(job, f)?;
        }
        Ok(())
    }
}

impl Reason {
    fn write(&self, job: &JobRecord, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (queue, handler) = (&job.queue, &job.handler);
        match self {
            Self::Ended { at, why } => {
                write!(f, "it is over")?;
                at.map_or(Ok(()), |at| write!(f, " since {at}"))?;
                why.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))?;
                match job.state {
                    JobState::Completed => Ok(()),
                    _ => write!(f, "; a retry by hand starts it over"),
                }
            }
            Self::OwesCallback => {
                write!(f, "its `on_failure` is owed: the next worker that claims from `{queue}` calls it")
            }
            Self::Running { worker: Some(worker), place: Some((host, pid)), lasts } => {
                write!(
                    f,
                    "it has been running for {lasts:.0?} in the worker {worker} on {host}, process {pid}"
                )
            }
            Self::Running { worker, lasts, .. } => {
                let worker = worker.map_or_else(|| "a worker".to_owned(), |id| format!("the worker {id}"));
                write!(
                    f,
                    "it was started {lasts:.0?} ago by {worker}, which is not live now; it is available again once its lease ends"
                )
            }
            Self::NotDue { due_in } => {
                write!(f, "it is due in {due_in:.0?}; a retry by hand makes it available")
            }
            Self::Paused => write!(f, "the queue `{queue}` is paused; resume it"),
            Self::Unserved { workers: 0 } => write!(f, "there is no live worker; start one for `{queue}`"),
            Self::Unserved { workers } => {
                write!(f, "none of the {workers} live workers serves `{queue}`; start one that does")
            }
            Self::UnknownHandler { workers } => write!(
                f,
                "none of the {workers} live workers of `{queue}` knows the handler {handler}; start one of a release that has it"
            ),
            Self::OldWorkers { newest } => write!(
                f,
                "its payload has version {}, and the live workers of `{queue}` read {handler} only up to {newest}; start newer ones",
                job.point_version
            ),
            Self::Behind { jobs, exact: true } => write!(f, "{jobs} jobs of `{queue}` go first"),
            Self::Behind { jobs, exact: false } => write!(f, "at most {jobs} jobs of `{queue}` go first"),
            Self::Busy { slots } => {
                write!(
                    f,
                    "all {slots} slots of the workers that could run it are taken; add workers or slots"
                )
            }
            Self::LostBefore { lost_count } => write!(
                f,
                "workers died over it {lost_count} times, so that it is claimed alone and one such job at a time"
            ),
            Self::Next => write!(
                f,
                "nothing is in its way: the next claim may take it, unless its handler's circuit is open in the workers"
            ),
        }
    }
}
