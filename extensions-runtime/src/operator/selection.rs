//! Which jobs an operator means: by id, or by what they have in common.

use std::collections::VecDeque;
use std::time::Duration;

use crate::job::{HandlerKey, JobId, JobRecord, JobState, QueueName};
use crate::queue::{JobFilter, QueueAdmin, QueueError};
use crate::time::Timestamp;

/// The states of jobs that ended without success by themselves.
pub(crate) const FAILED: &[JobState] = &[JobState::Dead, JobState::Quarantined];
/// The states of jobs that wait, for whatever.
pub(crate) const WAITING: &[JobState] =
    &[JobState::Scheduled, JobState::Available, JobState::Retryable, JobState::Unroutable];
/// How many jobs are looked at, or acted on, in one call.
const PAGE: usize = 500;

/// Jobs by id, or by filter. Conditions add up; an empty one is no condition.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    /// These jobs, in this order.
    pub(crate) ids: Vec<JobId>,
    /// In any of these states.
    pub(crate) states: Vec<JobState>,
    /// In this queue.
    pub(crate) queue: Option<QueueName>,
    /// Of the handler with this name on any point, or with this key (`point/handler`).
    pub(crate) handler: Option<String>,
    /// With this text in the last error, or in the reason of their cancellation; upper and lower case are the same.
    pub(crate) error: Option<String>,
    /// In their state for at least this long.
    pub(crate) older_than: Option<Duration>,
    /// The newest first.
    pub(crate) newest: bool,
}

impl Selection {
    /// All jobs in any of these states.
    pub(crate) fn in_states(states: &[JobState]) -> Self {
        Self { states: states.to_vec(), ..Self::default() }
    }

    /// Whether it is narrowed by anything but states.
    pub(crate) const fn is_narrow(&self) -> bool {
        !self.ids.is_empty()
            || self.queue.is_some()
            || self.handler.is_some()
            || self.error.is_some()
            || self.older_than.is_some()
    }

    /// What the queue itself can look for.
    fn filter(&self, limit: usize) -> JobFilter {
        let key = self.handler.as_deref().filter(|handler| handler.contains('/'));
        JobFilter {
            states: self.states.clone(),
            queue: self.queue.clone(),
            handler: key.map(HandlerKey::from),
            newest: self.newest,
            limit,
            ..JobFilter::default()
        }
    }

    /// Whether a job that the queue has found is meant.
    fn takes(&self, job: &JobRecord, now: Timestamp) -> bool {
        let handler = |name: &String| job.handler.handler() == name || job.handler.as_str() == name;
        self.handler.as_ref().is_none_or(handler)
            && self.error.as_ref().is_none_or(|text| says(job, &text.to_lowercase()))
            && self.older_than.is_none_or(|age| now.since(since(job)) >= age)
    }
}

/// Since when a job is in its state.
pub(super) fn since(job: &JobRecord) -> Timestamp {
    job.entered.get(&job.state).copied().unwrap_or(job.enqueued_at)
}

fn says(job: &JobRecord, text: &str) -> bool {
    let error = job.errors.last().map(|error| error.message.as_str());
    [error, job.reason.as_deref()].into_iter().flatten().any(|said| said.to_lowercase().contains(text))
}

/// A page of what was selected.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) jobs: Vec<JobRecord>,
    /// Of the ids that were asked for: those of no job.
    pub(crate) missing: Vec<JobId>,
    /// Of the ids that were asked for: those of jobs in another state than the selection's.
    pub(crate) elsewhere: Vec<JobRecord>,
}

/// Walks through a selection. Jobs that change on the way are met once: each page starts behind the last one's end.
pub(crate) struct Pages<'a> {
    queue: &'a dyn QueueAdmin,
    selection: &'a Selection,
    now: Timestamp,
    left: Left,
}

enum Left {
    Ids(VecDeque<JobId>),
    Filter(Option<JobId>),
    Nothing,
}

impl<'a> Pages<'a> {
    /// From the beginning; `now` is what ages are counted from.
    pub(crate) fn new(queue: &'a dyn QueueAdmin, selection: &'a Selection, now: Timestamp) -> Self {
        let left = match &selection.ids[..] {
            [] => Left::Filter(None),
            ids => Left::Ids(ids.iter().copied().collect()),
        };
        Self { queue, selection, now, left }
    }

    /// The next page; it may be empty. None at the end.
    ///
    /// # Errors
    ///
    /// Those of the queue.
    pub(crate) async fn next(&mut self) -> Result<Option<Page>, QueueError> {
        match &mut self.left {
            Left::Nothing => Ok(None),
            Left::Ids(ids) => {
                let ids: Vec<_> = ids.drain(..PAGE.min(ids.len())).collect();
                if ids.is_empty() {
                    return Ok(None);
                }
                let found = self.queue.get(ids.clone()).await?;
                Ok(Some(self.sorted(ids, found)))
            }
            Left::Filter(after) => {
                let filter = JobFilter { after: *after, ..self.selection.filter(PAGE) };
                let jobs = self.queue.list(filter).await?;
                self.left = match jobs.last() {
                    Some(last) => Left::Filter(Some(last.id)),
                    None => Left::Nothing,
                };
                let jobs = jobs.into_iter().filter(|job| self.selection.takes(job, self.now)).collect();
                Ok(Some(Page { jobs, ..Page::default() }))
            }
        }
    }

    fn sorted(&self, ids: Vec<JobId>, found: Vec<Option<JobRecord>>) -> Page {
        let mut page = Page::default();
        let states = &self.selection.states;
        for (id, job) in ids.into_iter().zip(found) {
            match job {
                None => page.missing.push(id),
                Some(job) if states.is_empty() || states.contains(&job.state) => page.jobs.push(job),
                Some(job) => page.elsewhere.push(job),
            }
        }
        page
    }

    /// The first `limit` jobs.
    ///
    /// # Errors
    ///
    /// Those of the queue.
    pub(crate) async fn first(mut self, limit: usize) -> Result<Vec<JobRecord>, QueueError> {
        let mut jobs = Vec::new();
        while jobs.len() < limit
            && let Some(page) = self.next().await?
        {
            jobs.extend(page.jobs);
        }
        jobs.truncate(limit);
        Ok(jobs)
    }
}
