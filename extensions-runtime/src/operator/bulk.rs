//! One action on many jobs, past those that cannot be treated so.

use std::collections::BTreeMap;

use serde::Serialize;

use super::selection::{Pages, Selection};
use crate::job::{JobId, JobRecord};
use crate::queue::{AdminOutcome, QueueAdmin, QueueError, QueueErrorKind, QueueFuture};
use crate::time::Timestamp;

/// How many ids are named of each kind of trouble.
const NAMED: usize = 3;

/// What is done to jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// Nothing: they are counted.
    Look,
    /// Made available again.
    Retry,
    /// Cancelled, for this reason.
    Cancel(String),
    /// Their records are deleted.
    Forget,
}

/// What became of an action on many jobs.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Bulk {
    /// Jobs that were meant; ids of no job count too.
    pub(crate) matched: u64,
    /// Jobs that were treated.
    pub(crate) done: u64,
    /// Running jobs whose workers were asked.
    pub(crate) requested: u64,
    /// Jobs by handler, of those that were treated or asked for.
    pub(crate) handlers: BTreeMap<String, u64>,
    /// What kept the others, each kind once.
    pub(crate) trouble: Vec<Trouble>,
    /// What ended it before all jobs were seen.
    #[serde(skip)]
    pub(crate) stopped: Option<QueueError>,
}

/// Why some jobs were not treated.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Trouble {
    /// What was said, in words: `there is no such job`.
    pub(crate) what: String,
    /// Whether it is that there is no such job.
    #[serde(skip)]
    pub(crate) missing: bool,
    /// Of how many jobs.
    pub(crate) count: u64,
    /// The first of them.
    pub(crate) first: Vec<JobId>,
}

impl Bulk {
    /// Acts on everything that is selected; `now` is what ages are counted from.
    pub(crate) async fn run(
        queue: &dyn QueueAdmin,
        selection: &Selection,
        act: &Act,
        now: Timestamp,
    ) -> Self {
        let mut bulk = Self::default();
        bulk.stopped = bulk.each_page(queue, selection, act, now).await.err();
        bulk
    }

    async fn each_page(
        &mut self,
        queue: &dyn QueueAdmin,
        selection: &Selection,
        act: &Act,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        let mut pages = Pages::new(queue, selection, now);
        while let Some(page) = pages.next().await? {
            self.matched += (page.jobs.len() + page.missing.len() + page.elsewhere.len()) as u64;
            for id in page.missing {
                self.note(id, AdminOutcome::NotFound);
            }
            for job in &page.elsewhere {
                self.note(job.id, AdminOutcome::WrongState(job.state));
            }
            self.act_on(queue, &page.jobs, act).await?;
        }
        Ok(())
    }

    async fn act_on(
        &mut self,
        queue: &dyn QueueAdmin,
        jobs: &[JobRecord],
        act: &Act,
    ) -> Result<(), QueueError> {
        if jobs.is_empty() {
            return Ok(());
        }
        let all = jobs.iter().map(|job| job.id).collect();
        let outcomes = match act.call(queue, all).await {
            Err(error) if ends_all(&error) => return Err(error),
            Err(_) if jobs.len() > 1 => return self.one_by_one(queue, jobs, act).await,
            Err(error) => {
                self.trouble(jobs[0].id, format!("{error:?}"), false);
                return Ok(());
            }
            Ok(outcomes) => outcomes,
        };
        for (job, outcome) in jobs.iter().zip(outcomes) {
            if self.note(job.id, outcome) {
                *self.handlers.entry(job.handler.to_string()).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Finds the job that spoils a call for the others.
    async fn one_by_one(
        &mut self,
        queue: &dyn QueueAdmin,
        jobs: &[JobRecord],
        act: &Act,
    ) -> Result<(), QueueError> {
        for job in jobs {
            Box::pin(self.act_on(queue, std::slice::from_ref(job), act)).await?;
        }
        Ok(())
    }

    /// Whether the job was treated.
    fn note(&mut self, id: JobId, outcome: AdminOutcome) -> bool {
        match outcome {
            AdminOutcome::Done => self.done += 1,
            AdminOutcome::Requested => self.requested += 1,
            AdminOutcome::NotFound => self.trouble(id, "there is no such job".to_owned(), true),
            AdminOutcome::WrongState(state) => {
                self.trouble(id, format!("a job that is {state} cannot be treated so"), false);
            }
            AdminOutcome::Duplicate(_) => {
                self.trouble(id, "another job holds its unique key".to_owned(), false);
            }
        }
        matches!(outcome, AdminOutcome::Done | AdminOutcome::Requested)
    }

    fn trouble(&mut self, id: JobId, what: String, missing: bool) {
        let at = self.trouble.iter().position(|known| known.what == what);
        let at = at.unwrap_or_else(|| {
            self.trouble.push(Trouble { what, missing, count: 0, first: Vec::new() });
            self.trouble.len() - 1
        });
        let trouble = &mut self.trouble[at];
        trouble.count += 1;
        if trouble.first.len() < NAMED {
            trouble.first.push(id);
        }
    }
}

impl Act {
    fn call<'a>(&self, queue: &'a dyn QueueAdmin, ids: Vec<JobId>) -> QueueFuture<'a, Vec<AdminOutcome>> {
        match self {
            Self::Look => Box::pin(std::future::ready(Ok(vec![AdminOutcome::Done; ids.len()]))),
            Self::Retry => queue.retry(ids),
            Self::Cancel(reason) => queue.cancel(ids, reason.clone()),
            Self::Forget => queue.forget(ids),
        }
    }
}

/// Whether an error is not about single jobs, so that the next call would fail like this one.
fn ends_all(error: &QueueError) -> bool {
    matches!(
        error.kind(),
        QueueErrorKind::Unavailable
            | QueueErrorKind::Timeout
            | QueueErrorKind::Unsupported
            | QueueErrorKind::Full
    )
}
